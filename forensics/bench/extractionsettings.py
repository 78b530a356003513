"""How the recipe of keyed soft labels was chosen: every setting tried, on development keys 0 to 2."""

from typing import Any

import torch

from forensics.attacks.extraction import Theft, extract
from forensics.bench.extractionmodels import (
    BEGINNING,
    key_of,
    marked_by,
    parts,
    quality,
    reading_rows,
    recipe,
    unmarked,
)
from forensics.bench.keys import BenchKey
from forensics.bench.results import Cell, Row
from forensics.checkpoints import Classifier

IMAGES, QUICK_IMAGES, FIRST = 8_000, 2_000, (500, 2_000)
"""The development keys' pool, and the parts of their plans that are read by themselves."""

_FASTER = {"steps": 3600, "learning rate": 3e-3, "weight decay": 0.05}

TRIED: tuple[tuple[int, dict[str, float]], ...] = (
    (0, {"smoothing": 0.2, "sharpness": 2.0, "steps": 1200}),
    (0, {"smoothing": 0.2, "sharpness": 2.0, "steps": 3600}),
    (0, {"smoothing": 0.2, "sharpness": 2.0, "steps": 3600, "shift": 1}),
    (0, {"smoothing": 0.2, "sharpness": 2.0, "steps": 3600, "shift": 2}),
    (0, {"smoothing": 0.3, "sharpness": 2.0, "steps": 3600}),
    (0, {"smoothing": 0.2, "sharpness": 2.0, **_FASTER}),
    (0, {"smoothing": 0.25, "sharpness": 2.0, **_FASTER}),
    (0, {"smoothing": 0.3, "sharpness": 2.0, **_FASTER}),
    (0, {"smoothing": 0.3, "sharpness": 3.0, **_FASTER}),
    (0, {"smoothing": 0.3, "sharpness": 2.0, **_FASTER, "temperature": 0.5}),
    (0, {"smoothing": 0.3, "sharpness": 2.0, **_FASTER, "taught": 0.7}),
    (0, {"smoothing": 0.3, "sharpness": 2.0, **_FASTER, "taught": 1.0}),
    (0, {"smoothing": 0.25, "sharpness": 2.0, **_FASTER, "taught": 1.0}),
)
EVEN: tuple[dict[str, float], ...] = (
    {"smoothing": 0.0, "steps": 1200},
    {"smoothing": 0.0, "steps": 3600},
    {"smoothing": 0.0, "steps": 3600, "shift": 1},
    {"smoothing": 0.0, "steps": 3600, "shift": 2},
    {"smoothing": 0.0, **_FASTER},
    {"smoothing": 0.3, **_FASTER},
)
"""Controls whose labels are smoothed evenly or not at all."""

_NAMES = {"learning rate": "learning_rate", "weight decay": "weight_decay"}


def cells(quick: bool) -> list[Cell]:
    """Returns the cells of this part."""
    found = [
        Cell(_named(f"setting-{key}", setting), setting_cell, {"key": key, "setting": setting, "quick": quick})
        for key, setting in (TRIED[:1] if quick else TRIED)
    ]
    if quick:
        return found
    return found + [Cell(_even_name(setting), even_cell, {"setting": setting, "quick": quick}) for setting in EVEN]


def setting_cell(key: int, setting: dict[str, float], quick: bool) -> list[Row]:
    """Embeds a development key with one setting; a thief learns the classes that the model names."""
    made = key_of(key, QUICK_IMAGES if quick else IMAGES, quick=quick)
    teacher = marked_by(made, recipe(quick, BEGINNING, **_changes(setting)), quick)
    if "temperature" in setting:
        sharpen(teacher, setting["temperature"])
    rows = _rows(made, "none", teacher, setting, quick)
    for answers in ("hard", "soft") if "temperature" in setting else ("hard",):
        theft = Theft(answers=answers, seed=50 + key, steps=20 if quick else 1250)
        stolen = extract(teacher, parts(quick).thief.images, theft)
        rows += _rows(made, f"{answers} answers", stolen, setting, quick)
    return rows


def even_cell(setting: dict[str, float], quick: bool) -> list[Row]:
    """Trains an unmarked model as long, with labels smoothed evenly: what smoothing alone costs."""
    name = f"even-{setting['smoothing']:g}-{setting['steps']:g}"
    changes = _changes(setting)
    smoothing = changes.pop("smoothing")
    chosen = recipe(quick, BEGINNING, **changes)
    classifier = unmarked(name, parts(quick).owner, 0, quick, chosen, smoothing=smoothing)
    said = {"even smoothing" if each == "smoothing" else each: value for each, value in setting.items()}
    facts = {"suspect": "unmarked", "attack": "none", "setting": said}
    return [{"part": "settings", "key": 0, **facts, **quality(classifier, quick), "quick": quick}]


def sharpen(classifier: Classifier, temperature: float) -> None:
    """Divides a model's logits by a temperature, in its last layer, in place."""
    last = [module for module in classifier.model.modules() if isinstance(module, torch.nn.Linear)][-1]
    with torch.no_grad():
        last.weight.div_(temperature)
        last.bias.div_(temperature)


def table(rows: list[Row]) -> str:
    """Returns every setting tried as a Markdown table."""
    mine = [row for row in rows if row.get("part") == "settings"]
    if not mine:
        return ""
    lines = [
        "| key | setting | suspect | accuracy | log loss | confidence (expected error) "
        "| probabilities: hits of L, log10 p | with 2,000 images | with 500 | classes alone: hits, log10 p |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in mine:
        if row.get("access") == "labels":
            continue
        setting = ", ".join(f"{name} {value:g}" for name, value in row["setting"].items())
        suspect = row["suspect"] if row["attack"] == "none" else f"thief, {row['attack']}"
        quality_ = (
            f"{row['accuracy']:.4f} | {row['log loss']:.3f} | {row['confidence']:.3f} ({row['calibration error']:.3f})"
        )
        read = "| | | | |"
        if "access" in row:
            labels = next(
                each
                for each in mine
                if each.get("access") == "labels"
                and (each["key"], each["setting"], each["attack"]) == (row["key"], row["setting"], row["attack"])
            )
            whole = f"{row['matched']} of {row['n']}, {row['log10_p']:.1f}"
            first = [f"{row[f'hits, {asked} images']}, {row[f'log10_p, {asked} images']:.1f}" for asked in FIRST]
            read = f"| {' | '.join([whole, *reversed(first)])} | {labels['matched']}, {labels['log10_p']:.1f} |"
        lines.append(f"| {row['key']} | {setting} | {suspect} | {quality_} {read}")
    return "\n".join(lines)


def _rows(made: BenchKey, attack: str, classifier: Classifier, setting: dict[str, float], quick: bool) -> list[Row]:
    facts = {"part": "settings", "setting": setting, **quality(classifier, quick)}
    return reading_rows(made, "marked", attack, classifier, facts, innocent=False, quick=quick, first=FIRST)


def _changes(setting: dict[str, float]) -> dict[str, Any]:
    """Returns what a setting changes of the recipe."""
    return {_NAMES.get(name, name): value for name, value in setting.items() if name != "temperature"}


def _even_name(setting: dict[str, float]) -> str:
    more = {name: value for name, value in setting.items() if name not in ("smoothing", "steps")}
    return _named(f"even-{setting['smoothing']:g}-{setting['steps']:g}", more)


def _named(start: str, setting: dict[str, float]) -> str:
    """Returns a cell's name: a beginning, and what the setting says."""
    told = [start, *(f"{name}-{value:g}" for name, value in setting.items())]
    return "-".join(told).replace(".", "_").replace(" ", "-")
