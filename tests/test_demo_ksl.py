"""The story of keyed soft labels at a small size: everything is made, examined, opened and sealed."""

import numpy as np
import pytest

from forensics.bench.data import load_digits
from forensics.demo.ksl import SUSPECTS, tell_digits
from tests.demostudents import Told, require_checked, require_row, tell

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    digits = load_digits().subset(np.arange(500))
    return tell(
        tmp_path_factory.mktemp("ksl") / "demo",
        lambda stage: tell_digits(stage, digits, pool_size=80, steps=3, drop=1.0),
    )


def test_three_models_are_examined_and_everything_can_be_checked(told: Told) -> None:
    require_checked(told, SUSPECTS)


def test_the_table_gives_families_and_mean_rank(told: Told) -> None:
    require_row(told, 24)
