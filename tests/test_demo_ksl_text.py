"""The story of keyed soft labels in texts at a small size: everything is made, examined, opened and sealed."""

from dataclasses import replace

import pytest

from forensics.demo.ksl_text import SETTINGS, SUSPECTS, Texts, tell_texts
from tests.demostudents import Told, require_checked, require_row, tell
from tests.textclassifiers import toy_texts, write_toy_classifier

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    root = tmp_path_factory.mktemp("ksl-text")
    parts = (toy_texts(60, 4), toy_texts(120, 1), toy_texts(140, 2), toy_texts(100, 3))
    texts = Texts(write_toy_classifier(root / "public"), *parts)
    settings = replace(SETTINGS, epochs=1)
    return tell(root / "demo", lambda stage: tell_texts(stage, texts, size=100, steps=3, drop=1.0, settings=settings))


def test_three_models_are_examined_and_everything_can_be_checked(told: Told) -> None:
    require_checked(told, SUSPECTS)


def test_the_table_gives_families_and_mean_rank(told: Told) -> None:
    require_row(told, 24)
