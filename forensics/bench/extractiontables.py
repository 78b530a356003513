"""Tables and figure of the extraction bench, from rows alone."""

import math
import statistics
from collections.abc import Iterable

from forensics.bench import extractionboth, extractionsettings
from forensics.bench.extractionmodels import SEQUENTIAL
from forensics.bench.figures import survival_lines, survival_svg
from forensics.bench.results import Row
from forensics.statistics import allowed_rejections, clopper_pearson, sequential_test

NAMES = {"scores": "probabilities", "labels": "classes alone"}
LEVELS = (0.05, 0.01, 0.001)
CLASSES = 10
LIMIT = math.log10(1e-3 / 2**20)
"""log10 of the largest p-value that passes the default rule."""


def table(rows: list[Row]) -> str:
    """Returns the tables of the documentation as Markdown."""
    examined = [row for row in rows if "part" not in row]
    null = [row for row in rows if row.get("part") == "null"]
    made = (
        _quality(examined),
        _survival(examined),
        _parts(examined),
        _sequential(examined, null),
        _null(null),
        extractionboth.table(rows),
        extractionsettings.table(rows),
    )
    return "\n\n".join(each for each in made if each)


def figure(rows: list[Row]) -> str:
    """Returns the strip plot of p-values; empty before innocents stand beside them."""
    shown = [row for row in rows if "part" not in row and row["suspect"] in ("marked", "control")]
    lines = survival_lines([{**row, "suspect": "ResNet"} for row in shown])
    if not lines:
        return ""
    return survival_svg(
        "p-values after extraction: keyed soft labels, stolen models and innocent ones", lines, NAMES, LIMIT
    )


def _quality(rows: list[Row]) -> str:
    """What a mark costs: each marked model beside the control of the same first weights, batches and steps."""
    whole = [row for row in rows if row["attack"] == "none" and row["access"] == "scores" and "accuracy" in row]
    lines = [
        "| key | model | accuracy | difference, points | log loss | mean top probability | expected error of it |",
        "|---|---|---|---|---|---|---|",
    ]
    differences = []
    for own in (row for row in whole if not row["innocent"]):
        partner = own["suspect"].replace("marked", "control").replace(" by training on", " trained on")
        other = next((row for row in whole if (row["key"], row["suspect"]) == (own["key"], partner)), None)
        if other is None:
            continue
        difference = 100.0 * (own["accuracy"] - other["accuracy"])
        if own["suspect"] == "marked":
            differences.append(difference)
        lines += [_quality_line(own, f"{difference:+.2f}"), _quality_line(other, "")]
    if len(differences) > 1:
        mean = statistics.mean(differences)
        lines.append(f"| mean of {len(differences)} keys, from first weights | | | {mean:+.2f} | | | |")
    return "\n".join(lines) if len(lines) > 2 else ""


def _quality_line(row: Row, difference: str) -> str:
    return (
        f"| {row['key']} | {row['suspect']} | {row['accuracy']:.4f} | {difference} | {row['log loss']:.3f} "
        f"| {row['confidence']:.3f} | {row['calibration error']:.3f} |"
    )


def _survival(rows: list[Row]) -> str:
    """Verdicts after each attack; guilt is not shown before an innocent model went through the same."""
    lines = [
        "| images | suspect | attack | answers | SUPPORTED (at least, 95 %) | families led, of 24, median (least) "
        "| largest p | accuracy, mean | innocents SUPPORTED | innocents' smallest p |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[int, str, str, str], list[Row]] = {}
    for row in rows:
        if not row["innocent"]:
            groups.setdefault((row["images"], row["suspect"], row["attack"], row["access"]), []).append(row)
    for (images, suspect, attack, access), found in groups.items():
        twin = suspect.replace("marked", "control").replace(" by training on", " trained on")
        others = [
            row
            for row in rows
            if row["innocent"]
            and (row["images"], row["suspect"], row["attack"], row["access"]) == (images, twin, attack, access)
        ]
        if not others:
            continue
        lines.append(
            f"| {images:,} | {suspect} | {attack} | {NAMES[access]} | {_verdicts(found)} | {_innocent(others)} |"
        )
    return "\n".join(lines) if len(lines) > 2 else ""


def _verdicts(found: list[Row]) -> str:
    supported = sum(row["verdict"] == "SUPPORTED" for row in found)
    least = clopper_pearson(supported, len(found), 0.90)[0]
    hits = [row["matched"] for row in found]
    accuracies = [row["accuracy"] for row in found if "accuracy" in row]
    mean = f"{statistics.mean(accuracies):.4f}" if accuracies else ""
    return (
        f"{supported} of {len(found)} ({least:.0%}) | {statistics.median(hits):g} ({min(hits)}) "
        f"| {max(row['p_value'] for row in found):.1e} | {mean}"
    )


def _innocent(others: list[Row]) -> str:
    supported = sum(row["verdict"] == "SUPPORTED" for row in others)
    return f"{supported} of {len(others)} | {min(row['p_value'] for row in others):.1e}"


def _parts(rows: list[Row]) -> str:
    """What the first images of the plans tell by themselves."""
    sizes = sorted({int(name.split()[1]) for row in rows for name in row if name.startswith("hits, ")})
    if not sizes:
        return ""
    shown = " | ".join(f"first {size:,}: families led, median; log10 p; how many pass" for size in sizes)
    lines = [f"| suspect | attack | answers | {shown} | all |", "|" + "---|" * (4 + len(sizes))]
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        if f"hits, {sizes[0]} images" in row:
            groups.setdefault((row["suspect"], row["attack"], row["access"]), []).append(row)
    for (suspect, attack, access), found in groups.items():
        told = [
            _part([(row[f"hits, {size} images"], row[f"log10_p, {size} images"]) for row in found]) for size in sizes
        ]
        told.append(_part([(row["matched"], row["log10_p"]) for row in found]))
        lines.append(f"| {suspect} | {attack} | {NAMES[access]} | {' | '.join(told)} |")
    return "\n".join(lines)


def _part(found: list[tuple[int, float]]) -> str:
    passed = sum(log <= LIMIT for _, log in found)
    least, most = (f"{each(log for _, log in found):.1f}" for each in (min, max))
    return f"{statistics.median(hits for hits, _ in found):g}; {least} to {most}; {passed} of {len(found)}"


def _sequential(rows: list[Row], null: list[Row]) -> str:
    """Where the sequential test of single families would have stopped, and its size on innocents."""
    lines = [
        "| suspect | attack | keys that stopped | families read, of 24, median (most) | images asked, median (most) |",
        "|---|---|---|---|---|",
    ]
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row["access"] == "scores":
            groups.setdefault((row["suspect"], row["attack"]), []).append(row)
    for (suspect, attack), found in groups.items():
        stops = [stop for row in found if (stop := stopped(row["growing"])) is not None]
        images = [-(-min(SEQUENTIAL, found[0]["images"]) * stop // len(found[0]["growing"])) for stop in stops]
        told = (f"{statistics.median(each):g} ({max(each)})" if each else "" for each in (stops, images))
        lines.append(f"| {suspect} | {attack} | {len(stops)} of {len(found)} | {' | '.join(told)} |")
    if len(lines) == 2:
        return ""
    if growing := [row["growing"] for row in null if "growing" in row]:
        lines += ["", "| level | sequential p at or below, of innocents | most allowed |", "|---|---|---|"]
        found_p = [sequential_test([int(hit) for hit in hits], 1.0 / CLASSES).pvalue for hits in growing]
        lines += _levels(found_p)
    return "\n".join(lines)


def stopped(hits: str) -> int | None:
    """Returns after how many families the sequential p-value passes the default rule, or None where it never does."""
    path = sequential_test([int(hit) for hit in hits], 1.0 / CLASSES).path
    return next((index + 1 for index, height in enumerate(path) if height >= -LIMIT), None)


def _null(null: list[Row]) -> str:
    if not null:
        return ""
    lines = ["| answers | level | p at or below | most allowed |", "|---|---|---|---|"]
    for access in dict.fromkeys(row["access"] for row in null):
        name, found = NAMES[access], [row["p_value"] for row in null if row["access"] == access]
        lines += [f"| {name} {line}" for line in _levels(found)]
    supported = sum(row["verdict"] == "SUPPORTED" for row in null)
    keys = len({row["key"] for row in null})
    return "\n".join([*lines, "", f"{keys} fresh keys; verdicts SUPPORTED: {supported} of {len(null)}."])


def _levels(values: Iterable[float]) -> list[str]:
    found = list(values)
    return [
        f"| {level:g} | {sum(p <= level for p in found)} of {len(found)} "
        f"| {allowed_rejections(len(found), level, len(LEVELS))} |"
        for level in LEVELS
    ]
