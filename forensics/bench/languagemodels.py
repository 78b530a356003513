"""`bench languagemodels`: OFSW in a GPT-2 of four layers with its own tokenizer, trained here.

Cells: 3 keys at 32, 64 and 128 bits with what they cost in perplexity, beside a control trained as long without a mark;
at 64 bits the attacks on every key's model, and on the control with all keys.
"""

import re
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from forensics.bench.keys import BenchKey
from forensics.bench.languagebase import FULL, QUICK, Ground, clone, ground, prepare
from forensics.bench.languagetrials import (
    ATTACKS,
    control_model,
    first_tokens,
    heldout_perplexity,
    make_key,
    marked_model,
    summed,
)
from forensics.bench.results import Cell, Row, run_cells, single_thread
from forensics.languagemodels import LanguageModel
from forensics.progress import Progress, silent
from forensics.training.loop import Schedule
from forensics.training.ofsw_text import DEFAULT, Recipe

COMMAND = "forensics bench languagemodels"
KEYS, LENGTHS, ATTACKED = (100, 101, 102), (32, 64, 128), 64
SHORT = Recipe(Schedule(20, learning_rate=2e-3))


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
    cells.append(Cell("innocent-none", innocent_cell, {"attack": "none", "quick": False}))
    for attack in ATTACKS:
        plain = re.sub("[,:']", "", attack).replace("%", "percent").replace(" ", "-")
        cells += [
            Cell(f"attack-{plain}-{key}", attack_cell, {"key": key, "attack": attack, "quick": False}) for key in KEYS
        ]
        cells.append(Cell(f"innocent-{plain}", innocent_cell, {"attack": attack, "quick": False}))
    return cells


def mark_cell(key: int, bits: int, quick: bool) -> list[Row]:
    """Marks the base model with one key and measures what that costs."""
    start = ground(QUICK if quick else FULL)
    made = make_key(start, key, bits)
    marked = marked_model(start, made, SHORT if quick else DEFAULT)
    facts = {
        "perplexity": heldout_perplexity(start, marked),
        "perplexity before": heldout_perplexity(start, start.base),
        "perplexity of the control": None if quick else heldout_perplexity(start, control_model(start)),
    }
    return _rows(start, made, marked, "marked", "none", facts, quick)


def attack_cell(key: int, attack: str, quick: bool) -> list[Row]:
    """Attacks one key's model."""
    start = ground(FULL)
    made = make_key(start, key, ATTACKED)
    model = clone(marked_model(start, made))
    ATTACKS[attack](start, model, made, 7)
    return _rows(start, made, model, "marked", attack, {"perplexity": heldout_perplexity(start, model)}, quick)


def innocent_cell(attack: str, quick: bool) -> list[Row]:
    """Attacks the control in the same way and reads it with every key."""
    start = ground(FULL)
    keys = [make_key(start, key, ATTACKED) for key in KEYS]
    model = clone(control_model(start))
    if attack != "none":
        ATTACKS[attack](start, model, keys[0], 7)
    facts = {"perplexity": heldout_perplexity(start, model)}
    return [row for made in keys for row in _rows(start, made, model, "control", attack, facts, quick)]


def _rows(
    start: Ground,
    made: BenchKey,
    model: LanguageModel,
    suspect: str,
    attack: str,
    facts: Mapping[str, float | None],
    quick: bool,
) -> list[Row]:
    rows: list[Row] = []
    for reading, answer in (("whole continuation", summed), ("first token among 20", first_tokens)):
        measurement, verdict = made.score(answer(model, made), answer(start.base, made))
        rows.append(
            {
                "method": "ofsw-text",
                "key": made.number,
                "suspect": suspect,
                "attack": attack,
                "access": measurement.access,
                "reading": reading,
                "innocent": suspect != "marked",
                "verdict": verdict.outcome.value,
                "p_value": measurement.p_value,
                "log10_p": measurement.log10_p,
                "statistic": measurement.statistic,
                "n": measurement.n,
                "matched": measurement.matched,
                "raw_matched": int(measurement.context["raw_matched"]),
                **facts,
                "quick": quick,
            }
        )
    return rows


def table(rows: list[Row]) -> str:
    """Returns the tables of the documentation as Markdown, from rows alone."""
    return "\n\n".join(part for part in (_cost_table(rows), _survival_table(rows)) if part)


def _cost_table(rows: list[Row]) -> str:
    lines = [
        "| bits | keys | perplexity before | marked, mean (range) | control, trained as long | more than before "
        "| more than the control | bits read back, least: whole / first token |",
        "|---|---|---|---|---|---|---|---|",
    ]
    marks = [row for row in rows if row["suspect"] == "marked" and row["attack"] == "none"]
    for bits in sorted({row["n"] for row in marks}):
        found = [row for row in marks if row["n"] == bits]
        whole, first = (
            [row for row in found if row["reading"] == reading]
            for reading in ("whole continuation", "first token among 20")
        )
        after = [row["perplexity"] for row in whole]
        mean = statistics.mean(after)
        before, control = whole[0]["perplexity before"], whole[0]["perplexity of the control"]
        beside = "" if control is None else f"{mean - control:+.2f} ({100 * (mean / control - 1):+.1f} %)"
        lines.append(
            f"| {bits} | {len(whole)} | {before:.2f} | {mean:.2f} ({min(after):.2f} to {max(after):.2f}) "
            f"| {'' if control is None else f'{control:.2f}'} "
            f"| {mean - before:+.2f} ({100 * (mean / before - 1):+.1f} %) | {beside} "
            f"| {min(row['matched'] for row in whole)} / {min(row['matched'] for row in first)} |"
        )
    return "\n".join(lines) if len(lines) > 2 else ""


def _survival_table(rows: list[Row]) -> str:
    lines = [
        "| suspect | attack | read | SUPPORTED | bits, median (least) | largest p | perplexity, mean |",
        "|---|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        if row["n"] == ATTACKED:
            groups.setdefault((row["suspect"], row["attack"], row["reading"]), []).append(row)
    for (suspect, attack, reading), found in sorted(groups.items(), key=lambda each: each[0][0] != "marked"):
        bits = [row["matched"] for row in found]
        lines.append(
            f"| {suspect} | {attack} | {reading} | {sum(row['verdict'] == 'SUPPORTED' for row in found)} of "
            f"{len(found)} | {statistics.median(bits):g} ({min(bits)}) | {max(row['p_value'] for row in found):.1e} "
            f"| {statistics.mean(row['perplexity'] for row in found):.2f} |"
        )
    return "\n".join(lines) if len(lines) > 2 else ""
