"""Exact limits of a share: Clopper-Pearson, two-sided and one-sided."""

from typing import NamedTuple, SupportsIndex

from scipy import special

from forensics.statistics.inputs import count, share


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


def clopper_pearson(k: SupportsIndex, n: SupportsIndex, confidence: float = 0.95) -> Interval:
    """Returns the exact two-sided interval of a share (Clopper and Pearson, Biometrika 26, 1934).

    Args:
        k: successes.
        n: trials, at least 1.
        confidence: between 0 and 1.

    Raises:
        ValueError: counts or confidence out of range.
    """
    half = (1.0 - float(share("confidence", confidence))) / 2.0
    return Interval(_lower(k, n, half), upper_limit(k, n, 1.0 - half))


def upper_limit(k: SupportsIndex, n: SupportsIndex, confidence: float = 0.99) -> float:
    """Returns the exact one-sided upper limit of a share; see `clopper_pearson`.

    With 0 of n it is close to 3/n at 95 %.
    """
    trials = count("n", n, 1)
    hits = count("k", k, 0, trials)
    level = float(share("confidence", confidence))
    return 1.0 if hits == trials else float(special.betaincinv(hits + 1, trials - hits, level))


def _lower(k: SupportsIndex, n: SupportsIndex, tail: float) -> float:
    trials = count("n", n, 1)
    hits = count("k", k, 0, trials)
    return 0.0 if hits == 0 else float(special.betaincinv(hits, trials - hits + 1, tail))
