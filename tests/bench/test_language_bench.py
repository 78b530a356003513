"""The bench of OFSW in language models: its cells, its tables from made-up rows, and cells in a tiny GPT-2."""

from pathlib import Path
from typing import Any

import pytest

from forensics.bench import languagemodels, languagetrials
from forensics.bench.languagebase import Ground
from forensics.training.loop import Schedule
from forensics.training.ofsw_text import Recipe
from forensics.training.textdata import read_tokens
from tests.languagemodels import documents, untrained


def test_cells_have_names_of_their_own_and_every_attack_has_its_innocent() -> None:
    cells = languagemodels._cells(quick=False)
    names = [cell.name for cell in cells]
    assert len(set(names)) == len(names)
    assert languagemodels.order(reversed(names)) == names
    attacked = {cell.arguments["attack"] for cell in cells if cell.run is languagemodels.attack_cell}
    innocent = {cell.arguments["attack"] for cell in cells if cell.run is languagemodels.innocent_cell}
    assert innocent == {"none", *attacked}
    assert {key for name in languagemodels.TRIED for key in languagemodels.TRIED_ON} <= {0, 1, 2}
    assert sum(cell.run is languagemodels.null_cell for cell in cells) * languagemodels.KEYS_A_POOL == 1000


def row(**changes: Any) -> dict[str, Any]:
    facts = {
        **{"part": "mark", "n": 64, "key": 100, "suspect": "marked", "attack": "none", "innocent": False},
        **{"reading": "whole continuation", "verdict": "SUPPORTED", "matched": 60, "p_value": 1e-12},
        **{"perplexity": 55.0, "perplexity before": 50.0, "perplexity of the control": 52.0, "quick": False},
    }
    return {**facts, **changes}


FIRST = {"reading": "first token among 20", "matched": 50}
INNOCENT = {"part": "survival", "suspect": "control", "innocent": True, "verdict": "NOT_SUPPORTED", "p_value": 0.5}


def test_tables_show_costs_and_guilt_only_beside_innocents() -> None:
    marks = [row(), row(**FIRST), row(key=101, perplexity=57.0), row(key=101, **FIRST)]
    costs = "| 64 | 2 | 50.00 | 56.00 (55.00 to 57.00) | 52.00 | +6.00 (+12.0 %) | +4.00 (+7.7 %) | 60 / 50 |"
    assert costs in languagemodels.table(marks)
    assert "SUPPORTED" not in languagemodels.table([*marks, row(part="survival", attack="int4")])
    both = languagemodels.table([*marks, row(part="survival", attack="int4"), row(**INNOCENT, matched=30)])
    assert "| none | marked | whole continuation | 2 of 2 | 60 (60) | 1.0e-12 | 56.00 |" in both
    assert "| none | control | whole continuation | 0 of 1 | 30 (30) | 5.0e-01 | 55.00 |" in both
    assert "int4" not in both


def test_tables_of_settings_and_of_fresh_keys() -> None:
    tried = [row(part="tried", setting="one", key=0), row(part="tried", setting="one", key=0, attack="int4", matched=9)]
    shown = languagemodels.table(tried)
    assert (
        "| setting | key | perplexity | more than before | more than the control | bits (p) | bits, int4 (p) |" in shown
    )
    assert "| one | 0 | 55.00 | +5.00 (+10.0 %) | +3.00 (+5.8 %) | 60 (1.0e-12) | 9 (1.0e-12) |" in shown
    null = languagemodels.table(
        [row(**{**INNOCENT, "part": "null", "p_value": 0.04}), row(**{**INNOCENT, "part": "null"})]
    )
    assert "| control | none | 2 | 1 (" in null


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ground:
    """A made-up language for real text, a handful of steps, an empty cache."""
    parts = {name: documents(80, seed) for seed, name in enumerate(("owner", "thief", "pool", "test"))}
    base = untrained()
    data = {name: read_tokens(base.tokens, found, 32) for name, found in parts.items()}
    made = Ground(tmp_path, base, parts, data, tested=8)
    for name in ("ground", "ready_made"):
        monkeypatch.setattr(languagemodels, name, lambda *_: made)
    monkeypatch.setattr(languagetrials, "DISTILLED", 2)
    monkeypatch.setattr(languagetrials, "TUNED", 2)
    monkeypatch.setattr(languagetrials, "STRANGER", Schedule(2))
    monkeypatch.setattr(languagemodels, "LAST_BLOCKS", Recipe(Schedule(2), rows=2, blocks=1))
    monkeypatch.setattr(languagemodels, "SMALL_ATTACKS", ("int4",))
    monkeypatch.setattr(languagemodels, "KEYS_A_POOL", 2)
    monkeypatch.setattr(languagemodels, "ATTACKED", 16)
    monkeypatch.setattr(languagemodels, "SMALL_BITS", 16)
    monkeypatch.setattr(languagemodels, "AFTER_TRIAL", ("int4",))
    monkeypatch.setattr(
        languagemodels, "TRIED", {"one": ("one", Recipe(Schedule(2), rows=2, rehearsal=("finetuning",)))}
    )
    return made


def test_tiny_cells_give_rows_of_every_side(tiny: Ground) -> None:
    rows = languagemodels.tried_cell("one", 0)
    assert [(each["attack"], each["reading"]) for each in rows] == [
        (attack, reading)
        for attack in ("none", *languagemodels.AFTER_TRIAL)
        for reading in ("whole continuation", "first token among 20")
    ]
    for side, innocent in (("marked", False), ("control", True)):
        rows = languagemodels.smollm2_cell(side)
        assert [each["attack"] for each in rows] == ["none", "none", "int4", "int4"]
        assert {each["innocent"] for each in rows} == {innocent}
        assert {each["n"] for each in rows} == {16}
    rows = languagemodels.null_cell(1)
    assert [each["suspect"] for each in rows] == ["stranger-1", "stranger-1"]
    assert len({each["key"] for each in rows}) == 2
    assert all(each["innocent"] and each["pool"] == 1 for each in rows)
    assert not (tiny.folder / "base").exists()
