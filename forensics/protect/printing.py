"""The manners in which services print a list of numbers, told from the list by printing it again."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial

import numpy as np
from numpy.typing import NDArray

from forensics.records import FloatArray

_FIXED_LEAST = 32
"""A shorter vector is never taken for one of a fixed number of decimals or digits."""

_FIXED_SHARE = 0.8
"""Share of numbers with equally many decimals from which on the number of decimals counts as fixed: one in ten ends
in a zero that is left out."""

_SAMPLE = 64
"""Numbers that are looked at first."""

_FULL = (8, 9, 17)
"""Most digits of shortest decimals: eight or nine of a float32, 17 of a double; others are a number that was chosen."""

_EXPONENT = re.compile(r"[eE]([+-]?)0*([0-9]+)$")
_ODD = re.compile(r"e|^-?0\.000|\.0$")

Print = Callable[[NDArray[np.float32]], list[str]]


@dataclass(frozen=True)
class Layout:
    """Where a printer turns to exponents, and how it writes them.

    Attributes:
        low: least power of ten that is written without exponent.
        letter: `e` or `E`.
        width: fewest digits of an exponent.
        bare: whether whole numbers stand without `.0`.
    """

    low: int = -4
    letter: str = "e"
    width: int = 2
    bare: bool = False

    def write(self, words: list[str]) -> list[str]:
        """Returns numbers as Python's `repr` prints them in this layout."""
        if self == Layout():
            return words
        return [self._write(word) if _ODD.search(word) else word for word in words]

    def _write(self, word: str) -> str:
        number = Decimal(word)
        power = number.adjusted()
        whole = "" if self.bare else ".0"
        if not number:
            return ("-0" if number.is_signed() else "0") + whole
        if self.low <= power < 16:
            shown = format(number, "f")
            shown = shown.rstrip("0").rstrip(".") if "." in shown else shown
            return shown if "." in shown else shown + whole
        mantissa = format(number.scaleb(-power).normalize(), "f")
        return f"{mantissa}{self.letter}{'-' if power < 0 else ''}{abs(power):0{self.width}d}"


@dataclass(frozen=True)
class Manner:
    """One way to print.

    Attributes:
        own: the list's own numbers printed in this way.
        show: prints other values, float32 (d,).
    """

    own: list[str]
    show: Print


def quick_manner(words: Sequence[str], values: FloatArray) -> Print | None:
    """Returns how a list is printed where its first numbers tell one of the two common manners, else None.

    Args:
        words: the numbers as they stand, without blanks.
        values: the same numbers, float64 (d,).
    """
    first, rounded = list(words[:_SAMPLE]), values.astype(np.float32)
    if np.array_equal(rounded.astype(np.float64), values):
        usual = _layout(words, Layout())
        shown = usual.write(list(map(repr, values[:_SAMPLE].tolist())))
        return (lambda new: usual.write(list(map(repr, new.tolist())))) if shown == first else None
    short = _layout(words, Layout(low=-6, width=1))
    if short.write(_shortest(rounded[:_SAMPLE])) != first or not any(_digits(word) in (8, 9) for word in first):
        return None
    places = list(map(_places, first))
    if max(map(places.count, set(places))) >= _FIXED_SHARE * len(places):
        return None
    return lambda new: short.write(_shortest(new))


def best_manner(words: Sequence[str], values: FloatArray) -> tuple[Manner, bool]:
    """Returns the manner that prints a list as it stands, or else the one that comes nearest, and whether it is exact.

    Args:
        words: the numbers as they stand, without blanks.
        values: the same numbers, float64 (d,).
    """
    best, most = None, -1
    for manner in _manners(words, values):
        same = sum(map(str.__eq__, manner.own, words))
        if same == len(words):
            return manner, True
        if same > most:
            best, most = manner, same
    if best is None:
        raise RuntimeError("there is always a manner")
    return best, False


def _manners(words: Sequence[str], values: FloatArray) -> Iterator[Manner]:
    rounded = values.astype(np.float32)
    narrow = bool(np.array_equal(rounded.astype(np.float64), values))
    plain = list(map(repr, values.tolist()))
    # The common manners first, since the rest takes several times as long to tell.
    if plain == words and (narrow or len(words) < _FIXED_LEAST or any(_digits(word) == max(_FULL) for word in words)):
        yield Manner(
            plain, (lambda new: list(map(repr, new.tolist()))) if narrow else partial(_doubles, values, rounded)
        )
    if narrow:
        usual = _layout(words, Layout())
        yield Manner(usual.write(plain), lambda new: usual.write(list(map(repr, new.tolist()))))
    short = _layout(words, Layout(low=-6, width=1))
    shortest = Manner(short.write(_shortest(rounded)), lambda new: short.write(_shortest(new)))
    if shortest.own == words and any(_digits(word) == 9 for word in words):
        yield shortest
    usual = _layout(words, Layout())
    digits = max(map(_digits, words))
    chosen = len(words) >= _FIXED_LEAST and digits not in _FULL
    yield from _fixed_places(words, values)
    if chosen:
        yield from _fixed_digits(words, values, digits)
    if digits <= 9:
        yield shortest
    if not chosen:
        yield from _fixed_digits(words, values, digits)
    yield Manner(usual.write(plain), lambda new: usual.write(_doubles(values, rounded, new)))


def _fixed_places(words: Sequence[str], values: FloatArray) -> Iterator[Manner]:
    """Decimals rounded to a fixed place, with zeros at the end or without."""
    if len(words) < _FIXED_LEAST:
        return
    first = list(map(_places, words[:_SAMPLE]))
    if 2 * max(map(first.count, set(first))) < len(first):
        return
    places = list(map(_places, words))
    most = max(places)
    if not 0 < most <= 12 or places.count(most) < _FIXED_SHARE * len(places):
        return
    padded = all(place == most for place in places)
    layout = _layout(words, Layout())

    def show(new: Sequence[float]) -> list[str]:
        if padded:
            return [f"{value:.{most}f}" for value in new]
        return layout.write([repr(round(value, most)) for value in new])

    yield Manner(show(values.tolist()), lambda new: show(new.tolist()))


def _fixed_digits(words: Sequence[str], values: FloatArray, digits: int) -> Iterator[Manner]:
    """A fixed number of digits, as C prints with `%.9g` and `%.8e`."""
    scientific = [word for word in words if "e" in word.lower()]
    letter = "E" if any("E" in word for word in scientific) else "e"
    shapes = [f"%.{min(digits, 17)}g"]
    if 2 * len(scientific) > len(words):
        decimals = max(len(re.split("[eE]", word)[0].partition(".")[2]) for word in scientific)
        shapes.insert(0, f"%.{min(decimals, 17)}e")
    short = any(len(found[2]) == 1 and word.endswith(f"-{found[2]}") for word, found in _exponents(scientific))

    def show(shape: str, new: Sequence[float]) -> list[str]:
        shown = [shape % value for value in new]
        if short:
            shown = [_EXPONENT.sub(lambda found: f"e{found[1].strip('+')}{found[2]}", word) for word in shown]
        return [word.upper() for word in shown] if letter == "E" else shown

    for shape in shapes:
        yield Manner(show(shape, values.tolist()), lambda new, shape=shape: show(shape, new.tolist()))  # type: ignore[misc]


def _exponents(words: Sequence[str]) -> list[tuple[str, re.Match[str]]]:
    found = ((word, _EXPONENT.search(word)) for word in words)
    return [(word, match) for word, match in found if match is not None]


def _layout(words: Sequence[str], usual: Layout) -> Layout:
    """Returns the layout that a list shows, and the usual one in what it does not show."""
    found, joined = usual, " ".join(words)
    powers = "e" in joined or "E" in joined
    if not powers and "0.000" not in joined and joined.count(".") == len(words):
        return usual
    scientific = [word for word in words if "e" in word.lower()] if powers else []
    negative = [word for word in scientific if "-" in word.lower().partition("e")[2]]
    small = [word for word in words if word.lstrip("-").startswith("0.000") and word not in scientific]
    highest = max((Decimal(word).adjusted() for word in negative), default=-400)
    lowest = min((number.adjusted() for number in map(Decimal, small) if number), default=0)
    lows = [low for low in (usual.low, -4, -5, -6, -3, -7, -8, -400) if highest < low <= lowest]
    if lows and lows[0] != usual.low:
        found = replace(found, low=lows[0])
    if scientific:
        widths = [len(word) - max(map(word.rfind, "eE+-")) - 1 for word in scientific]
        found = replace(found, width=min(widths), letter="E" if "E" in scientific[0] else "e")
    if any(word.lstrip("-").isdigit() for word in words):
        found = replace(found, bare=True)
    return found


def _places(word: str) -> int:
    """Returns the place of a number's last digit behind the point."""
    mantissa, _, exponent = word.lower().partition("e")
    return len(mantissa.partition(".")[2]) - int(exponent or 0)


def _digits(word: str) -> int:
    mantissa = word.lower().partition("e")[0].lstrip("-").replace(".", "")
    return len(mantissa.strip("0")) or 1


def _shortest(vector: NDArray[np.float32]) -> list[str]:
    """Shortest decimals of float32 values; a value whose decimals read back otherwise is printed as a double."""
    words: list[str] = vector.astype("U32").tolist()
    exact = np.array([float(word) for word in words]).astype(np.float32) == vector
    for index in np.flatnonzero(~exact).tolist():
        words[index] = repr(float(vector[index]))
    return words


def _doubles(values: FloatArray, rounded: NDArray[np.float32], new: NDArray[np.float32]) -> list[str]:
    """Doubles of full length that read back as float32 values.

    The last bits of each double are kept, counted in steps of its float32, so that they look like the service's own.
    """
    with np.errstate(over="ignore"):
        steps = (values - rounded) / np.abs(np.spacing(rounded)).astype(np.float64)
        doubles = new + steps * np.abs(np.spacing(new)).astype(np.float64)
        exact = doubles.astype(np.float32) == new
    return list(map(repr, np.where(exact, doubles, new.astype(np.float64)).tolist()))
