"""Tables of the services bench as Markdown, from rows alone."""

import statistics
from collections.abc import Callable, Sequence

from forensics.bench.results import Row
from forensics.statistics import allowed_rejections, clopper_pearson

LEVELS = (0.05, 0.01, 0.001)
"""Levels of the sizes; those at 1e-6 come from the exact test itself, not from simulation."""


def table(rows: list[Row]) -> str:
    """Returns all tables, one below the other."""
    parts = (
        _cost(rows),
        _attacks(rows, "espew"),
        _attacks(rows, "embmarker"),
        _price(rows),
        _sizes(rows),
        _tried(rows),
    )
    return "\n\n".join(part for part in parts if part)


def _cost(rows: Sequence[Row]) -> str:
    lines = [
        "| mark | key | texts marked | loss over all traffic | loss on marked texts | largest loss |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {_mark(row['method'])} | {row['key']} | {row['marked'] / row['texts']:.1%} "
        f"| {row['loss over traffic']:.2%} | {row['loss on marked texts']:.1%} | {row['largest loss']:.1%} |"
        for row in sorted(_part(rows, "cost"), key=lambda row: (row["method"] != "espew", row["key"]))
    ]
    return _lines(lines)


def _attacks(rows: Sequence[Row], mark: str) -> str:
    """Each marked line stands above the innocent one that went through the same."""
    found = [row for row in _part(rows, "attack") if row["mark"] in (mark, "none")]
    guilty = {(row["suspect"], row["before"], row["attack"]) for row in found if row["mark"] == mark}
    if not guilty:
        return ""
    if mark != "espew":
        found = [row for row in found if (row["suspect"], row["before"], row["attack"]) in guilty]
    lines = [
        f"| {_mark(mark)}: suspect | before training | afterwards | service | SUPPORTED (at least, 95 %) "
        "| p, median | p, worst | AUC, median (least) | cosine to the service |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for group in _groups(found, lambda row: (row["suspect"], row["before"], row["attack"], row["mark"])):
        first, hits = group[0], sum(row["verdict"] == "SUPPORTED" for row in group)
        least = clopper_pearson(hits, len(group), 0.9).low
        logs, areas = [row["log10_p"] for row in group], [row["auc"] for row in group]
        likeness = [row["cosine"] for row in group if row["cosine"] is not None]
        shown = f"{statistics.mean(likeness):.3f}" if likeness else ""
        # What an innocent would have to explain is its smallest p, what a guilty one hides behind its largest.
        extreme = min(logs) if first["innocent"] else max(logs)
        lines.append(
            f"| {first['suspect']} | {first['before']} | {first['attack']} | {_marked(first)} "
            f"| {hits} of {len(group)} ({least:.0%}) | {_power(statistics.median(logs))} | {_power(extreme)} "
            f"| {statistics.median(areas):.2f} ({min(areas):.2f}) | {shown} |"
        )
    return _lines(lines)


def _price(rows: Sequence[Row]) -> str:
    lines = [
        "| what CSE does to the service's own unmarked traffic | cosine | rank correlation of similarities "
        "| of ten nearest neighbours kept | marked texts among the suspected, and among all |",
        "|---|---|---|---|---|",
    ]
    for group in _groups(_part(rows, "price"), lambda row: (row["attack"],)):
        mean = {
            name: statistics.mean(row[name] for row in group)
            for name in ("cosine", "spearman", "neighbours kept", "marked among suspects", "marked among all")
        }
        lines.append(
            f"| {group[0]['attack']} | {mean['cosine']:.3f} | {mean['spearman']:.3f} "
            f"| {10 * mean['neighbours kept']:.1f} "
            f"| {mean['marked among suspects']:.1%}, {mean['marked among all']:.1%} |"
        )
    return _lines(lines)


def _sizes(rows: Sequence[Row]) -> str:
    groups = [
        (f"exact subset test, {group[0]['probes']} probes with trigger words", group)
        for group in _groups(_part(rows, "size"), lambda row: (row["probes"],))
    ] + [
        (f"published KS test, {group[0]['bags']} bags a side (decides nothing)", group)
        for group in _groups(_part(rows, "published"), lambda row: (row["bags"],))
    ]
    lines = [
        "| never-marked student | keys | "
        + " | ".join(f"p <= {level:g}" for level in LEVELS)
        + " | p <= 1e-6 | SUPPORTED |",
        "|---|---|" + "---|" * (len(LEVELS) + 2),
    ]
    for name, group in groups:
        counts = [sum(row["p_value"] <= level for row in group) for level in (*LEVELS, 1e-6)]
        limits = [allowed_rejections(len(group), level, 2 * len(LEVELS)) for level in LEVELS]
        cells = [f"{count} (at most {limit})" for count, limit in zip(counts, limits)]
        hits = str(sum(row["verdict"] == "SUPPORTED" for row in group)) if "verdict" in group[0] else ""
        lines.append(f"| {name} | {len(group)} | {' | '.join(cells)} | {counts[-1]} | {hits} |")
    return _lines(lines)


def _tried(rows: Sequence[Row]) -> str:
    lines = [
        "| setting tried, development keys | p by key | p by key after CSE, K = 50 | loss over traffic by key |",
        "|---|---|---|---|",
    ]
    for group in _groups(_part(rows, "tried"), lambda row: (row["setting"],)):
        plain = [row for row in group if row["before"] == "none"]
        cells = [
            ", ".join(_power(row["log10_p"]) for row in plain),
            ", ".join(_power(row["log10_p"]) for row in group if row["before"] != "none"),
            ", ".join(f"{row['loss over traffic']:.2%}" for row in plain),
        ]
        lines.append(f"| {group[0]['setting']} | {' | '.join(cells)} |")
    return _lines(lines)


def _part(rows: Sequence[Row], name: str) -> list[Row]:
    return [row for row in rows if row["part"] == name]


def _groups(rows: Sequence[Row], key: Callable[[Row], tuple[object, ...]]) -> list[list[Row]]:
    found: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return list(found.values())


def _lines(lines: list[str]) -> str:
    return "\n".join(lines) if len(lines) > 2 else ""


def _marked(row: Row) -> str:
    return "never marked" if row["innocent"] else "marked"


def _mark(name: str) -> str:
    return "ESpeW" if name == "espew" else "EmbMarker (baseline)"


def _power(log10: float) -> str:
    return f"{10.0**log10:.1e}" if log10 > -300 else f"1e{log10:.0f}"
