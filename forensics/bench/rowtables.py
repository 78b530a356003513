"""What tables of several benches share: rows in groups, tables under headings, fresh keys on innocent models."""

import statistics
from collections.abc import Callable, Iterable, Sequence

from forensics.bench.results import Row
from forensics.statistics import allowed_rejections

NULL_LEVELS = (0.05, 0.01, 0.001)


def under_headings(parts: Iterable[tuple[str, str]]) -> str:
    """Returns headings and tables as Markdown; a heading without a table is left out."""
    return "\n\n".join(f"**{heading}**\n\n{body}" for heading, body in parts if body)


def markdown(head: str, lines: Sequence[str]) -> str:
    """Returns a table, empty where it has no lines.

    Args:
        head: the line of column titles.
    """
    return "\n".join([head, "|---" * (head.count("|") - 1) + "|", *lines]) if lines else ""


def of_part(rows: Iterable[Row], part: str) -> list[Row]:
    """Returns the rows of a part of a bench."""
    return [row for row in rows if row["part"] == part]


def groups(rows: Iterable[Row], of: Callable[[Row], tuple[object, ...]]) -> dict[tuple[object, ...], list[Row]]:
    """Returns rows by what a function says of them, in the order in which they come."""
    found: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(of(row), []).append(row)
    return found


def through_the_same(rows: Sequence[Row]) -> list[Row]:
    """Returns the rows of attacks through which an innocent model went too: guilt is not shown before that."""
    through = {row["attack"] for row in rows if row["innocent"]}
    return [row for row in rows if row["attack"] in through]


def survival_table(rows: Sequence[Row], seen: str, title: str, kept: str, form: str) -> str:
    """Returns what each attack leaves of a payload, on marked models and on innocent ones that went through the same.

    Args:
        seen: entry of a row that says how its answers were read, and `title`, what its column is called.
        kept: entry whose mean is shown as what the model is still good for, and `form`, how it is written.
    """
    lines = []
    for (attack, suspect, reading), found in groups(
        through_the_same(rows), lambda row: (row["attack"], row["suspect"], row[seen])
    ).items():
        hits = sum(row["verdict"] == "SUPPORTED" for row in found)
        bits = [row["matched"] for row in found]
        lines.append(
            f"| {attack} | {suspect} | {reading} | {hits} of {len(found)} | {statistics.median(bits):g} ({min(bits)}) "
            f"| {max(row['p_value'] for row in found):.1e} | {statistics.mean(row[kept] for row in found):{form}} |"
        )
    return markdown(
        f"| attack | model | {title} | SUPPORTED | bits, median (least) | largest p | {kept}, mean |", lines
    )


def null_table(rows: Iterable[Row], of: Callable[[Row], tuple[object, ...]], title: str) -> str:
    """Returns how often fresh keys fell below each level on innocent models, beside the most that the null allows.

    Args:
        of: what a line is called, one cell a member.
        title: of those cells, separated by bars.
    """
    lines = []
    for names, found in groups(rows, of).items():
        counts = [
            f"{sum(row['p_value'] <= level for row in found)} "
            f"({allowed_rejections(len(found), level, len(NULL_LEVELS))})"
            for level in NULL_LEVELS
        ]
        supported = sum(row["verdict"] == "SUPPORTED" for row in found)
        least = min(row["p_value"] for row in found)
        cells = [*names, len(found), *counts, f"{least:.1e}", supported]
        lines.append(f"| {' | '.join(str(cell) for cell in cells)} |")
    levels = " | ".join(f"p <= {level:g} (allowed)" for level in NULL_LEVELS)
    return markdown(f"| {title} | fresh keys | {levels} | least p | SUPPORTED |", lines)
