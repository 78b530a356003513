"""Comparing recomputed with recorded values: whole numbers and texts exactly, reals to a stated tolerance."""

import math
import re
from collections.abc import Iterator
from typing import Any

from forensics.canonical import decimal

TOLERANCE = 1e-9
"""Largest relative difference of a recomputed real number; whole numbers are compared exactly."""

_REAL = re.compile(r"-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?")
_WHOLE = re.compile(r"-?[0-9]+")


class Comparison:
    """Collects what differs between recomputed and recorded values."""

    def __init__(self) -> None:
        self.count = 0
        self.differences: list[str] = []

    def value(self, name: str, ours: Any, recorded: Any, scale: float = 0.0) -> None:
        """Compares one value; decimal strings may differ by the tolerance, of their size or of a list's scale."""
        self.count += 1
        if ours != recorded and not _close(ours, recorded, scale):
            self.differences.append(f"{name} is recorded as {recorded} and recomputed as {ours}.")

    def tree(self, name: str, ours: Any, recorded: Any) -> None:
        """Compares two records field by field."""
        for path, mine, theirs, scale in _pairs(name, ours, recorded, 0.0):
            self.value(path, mine, theirs, scale)


def _pairs(name: str, ours: Any, recorded: Any, scale: float) -> Iterator[tuple[str, Any, Any, float]]:
    if isinstance(ours, dict) and isinstance(recorded, dict) and ours.keys() == recorded.keys():
        for key, value in ours.items():
            yield from _pairs(f"{name}{key} ", value, recorded[key], 0.0)
    elif isinstance(ours, list) and isinstance(recorded, list) and len(ours) == len(recorded):
        largest = max((abs(number) for number in map(_real, ours) if number is not None), default=0.0)
        for index, (mine, theirs) in enumerate(zip(ours, recorded)):
            yield from _pairs(f"{name}{index} ", mine, theirs, largest)
    else:
        yield name.strip(), ours, recorded, scale


def _close(ours: Any, recorded: Any, scale: float) -> bool:
    """Whether two decimal strings give the same real number; whole numbers must be equal to the digit.

    The recorded one must be the shortest that gives its number: a number has one form only.
    """
    mine, theirs = _real(ours), _real(recorded)
    if mine is None or theirs is None or recorded != decimal(theirs):
        return False
    return math.isclose(mine, theirs, rel_tol=TOLERANCE, abs_tol=TOLERANCE * scale)


def _real(text: Any) -> float | None:
    """A decimal string with a fraction or exponent as a finite number; None for anything else."""
    if not isinstance(text, str) or _WHOLE.fullmatch(text) or not _REAL.fullmatch(text):
        return None
    number = float(text)
    return number if math.isfinite(number) else None
