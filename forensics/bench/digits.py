"""`bench digits`: OFSW with 64 bits on handwritten digits.

Cells: 3 keys x 5 stratified splits (embedding, a control trained as long without a mark, attacks on both), and 1,000
fresh keys from 50 pools spread over 20 independently trained models.
"""

import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from scipy.stats import t as student

from forensics.attacks import run_attack
from forensics.bench.classifiers import labels_only, scored_row, suspect_answers
from forensics.bench.keys import BenchKey, bench_key
from forensics.bench.models import cached, clone, digit_base, digit_parts
from forensics.bench.results import Cell, Row, run_cells, single_thread
from forensics.checkpoints import Classifier
from forensics.progress import Progress, silent
from forensics.statistics import allowed_rejections
from forensics.training.classifier import small_resnet, train
from forensics.training.loop import Schedule, accuracy, optimise
from forensics.training.ofsw import DEFAULT, Embedding

COMMAND = "forensics bench digits"
KEYS = (100, 101, 102)
SPLITS = range(5)
POOLS, KEYS_A_POOL, INNOCENTS = 50, 20, 20
FIRST_NULL_KEY = 10_000
NULL_LEVELS = (0.05, 0.01, 0.001)
ATTACKS: Mapping[str, tuple[tuple[str, dict[str, float]], ...]] = {
    "none": (),
    "fine-tuning, 10 epochs, 1e-4": (("finetune", {"epochs": 10, "learning-rate": 1e-4, "seed": 7}),),
    "fine-tuning, 10 epochs, 1e-3": (("finetune", {"epochs": 10, "learning-rate": 1e-3, "seed": 7}),),
    "pruning 30 %, int8": (("prune", {"share": 0.3}), ("quantise", {"bits": 8})),
}


def run(folder: Path | None, *, quick: bool, jobs: int, progress: Progress = silent) -> dict[str, Any]:
    """Runs what is missing and returns all rows.

    Args:
        quick: one key, one split, 20 fresh keys; nothing is kept.
    """
    single_thread()
    if not quick:
        for split in SPLITS:
            digit_base(split)
    return run_cells("digits", COMMAND, 2026, _cells(quick), None if quick else folder, jobs=jobs, progress=progress)


def order(names: Iterable[str]) -> list[str]:
    """Returns the names of cells in the order of the tables."""
    present = set(names)
    return [cell.name for cell in _cells(quick=False) if cell.name in present]


def _cells(quick: bool) -> list[Cell]:
    keys, splits, pools = (KEYS[:1], range(1), 1) if quick else (KEYS, SPLITS, POOLS)
    cells = [
        Cell(f"key-{key}-split-{split}", embedding_cell, {"key": key, "split": split, "quick": quick})
        for split in splits
        for key in keys
    ]
    return cells + [Cell(f"null-{pool:02d}", null_cell, {"pool": pool, "quick": quick}) for pool in range(pools)]


def embedding_cell(key: int, split: int, quick: bool) -> list[Row]:
    """Embeds one key in the owner's model of a split and attacks it, beside a control trained as long."""
    owner, thief, test = digit_parts(split)
    base = digit_base(split)
    made = bench_key(key, owner, base.identity.digest, pool_seed=1000 * key + split)
    clean = suspect_answers(base, made)
    marked, first = _embed(base, made, owner, split)
    control = cached(f"digits-control-{split}", lambda: _control(base, owner, split))
    rows: list[Row] = []
    for suspect, model, innocent in (("marked", marked, False), ("control", control, True)):
        for name, steps in ATTACKS.items():
            attacked = clone(model)
            for attack, settings in steps:
                run_attack(attack, attacked, thief, settings)
            facts = {"split": split, "accuracy": accuracy(attacked.model, test.pixels(attacked), test.labels)}
            if suspect == "marked":
                facts["first step with all bits"] = first
            given = suspect_answers(attacked, made)
            for answers in (given, labels_only(given)):
                rows.append(scored_row(made, suspect, name, answers, clean, facts, innocent=innocent, quick=quick))
    return rows


def null_cell(pool: int, quick: bool) -> list[Row]:
    """Scores 20 fresh keys of one pool on one innocent model each."""
    split = pool % len(SPLITS)
    owner, _, _ = digit_parts(split)
    base = digit_base(split)
    rows: list[Row] = []
    for index in range(KEYS_A_POOL):
        number = FIRST_NULL_KEY + pool * KEYS_A_POOL + index
        innocent = (index + pool) % INNOCENTS
        made = bench_key(number, owner, base.identity.digest, pool_seed=number // KEYS_A_POOL)
        answers = suspect_answers(_innocent(innocent), made)
        name = f"independent-{innocent:02d}"
        clean = suspect_answers(base, made)
        rows.append(scored_row(made, name, "none", answers, clean, {"pool": pool}, innocent=True, quick=quick))
    return rows


def table(rows: list[Row]) -> str:
    """Returns the tables of the documentation as Markdown, from rows alone."""
    return "\n\n".join(part for part in _tables(rows) if part)


def _tables(rows: list[Row]) -> tuple[str, ...]:
    return _accuracy_table(rows), _first_table(rows), _survival_table(rows), _null_table(rows)


def _first_table(rows: list[Row]) -> str:
    lines = [
        "| key | first step with all bits read back, median over splits (range) | bits at the end, least |",
        "|---|---|---|",
    ]
    whole = [
        row for row in rows if row["suspect"] == "marked" and row["attack"] == "none" and row["access"] == "scores"
    ]
    for key in sorted({row["key"] for row in whole}):
        found = [row for row in whole if row["key"] == key]
        steps = [row["first step with all bits"] for row in found]
        least = min(row["matched"] for row in found)
        lines.append(
            f"| {key} | {statistics.median(steps):g} ({min(steps)} to {max(steps)}) | {least} of {found[0]['n']} |"
        )
    return "\n".join(lines)


def _accuracy_table(rows: list[Row]) -> str:
    whole = [row for row in rows if row["attack"] == "none" and row["access"] == "scores" and "split" in row]
    splits = sorted({row["split"] for row in whole})
    lines = ["| split | marked, mean over keys | control, trained as long | difference, points |", "|---|---|---|---|"]
    differences = []
    for split in splits:
        marked = statistics.mean(row["accuracy"] for row in whole if row["split"] == split and not row["innocent"])
        control = statistics.mean(row["accuracy"] for row in whole if row["split"] == split and row["innocent"])
        differences.append(100 * (marked - control))
        lines.append(f"| {split} | {marked:.4f} | {control:.4f} | {differences[-1]:+.2f} |")
    if len(differences) > 1:
        mean, error = statistics.mean(differences), statistics.stdev(differences) / len(differences) ** 0.5
        half = float(student.ppf(0.975, len(differences) - 1)) * error
        lines.append(
            f"| mean (95 % interval, t over splits) | | | {mean:+.2f} ({mean - half:+.2f} to {mean + half:+.2f}) |"
        )
    return "\n".join(lines)


def _survival_table(rows: list[Row]) -> str:
    lines = [
        "| suspect | attack | access | SUPPORTED | bits of 64, median (least) | largest p | accuracy, mean |",
        "|---|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        if "split" in row:
            groups.setdefault((row["suspect"], row["attack"], row["access"]), []).append(row)
    for (suspect, attack, access), found in groups.items():
        hits = sum(row["verdict"] == "SUPPORTED" for row in found)
        bits = [row["matched"] for row in found]
        lines.append(
            f"| {suspect} | {attack} | {access} | {hits} of {len(found)} | {statistics.median(bits):g} ({min(bits)}) "
            f"| {max(row['p_value'] for row in found):.1e} | {statistics.mean(row['accuracy'] for row in found):.4f} |"
        )
    return "\n".join(lines)


def _null_table(rows: list[Row]) -> str:
    null = [row for row in rows if row["suspect"].startswith("independent")]
    if not null:
        return ""
    lines = [
        f"| level | p at or below, of {len(null)} fresh keys | most allowed | verdicts SUPPORTED |",
        "|---|---|---|---|",
    ]
    supported = sum(row["verdict"] == "SUPPORTED" for row in null)
    for level in NULL_LEVELS:
        count = sum(row["p_value"] <= level for row in null)
        allowed = allowed_rejections(len(null), level, len(NULL_LEVELS))
        lines.append(f"| {level:g} | {count} | {allowed} | {supported} |")
    return "\n".join(lines)


def _embed(base: Classifier, made: BenchKey, owner: Any, seed: int) -> tuple[Classifier, int]:
    marked = clone(base)
    embedding = Embedding(marked, owner, made.secrets, made.pool, made.claim.parameters, DEFAULT, seed)
    first: list[int] = []

    def observe(step: int) -> None:
        if not first and step % 2 == 1 and embedding.matched() == made.claim.rule.n:
            first.append(step + 1)

    optimise(marked.model, embedding.step, DEFAULT.schedule, label="Embedding", observe=observe)
    marked.model.eval()
    return marked, first[0] if first else -1


def _control(base: Classifier, owner: Any, seed: int) -> Classifier:
    control = clone(base)
    train(control, owner, DEFAULT.schedule, seed, frozen_norm=True)
    return control


def _innocent(index: int) -> Classifier:
    """An independently trained model: own seed, split, width, and half of them on the thief's images."""

    def build() -> Classifier:
        owner, thief, _ = digit_parts(index % len(SPLITS))
        data = owner if index % 2 == 0 else thief
        width = (12, 16, 20, 24)[index % 4]
        classifier = small_resnet(data, 500 + index, widths=(width, 2 * width, 4 * width, 4 * width))
        train(classifier, data, Schedule(300, learning_rate=2e-3), 500 + index)
        return classifier

    return cached(f"digits-independent-{index:02d}", build)
