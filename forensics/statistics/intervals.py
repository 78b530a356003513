"""Limits of a share (Clopper-Pearson) and of a mean of bounded values, two-sided and one-sided."""

import math
from typing import NamedTuple, SupportsIndex

from scipy import special

from forensics.statistics.inputs import count, share

_HALVINGS = 60


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


def bounded_mean(mean: float, n: SupportsIndex, confidence: float = 0.95) -> Interval:
    """Returns two-sided limits of the mean of n independent values between 0 and 1, whatever their laws.

    A mean m is outside where exp(-n KL(mean || m)) is below half of what the confidence leaves, KL being that of two
    Bernoulli laws (Hoeffding, JASA 58, 1963, theorem 1): valid, and wider than limits that know the law.

    Args:
        mean: observed, from 0 to 1.
        n: values, at least 1.
        confidence: between 0 and 1.

    Raises:
        ValueError: a value out of range.
    """
    half = (1.0 - float(share("confidence", confidence))) / 2.0
    low = 1.0 - bounded_mean_upper(1.0 - mean, n, 1.0 - half)
    return Interval(low, bounded_mean_upper(mean, n, 1.0 - half))


def bounded_mean_upper(mean: float, n: SupportsIndex, confidence: float = 0.99) -> float:
    """Returns the one-sided upper limit; see `bounded_mean`."""
    values = count("n", n, 1)
    observed = float(share("mean", mean, closed=True))
    limit = -math.log(1.0 - float(share("confidence", confidence))) / values
    low, high = observed, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        divergence = float(special.rel_entr(observed, middle) + special.rel_entr(1.0 - observed, 1.0 - middle))
        low, high = (middle, high) if divergence <= limit else (low, middle)
    return high
