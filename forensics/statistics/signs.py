"""Soft test of uniform bits: the sum of b_i W_i against random signs."""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize

from forensics.statistics.inputs import FloatArray, numbers, zero_one
from forensics.statistics.result import Result, from_log

TIE = 1e-9
"""Scores nearer to zero than this carry no sign; they add nothing to the sum."""

_SLACK = 1e-9
"""Added to the logarithm of a bound, far more than its rounding error, so that it stays a bound."""


def signs_test(scores: ArrayLike, bits: ArrayLike) -> Result:
    """Tests sum b_i W_i, b = 2 bit - 1, by a Chernoff bound with the exact moment generating function (ours).

    For bits drawn uniformly and apart from W, P(sum b_i W_i >= t) <= inf over l > 0 of exp(-l t) prod
    cosh(l W_i). The p-value is that bound: valid, and larger than the exact one. Scores that are all equal
    say nothing about single bits and give p = 1.

    Args:
        scores: (n,) arm-blind weights W, finite; missing ones filled with 0.
        bits: (n,) what the key drew, 0 or 1.

    Raises:
        ValueError: NaN, infinity or shapes that do not agree.
    """
    weights = numbers("scores", scores)
    signs = 2 * zero_one("bits", bits, len(weights)) - 1
    size = np.where(np.abs(weights) < TIE, 0.0, np.abs(weights))
    statistic = float(np.sum(signs * np.sign(weights) * size))
    constant = len(weights) > 1 and bool(np.ptp(weights) < TIE)
    log_p = 0.0 if constant or statistic <= 0.0 else _bound(size, float(size[signs * weights < 0.0].sum()))
    pvalue, log10_p = from_log(log_p)
    return Result(
        statistic=statistic,
        pvalue=pvalue,
        log10_p=log10_p,
        n=len(weights),
        alternative="greater",
        null="the payload bits are uniform and independent of the weights",
        method="Chernoff bound with the exact moment generating function of random signs",
        bound=True,
    )


def _bound(size: FloatArray, against: float) -> float:
    """log of the bound; with t = sum |W| - 2 against it is sum log((1 + exp(-2 l |W|)) / 2) + 2 l against."""
    scaled, missed = size / size.max(), against / float(size.max())

    def log_bound(log_rate: float) -> float:
        rate = math.exp(log_rate)
        return float(np.sum(np.log1p(np.exp(-2.0 * rate * scaled)) - math.log(2.0)) + 2.0 * rate * missed)

    best = optimize.minimize_scalar(log_bound, bounds=(-14.0, 12.0), method="bounded", options={"xatol": 1e-8})
    return min(0.0, float(best.fun) + _SLACK)
