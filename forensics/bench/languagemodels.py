"""`bench languagemodels`: OFSW in a GPT-2 of four layers with its own tokenizer, trained here, and once in SmolLM2.

Cells: settings tried on a development key; 3 keys at 32, 64 and 128 bits with what they cost in perplexity, beside a
control trained as long without a mark; at 64 bits the attacks on every key's model, and on the control with all keys;
SmolLM2 with one key; fresh keys put to innocent models and to what thieves made of those.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from forensics.bench.classifiers import scored_row
from forensics.bench.keys import BenchKey
from forensics.bench.languagebase import FULL, QUICK, Ground, clone, ground, prepare, ready_made
from forensics.bench.languagetables import ATTACKED, FIRST, WHOLE, table
from forensics.bench.languagetrials import (
    ATTACKS,
    LAST_BLOCKS,
    control_model,
    first_tokens,
    heldout_perplexity,
    make_key,
    marked_model,
    stranger,
    summed,
)
from forensics.bench.results import Cell, Row, address, run_cells, single_thread, slug
from forensics.languagemodels import LanguageModel
from forensics.progress import Progress, silent
from forensics.records import Answers
from forensics.training.loop import Schedule
from forensics.training.ofsw_text import DEFAULT, Recipe

__all__ = ["COMMAND", "order", "run", "table"]

COMMAND = "forensics bench languagemodels"
KEYS, LENGTHS = (100, 101, 102), (32, 64, 128)
SHORT = Recipe(Schedule(20, learning_rate=2e-3))

TRIED: Mapping[str, tuple[str, Recipe]] = {
    "default": ("400 steps at 5e-4, nothing rehearsed (the default of `embed`)", DEFAULT),
}
"""Settings tried: name, words and recipe."""

TRIED_ON = (0,)
AFTER_TRIAL = ("fine-tuning, 500 steps, 1e-3", "int4")

READINGS: Mapping[str, Callable[[LanguageModel, BenchKey], Answers]] = {WHOLE: summed, FIRST: first_tokens}

SMALL_KEY, SMALL_BITS = 100, 32
SMALL_ATTACKS = ("fp16", "int8", "int4", "pruning 30 %")
"""SmolLM2: its key and payload, and what is done to it."""

POOLS, KEYS_A_POOL, FIRST_NULL_KEY = 50, 20, 30_000
INNOCENTS: tuple[tuple[str, str], ...] = (
    ("control", "none"),
    ("stranger-1", "none"),
    ("stranger-1", "fine-tuning, 500 steps, 1e-3"),
    ("control", "overwriting with another key"),
    ("control", "distillation, 1,500 steps"),
)
"""To which fresh keys are put, a pool to each in turn: the model, and what was done to it."""


def run(folder: Path | None, *, quick: bool, jobs: int, progress: Progress = silent) -> dict[str, Any]:
    """Runs what is missing and returns all rows.

    Args:
        quick: one key of 32 bits, hardly marked, in a smaller model; nothing is kept but that model without a mark.
    """
    single_thread()
    prepare(QUICK if quick else FULL, progress)
    kept = None if quick else folder
    return run_cells("languagemodels", COMMAND, 2026, _cells(quick), kept, jobs=jobs, progress=progress)


def order(names: Iterable[str]) -> list[str]:
    """Returns the names of cells in the order of the tables."""
    present = set(names)
    return [cell.name for cell in _cells(quick=False) if cell.name in present]


def _cells(quick: bool) -> list[Cell]:
    if quick:
        return [Cell("mark-32-100", mark_cell, {"key": 100, "bits": 32, "quick": True})]
    cells = [
        Cell(f"mark-{bits}-{key}", mark_cell, {"key": key, "bits": bits, "quick": False})
        for bits in LENGTHS
        for key in KEYS
    ]
    cells.append(Cell("innocent-none", innocent_cell, {"attack": "none"}))
    for attack in ATTACKS:
        cells += [Cell(f"attack-{slug(attack)}-{key}", attack_cell, {"key": key, "attack": attack}) for key in KEYS]
        cells.append(Cell(f"innocent-{slug(attack)}", innocent_cell, {"attack": attack}))
    for name in TRIED:
        cells += [Cell(f"tried-{name}-{key}", tried_cell, {"setting": name, "key": key}) for key in TRIED_ON]
    cells += [Cell(f"smollm2-{side}", smollm2_cell, {"side": side}) for side in ("marked", "control")]
    return cells + [Cell(f"null-{pool:02d}", null_cell, {"pool": pool}) for pool in range(POOLS)]


def mark_cell(key: int, bits: int, quick: bool) -> list[Row]:
    """Marks the base model with one key and measures what that costs."""
    start = ground(QUICK if quick else FULL)
    made = make_key(start, key, bits)
    marked = marked_model(start, made, SHORT, keep=False) if quick else marked_model(start, made)
    facts = {"part": "mark", **_costs(start, marked, None if quick else control_model(start))}
    return _rows(start, made, marked, "marked", "none", facts, quick)


def attack_cell(key: int, attack: str) -> list[Row]:
    """Attacks one key's model."""
    start = ground(FULL)
    made = make_key(start, key, ATTACKED)
    model = _after(start, marked_model(start, made), attack, made)
    return _rows(start, made, model, "marked", attack, _kept(start, model))


def innocent_cell(attack: str) -> list[Row]:
    """Attacks the control in the same way and reads it with every key."""
    start = ground(FULL)
    keys = [make_key(start, key, ATTACKED) for key in KEYS]
    model = _after(start, control_model(start), attack, keys[0])
    facts = _kept(start, model)
    return [row for made in keys for row in _rows(start, made, model, "control", attack, facts)]


def tried_cell(setting: str, key: int) -> list[Row]:
    """Marks a model with one setting and a development key, and examines it before and after two attacks."""
    label, recipe = TRIED[setting]
    start = ground(FULL)
    made = make_key(start, key, ATTACKED)
    marked = marked_model(start, made, recipe)
    facts = {"part": "tried", "setting": label, **_costs(start, marked, control_model(start, recipe))}
    rows: list[Row] = []
    for attack in ("none", *AFTER_TRIAL):
        model = _after(start, marked, attack, made)
        kept = {**facts, "perplexity": heldout_perplexity(start, model)}
        rows += _rows(start, made, model, "marked", attack, kept)
    return rows


def smollm2_cell(side: str) -> list[Row]:
    """Marks SmolLM2, or trains it as long without a mark, in its last blocks alone; the examination follows attacks."""
    start = ready_made()
    made = make_key(start, SMALL_KEY, SMALL_BITS)
    control = control_model(start, LAST_BLOCKS)
    suspect = marked_model(start, made, LAST_BLOCKS) if side == "marked" else control
    costs = {"part": "smollm2", **_costs(start, suspect, control)}
    rows: list[Row] = []
    for attack in ("none", *SMALL_ATTACKS):
        model = _after(start, suspect, attack, made)
        facts = costs if attack == "none" else {**costs, "perplexity": heldout_perplexity(start, model)}
        rows += _rows(start, made, model, side, attack, facts)
    return rows


def null_cell(pool: int) -> list[Row]:
    """Scores 20 fresh keys of one pool on one innocent model."""
    name, attack = INNOCENTS[pool % len(INNOCENTS)]
    start = ground(FULL)

    model = control_model(start) if name == "control" else stranger(start, 1)
    known = make_key(start, KEYS[0], ATTACKED)
    suspect = start.cached(
        f"innocent-{address((model.identity.digest, attack, known.claim.digest))}",
        lambda: _after(start, model, attack, known),
    )
    rows: list[Row] = []
    for number in range(FIRST_NULL_KEY + pool * KEYS_A_POOL, FIRST_NULL_KEY + (pool + 1) * KEYS_A_POOL):
        made = make_key(start, number, ATTACKED, pool_seed=FIRST_NULL_KEY + pool)
        rows.append(_row(start, made, suspect, name, attack, WHOLE, {"part": "null", "pool": pool}, quick=False))
    return rows


def _after(start: Ground, model: LanguageModel, attack: str, made: BenchKey) -> LanguageModel:
    stolen = clone(model)
    if attack != "none":
        ATTACKS[attack](start, stolen, made, 7)
    return stolen


def _costs(start: Ground, suspect: LanguageModel, control: LanguageModel | None) -> dict[str, float | None]:
    return {
        "perplexity": heldout_perplexity(start, suspect),
        "perplexity before": heldout_perplexity(start, start.base),
        "perplexity of the control": None if control is None else heldout_perplexity(start, control),
    }


def _kept(start: Ground, model: LanguageModel) -> dict[str, Any]:
    return {"part": "survival", "perplexity": heldout_perplexity(start, model)}


def _rows(
    start: Ground,
    made: BenchKey,
    model: LanguageModel,
    suspect: str,
    attack: str,
    facts: Mapping[str, Any],
    quick: bool = False,
) -> list[Row]:
    return [_row(start, made, model, suspect, attack, reading, facts, quick=quick) for reading in READINGS]


def _row(
    start: Ground,
    made: BenchKey,
    model: LanguageModel,
    suspect: str,
    attack: str,
    reading: str,
    facts: Mapping[str, Any],
    *,
    quick: bool,
) -> Row:
    answer = READINGS[reading]
    more = {"reading": reading, **facts}
    innocent = suspect != "marked"
    return scored_row(
        made, suspect, attack, answer(model, made), answer(start.base, made), more, innocent=innocent, quick=quick
    )
