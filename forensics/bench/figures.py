"""Figures of the pages: p-values of marked and innocent models, attack by attack, as SVG of our own."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

Row = Mapping[str, Any]

_LEFT, _RIGHT, _TOP, _LINE, _WIDTH = 330, 24, 62, 26, 980
_COLOURS = {"features": "#1b6ca8", "scores": "#c2570c", "labels": "#3f7d20"}
_OFFSETS = {"features": -6.0, "scores": 0.0, "labels": 6.0}


@dataclass(frozen=True)
class Line:
    """One line of the plot.

    Attributes:
        label: of the attack.
        guilty: access -> log10 p of each marked model.
        innocent: access -> log10 p of each innocent one.
    """

    label: str
    guilty: Mapping[str, tuple[float, ...]]
    innocent: Mapping[str, tuple[float, ...]]


def survival_lines(rows: Iterable[Row]) -> list[Line]:
    """Returns a line for every suspect and attack that innocents went through as well, in the order of the rows.

    Method and suspect are named where there are several.
    """
    found: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        suspect = row["suspect"].removeprefix("un").removeprefix("marked ").partition(",")[0]
        found.setdefault((row["method"], suspect, row["attack"]), []).append(row)
    lines, alone = [], len({each[:2] for each in found}) == 1
    for (method, suspect, attack), group in found.items():
        guilty, innocent = (_by_access(group, innocent=innocent) for innocent in (False, True))
        shared = [access for access in guilty if access in innocent]
        if shared:
            marks = ({access: side[access] for access in shared} for side in (guilty, innocent))
            lines.append(Line(attack if alone else f"{method}, {suspect}: {attack}", *marks))
    return lines


def survival_svg(title: str, lines: Sequence[Line], names: Mapping[str, str], limit: float) -> str:
    """Returns a strip plot: a line an attack, a mark a key, log10 p to the right.

    Args:
        title: read out by screen readers.
        lines: at least one.
        names: access -> what it is called.
        limit: log10 of the largest p-value that supports a claim; drawn as a vertical line.
    """
    least = min(
        value for line in lines for values in (*line.guilty.values(), *line.innocent.values()) for value in values
    )
    end = 5 * -(min(least, limit) // 5)
    height = _TOP + _LINE * len(lines) + 46

    def across(value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * min(-value, end) / end

    bottom = _TOP + _LINE * len(lines)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        'font-family="DejaVu Sans, Arial, sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        *_legend(names),
    ]
    for power in range(0, int(end) + 1, 5):
        shown = f'10<tspan dy="-4" font-size="9">−{power}</tspan>' if power else "1"
        parts.append(
            f'<path d="M{across(-power):.1f} {_TOP - 8}V{bottom}" stroke="#dddddd"/>'
            f'<text x="{across(-power):.1f}" y="{bottom + 18}" text-anchor="middle" fill="#444444">{shown}</text>'
        )
    parts.append(
        f'<path d="M{across(limit):.1f} {_TOP - 8}V{bottom}" stroke="#222222" stroke-dasharray="4 3"/>'
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2:.1f}" y="{bottom + 38}" text-anchor="middle" fill="#444444">'
        "p-value of each key (to the right: smaller); dashed: the largest that supports a claim</text>"
    )
    for number, line in enumerate(lines):
        middle = _TOP + _LINE * number + _LINE / 2
        if number % 2:
            parts.append(
                f'<rect y="{middle - _LINE / 2:.1f}" width="{_WIDTH}" height="{_LINE}" fill="#000000" opacity="0.03"/>'
            )
        parts.append(
            f'<text x="{_LEFT - 12}" y="{middle + 4:.1f}" text-anchor="end" fill="#222222">{escape(line.label)}</text>'
        )
        for side, filled in ((line.innocent, False), (line.guilty, True)):
            for access, values in side.items():
                parts += [_mark(across(value), middle + _OFFSETS[access], access, filled) for value in sorted(values)]
    return "\n".join([*parts, "</svg>", ""])


def _by_access(rows: Iterable[Row], *, innocent: bool) -> dict[str, tuple[float, ...]]:
    found: dict[str, list[float]] = {}
    for row in rows:
        if row["innocent"] == innocent:
            found.setdefault(row["access"], []).append(row["log10_p"])
    return {access: tuple(values) for access, values in found.items()}


def _legend(names: Mapping[str, str]) -> list[str]:
    parts, place = [], _LEFT
    for access, name in names.items():
        parts.append(_mark(place, 20, access, True))
        parts.append(f'<text x="{place + 10}" y="24" fill="#222222">{escape(name)}</text>')
        place += 40 + 7 * len(name)
    parts.append(_mark(place, 20, "features", False))
    parts.append(f'<text x="{place + 10}" y="24" fill="#222222">hollow: never marked, same attack</text>')
    return parts


def _mark(x: float, y: float, access: str, filled: bool) -> str:
    """A circle, triangle or square, so that colour is not needed to tell them apart."""
    colour = _COLOURS[access]
    shapes = {
        "features": f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"',
        "scores": f'<path d="M{x:.1f} {y - 4.5:.1f}l4.5 8h-9z"',
        "labels": f'<rect x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7"',
    }
    style = f'fill="{colour}" fill-opacity="0.75"' if filled else f'fill="#ffffff" stroke="{colour}"'
    return f"{shapes[access]} {style}/>"
