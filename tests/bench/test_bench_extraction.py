"""The extraction bench on tiny digits: readings, tables from made-up rows, cells, thieves."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forensics.bench import (
    extraction,
    extractionboth,
    extractionmodels,
    extractionsettings,
    extractiontables,
    extractionthieves,
    extractiontriggers,
    fashion,
)
from forensics.bench.classifiers import suspect_answers
from forensics.bench.extractionmodels import answers_of, calibration, first_shifts, growing_hits, key_of, row_of
from forensics.bench.keys import BenchKey, ksl_key
from forensics.bench.tables import figures, rewrite
from forensics.methods.ksl import METHOD
from forensics.methods.softlabels import derive_classes, derive_order
from forensics.records import AnswerKind, Answers
from forensics.statistics import rank_sum_test
from forensics.training.classifier import small_resnet
from tests.line import small_digits

POOL = 200


@pytest.fixture(scope="module")
def made() -> BenchKey:
    return ksl_key(7, small_digits(slice(0, 400)), ["0" * 64, "1" * 64], pool_seed=1, images=POOL, families=16)


def answers(made: BenchKey, strength: float, seed: int = 1) -> Answers:
    """Logits that follow the key by `strength`, amid noise."""
    order, rng = derive_order(made.secrets[0], len(made.pool.items)), np.random.default_rng(seed)
    truth = np.array([item.label for item in made.pool.items])[order]
    places = METHOD.coordinates(made.secrets[0], made.pool, made.claim.parameters)[order]
    keyed = places @ np.eye(10)[derive_classes(made.secrets[1], made.claim.parameters)]
    values = 2.0 * np.eye(10)[truth] + strength * keyed + rng.normal(0.0, 0.5, (POOL, 10))
    return Answers(AnswerKind.LOGITS, values, np.zeros(POOL, dtype=np.bool_), made.claim.labels)


def test_a_row_tells_a_marked_model_from_an_innocent_one(made: BenchKey) -> None:
    before = [answers(made, 0.0, seed) for seed in (2, 3)]
    guilty = row_of(made, "marked", "none", answers(made, 1.0), before, innocent=False)
    innocent = row_of(made, "control", "none", answers(made, 0.0), before, innocent=True)
    assert guilty["verdict"] == "SUPPORTED"
    assert innocent["verdict"] != "SUPPORTED"
    assert guilty["hits"].count("1") == guilty["matched"] >= 14
    assert len(guilty["hits"]) == guilty["n"] == 16
    assert guilty["images"] == POOL


def test_many_images_at_a_time_are_answered_as_one_by_one(made: BenchKey) -> None:
    classifier = small_resnet(small_digits(slice(0, 10)), 0, widths=(4, 4), depths=(1, 1))
    found, wanted = answers_of(classifier, made), suspect_answers(classifier, made)
    assert (found.kind, found.labels) == (wanted.kind, wanted.labels)
    assert found.values == pytest.approx(wanted.values, abs=1e-5)


def test_keys_differ_in_number_and_pool() -> None:
    data = small_digits(slice(0, 400))
    keys = [
        ksl_key(each, data, ["0" * 64], pool_seed=pool, images=80) for each, pool in ((1, 1), (1, 1), (2, 1), (1, 2))
    ]
    assert keys[0].secrets == keys[1].secrets
    assert len({key.claim.digest for key in keys}) == 3
    assert keys[0].pool.digest == keys[2].pool.digest != keys[3].pool.digest


def test_first_images_are_read_as_a_shorter_plan_would_be(made: BenchKey) -> None:
    before, given = [answers(made, 0.0, seed) for seed in (2, 3)], answers(made, 1.0)
    whole = first_shifts(made, given, before, POOL)
    measured, _ = made.score(given, before)
    assert whole.ravel() == pytest.approx(np.array(measured.items), abs=1e-5)
    cut = dataclasses.replace(given, values=np.where(np.arange(POOL)[:, None] < 120, given.values, 99.0))
    assert np.array_equal(first_shifts(made, given, before, 120), first_shifts(made, cut, before, 120))
    assert not np.array_equal(first_shifts(made, given, before, 121), first_shifts(made, cut, before, 121))


def test_families_are_read_from_a_growing_number_of_images(made: BenchKey) -> None:
    before, given = [answers(made, 0.0, seed) for seed in (2, 3)], answers(made, 1.0)
    hits = growing_hits(made, given, before)
    assert len(hits) == 16
    assert hits.count("1") >= 9
    # The first families do not wait for the later images, which here say the opposite.
    against = answers(made, -3.0).values
    late = dataclasses.replace(given, values=np.where(np.arange(POOL)[:, None] < 100, given.values, against))
    assert growing_hits(made, late, before)[:8] == hits[:8]
    assert growing_hits(made, late, before)[-2:] == "00"
    assert growing_hits(made, late, before, most=100) == growing_hits(made, given, before, most=100)
    stop = extractiontables.stopped("1" * 16)
    assert stop is not None
    assert 9 < stop < 16  # 10^-9 needs more than nine certain hits of one in ten
    assert extractiontables.stopped("01" * 8) is None


def test_calibration_is_the_textbooks() -> None:
    sure = np.array([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    found = calibration(sure, np.array([0, 1, 1, 0]))
    assert found["accuracy"] == 0.75
    assert found["confidence"] == pytest.approx(0.8)
    assert found["log loss"] == pytest.approx(-np.log([0.9, 0.1, 0.8, 0.6]).mean())
    assert found["calibration error"] == pytest.approx((2 * 0.4 + 0.2 + 0.4) / 4)


def _row(suspect: str, attack: str, innocent: bool, key: int = 100, access: str = "scores", **more: Any) -> dict:
    log10_p = -0.3 if innocent else -15.0
    return {
        **{"method": "ksl", "key": key, "images": 500, "suspect": suspect, "attack": attack, "access": access},
        **{"innocent": innocent, "verdict": "INCONCLUSIVE" if innocent else "SUPPORTED", "p_value": 10**log10_p},
        **{"log10_p": log10_p, "n": 24, "matched": 3 if innocent else 21, "accuracy": 0.87, "quick": False},
        **{
            "log loss": 0.3,
            "confidence": 0.9,
            "calibration error": 0.01,
            "growing": "01" * 12 if innocent else "1" * 24,
        },
        **more,
    }


def test_guilt_is_not_shown_before_an_innocent_went_through_the_same() -> None:
    guilty = [_row("marked", "hard answers", False, key) for key in (100, 101, 102)]
    assert "hard answers | probabilities" not in extractiontables.table(guilty)
    assert extractiontables.figure(guilty) == ""
    rows = [*guilty, _row("control", "hard answers", True)]
    printed = extractiontables.table(rows)
    line = next(line for line in printed.splitlines() if "| hard answers | probabilities" in line)
    assert "| 3 of 3 (37%) | 21 (21) | 1.0e-15 | 0.8700 | 0 of 1 | 5.0e-01 |" in line
    assert "<svg" in extractiontables.figure(rows)


def test_accuracy_is_told_beside_the_control_of_the_same_key() -> None:
    rows = []
    for key, accuracy in ((100, 0.868), (101, 0.872)):
        rows += [_row("marked", "none", False, key, accuracy=accuracy), _row("control", "none", True, key)]
    printed = extractiontables.table(rows)
    assert "| 100 | marked | 0.8680 | -0.20 |" in printed
    assert "| mean of 2 keys, from first weights | | | +0.00 |" in printed


def test_sizes_are_counted_over_keys() -> None:
    rows = [
        _row("control", "none", True, 10_000 + index, p_value=(index + 1) / 100, part="null", pool=0)
        for index in range(100)
    ]
    printed = extractiontables.table(rows)
    assert "| probabilities | 0.05 | 5 of 100 |" in printed
    assert "100 fresh keys; verdicts SUPPORTED: 0 of 100." in printed
    assert "sequential" not in printed  # without a marked model there is nothing that it could save


def test_settings_tried_stand_in_one_table() -> None:
    parts = {f"hits, {size} images": 12 for size in extractionsettings.FIRST}
    parts |= {f"log10_p, {size} images": -8.0 for size in extractionsettings.FIRST}
    setting = {"part": "settings", "setting": {"smoothing": 0.2}, **parts}
    rows = [_row("marked", "none", False, 0, access, **setting) for access in ("scores", "labels")]
    even = {"part": "settings", "key": 0, "suspect": "unmarked", "attack": "none", "setting": {"even smoothing": 0.2}}
    rows.append({**even, "accuracy": 0.9, "log loss": 0.5, "confidence": 0.7, "calibration error": 0.1, "quick": False})
    lines = extractionsettings.table(rows).splitlines()
    assert lines[2] == (
        "| 0 | smoothing 0.2 | marked | 0.8700 | 0.300 | 0.900 (0.010) "
        "| 21 of 24, -15.0 | 12, -8.0 | 12, -8.0 | 21, -15.0 |"
    )
    assert lines[3].startswith("| 0 | even smoothing 0.2 | unmarked | 0.9000 |")
    assert len({line.count("|") for line in lines}) == 1


def test_cells_have_names_of_their_own_that_are_file_names() -> None:
    names = [cell.name for cell in extraction._cells(quick=False)]
    assert len(set(names)) == len(names)
    assert all(name.replace("-", "").replace("_", "").isalnum() for name in names)
    assert extraction.order(reversed(names)) == names
    assert {f"theft-102-{thief}" for thief in extractionthieves.THIEVES if thief != "vit"} <= set(names)
    assert {f"innocent-{thief}" for thief in extractionthieves.THIEVES} <= set(names)
    assert len(extraction._cells(quick=True)) < 12


def test_the_pages_tables_are_those_of_the_results() -> None:
    docs = Path(__file__).parents[2] / "docs"
    triggers = (docs / "t2s.md").read_text(encoding="utf-8")
    assert triggers.count("<!-- table: extraction triggers -->") == 1
    assert rewrite(triggers, docs / "results") == triggers
    assert figures(triggers, docs / "results") == {}
    page = (docs / "ksl.md").read_text(encoding="utf-8")
    assert page.count("<!-- table: extraction -->") == page.count("<!-- table: extraction texts -->") == 1
    assert rewrite(page, docs / "results") == page
    for file, drawn in figures(page, docs / "results").items():
        assert (docs / "figures" / file).read_text(encoding="utf-8") == drawn
        assert f"](figures/{file})" in page


KEPT = (
    *(extractionmodels.parts, extractionmodels.reserve, extractionmodels.clean),
    *(extractionmodels._test_pixels, extractionmodels.clean_answers, key_of),
)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Digits for clothes, a smaller net, a handful of steps, an empty cache."""
    monkeypatch.setenv("FORENSICS_CACHE", str(tmp_path))
    monkeypatch.setattr(fashion, "load_fashion", lambda part, rows: small_digits(slice(0, 150)))
    monkeypatch.setattr(extractionmodels, "WIDTHS", (4, 4))
    monkeypatch.setattr(extractionmodels, "QUICK_STEPS", 2)
    monkeypatch.setattr(extractionthieves, "QUICK_STEPS", 2)
    monkeypatch.setattr(extractiontriggers, "QUICK_STEPS", 2)
    monkeypatch.setattr(extraction, "FEW", 80)
    for kept in KEPT:
        kept.cache_clear()
    yield
    for kept in KEPT:
        kept.cache_clear()


def test_tiny_cells_give_rows_of_every_side(tiny: None) -> None:
    rows = [*extraction.key_cell(100, quick=True), *extraction.theft_cell(100, "soft", quick=True)]
    rows += extraction.innocent_cell("soft", quick=True)
    assert [(row["suspect"], row["attack"], row["access"]) for row in rows] == [
        (suspect, attack, access)
        for suspect, attack in (
            ("marked", "none"),
            ("control", "none"),
            ("marked", "soft answers"),
            ("marked", "soft answers, 2 epochs of true labels"),
            ("control", "soft answers"),
            ("control", "soft answers, 2 epochs of true labels"),
        )
        for access in ("scores", "labels")
    ]
    assert all(row["quick"] and 0.0 <= row["accuracy"] <= 1.0 for row in rows)
    assert all(row["images"] == 80 for row in rows)
    for row in rows:
        best = [9] * row["matched"] + [8] * (24 - row["matched"])
        assert row["p_value"] >= 0.99 * rank_sum_test(best, 10).pvalue
        assert row["hits"].count("1") == row["matched"]


def test_the_cache_tells_models_of_different_recipes_and_teachers_apart(tiny: None, tmp_path: Path) -> None:
    made, chosen = key_of(100, 80, quick=True), extractionmodels.recipe(True)
    first = extractionmodels.marked_by(made, chosen, True)
    assert extractionmodels.marked_by(made, chosen, True).identity == first.identity
    second = extractionmodels.marked_by(made, dataclasses.replace(chosen, smoothing=0.5), True)
    assert second.identity.digest != first.identity.digest
    for teacher in (first, second, first):
        next(extractionthieves.steal("soft", teacher, 1, True))
    assert len(list(tmp_path.rglob("extraction-quick-student-soft-*/config.json"))) == 2


def test_two_marks_in_one_model_are_read_under_two_claims(tiny: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extractionboth, "QUICK_POOL", 80)
    monkeypatch.setattr(extractionboth, "BITS", 16)
    monkeypatch.setattr(extractionboth, "EPOCHS", 1)
    rows = extractionboth.both_cell(100, quick=True)
    assert len(rows) == 2 * 3 * 4
    assert {(row["model"], row["claim"], row["innocent"]) for row in rows} == {
        ("soft labels, then OFSW", "ksl", False),
        ("soft labels, then OFSW", "ofsw", False),
        ("soft labels, then OFSW", "ofsw, a stranger's", True),
        ("OFSW alone", "ksl", True),
        ("OFSW alone", "ofsw", False),
        ("OFSW alone", "ofsw, a stranger's", True),
    }
    printed = extractionboth.table(rows)
    assert printed.count("| ksl | ") == printed.count("| ofsw | ") == printed.count("| ofsw, a stranger's | ") == 6
    assert extractionboth.table([]) == ""


def test_triggers_are_trained_and_read_under_a_key_that_can_decide(tiny: None) -> None:
    (row,) = extractiontriggers.key_cell(100, "with rehearsal", quick=True)
    assert (row["method"], row["attack"], row["training"], row["n"]) == ("t2s", "none", "with rehearsal", 12)
    assert 0.0 <= row["success"] <= 1.0
    assert rank_sum_test([9] * row["n"], 10).pvalue <= 10**extractiontables.LIMIT
    assert [len(extractiontriggers._key(1, kind, quick=True).plan.probes) for kind in ("pattern", "out")] == [320, 320]


def test_the_rehearsal_is_shown_beside_the_same_training_without_it() -> None:
    def made(training: str, success: float, innocent: bool = False, attack: str = "soft answers") -> dict:
        told = {"part": "t2s", "training": training, "success": success, "n": 12}
        return _row("", attack, innocent, **told)

    guilty = [made("with rehearsal", 0.75), made("with rehearsal", 0.25), made("without", 0.125)]
    assert extractiontriggers.table(guilty) == ""
    printed = extractiontriggers.table([*guilty, made("no triggers", 0.1, True), made("without", 1.0, attack="none")])
    assert printed.splitlines()[2:] == [
        "| soft answers | with rehearsal | 0.50 (0.25 to 0.75) | 21 of 12 | 2 of 2 | 1.0e-15 | 0.8700 |",
        "| soft answers | without | 0.12 (0.12 to 0.12) | 21 of 12 | 1 of 1 | 1.0e-15 | 0.8700 |",
        "| soft answers | no triggers | 0.10 (0.10 to 0.10) | 3 of 12 | 0 of 1 | 5.0e-01 | 0.8700 |",
    ]
    tried = _row("", "none", False, 0, part="t2s tried", setting="in: the default", success=0.5)
    assert "| 0 | in: the default | none | 0.50 | 21 of 24 | 1.0e-15 | 0.8700 |" in extractiontriggers.table([tried])
