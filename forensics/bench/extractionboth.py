"""Keyed soft labels and OFSW in one model, under two keys: does either hurt the other, and which outlives a theft."""

from dataclasses import replace

from forensics.attacks.extraction import extract
from forensics.attacks.finetuning import finetune
from forensics.bench.classifiers import scored_row, suspect_answers
from forensics.bench.extractionmodels import (
    QUICK_STEPS,
    control,
    kept,
    key_of,
    marked,
    parts,
    quality,
    reading_rows,
)
from forensics.bench.extractionthieves import RATE, theft
from forensics.bench.keys import BenchKey, bench_key
from forensics.bench.models import clone
from forensics.bench.results import Cell, Row
from forensics.bench.rowtables import groups, markdown, of_part
from forensics.checkpoints import Classifier
from forensics.training.loop import Checkpoint, Schedule, optimise
from forensics.training.ofsw import DEFAULT, Embedding

IMAGES, QUICK_POOL, BITS, BANKS = 8_000, 500, 64, 8
EPOCHS, SEED = 2, 700
"""Of fine-tuning with true labels, and of the thief."""

STRANGER = 40_000
"""Added to a key's number for the key that marks nothing."""


def cells(keys: tuple[int, ...], quick: bool) -> list[Cell]:
    """Returns the cells of this part."""
    return [Cell(f"both-{key}", both_cell, {"key": key, "quick": quick}) for key in keys]


def both_cell(key: int, quick: bool) -> list[Row]:
    """Adds OFSW to a model with keyed soft labels and to its control; both claims are examined after thefts too."""
    made = key_of(key, QUICK_POOL if quick else IMAGES, quick=quick)
    rows: list[Row] = []
    for start, innocent in ((marked(made, quick), False), (control(key, quick), True)):
        first = "OFSW alone" if innocent else "soft labels, then OFSW"
        # The stranger's key marks nothing here: what innocent models answer under a claim for OFSW.
        own, foreign = (_ofsw_key(number, start, quick) for number in (key, STRANGER + key))
        model = _added(start, own, quick)
        for attack, stolen in (("none", model), *_stolen(model, key, quick)):
            facts = {"part": "both", "model": first, **quality(stolen, quick)}
            soft = {**facts, "claim": "ksl"}
            rows += reading_rows(made, first, attack, stolen, soft, innocent=innocent, quick=quick)
            for other, claim in ((own, "ofsw"), (foreign, "ofsw, a stranger's")):
                answers, clean = suspect_answers(stolen, other), suspect_answers(start, other)
                told = {**facts, "claim": claim}
                rows.append(
                    scored_row(other, first, attack, answers, clean, told, innocent=other is foreign, quick=quick)
                )
    return rows


def _ofsw_key(number: int, start: Classifier, quick: bool) -> BenchKey:
    banks = 2 if quick else BANKS
    return bench_key(number, parts(quick).owner, start.identity.digest, pool_seed=number, bits=BITS, banks=banks)


def _added(start: Classifier, other: BenchKey, quick: bool) -> Classifier:
    recipe = replace(DEFAULT, schedule=Schedule(QUICK_STEPS)) if quick else DEFAULT

    def build(checkpoint: Checkpoint) -> Classifier:
        model = clone(start)
        embedding = Embedding(
            model, parts(quick).owner, other.secrets, other.pool, other.claim.parameters, recipe, other.number
        )
        optimise(model.model, embedding.step, recipe.schedule, label="Embedding", checkpoint=checkpoint)
        model.model.eval()
        return model

    return kept(f"both-{other.number}", (other.claim.digest, recipe), build, quick)


def _stolen(model: Classifier, key: int, quick: bool) -> list[tuple[str, Classifier]]:
    tuned = clone(model)
    finetune(tuned, parts(quick).thief, EPOCHS, RATE, SEED)
    taught = extract(model, parts(quick).thief.images, theft(SEED + key, quick))
    return [(f"{EPOCHS} epochs of true labels", tuned), ("soft answers", taught)]


def table(rows: list[Row]) -> str:
    """Returns what either claim finds, as Markdown."""
    lines = []
    read = [row for row in of_part((row for row in rows if "part" in row), "both") if row["access"] == "scores"]
    for (model, attack, claim), found in groups(read, lambda row: (row["model"], row["attack"], row["claim"])).items():
        supported = sum(row["verdict"] == "SUPPORTED" for row in found)
        least = min(row["matched"] for row in found)
        accuracy = sum(row["accuracy"] for row in found) / len(found)
        lines.append(
            f"| {model} | {attack} | {claim} | {supported} of {len(found)} | {least} of {found[0]['n']} "
            f"| {max(row['p_value'] for row in found):.1e} | {accuracy:.4f} |"
        )
    return markdown("| model | attack | claim | SUPPORTED | units, least | largest p | accuracy, mean |", lines)
