"""What every test returns, in the manner of `scipy.stats`, and the floor under every p-value."""

import math
from dataclasses import dataclass, field
from fractions import Fraction

FLOOR = 2.0**-128
"""No p-value is given below this: the secrets hold no more than about that much security."""

LN10 = math.log(10.0)


@dataclass(frozen=True)
class Result:
    """The outcome of one test.

    Attributes:
        statistic: what was observed.
        pvalue: P(statistic at least as large | null), rounded once to a float; never below `FLOOR`.
        log10_p: base-10 logarithm of the p-value without the floor, computed without underflow.
        n: how many units the key randomised (bits, items, families, blocks).
        alternative: `greater`, or `two-sided` where the test says so.
        null: the null hypothesis in words.
        method: how the p-value was computed, in words.
        exact: the p-value as a ratio of whole numbers, where it was computed so; None elsewhere.
        bound: whether the p-value is an upper bound of the exact one (which is valid, but conservative).
        deciding: whether the test may decide; published statistics may not.
    """

    statistic: float
    pvalue: float
    log10_p: float
    n: int
    alternative: str
    null: str
    method: str
    exact: Fraction | None = field(default=None, repr=False)
    bound: bool = False
    deciding: bool = True


def floored(p: float) -> float:
    """Returns a p-value brought into [`FLOOR`, 1]; the only place where the floor is applied."""
    return min(1.0, max(FLOOR, p))


def from_ratio(p: Fraction) -> tuple[float, float]:
    """Returns the p-value (floored) and its base-10 logarithm (not floored) of an exact ratio, 0 < p <= 1."""
    return floored(float(p)), min(0.0, log10_ratio(p))


def from_log(log_p: float) -> tuple[float, float]:
    """Returns the p-value (floored) and its base-10 logarithm (not floored) of a natural logarithm."""
    return floored(math.exp(min(0.0, log_p))), min(0.0, log_p / LN10)


def log10_ratio(p: Fraction) -> float:
    """Returns the base-10 logarithm of a positive ratio of any size."""
    number = float(p)
    if number > 1e-300:
        return math.log10(number)
    return math.log10(p.numerator) - math.log10(p.denominator)
