"""Tables of the OFSW bench, from rows alone."""

from collections.abc import Sequence

from forensics.bench.results import Row
from forensics.bench.rowtables import groups, markdown, null_table, of_part, survival_table, under_headings

NAMES = {"scores": "probabilities", "labels": "labels"}
_WIDTHS = {"quarter": "quarter width", "full": "full width"}


def table(rows: list[Row]) -> str:
    """Returns the tables of the documentation as Markdown, each under its heading."""
    parts = [("What the mark costs", _cost(of_part(rows, "survival")))]
    for width in _WIDTHS:
        for bits in sorted({row["n"] for row in of_part(rows, "survival")}):
            found = [row for row in of_part(rows, "survival") if (row["width"], row["n"]) == (width, bits)]
            parts.append(
                (f"{bits} bits, {_WIDTHS[width]}", survival_table(found, "seen", "seen as", "accuracy", ".4f"))
            )
    parts += [
        ("Settings tried on development keys", _settings(of_part(rows, "tried"), "setting", "setting")),
        (
            "The orthogonality regulariser",
            _settings(of_part(rows, "orthogonality"), "weight", "weight r1"),
        ),
        (
            "Innocent models, fresh keys",
            null_table(of_part(rows, "null"), lambda row: (row["attack"],), "innocent model after"),
        ),
    ]
    return under_headings(parts)


def _cost(rows: Sequence[Row]) -> str:
    whole = [row for row in rows if row["attack"] == "none" and row["seen"] == "probabilities"]
    lines = []
    for (width, bits), found in groups(whole, lambda row: (row["width"], row["n"])).items():
        control = [row["accuracy"] for row in found if row["innocent"]]
        for row in found:
            if not row["innocent"] and control:
                lines.append(
                    f"| {_WIDTHS[str(width)]} | {bits} | {row['key']} | {row['accuracy']:.4f} | {control[0]:.4f} "
                    f"| {100 * (row['accuracy'] - control[0]):+.2f} |"
                )
    return markdown(
        "| network | bits | key | accuracy, marked | unmarked, trained as long | difference, points |", lines
    )


def _settings(rows: Sequence[Row], name: str, title: str) -> str:
    lines = []
    for (value, key), found in groups(rows, lambda row: (row[name], row["key"])).items():
        cells = [f"{row['matched']} of {row['n']} ({row['p_value']:.1e})" for row in found]
        shown = f"{value:g}" if isinstance(value, float) else value
        lines.append(f"| {shown} | {key} | {found[0]['accuracy']:.4f} | {' | '.join(cells)} |")
    if not lines:
        return ""
    attacks = [row["attack"] for row in next(iter(groups(rows, lambda row: (row[name], row["key"])).values()))]
    columns = " | ".join(f"bits, {attack} (p)" if attack != "none" else "bits (p)" for attack in attacks)
    return markdown(f"| {title} | key | accuracy | {columns} |", lines)
