"""`bench settings`: how OFSW's recipe was chosen, on development keys 0 to 2 and a split that no other table uses."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from forensics.attacks import run_attack
from forensics.bench.classifiers import labels_only, suspect_answers
from forensics.bench.keys import bench_key
from forensics.bench.models import clone, digit_base, digit_parts
from forensics.bench.results import Cell, Row, run_cells, single_thread
from forensics.progress import Progress, silent
from forensics.training.loop import accuracy, optimise
from forensics.training.ofsw import DEFAULT, Embedding

COMMAND = "forensics bench settings"
SPLIT = 9
BASELINE: dict[str, Any] = {"contrast": 64, "banks": 8, "steps": 400, "orthogonality": 0.0, "probing": "activation"}
TRIED: tuple[tuple[int, dict[str, Any]], ...] = (
    (0, {}),
    (1, {}),
    (2, {}),
    (0, {"contrast": 40}),
    (0, {"banks": 1}),
    (0, {"banks": 4}),
    (0, {"steps": 300}),
    (0, {"orthogonality": 0.01}),
    (1, {"orthogonality": 0.01}),
    (2, {"orthogonality": 0.01}),
    (0, {"orthogonality": 0.1}),
    (0, {"orthogonality": 0.1, "probing": "gaussian"}),
)
RATES = (1e-4, 1e-3)


def run(folder: Path | None, *, quick: bool, jobs: int, progress: Progress = silent) -> dict[str, Any]:
    """Runs what is missing and returns all rows.

    Args:
        quick: the baseline with one key and few steps; nothing is kept.
    """
    single_thread()
    tried = ((0, {"steps": 20}),) if quick else TRIED
    cells = [
        Cell(_name(key, changes), setting_cell, {"key": key, "setting": {**BASELINE, **changes}, "quick": quick})
        for key, changes in tried
    ]
    digit_base(SPLIT)
    return run_cells("settings", COMMAND, SPLIT, cells, None if quick else folder, jobs=jobs, progress=progress)


def order(names: Iterable[str]) -> list[str]:
    """Returns the names of cells in the order of the table."""
    present = set(names)
    return [name for key, changes in TRIED if (name := _name(key, changes)) in present]


def setting_cell(key: int, setting: dict[str, Any], quick: bool) -> list[Row]:
    """Embeds one development key with one setting and fine-tunes the result at two rates."""
    owner, thief, test = digit_parts(SPLIT)
    base = digit_base(SPLIT)
    made = bench_key(
        key, owner, base.identity.digest, pool_seed=key, banks=setting["banks"], contrast=setting["contrast"]
    )
    clean = suspect_answers(base, made)
    recipe = dataclasses.replace(
        DEFAULT,
        schedule=dataclasses.replace(DEFAULT.schedule, steps=setting["steps"]),
        banks=min(DEFAULT.banks, setting["banks"]),
        orthogonality=setting["orthogonality"],
        probing=setting["probing"],
    )
    marked = clone(base)
    embedding = Embedding(marked, owner, made.secrets, made.pool, made.claim.parameters, recipe, key)
    first: list[int] = []

    def observe(step: int) -> None:
        if not first and step % 2 == 1 and embedding.matched() == made.claim.rule.n:
            first.append(step + 1)

    optimise(marked.model, embedding.step, recipe.schedule, label="Embedding", observe=observe)
    rows: list[Row] = []
    for rate in (0.0, *RATES):
        suspect = clone(marked)
        if rate:
            run_attack("finetune", suspect, thief, {"epochs": 10, "learning-rate": rate, "seed": 7})
        answers = suspect_answers(suspect, made)
        measurement, verdict = made.score(answers, clean)
        labels, _ = made.score(labels_only(answers), clean)
        rows.append(
            {
                "method": "ofsw",
                "key": key,
                "suspect": "marked",
                "attack": f"fine-tuning, 10 epochs, {rate:g}" if rate else "none",
                "access": measurement.access,
                "innocent": False,
                "verdict": verdict.outcome.value,
                "p_value": measurement.p_value,
                "statistic": measurement.statistic,
                "n": measurement.n,
                "matched": measurement.matched,
                "raw_matched": int(measurement.context["raw_matched"]),
                "matched_labels": labels.matched,
                "accuracy": accuracy(suspect.model, test.pixels(suspect), test.labels),
                "first step with all bits": first[0] if first else -1,
                "setting": setting,
                "quick": quick,
            }
        )
    return rows


def table(rows: list[Row]) -> str:
    """Returns every setting tried as a Markdown table: calibrated, uncalibrated and label-only bits of 64."""
    lines = [
        "| key | contrast, banks, steps, r1 (probes) | first step with all bits | accuracy "
        "| bits: calibrated / raw / labels | after 1e-4 | after 1e-3 |",
        "|---|---|---|---|---|---|---|",
    ]
    for start in range(0, len(rows), 1 + len(RATES)):
        found = rows[start : start + 1 + len(RATES)]
        setting = found[0]["setting"]
        probing = f" ({setting['probing']})" if setting["orthogonality"] else ""
        cells = [f"{row['matched']} / {row['raw_matched']} / {row['matched_labels']}" for row in found]
        lines.append(
            f"| {found[0]['key']} | {setting['contrast']}, {setting['banks']}, {setting['steps']}, "
            f"{setting['orthogonality']:g}{probing} | {found[0]['first step with all bits']} "
            f"| {found[0]['accuracy']:.4f} | {' | '.join(cells)} |"
        )
    return "\n".join(lines)


def _name(key: int, changes: dict[str, Any]) -> str:
    parts = [f"{name}-{value}" for name, value in changes.items()]
    return "-".join([f"key-{key}", *parts]).replace(".", "_")
