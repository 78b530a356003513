"""Tables of keyed soft labels in text classifiers, from rows alone."""

from forensics.bench.results import Row
from forensics.bench.rowtables import groups, markdown, null_table, of_part, through_the_same, under_headings


def table(rows: list[Row]) -> str:
    """Returns the tables of texts as Markdown."""
    examined = of_part((row for row in rows if "part" in row), "texts")
    return under_headings(
        (
            ("What the mark costs", _cost(examined)),
            ("After theft", _survival(examined)),
            ("Fresh keys on innocent models", null_table(_part(rows, "texts null"), _null_names, "model | access")),
            ("Settings tried, development key 0", _settings(_part(rows, "texts tried"))),
        )
    )


def _part(rows: list[Row], part: str) -> list[Row]:
    return of_part((row for row in rows if "part" in row), part)


def _null_names(row: Row) -> tuple[object, ...]:
    return row["suspect"], "probabilities" if row["access"] == "scores" else "classes alone"


def _cost(rows: list[Row]) -> str:
    lines = []
    whole = [row for row in rows if row["attack"] == "none" and row["access"] == "scores"]
    for own in (row for row in whole if not row["innocent"]):
        partner = own["suspect"].replace("marked", "control")
        other = next((row for row in whole if (row["key"], row["suspect"]) == (own["key"], partner)), None)
        if other:
            lost = 100.0 * (own["accuracy"] - other["accuracy"])
            lines.append(
                f"| {own['key']} | {own['suspect'].split(', ')[1]} | {own['accuracy']:.4f} | {other['accuracy']:.4f} "
                f"| {lost:+.2f} | {own['log loss']:.3f} | {other['log loss']:.3f} |"
            )
    return markdown(
        "| key | encoder | accuracy, marked | unmarked, trained as long | difference, points | log loss "
        "| that of the unmarked |",
        lines,
    )


def _survival(rows: list[Row]) -> str:
    lines = []
    for (attack, suspect, access), found in groups(
        through_the_same(rows), lambda row: (row["attack"], row["suspect"], row["access"])
    ).items():
        seen = "probabilities" if access == "scores" else "classes alone"
        hits = sum(row["verdict"] == "SUPPORTED" for row in found)
        least, worst = min(row["matched"] for row in found), max(row["log10_p"] for row in found)
        accuracy = sum(row["accuracy"] for row in found) / len(found)
        lines.append(
            f"| {attack} | {suspect} | {seen} | {hits} of {len(found)} | {least} of {found[0]['n']} | {worst:.1f} "
            f"| {accuracy:.4f} |"
        )
    return markdown(
        "| attack | model | answers | SUPPORTED | families led, least | largest log10 p | accuracy, mean |", lines
    )


def _settings(rows: list[Row]) -> str:
    lines = []
    for (way, smoothing, attack), found in groups(
        rows, lambda row: (row["way"], row["smoothing"], row["attack"])
    ).items():
        read = [f"{row['matched']} of {row['n']}, {row['log10_p']:.1f}" for row in found]
        lines.append(
            f"| {way} | {smoothing:g} | {'marked' if attack == 'none' else f'thief, {attack}'} "
            f"| {found[0]['accuracy']:.4f} | {' | '.join(read)} |"
        )
    head = "| encoder | smoothing | suspect | accuracy | probabilities: families led, log10 p | classes alone |"
    return markdown(head, lines)
