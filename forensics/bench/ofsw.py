"""`bench ofsw`: OFSW on Fashion-MNIST in the ResNet-18 layout, against thieves who fight back.

Cells: settings tried on development keys; a key's model marked, beside a control trained as long; what thieves make of
both; the regulariser with and without; fresh keys put to innocent models and to what thieves made of those.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from forensics.bench import ofswmodels as models
from forensics.bench.classifiers import labels_only, rounded, scored_row, suspect_answers
from forensics.bench.figures import survival_lines, survival_svg
from forensics.bench.keys import LARGEST_P, BenchKey, bench_key
from forensics.bench.ofswattacks import ATTACKS, DERIVED, FULL_WIDTH, OTHER_LENGTHS
from forensics.bench.ofswtables import NAMES, table
from forensics.bench.results import Cell, Row, run_cells, single_thread, slug
from forensics.checkpoints import Classifier
from forensics.progress import Progress, silent
from forensics.training.loop import Schedule
from forensics.training.ofsw import DEFAULT, Recipe

__all__ = ["COMMAND", "figure", "order", "run", "table"]

COMMAND = "forensics bench ofsw"
KEYS = (100, 101, 102)
BITS = 128
LENGTHS = (32, 64, 256)
"""The other payloads, which go through two attacks."""

TRIED: Mapping[str, tuple[str, Recipe, int]] = {
    "recipe": ("the recipe: 1,200 steps, fine-tuning and overwriting rehearsed", models.RECIPE, BITS),
    "short": ("400 steps, nothing rehearsed (the default of `embed`)", DEFAULT, BITS),
    "long": ("1,200 steps, nothing rehearsed", replace(DEFAULT, schedule=Schedule(1200)), BITS),
    "extraction": (
        "800 steps, extraction rehearsed every second step",
        replace(DEFAULT, schedule=Schedule(800), rehearsal=("extraction",), rehearse_every=2),
        BITS,
    ),
    "256-bits": ("the recipe with 256 bits", models.RECIPE, 256),
}
"""Settings tried: name, words, recipe and payload."""

TRIED_ON = (0,)
AFTER_TRIAL = ("fine-tuning, 10 epochs, 1e-3", "distilled, clean queries, soft labels")
ORTHOGONALITY = (0.01, 0.1)
"""Weights of the regulariser in the ablation; the recipe's is 0."""

POOLS, KEYS_A_POOL, FIRST_NULL_KEY = 50, 20, 20_000


def run(folder: Path | None, *, quick: bool, jobs: int, progress: Progress = silent) -> dict[str, Any]:
    """Runs what is missing and returns all rows.

    Args:
        quick: one key, models that are hardly trained, few attacks and fresh keys; nothing is kept.
    """
    single_thread()
    if not quick:
        models.base("quarter", quick)
    return run_cells("ofsw", COMMAND, 2026, _cells(quick), None if quick else folder, jobs=jobs, progress=progress)


def order(names: Iterable[str]) -> list[str]:
    """Returns the names of cells in the order of the tables."""
    present = set(names)
    return [cell.name for cell in _cells(quick=False) if cell.name in present]


def figure(rows: Sequence[Row]) -> str:
    """Returns the figure of the page: what is left of 128 bits at quarter width, key by key."""
    shown = [
        row
        for row in rows
        if row["part"] == "survival" and (row["width"], row["n"]) == ("quarter", BITS) and row["seen"] in NAMES.values()
    ]
    return survival_svg(
        "What is left of the payload after each attack", survival_lines(shown), NAMES, math.log10(LARGEST_P)
    )


def _cells(quick: bool) -> list[Cell]:
    cells = _survival("quarter", BITS, ATTACKS, quick)
    if not quick:
        for bits in LENGTHS:
            cells += _survival("quarter", bits, OTHER_LENGTHS, quick)
        for bits in (64, BITS):
            cells += _survival("full", bits, FULL_WIDTH, quick)
        cells += [
            Cell(f"orthogonality-{slug(f'{weight:g}')}-{key}", ablation_cell, {"weight": weight, "key": key})
            for weight in (0.0, *ORTHOGONALITY)
            for key in KEYS
        ]
        cells += [
            Cell(f"tried-{name}-{key}", tried_cell, {"setting": name, "key": key}) for name in TRIED for key in TRIED_ON
        ]
    pools = range(1 if quick else POOLS)
    return cells + [Cell(f"null-{pool:02d}", null_cell, {"pool": pool, "quick": quick}) for pool in pools]


def _survival(width: models.Width, bits: int, attacks: Iterable[str], quick: bool) -> list[Cell]:
    cells = []
    for attack in ["none", *attacks][: 3 if quick else None]:
        for key in (*KEYS[: 1 if quick else None], None):
            label = "control" if key is None else str(key)
            arguments = {"key": key, "width": width, "bits": bits, "attack": attack, "quick": quick}
            cells.append(Cell(f"{width}-{bits}-{label}-{slug(attack)}", survival_cell, arguments))
    return cells


def survival_cell(key: int | None, width: models.Width, bits: int, attack: str, quick: bool) -> list[Row]:
    """Examines what a thief makes of one marked model, or of the control, which is scored with every key.

    Thieves who know something of a key know the first one where they attack the control.
    """
    keys = KEYS[: 1 if quick else None] if key is None else (key,)
    made = [models.key_of(number, width, bits, quick) for number in keys]
    model = models.control(width, quick) if key is None else models.marked(key, width, bits, quick)
    attacked = model if attack == "none" else ATTACKS[attack](model, made[0], quick)
    facts = {"part": "survival", "width": width, "accuracy": models.tested(attacked)}
    rows: list[Row] = []
    for one in made:
        clean = suspect_answers(models.base(width, quick), one)
        given = suspect_answers(attacked, one)
        for seen, answers in (
            ("probabilities", given),
            ("probabilities of two digits", rounded(given, 2)),
            ("labels", labels_only(given)),
        ):
            suspect = "unmarked model, trained as long" if key is None else "marked model"
            row = scored_row(
                one, suspect, attack, answers, clean, {**facts, "seen": seen}, innocent=key is None, quick=quick
            )
            rows.append(row)
    return rows


def tried_cell(setting: str, key: int) -> list[Row]:
    """Marks a model with one setting and a development key, and examines it before and after two attacks."""
    label, recipe, bits = TRIED[setting]
    return _judged(key, bits, recipe, {"part": "tried", "setting": label})


def ablation_cell(weight: float, key: int) -> list[Row]:
    """The recipe with a weight of the regulariser."""
    recipe = replace(models.RECIPE, orthogonality=weight)
    return _judged(key, BITS, recipe, {"part": "orthogonality", "weight": weight})


def _judged(key: int, bits: int, recipe: Recipe, facts: Mapping[str, Any]) -> list[Row]:
    made = models.key_of(key, "quarter", bits, False)
    marked = models.marked(key, "quarter", bits, False, recipe)
    clean = suspect_answers(models.base("quarter", False), made)
    rows = []
    for attack in ("none", *AFTER_TRIAL):
        attacked = marked if attack == "none" else ATTACKS[attack](marked, made, False)
        kept = {**facts, "accuracy": models.tested(attacked)}
        answers = suspect_answers(attacked, made)
        rows.append(scored_row(made, "marked model", attack, answers, clean, kept, innocent=False, quick=False))
    return rows


def null_cell(pool: int, quick: bool) -> list[Row]:
    """Scores 20 fresh keys of one pool on one innocent model, and on what thieves made of it."""
    index = pool % models.INNOCENTS
    rows: list[Row] = []
    suspects = _innocents(index, quick)
    base = models.base("quarter", quick)
    for number in range(FIRST_NULL_KEY + pool * KEYS_A_POOL, FIRST_NULL_KEY + (pool + 1) * KEYS_A_POOL)[
        : 2 if quick else None
    ]:
        made = bench_key(
            number,
            models.parts().owner,
            "0" * 64 if quick else base.identity.digest,
            pool_seed=FIRST_NULL_KEY + pool,
            bits=BITS,
            banks=models.BANKS,
        )
        clean = suspect_answers(base, made)
        for attack, suspect in suspects.items():
            facts = {"part": "null", "pool": pool}
            answers = suspect_answers(suspect, made)
            rows.append(
                scored_row(made, f"independent-{index}", attack, answers, clean, facts, innocent=True, quick=quick)
            )
    return rows


def _innocents(index: int, quick: bool) -> dict[str, Classifier]:
    model, made = models.innocent(index, quick), models.key_of(KEYS[0], "quarter", BITS, quick)
    found = {"none": model}
    for attack in DERIVED[: 1 if quick else None]:
        name, facts = f"fashion-innocent-{index}-{slug(attack)}", (model.identity.digest, attack)
        found[attack] = models.kept(name, facts, partial(_derived, attack, model, made, quick), quick)
    return found


def _derived(attack: str, model: Classifier, made: BenchKey, quick: bool, _: object) -> Classifier:
    return ATTACKS[attack](model, made, quick)
