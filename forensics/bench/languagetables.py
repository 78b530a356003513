"""Tables of the language-model bench, from rows alone."""

import statistics
from collections.abc import Sequence

from forensics.bench.results import Row
from forensics.bench.rowtables import groups, markdown, null_table, of_part, survival_table, under_headings

WHOLE, FIRST = "whole continuation", "first token among 20"
"""What is read: log-probabilities of whole continuations, or the first token's where only the likeliest are listed."""

ATTACKED = 64
"""Bits of the payloads that go through all attacks."""


def table(rows: list[Row]) -> str:
    """Returns the tables of the documentation as Markdown, each under its heading."""
    marks = of_part(rows, "mark")
    kept = [row for row in (*marks, *of_part(rows, "survival")) if row["n"] == ATTACKED]
    small = of_part(rows, "smollm2")
    return under_headings(
        [
            ("What the mark costs", _cost(marks)),
            (f"{ATTACKED} bits, GPT-2 of four layers", survival_table(kept, "reading", "read", "perplexity", ".2f")),
            (
                "SmolLM2, one key, four of thirty blocks trained",
                "\n\n".join(
                    filter(None, (_cost(small), survival_table(small, "reading", "read", "perplexity", ".2f")))
                ),
            ),
            ("Settings tried on development keys", _settings(of_part(rows, "tried"))),
            (
                "Innocent models, fresh keys",
                null_table(
                    of_part(rows, "null"), lambda row: (row["suspect"], row["attack"]), "innocent model | after"
                ),
            ),
        ]
    )


def _cost(rows: Sequence[Row]) -> str:
    lines = []
    marked = [row for row in rows if row["suspect"] == "marked" and row["attack"] == "none"]
    for (bits,), found in groups(marked, lambda row: (row["n"],)).items():
        whole, first = ([row for row in found if row["reading"] == reading] for reading in (WHOLE, FIRST))
        after = [row["perplexity"] for row in whole]
        mean = statistics.mean(after)
        before, control = whole[0]["perplexity before"], whole[0]["perplexity of the control"]
        beside = [""] * 2 if control is None else [f"{control:.2f}", _rise(mean, control)]
        cells = [
            f"{bits}",
            f"{len(whole)}",
            f"{before:.2f}",
            f"{mean:.2f} ({min(after):.2f} to {max(after):.2f})",
            beside[0],
            _rise(mean, before),
            beside[1],
            f"{min(row['matched'] for row in whole)} / {min(row['matched'] for row in first)}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return markdown(
        "| bits | keys | perplexity before | marked, mean (range) | control, trained as long | more than before "
        "| more than the control | bits read back, least: whole / first token |",
        lines,
    )


def _rise(after: float, before: float) -> str:
    return f"{after - before:+.2f} ({100 * (after / before - 1):+.1f} %)"


def _settings(rows: Sequence[Row]) -> str:
    lines = []
    for (setting, key), found in groups(rows, lambda row: (row["setting"], row["key"])).items():
        whole = [row for row in found if row["reading"] == WHOLE]
        told = [f"{row['matched']} ({row['p_value']:.1e})" for row in whole]
        cost = whole[0]["perplexity"], whole[0]["perplexity before"], whole[0]["perplexity of the control"]
        lines.append(
            f"| {setting} | {key} | {cost[0]:.2f} | {_rise(cost[0], cost[1])} | {_rise(cost[0], cost[2])} "
            f"| {' | '.join(told)} |"
        )
    attacks = list(dict.fromkeys(row["attack"] for row in rows))
    columns = " | ".join("bits (p)" if attack == "none" else f"bits, {attack} (p)" for attack in attacks)
    return markdown(f"| setting | key | perplexity | more than before | more than the control | {columns} |", lines)
