"""T2S in the extraction bench: trigger sets with and without the rehearsal, after the same thefts.

The owner's unmarked model is trained on with a key's triggers, once with the rehearsal and once without it; the
control is trained on as long with ordinary labels. Thieves then learn from all of them in the same ways.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from forensics.bench.extractionmodels import (
    BEGINNING,
    QUICK_STEPS,
    answers_of,
    clean,
    kept,
    parts,
    quality,
    reserve,
    unmarked,
)
from forensics.bench.extractionthieves import steal
from forensics.bench.keys import BenchKey, t2s_key
from forensics.bench.models import clone
from forensics.bench.results import Cell, Row
from forensics.bench.rowtables import groups, markdown, of_part, through_the_same
from forensics.checkpoints import Classifier
from forensics.decoys import SUCCESS
from forensics.training.loop import Checkpoint, Schedule, optimise
from forensics.training.t2s import DEFAULT, Embedding, Recipe

FAMILIES = 12
"""Of a key: as many as the default rule needs to decide, and two more."""

THIEVES = ("soft", "hard", "cnn")
SEED, INNOCENT_SEED = 800, 900
"""Seeds of the students of marked models, to which the key's number is added, and of those of the control."""

PLAIN = replace(DEFAULT, rehearsal_weight=0.0)
TRAININGS: Mapping[str, Recipe] = {"with rehearsal": DEFAULT, "without": PLAIN}

LONG = replace(DEFAULT, schedule=Schedule(1200, learning_rate=5e-4), rehearse_every=2, rehearsal_weight=1.0)
TRIED: Mapping[str, tuple[str, str, Recipe]] = {
    "pattern": ("the default of `embed`", "pattern", DEFAULT),
    "pattern-without": ("the default, nothing rehearsed", "pattern", PLAIN),
    "blended": ("the default", "blended", DEFAULT),
    "blended-without": ("the default, nothing rehearsed", "blended", PLAIN),
    "out": ("the default", "out", DEFAULT),
    "in": ("the default", "in", DEFAULT),
    "pattern-long": ("1,200 steps, a rehearsal every second step, weight 1", "pattern", LONG),
    "pattern-first-order": ("the default, first order", "pattern", replace(DEFAULT, first_order=True)),
}
"""Settings tried: name, words, kind of trigger set and recipe."""

TRIED_ON = (0,)


def cells(keys: Sequence[int], quick: bool) -> list[Cell]:
    """Returns the cells of this part."""
    trainings = list(TRAININGS)[: 1 if quick else None]
    found = [
        Cell(f"t2s-{key}-{name.split()[0]}", key_cell, {"key": key, "training": name, "quick": quick})
        for key in keys
        for name in trainings
    ]
    if quick:
        return found
    tried = [
        Cell(f"t2s-tried-{name}-{key}", tried_cell, {"setting": name, "key": key}) for name in TRIED for key in TRIED_ON
    ]
    return [*tried, *found, Cell("t2s-innocent", innocent_cell, {"keys": list(keys)})]


def key_cell(key: int, training: str, quick: bool) -> list[Row]:
    """Trains a key's triggers into the owner's model and examines it and what thieves make of it."""
    made = _key(key, "pattern", quick)
    marked = _marked(made, TRAININGS[training], quick)
    facts = {"part": "t2s", "training": training}
    return _after_thefts(made, marked, THIEVES[: 0 if quick else None], SEED + key, facts, quick)


def innocent_cell(keys: Sequence[int]) -> list[Row]:
    """Steals the model that was trained on without triggers; the claim of every key is examined."""
    paced = replace(BEGINNING, schedule=DEFAULT.schedule)
    model = unmarked("t2s-control", parts().owner, 8, False, paced, start=clean()[0])
    rows: list[Row] = []
    for attack, suspect in _thefts(model, THIEVES, INNOCENT_SEED, quick=False):
        told = {"part": "t2s", "training": "no triggers", **quality(suspect)}
        keyed = [_key(key, "pattern", quick=False) for key in keys]
        rows += [_row(made, attack, suspect, told, innocent=True, quick=False) for made in keyed]
    return rows


def tried_cell(setting: str, key: int) -> list[Row]:
    """Marks a model with one setting and a development key; a thief learns its probabilities."""
    words, kind, recipe = TRIED[setting]
    made = _key(key, kind, quick=False)
    facts = {"part": "t2s tried", "setting": f"{kind}: {words}"}
    return _after_thefts(made, _marked(made, recipe, quick=False), ("soft",), SEED + key, facts, quick=False)


def _after_thefts(
    made: BenchKey, marked: Classifier, thieves: Sequence[str], seed: int, facts: Mapping[str, Any], quick: bool
) -> list[Row]:
    return [
        _row(made, attack, suspect, {**facts, **quality(suspect, quick)}, innocent=False, quick=quick)
        for attack, suspect in _thefts(marked, thieves, seed, quick)
    ]


def _thefts(model: Classifier, thieves: Sequence[str], seed: int, quick: bool) -> list[tuple[str, Classifier]]:
    return [("none", model), *(made for thief in thieves for made in steal(thief, model, seed, quick))]


def _row(
    made: BenchKey, attack: str, suspect: Classifier, facts: Mapping[str, Any], *, innocent: bool, quick: bool
) -> Row:
    measurement, verdict = made.score(answers_of(suspect, made), answers_of(clean(quick)[0], made))
    found = made.figures(measurement, verdict)
    return {
        **found,
        "attack": attack,
        "innocent": innocent,
        "success": measurement.context[SUCCESS],
        **facts,
        "quick": quick,
    }


def _key(number: int, kind: str, quick: bool) -> BenchKey:
    digest = clean(quick)[0].identity.digest
    return t2s_key(number, reserve(quick), digest, pool_seed=number, kind=kind, families=FAMILIES)


def _marked(made: BenchKey, recipe: Recipe, quick: bool) -> Classifier:
    chosen = replace(recipe, schedule=Schedule(QUICK_STEPS)) if quick else recipe

    def build(checkpoint: Checkpoint) -> Classifier:
        model, owner = clone(clean(quick)[0]), parts(quick).owner
        embedding = Embedding(model, owner, made.secrets, made.pool, made.claim.parameters, chosen, seed=made.number)
        optimise(model.model, embedding.step, chosen.schedule, label="Embedding", checkpoint=checkpoint)
        model.model.eval()
        return model

    return kept(f"t2s-{made.number}", (made.claim.digest, chosen), build, quick)


def table(rows: Sequence[Row]) -> str:
    """Returns trigger success with and without the rehearsal, then every setting tried, as Markdown."""
    known = [row for row in rows if "part" in row]
    shown = through_the_same(of_part(known, "t2s"))
    lines = []
    for (attack, training), found in groups(shown, lambda row: (row["attack"], row["training"])).items():
        success = [row["success"] for row in found]
        cells = [
            attack,
            training,
            f"{statistics.mean(success):.2f} ({min(success):.2f} to {max(success):.2f})",
            f"{statistics.median(row['matched'] for row in found):g} of {found[0]['n']}",
            f"{sum(row['verdict'] == 'SUPPORTED' for row in found)} of {len(found)}",
            f"{max(row['p_value'] for row in found):.1e}",
            f"{statistics.mean(row['accuracy'] for row in found):.4f}",
        ]
        lines.append(f"| {' | '.join(str(cell) for cell in cells)} |")
    head = (
        "| attack | triggers | trigger success, mean (least to most) | families led, median | SUPPORTED | largest p "
        "| accuracy, mean |"
    )
    tried = [
        f"| {row['key']} | {row['setting']} | {row['attack']} | {row['success']:.2f} | {row['matched']} of {row['n']} "
        f"| {row['p_value']:.1e} | {row['accuracy']:.4f} |"
        for row in of_part(known, "t2s tried")
    ]
    settings = markdown("| key | setting | attack | trigger success | families led | p | accuracy |", tried)
    return "\n\n".join(each for each in (markdown(head, lines), settings) if each)
