"""Figures of the test of drawn classes: each family's drawn class by its rank, and the sum beside what chance gives."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate

from forensics.report.figures import LAW_HEIGHT, PLOT_HEIGHT, WIDTH, Figure, draw, draw_law, law_rows, needed_count
from forensics.report.language import ENGLISH, Language
from forensics.report.tables import Table

_BARS = 110
_LEFT, _RIGHT = 40, 20
_MOST_SUMS, _MOST_FAMILIES = 20_000, 256
"""Beyond as many sums or families the law by chance is not drawn."""


def drawn_ranks(items: Sequence[str], target: Sequence[int]) -> list[int] | None:
    """Returns how many other classes each family's drawn class exceeds; None where the items are no such table.

    Args:
        items: shifts of all classes, family by family, as decimal strings.
        target: (L,) drawn class of each family.
    """
    if not target or len(items) % len(target):
        return None
    classes = len(items) // len(target)
    if classes < 2 or not all(0 <= drawn < classes for drawn in target):
        return None
    shifts = [float(item) for item in items]
    rows = [shifts[at * classes : (at + 1) * classes] for at in range(len(target))]
    return [sum(each < row[drawn] for each in row) for row, drawn in zip(rows, target, strict=True)]


def draw_families(
    ranks: Sequence[int], target: Sequence[int], labels: Sequence[str], say: Language = ENGLISH
) -> Figure:
    """Draws for each family how many of the other classes its drawn class exceeds.

    Args:
        ranks: (L,) from `drawn_ranks`.
        target: (L,) drawn classes.
        labels: names of all classes, cleaned.
    """
    families, best, top = len(ranks), len(labels) - 1, 14
    step, base = (WIDTH - _LEFT - _RIGHT) / families, top + PLOT_HEIGHT

    def height(rank: float) -> float:
        return PLOT_HEIGHT * rank / best

    leading = sum(rank == best for rank in ranks)
    svg = draw(
        "families.svg.j2",
        say,
        height=base + 60,
        left=_LEFT,
        right=WIDTH - _RIGHT,
        top=top,
        base=base,
        inner=f"{step * 0.78:.2f}",
        bars=[
            {
                "x": f"{_LEFT + place * step + step * 0.11:.2f}",
                "y": f"{base - max(height(rank), 1.0):.2f}",
                "height": f"{max(height(rank), 1.0):.2f}",
                "leads": rank == best,
            }
            for place, rank in enumerate(ranks)
        ],
        middle=f"{base - height(best / 2):.2f}",
        levels=[
            {"y": f"{base - height(rank):.2f}", "text": str(rank)}
            for rank in sorted({0, best, *(round(best * part / 3) for part in (1, 2))})
        ],
        axis=[
            {"x": f"{_LEFT + (number - 0.5) * step:.2f}", "text": str(number)}
            for number in sorted({1, families, *(round(families * part / 8) for part in range(1, 8))} - {0})
        ],
    )
    places = {"n": families, "matched": leading, "others": best}
    return Figure(
        name="families.svg",
        svg=svg,
        height=base + 60,
        alt=say(
            "Bars: for each of %(n)s families, how many of the %(others)s other classes the drawn class exceeds; in "
            "%(matched)s families it exceeds all.",
            **places,
        ),
        caption=say(
            "For each of the %(n)s families, how many of the %(others)s other classes the class that the key drew "
            "exceeds. Dark bars reach the top: the drawn class stands alone at the top there. The dashed line is the "
            "mean by chance.",
            **places,
        ),
        table=_table(ranks, target, labels, say),
    )


def draw_sum_null(
    families: int, classes: int, observed: int, p_value: str, limit: Fraction, say: Language = ENGLISH
) -> Figure | None:
    """Draws what chance alone would give for the sum of ranks; None where there are too many sums.

    Args:
        observed: sum of the drawn classes' ranks.
        p_value: of that sum, as the evidence has it.
        limit: the largest p-value that passes gate G2.
    """
    best = families * (classes - 1)
    if best > _MOST_SUMS or families > _MOST_FAMILIES or not 0 <= observed <= best:
        return None
    null = _law(families, classes)
    needed, expected = needed_count(null, limit), round(best / 2)
    label = say("sum of the ranks of the drawn classes, at most %(most)s", most=best)
    places = {"expected": expected, "observed": observed, "most": best}
    return Figure(
        name="null.svg",
        svg=draw_law(null, observed, needed, label, say, merged=-(-len(null) // _BARS)),
        height=LAW_HEIGHT,
        alt=say(
            "Bars: probability of each sum of ranks by chance, from 0 to %(most)s, centred on %(expected)s. The "
            "observed sum is %(observed)s.",
            **places,
        ),
        caption=say(
            "Which sums of ranks %(n)s classes drawn by chance would have (bars), the smallest sum that passes gate G2 "
            "(dashed line), and the one observed for the classes that the key drew (solid line).",
            n=families,
        ),
        table=Table(
            (say("Sum of ranks"), say("Meaning"), say("Probability of at least as high by chance")),
            law_rows(null, expected, observed, needed, say("smallest that passes gate G2"), p_value, say),
        ),
    )


def _law(families: int, classes: int) -> list[Fraction]:
    """The exact law of a sum of uniform ranks, counted in whole numbers."""
    ways = [1]
    for _ in range(families):
        before = [0, *accumulate(ways)]
        last = len(ways)
        ways = [before[min(at + 1, last)] - before[max(at + 1 - classes, 0)] for at in range(last + classes - 1)]
    return [Fraction(each, classes**families) for each in ways]


def _table(ranks: Sequence[int], target: Sequence[int], labels: Sequence[str], say: Language) -> Table:
    rows = [
        (str(number), labels[drawn], str(rank))
        for number, (rank, drawn) in enumerate(zip(ranks, target, strict=True), 1)
    ]
    half = -(-len(rows) // 2)
    pairs = tuple((*rows[at], *(rows[at + half] if at + half < len(rows) else ("", "", ""))) for at in range(half))
    return Table((say("Family"), say("Drawn class"), say("Classes it exceeds")) * 2, pairs)
