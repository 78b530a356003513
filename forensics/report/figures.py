"""Figures as SVG: geometry computed here, drawn by templates; each with a text alternative and its data as a table.

The only probabilities computed are those of a null, exactly and for drawing; every result is printed from the
evidence.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate, pairwise

from forensics.report.assets import environment
from forensics.report.language import ENGLISH, Language
from forensics.report.tables import Event, Table
from forensics.report.text import integer

WIDTH = 664
"""Width of every figure in its own units: a quarter of a millimetre each."""

TIE = 1e-9
"""A score nearer to zero carries no sign and counts as a disagreement."""

_COLUMNS = 32
_BINS = 12
PLOT_HEIGHT = 150
_LABEL_ROOM = 150
_LAW_TOP = 40
LAW_HEIGHT = _LAW_TOP + PLOT_HEIGHT + 44
_LABEL_WIDTH = 22
_LARGEST_EXPONENT = 1000


@dataclass(frozen=True)
class Figure:
    """A figure with its text alternative, caption and data.

    Attributes:
        name: file name under which the renderer serves it.
        height: in units of a quarter of a millimetre; the width is `WIDTH`.
    """

    name: str
    svg: str
    height: int
    alt: str
    caption: str
    table: Table


def signed_scores(items: Sequence[str], target: Sequence[int]) -> tuple[float, ...]:
    """Returns each item score with the sign of its payload bit: positive where the extracted bit agrees."""
    return tuple(float(score) * (2 * bit - 1) for score, bit in zip(items, target, strict=False))


def draw_bits(items: Sequence[str], target: Sequence[int], say: Language = ENGLISH) -> Figure:
    """Draws payload above extracted bits, with every disagreement marked.

    Args:
        items: (k,) scores as decimal strings; their sign is the extracted bit.
        target: (k,) payload bits, 0 or 1.
    """
    columns = min(_COLUMNS, len(target))
    cell = (WIDTH - 40) / columns if columns > _COLUMNS // 2 else 20.0
    cells, wrong = [], []
    for index, (score, bit) in enumerate(zip((float(item) for item in items), target, strict=True)):
        row, column = divmod(index, columns)
        extracted = "–" if abs(score) <= TIE else str(int(score > 0))
        agrees = extracted == str(bit)
        if not agrees:
            wrong.append(index + 1)
        cells.append(
            {"x": f"{36 + column * cell:.1f}", "y": row * 44, "bit": str(bit), "extracted": extracted, "agrees": agrees}
        )
    rows = -(-len(target) // columns)
    height = rows * 44 + 26
    agreed = len(target) - len(wrong)
    svg = draw(
        "bits.svg.j2",
        say,
        height=height,
        cells=cells,
        cell=f"{cell:.1f}",
        inner=f"{cell - 2.0:.1f}",
        middle=f"{cell / 2 - 1.0:.1f}",
        labels=[{"y": row * 44 + 18, "text": str(row * columns + 1)} for row in range(rows)],
    )
    listed = ", ".join(map(str, wrong)) if wrong else say("none")
    return Figure(
        name="bits.svg",
        svg=svg,
        height=height,
        alt=say(
            "Grid of %(n)s payload bits above the bits extracted from the answers; %(agreed)s agree, %(wrong)s do not.",
            n=len(target),
            agreed=agreed,
            wrong=len(wrong),
        ),
        caption=say(
            "Payload bits (upper squares) and the bits extracted from the suspect’s answers (lower squares), in "
            "reading order. Dark is 1, white is 0; a cross marks a disagreement, a dash a bit that could not be read."
        ),
        table=Table(
            (say("Bits"), say("Agree"), say("Disagree"), say("Positions that disagree")),
            ((integer(len(target)), integer(agreed), integer(len(wrong)), listed),),
        ),
    )


def draw_scores(items: Sequence[str], target: Sequence[int], say: Language = ENGLISH) -> Figure:
    """Draws the distribution of the item scores, signed by the payload, as a histogram over a strip of all items."""
    scores = signed_scores(items, target)
    reach = max((abs(score) for score in scores), default=0.0) or 1.0
    counts = [0] * (2 * _BINS)
    for score in scores:
        # A score on a boundary belongs to the bin left of it: a tie is a disagreement.
        position = math.ceil(score / reach * _BINS) - 1 if abs(score) > TIE else -1
        counts[min(max(position + _BINS, 0), 2 * _BINS - 1)] += 1
    tallest, top = max(counts) or 1, 14
    step = (WIDTH - 60) / (2 * _BINS)
    bars = [
        {
            "x": f"{40 + index * step:.1f}",
            "width": f"{step - 1.5:.1f}",
            "y": f"{top + PLOT_HEIGHT * (1 - count / tallest):.1f}",
            "height": f"{PLOT_HEIGHT * count / tallest:.1f}",
            "agrees": index >= _BINS,
            "count": str(count),
        }
        for index, count in enumerate(counts)
        if count
    ]
    middle = 40 + _BINS * step
    ticks = [f"{middle + score / reach * _BINS * step:.1f}" for score in scores]
    svg = draw(
        "scores.svg.j2",
        say,
        height=top + PLOT_HEIGHT + 74,
        base=top + PLOT_HEIGHT,
        bars=bars,
        ticks=ticks,
        middle=f"{middle:.1f}",
        axis=[
            {"x": f"{middle + part * _BINS * step:.1f}", "text": say.number(repr(reach * part), 2)}
            for part in (-1.0, -0.5, 0.0, 0.5, 1.0)
        ],
    )
    edges = [reach * (index - 4) / 4 for index in range(9)]
    merged = [sum(counts[index * 3 : index * 3 + 3]) for index in range(8)]
    ranges = tuple(
        say("%(low)s to %(high)s", low=say.number(repr(low), 2), high=say.number(repr(high), 2))
        for low, high in pairwise(edges)
    )
    agreed = sum(score > TIE for score in scores)
    return Figure(
        name="scores.svg",
        svg=svg,
        height=top + PLOT_HEIGHT + 74,
        alt=say(
            "Histogram of %(n)s item scores signed by the payload: %(agreed)s lie right of zero (agree), %(wrong)s do "
            "not.",
            n=len(scores),
            agreed=agreed,
            wrong=len(scores) - agreed,
        ),
        caption=say(
            "Item scores, each signed by its payload bit; one tick a bit below the bars. To the right of zero the "
            "extracted bit agrees with the payload. Without the payload in the model both sides are equally likely."
        ),
        table=Table((say("Signed score"), *ranges), ((say("Bits"), *(integer(count) for count in merged)),)),
    )


def ratio(text: str) -> Fraction:
    """Returns a decimal string as an exact fraction.

    Raises:
        ValueError: it is none, or of a size that no probability has.
    """
    value = Decimal(text)
    if not value.is_finite() or abs(value.adjusted()) > _LARGEST_EXPONENT:
        raise ValueError("a number is out of range")
    return Fraction(value)


def binomial_null(n: int, chance: Fraction) -> tuple[Fraction, ...]:
    """Returns the exact probabilities of 0..n agreements when each has the given chance."""
    rest = 1 - chance
    return tuple(math.comb(n, count) * chance**count * rest ** (n - count) for count in range(n + 1))


def needed_count(null: Sequence[Fraction], limit: Fraction) -> int | None:
    """Returns the smallest count whose upper tail is at most `limit`; None where even all n are too few."""
    tails = list(accumulate(reversed(null)))[::-1]
    return next((count for count, tail in enumerate(tails) if tail <= limit), None)


def draw_law(
    null: Sequence[Fraction], observed: int, needed: int | None, label: str, say: Language, *, merged: int = 1
) -> str:
    """Draws the law of a count by chance with the observed count, and the one that gate G2 needs where there is one.

    Args:
        null: probabilities of 0, 1, ...
        label: of the axis.
        merged: counts a bar.
    """
    heights = [sum(null[at : at + merged], Fraction(0)) for at in range(0, len(null), merged)]
    peak, left, most = max(heights), 24, len(null) - 1
    step = (WIDTH - 2 * left) / len(null)
    bars = [
        {
            "x": f"{left + place * merged * step:.2f}",
            "width": f"{max(merged * step - 0.6, 0.4):.2f}",
            "y": f"{_LAW_TOP + PLOT_HEIGHT * (1 - float(part / peak)):.2f}",
            "height": f"{PLOT_HEIGHT * float(part / peak):.2f}",
        }
        for place, part in enumerate(heights)
        if part / peak > Fraction(1, 500)
    ]

    def mark(count: int, text: str, y: int) -> dict[str, str]:
        x = left + (count + 0.5) * step
        side = "end" if x > WIDTH * 0.72 else "start"
        return {
            "x": f"{x:.1f}",
            "tx": f"{x + (5 if side == 'start' else -5):.1f}",
            "y": str(y),
            "anchor": side,
            "text": text,
        }

    edge = float(bars[0]["x"])
    return draw(
        "null.svg.j2",
        say,
        height=LAW_HEIGHT,
        base=_LAW_TOP + PLOT_HEIGHT,
        top=_LAW_TOP,
        left=left,
        right=WIDTH - left,
        bars=bars,
        observed=mark(observed, say("observed: %(value)s", value=observed), 12),
        needed=[] if needed is None else [mark(needed, say("needed: %(value)s", value=needed), 32)],
        axis=[
            {"x": f"{left + (count + 0.5) * step:.1f}", "text": str(count)}
            for count in sorted({round(most * part / 8) for part in range(9)})
        ],
        beside=f"{edge - 8:.1f}" if edge > _LABEL_ROOM else "",
        label=label,
    )


def law_rows(
    null: Sequence[Fraction],
    expected: int,
    observed: int,
    needed: int | None,
    meaning: str,
    p_value: str,
    say: Language,
) -> tuple[tuple[str, ...], ...]:
    """Returns what `draw_law` shows as rows: a count, what it is, the probability of at least as much.

    Args:
        meaning: of the needed count.
        p_value: of the observed count, as the evidence has it.
    """
    tails = list(accumulate(reversed(null)))[::-1]
    rows = [(integer(expected), say("expected by chance"), say.number(repr(float(tails[expected]))))]
    if needed is not None:
        rows.append((integer(needed), meaning, say.number(scientific(tails[needed]))))
    return (*rows, (integer(observed), say("observed in this examination"), say.number(p_value)))


def draw_null(n: int, chance: str, observed: int, p_value: str, limit: Fraction, say: Language = ENGLISH) -> Figure:
    """Draws what chance alone would give for the count, with the observed count and the count that gate G2 needs.

    Args:
        chance: probability of one agreement under the null, as a decimal string.
        p_value: of the observed count, as the evidence has it.
        limit: the largest p-value that passes gate G2.
    """
    null = binomial_null(n, ratio(chance))
    needed, expected = needed_count(null, limit), round(n * ratio(chance))
    meaning = say("smallest count that passes gate G2")
    places = {"n": n, "expected": expected, "observed": observed, "needed": needed}
    return Figure(
        name="null.svg",
        svg=draw_law(null, observed, needed, say("number of payload bits that agree"), say),
        height=LAW_HEIGHT,
        alt=say(
            "Bars: probability of each number of agreements out of %(n)s by chance, centred on %(expected)s. The "
            "observed number is %(observed)s.",
            **places,
        )
        if needed is None
        else say(
            "Bars: probability of each number of agreements out of %(n)s by chance, centred on %(expected)s. The "
            "observed number is %(observed)s; %(needed)s are needed.",
            **places,
        ),
        caption=say(
            "How many of %(n)s payload bits would agree by chance (bars), the smallest number that passes gate G2 "
            "(dashed line), and the number observed (solid line).",
            n=integer(n),
        ),
        table=Table(
            (say("Bits that agree"), say("Meaning"), say("Probability of at least as many by chance")),
            law_rows(null, expected, observed, needed, meaning, p_value, say),
        ),
    )


def draw_timeline(events: Sequence[Event], say: Language = ENGLISH) -> Figure:
    """Draws the known dates in order, evenly spaced, those that gate G1 compares as full dots."""
    known = sorted(
        (event for event in events if event.value is not None), key=lambda event: _instant(event.value or "")
    )
    space = (WIDTH - 40) / max(len(known), 1)
    marks = []
    for index, event in enumerate(known):
        day, _, clock = say.moment(event.value or "").partition(", ")
        lines = [*_wrap(event.label, _LABEL_WIDTH), day, clock]
        marks.append(
            {
                "x": f"{20 + space * (index + 0.5):.1f}",
                "above": index % 2 == 0,
                "lines": [line for line in lines if line],
                "decides": event.decides,
                "dates": 2 if clock else 1,
            }
        )
    rows = tuple(
        (event.label, say.moment(event.value) if event.value else say("unknown"), event.source)
        for event in (*known, *(event for event in events if event.value is None))
    )
    dated = [say("%(event)s: %(date)s", event=event.label, date=say.moment(event.value or "")) for event in known]
    return Figure(
        name="timeline.svg",
        svg=draw("timeline.svg.j2", say, height=170, marks=marks),
        height=170,
        alt=say("Timeline: %(events)s.", events=say.clauses(dated)),
        caption=say("The dates of this case in order; spacing is not to scale. Gate G1 compares the full dots."),
        table=Table((say("Event"), say("Date"), say("Source")), rows),
    )


def draw(template: str, say: Language, **values: object) -> str:
    """Returns a figure's template, filled in; every figure is `WIDTH` wide."""
    return environment(say).get_template(f"figures/{template}").render(width=WIDTH, **values)


def scientific(value: Fraction) -> str:
    """Returns a positive fraction as a decimal string, also where a float would underflow."""
    digits = len(str(value.denominator)) - len(str(value.numerator))
    scaled = float(value * Fraction(10) ** digits)
    return f"{scaled!r}e{-digits}"


def _instant(text: str) -> datetime:
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _wrap(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}".strip()
        if len(joined) <= width or not lines[-1]:
            lines[-1] = joined
        else:
            lines.append(word)
    return lines
