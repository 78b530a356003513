"""`bench extraction`: keyed soft labels on Fashion-MNIST against thieves who ask and train a model of their own.

Cells: settings tried on development keys; for three keys the marked model beside a control, and thieves of many kinds;
the same thieves on the control; what the first of a claim's images tell by themselves; 1,000 fresh keys from
50 pools on five innocent models; OFSW in the same model under a second key; T2S with and without its rehearsal.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from forensics.bench import (
    extractionboth,
    extractionsettings,
    extractiontables,
    extractiontexts,
    extractiontexttables,
    extractiontriggers,
)
from forensics.bench.extractionmodels import (
    FULL_STEPS,
    FULL_WIDTHS,
    clean,
    control,
    embed,
    key_of,
    marked,
    marked_by,
    parts,
    quality,
    reading_rows,
    recipe,
    unmarked,
)
from forensics.bench.extractionthieves import THIEVES, steal, truth
from forensics.bench.keys import BenchKey
from forensics.bench.models import clone
from forensics.bench.results import Cell, Row, run_cells, single_thread
from forensics.checkpoints import Classifier
from forensics.progress import Progress, silent

COMMAND = "forensics bench extraction"
KEYS = (100, 101, 102)
IMAGES, FIRST, FEW = 8_000, (500, 2_000), 500
"""Size of the pools; parts of a plan that are read by themselves as well; size of the pools of fresh keys."""

FOREMOST = ("soft", "hard", "cnn", "mlp")
SEED, INNOCENT_SEED = 300, 400
"""Seeds of the students of marked models, to which the key's number is added, and of those of the control."""

FULL = "marked at full width"

POOLS, KEYS_A_POOL, INNOCENTS = 50, 20, 5
FIRST_NULL_KEY = 10_000

table = extractiontables.table
figure = extractiontables.figure
triggers = extractiontriggers.table
texts = extractiontexttables.table


def run(folder: Path | None, *, quick: bool, jobs: int, progress: Progress = silent) -> dict[str, Any]:
    """Runs what is missing and returns all rows.

    Args:
        quick: one key, few images and steps; nothing is kept.
    """
    single_thread()
    clean(quick)
    control(KEYS[0], quick)
    return run_cells(
        "extraction", COMMAND, 2026, _cells(quick), None if quick else folder, jobs=jobs, progress=progress
    )


def order(names: Iterable[str]) -> list[str]:
    """Returns the names of cells in the order of the tables."""
    present = set(names)
    return [cell.name for cell in _cells(quick=False) if cell.name in present]


def _cells(quick: bool) -> list[Cell]:
    keys, thieves = (KEYS[:1], ("soft", "mlp")) if quick else (KEYS, tuple(THIEVES))
    first = [name for name in thieves if name in FOREMOST]
    last = [name for name in thieves if name not in FOREMOST]
    cells = extractionsettings.cells(quick)
    cells += [Cell(f"key-{key}", key_cell, {"key": key, "quick": quick}) for key in keys]
    cells += [_theft(key, thief, quick) for thief in first for key in keys]
    cells += [Cell(f"innocent-{thief}", innocent_cell, {"thief": thief, "quick": quick}) for thief in first]
    cells += [
        Cell(f"null-{index}", null_cell, {"innocent": index, "quick": quick})
        for index in range(1 if quick else INNOCENTS)
    ]
    cells += [_theft(key, thief, quick) for thief in last for key in (keys[:1] if thief == "vit" else keys)]
    cells += [Cell(f"innocent-{thief}", innocent_cell, {"thief": thief, "quick": quick}) for thief in last]
    cells.append(Cell("tuned-owner", tuned_cell, {"key": keys[0], "quick": quick}))
    if not quick:
        cells.append(Cell(f"full-{keys[0]}", full_cell, {"key": keys[0]}))
    further = (extractionboth, extractiontriggers, extractiontexts)
    return cells + [cell for part in further for cell in part.cells(keys, quick)]


def _theft(key: int, thief: str, quick: bool) -> Cell:
    return Cell(f"theft-{key}-{thief}", theft_cell, {"key": key, "thief": thief, "quick": quick})


def _key(key: int, quick: bool) -> BenchKey:
    return key_of(key, FEW if quick else IMAGES, quick=quick)


def _read(made: BenchKey, suspect: str, attack: str, model: Classifier, *, innocent: bool, quick: bool) -> list[Row]:
    """Examines a model, and measures how good it is; the first images of the plan are read by themselves as well."""
    first = () if quick else FIRST
    return reading_rows(
        made, suspect, attack, model, quality(model, quick), innocent=innocent, quick=quick, first=first
    )


def key_cell(key: int, quick: bool) -> list[Row]:
    """Trains the marked model of a key, and the control with the same first weights, batches and steps."""
    made = _key(key, quick)
    rows = []
    for suspect, model, innocent in (("marked", marked(made, quick), False), ("control", control(key, quick), True)):
        rows += _read(made, suspect, "none", model, innocent=innocent, quick=quick)
    return rows


def tuned_cell(key: int, quick: bool) -> list[Row]:
    """Marks the owner's model by training on with it, beside the same model trained on as long with true labels."""
    made = _key(key, quick)
    tuned = embed(made, recipe(quick), quick, start=clone(clean(quick)[0]))
    longer = unmarked("trained-on", parts(quick).owner, key, quick, start=clean(quick)[0])
    rows = []
    for suspect, model, innocent in (("marked by training on", tuned, False), ("control trained on", longer, True)):
        rows += _read(made, suspect, "none", model, innocent=innocent, quick=quick)
    return rows


def full_cell(key: int) -> list[Row]:
    """Marks a model of full width, and trains one without a mark; both are examined, and what thieves make of them."""
    made, rows, chosen = _key(key, quick=False), [], recipe(steps=FULL_STEPS)
    teacher = marked_by(made, chosen, quick=False, widths=FULL_WIDTHS)
    plain = unmarked(f"full-{key}", parts().owner, key, False, chosen, widths=FULL_WIDTHS)
    for suspect, model, seed in ((FULL, teacher, SEED + key), (f"control{FULL[6:]}", plain, INNOCENT_SEED)):
        for attack, stolen in [("none", model), *steal("soft", model, seed, quick=False)]:
            innocent = model is plain
            rows += _read(made, suspect, attack, stolen, innocent=innocent, quick=False)
    return rows


def theft_cell(key: int, thief: str, quick: bool) -> list[Row]:
    """Steals the marked model of a key in one way, and examines what comes of it."""
    made = _key(key, quick)
    teacher, rows = marked(made, quick), []
    for attack, stolen in steal(thief, teacher, SEED + key, quick):
        rows += _read(made, "marked", attack, stolen, innocent=False, quick=quick)
    return rows


def innocent_cell(thief: str, quick: bool) -> list[Row]:
    """Steals the unmarked control in the same way; the claim of every key is examined."""
    rows = []
    teacher = control(KEYS[0], quick)
    for attack, stolen in steal(thief, teacher, INNOCENT_SEED, quick):
        for key in KEYS[:1] if quick else KEYS:
            made = _key(key, quick)
            rows += _read(made, "control", attack, stolen, innocent=True, quick=quick)
    return rows


def null_cell(innocent: int, quick: bool) -> list[Row]:
    """Examines fresh keys of all pools on one innocent model."""
    model, name = _innocent(innocent, quick)
    rows = []
    for pool in range(2 if quick else POOLS):
        for index in range(innocent, KEYS_A_POOL, INNOCENTS):
            made = key_of(FIRST_NULL_KEY + pool * KEYS_A_POOL + index, FEW, quick=quick, pool_seed=pool)
            rows += reading_rows(made, name, "none", model, {"part": "null", "pool": pool}, innocent=True, quick=quick)
    return rows


def _innocent(index: int, quick: bool) -> tuple[Classifier, str]:
    """Two unmarked models of the owner's, a student of one of them, and two that the thief trained on true labels."""
    if index == 0:
        return control(KEYS[0], quick), "control"
    if index == 1:
        made = steal("soft", control(KEYS[0], quick), INNOCENT_SEED, quick)
        attack, stolen = next(made)
        return stolen, f"control, {attack}"
    student = ("same", "cnn", "mlp")[index - 2]
    return truth(student, 500 + index, quick), f"thief's true labels, {student}"
