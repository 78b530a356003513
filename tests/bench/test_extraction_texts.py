"""The text part of the extraction bench: no text is in two parts, keys differ, and tables tell what the rows say."""

import numpy as np
import pytest

from forensics.bench import extraction, extractiontexts
from forensics.bench.extractiontexttables import table
from forensics.bench.keys import ksl_text_key
from tests.textclassifiers import toy_texts, toy_vectors

ROW = {
    **{"part": "texts", "key": 100, "n": 24, "accuracy": 0.81, "log loss": 0.6, "attack": "none", "quick": False},
    **{"suspect": "marked, trained", "innocent": False, "access": "scores", "matched": 24, "log10_p": -25.9},
    **{"p_value": 1e-26, "verdict": "SUPPORTED"},
}
CONTROL = {
    **{**ROW, "suspect": "control, trained", "innocent": True, "accuracy": 0.815, "matched": 2},
    **{"log10_p": -0.4, "p_value": 0.4, "verdict": "INCONCLUSIVE"},
}


def test_every_cell_has_a_name_of_its_own() -> None:
    names = [cell.name for cell in extraction._cells(quick=False)]
    assert len(set(names)) == len(names)
    mine = [name for name in names if name.startswith("text-")]
    some = {"text-trained-100", "text-frozen-102", "text-theft-101-head-hard", "text-innocent-hard", "text-null-3"}
    assert some < set(mine)


def test_parts_have_no_text_in_common(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"text {number}" for number in range(24_000)]
    glosses = (texts, [number % 12 for number in range(24_000)], tuple("abcdefghijkl"))
    monkeypatch.setattr(extractiontexts, "labelled_glosses", lambda: glosses)
    extractiontexts.ground.cache_clear()
    try:
        found = extractiontexts.ground()
        parts = [set(part.texts) for part in (found.owner, found.reserve, found.thief, found.test)]
    finally:
        extractiontexts.ground.cache_clear()
    assert [len(part) for part in parts] == [8_000, 6_000, 8_000, 2_000]
    assert len(set().union(*parts)) == 24_000


def test_a_key_follows_from_its_number_and_its_pool() -> None:
    made = [
        ksl_text_key(number, toy_texts(200, 1), toy_vectors, ["0" * 64, "1" * 64], pool_seed=seed, texts=60)
        for number, seed in ((7, 1), (7, 1), (8, 1), (7, 2))
    ]
    assert made[0].plan.digest == made[1].plan.digest
    assert len({each.plan.digest for each in made}) == 3
    assert made[0].pool.digest == made[2].pool.digest != made[3].pool.digest
    assert [each.role for each in made[0].claim.references] == ["clean-checkpoint", "clean-checkpoint-2"]
    assert made[0].claim.method == "ksl-text"


def test_tables_tell_what_the_rows_say() -> None:
    stolen = [{**row, "attack": "hard answers", "accuracy": 0.79} for row in (ROW, CONTROL)]
    text = table([ROW, CONTROL, *stolen])
    assert "| 100 | trained | 0.8100 | 0.8150 | -0.50 | 0.600 | 0.600 |" in text
    assert "| hard answers | marked, trained | probabilities | 1 of 1 | 24 of 24 | -25.9 | 0.7900 |" in text
    assert "| hard answers | control, trained | probabilities | 0 of 1 | 2 of 24 | -0.4 | 0.7900 |" in text


def test_guilt_is_not_shown_before_an_innocent_went_through_the_same() -> None:
    text = table([ROW, CONTROL, {**ROW, "attack": "hard answers"}])
    assert "hard answers" not in text
    assert table([]) == ""


def test_settings_and_sizes_have_tables_of_their_own() -> None:
    tried = {**ROW, "part": "texts tried", "way": "frozen", "smoothing": 0.05}
    null = [{**CONTROL, "part": "texts null", "p_value": value} for value in np.linspace(0.001, 1.0, 40)]
    text = table([tried, {**tried, "access": "labels", "matched": 11, "log10_p": -7.0}, *null])
    assert "| frozen | 0.05 | marked | 0.8100 | 24 of 24, -25.9 | 11 of 24, -7.0 |" in text
    assert "| control, trained | probabilities | 40 | 2 (" in text
