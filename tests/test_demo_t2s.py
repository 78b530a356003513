"""The story of trigger sets at a small size: everything is made, examined, opened and sealed."""

import numpy as np
import pytest

from forensics.bench.data import load_digits
from forensics.demo.t2s import FAMILIES, SUSPECTS, tell_digits
from forensics.keys.folder import KeyFolder
from forensics.rules import shortfall
from forensics.training.data import ImageData
from tests.demostudents import Told, require_checked, require_row, tell

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    full = load_digits()
    digits = ImageData([image[::2, ::2] for image in full.images[:400]], full.labels[:400], full.names)
    return tell(
        tmp_path_factory.mktemp("t2s") / "demo",
        lambda stage: tell_digits(stage, digits, steps=3, marking=4, drop=1.0),
    )


def test_three_models_are_examined_and_everything_can_be_checked(told: Told) -> None:
    require_checked(told, SUSPECTS)


def test_its_key_draws_enough_for_its_rule(told: Told) -> None:
    claim = KeyFolder.open(told[0] / "key").claim
    assert (claim.method, claim.rule.n) == ("t2s", FAMILIES)
    assert shortfall(claim.rule, claim.parameters) is None


def test_the_table_gives_families_and_mean_rank(told: Told) -> None:
    require_row(told, FAMILIES)
    measured = told[1][0].case.evidence.score.measurement
    assert np.isfinite(float(measured.context["trigger success"]))
