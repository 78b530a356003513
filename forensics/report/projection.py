"""The projection of a trigger-cluster case: where the candidates lie, those of the key beside the decoys."""

import math
from collections import Counter
from collections.abc import Sequence

from forensics.nouns import Nouns
from forensics.report.assets import environment
from forensics.report.figures import WIDTH, Figure
from forensics.report.language import ENGLISH, Language
from forensics.report.tables import Table
from forensics.report.text import integer
from forensics.wording import capital

_LEFT, _RIGHT, _TOP = 52, 20, 12
_HEIGHT = 240
_ROOM = 0.06
"""Share of the span that is left free on every side, so that no mark touches the frame."""


def draw_projection(projection: Sequence[str], target: Sequence[int], nouns: Nouns, say: Language = ENGLISH) -> Figure:
    """Draws each candidate by its coordinates along the first two principal components, the two halves in two shapes.

    Args:
        projection: (2n,) the two coordinates of each candidate in turn, as decimal strings.
        target: (n,) 1 where the key chose the candidate.

    Raises:
        ValueError: a coordinate is no finite number.
    """
    values = [float(text) for text in projection]
    if not all(map(math.isfinite, values)):
        raise ValueError("a coordinate is out of range")
    places = list(zip(values[::2], values[1::2], strict=True))
    across, up = _Axis(values[::2], _LEFT, WIDTH - _RIGHT), _Axis(values[1::2], _TOP + _HEIGHT, _TOP)
    marks = [
        {"x": f"{across.at(x):.1f}", "y": f"{up.at(y):.1f}", "chosen": bool(drawn)}
        for (x, y), drawn in zip(places, target, strict=True)
    ]
    base, height = _TOP + _HEIGHT, _TOP + _HEIGHT + 66
    chosen = sum(target)
    shown = Counter((mark["x"], mark["y"], mark["chosen"]) for mark in marks)
    svg = (
        environment(say)
        .get_template("figures/projection.svg.j2")
        .render(
            width=WIDTH,
            height=height,
            left=_LEFT,
            right=WIDTH - _RIGHT,
            top=_TOP,
            base=base,
            # The rarer half last, so that it is not hidden; marks in one place are drawn once with their number.
            marks=[
                {"x": x, "y": y, "chosen": drawn, "count": str(count) if count > 1 else ""}
                for (x, y, drawn), count in sorted(shown.items(), key=lambda item: bool(item[0][2]))
            ],
            middle={"x": f"{across.at(0.0):.1f}", "y": f"{up.at(0.0):.1f}"},
            across=[{"x": f"{across.at(tick):.1f}", "text": say.number(repr(tick), 2)} for tick in across.ticks],
            up=[{"y": f"{up.at(tick):.1f}", "text": say.number(repr(tick), 2)} for tick in up.ticks],
            centre=f"{(WIDTH + _LEFT - _RIGHT) / 2:.1f}",
            halfway=f"{_TOP + _HEIGHT / 2:.1f}",
            legend=(
                say("chosen by the key (%(number)s)", number=chosen),
                say("decoys (%(number)s)", number=len(target) - chosen),
            ),
            average=say("average of all %(n)s %(many)s", n=len(target), many=nouns.many),
        )
    )
    halves = [[at for at, drawn in zip(places, target) if bool(drawn) is wanted] for wanted in (True, False)]
    crowded = any(count > 1 for count in shown.values())
    crowd = " " + say("A number such as ×2 counts the marks of one shape in one place.") if crowded else ""
    named = (capital(say("%(many)s chosen by the key", many=nouns.many)), say("Decoys"))
    rows = tuple(
        (name, integer(len(half)), *(_range([place[axis] for place in half], say) for axis in (0, 1)))
        for name, half in zip(named, halves)
    )
    return Figure(
        name="projection.svg",
        svg=svg,
        height=height,
        alt=say(
            "Scatter plot of %(n)s %(many)s along two directions; along the first, the %(chosen)s that the key chose "
            "lie from %(first)s and the %(others)s decoys from %(second)s.",
            n=len(target),
            many=nouns.many,
            chosen=chosen,
            first=rows[0][2],
            others=len(target) - chosen,
            second=rows[1][2],
        ),
        caption=say(
            "Each mark is one %(one)s: filled triangles are the %(chosen)s that the key chose, open circles the "
            "%(others)s decoys. From left to right: the direction in which the answers differ most, which is the item "
            "score; from bottom to top: the direction in which they differ most after that. Both were found without "
            "knowledge of the key, which gives the marks their shapes alone. The cross is the average of all %(many)s, "
            "not an answer without a %(one)s. Left, right, top and bottom mean nothing, and the picture decides "
            "nothing: the test looks at the order from left to right alone.",
            one=nouns.one,
            chosen=integer(chosen),
            others=integer(len(target) - chosen),
            many=nouns.many,
        )
        + crowd,
        table=Table((capital(nouns.many), say("Number"), say("First component"), say("Second component")), rows),
    )


class _Axis:
    """A linear scale that shows zero and every value."""

    def __init__(self, values: Sequence[float], low: float, high: float) -> None:
        self._least, self._most = min(*values, 0.0), max(*values, 0.0)
        room = _ROOM * (self._most - self._least) or 1.0
        self._from, self._span = self._least - room, self._most - self._least + 2 * room
        self._low, self._high = low, high

    def at(self, value: float) -> float:
        """Returns where on the page a value stands."""
        return self._low + (value - self._from) / self._span * (self._high - self._low)

    @property
    def ticks(self) -> list[float]:
        """The ends and zero; an end that is near zero is left out."""
        far = [end for end in (self._least, self._most) if abs(end) > 0.12 * self._span]
        return sorted({0.0, *far})


def _range(values: Sequence[float], say: Language) -> str:
    if not values:
        return say("none")
    low, high = (say.number(repr(end), 3) for end in (min(values), max(values)))
    return say("%(low)s to %(high)s", low=low, high=high)
