"""Tests of a uniform subset: do the items that the key chose score higher than the rest of the pool?"""

import math
from fractions import Fraction
from typing import SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize

from forensics.statistics.inputs import FloatArray, IntArray, count, numbers, zero_one
from forensics.statistics.result import Result, from_log, from_ratio

_WORK = 1 << 39
"""Most binary digits that an exact run may touch (tens of seconds); beyond, the scores must be coarser."""

_SLACK = 1e-9
"""Added to the logarithm of a bound, far more than its rounding error, so that it stays a bound."""

_NULL = "the chosen items are a uniformly drawn subset of the pool, independent of the scores"


def midranks(values: ArrayLike) -> IntArray:
    """Returns doubled mid-ranks: whole numbers, equal for ties; a missing value (NaN) gets the middle rank.

    Args:
        values: (N,) arm-blind item scores.

    Returns:
        (N,) int64; 2, 4, ..., 2N without ties.

    Raises:
        ValueError: not a vector of numbers.
    """
    scores = numbers("scores", values, missing=True)
    present = ~np.isnan(scores)
    ranks = np.full(len(scores), present.sum() + 1, dtype=np.int64)
    _, group, size = np.unique(scores[present], return_inverse=True, return_counts=True)
    ranks[present] = (2 * np.cumsum(size) - size + 1)[group]
    return ranks


def quantised(values: ArrayLike, bits: SupportsIndex = 12) -> IntArray:
    """Returns scores rounded to whole steps of their range; a missing value (NaN) gets the pool's median.

    Args:
        values: (N,) arm-blind item scores, finite or NaN.
        bits: the range is cut into 2**bits - 1 steps; 1 to 16.

    Returns:
        (N,) int64 from 0 to 2**bits - 1; all 0 where the scores are constant.

    Raises:
        ValueError: not a vector of numbers, or infinite.
    """
    steps = (1 << count("bits", bits, 1, 16)) - 1
    scores = numbers("scores", values, missing=True)
    present = scores[~np.isnan(scores)]
    if not np.isfinite(present).all():
        raise ValueError("invalid scores: a value is infinite")
    if present.size == 0 or np.ptp(present) == 0.0:
        return np.zeros(len(scores), dtype=np.int64)
    filled = np.where(np.isnan(scores), np.median(present), scores)
    return np.asarray(np.rint((filled - present.min()) / np.ptp(present) * steps), dtype=np.int64)


def subset_test(scores: ArrayLike, selected: ArrayLike, two_sided: bool = False) -> Result:
    """Tests the sum T of the chosen items' scores against all subsets of that size, exactly (ours).

    Every subset of K of the N items is equally likely under the null. Their sums are counted by dynamic
    programming in whole numbers; ties count against the claim.

    Args:
        scores: (N,) arm-blind whole numbers, such as `midranks` or `quantised`.
        selected: (N,) 1 (or True) where the key chose the item.
        two_sided: test |T - E T| instead, for scores whose sign is arbitrary; the claim must say so.

    Raises:
        ValueError: scores that are not whole or too wide for an exact run, or shapes that do not agree.
    """
    whole = _whole(scores)
    chosen = zero_one("selected", selected, len(whole))
    n, k = len(whole), int(chosen.sum())
    statistic = sum(s for s, c in zip(whole, chosen.tolist()) if c)
    # The smaller arm is counted, in steps down from the best value that it could have for the claim.
    small = min(k, n - k)
    steps = [max(whole) - s for s in whole] if k == small else [s - min(whole) for s in whole]
    observed = sum(y for y, c in zip(steps, chosen.tolist()) if c == (k == small))
    unit = math.gcd(*steps) or 1
    steps, observed = [y // unit for y in steps], observed // unit
    centre = small * sum(steps)
    deviation = abs(n * observed - centre)
    limit = (centre + deviation) // n if two_sided else observed
    counts = _sums(steps, small, limit)
    if two_sided:
        total = math.comb(n, small)
        inside = sum(number for y, number in enumerate(counts) if abs(n * y - centre) < deviation)
        exact = Fraction(total - inside, total)
    else:
        exact = Fraction(sum(counts[: observed + 1]), math.comb(n, small))
    pvalue, log10_p = from_ratio(exact)
    return Result(
        statistic=abs(statistic - k * sum(whole) / n) if two_sided else float(statistic),
        pvalue=pvalue,
        log10_p=log10_p,
        n=n,
        alternative="two-sided" if two_sided else "greater",
        null=_NULL,
        method="exact count of all subsets by dynamic programming",
        exact=exact,
    )


def subset_bound(scores: ArrayLike, selected: ArrayLike) -> Result:
    """Tests the sum T of the chosen items' real scores: p is at most inf e_K(e^{l s}) / (C(N, K) e^{l T}).

    e_K is the elementary symmetric polynomial, so the moment generating function is that of the uniform
    subset itself. The p-value is a bound: valid, and larger than the exact one (ours).

    Args:
        scores: (N,) arm-blind real numbers, finite.
        selected: (N,) 1 (or True) where the key chose the item.

    Raises:
        ValueError: NaN, infinity or shapes that do not agree.
    """
    values = numbers("scores", scores)
    chosen = zero_one("selected", selected, len(values)).astype(bool)
    k, width = int(chosen.sum()), float(np.ptp(values))
    trivial = k in (0, len(values)) or width == 0.0 or values[chosen].mean() <= values.mean()
    log_p = 0.0 if trivial else _bound((values - values.max()) / width, chosen)
    pvalue, log10_p = from_log(log_p)
    return Result(
        statistic=float(values[chosen].sum()),
        pvalue=pvalue,
        log10_p=log10_p,
        n=len(values),
        alternative="greater",
        null=_NULL,
        method="Chernoff bound with the exact moment generating function of a uniform subset",
        bound=True,
    )


def _whole(scores: ArrayLike) -> list[int]:
    values = numbers("scores", scores)
    if (values != np.rint(values)).any() or (np.abs(values) > 2.0**53).any():
        raise ValueError("invalid scores: the exact test needs whole numbers; use midranks, quantised or subset_bound")
    return [int(value) for value in values]


def _sums(steps: list[int], chosen: int, limit: int) -> list[int]:
    """Counts the subsets of `chosen` steps by their sum, for the sums 0 to `limit`.

    A row of counts is one large whole number (Kronecker substitution): each count has its own slot of digits,
    shifting by a slot adds one to every sum, and one addition merges two rows without rounding.
    """
    slot = (math.comb(len(steps), chosen).bit_length() + 7) // 8
    size = 8 * slot * (limit + 1)
    if size * chosen * len(steps) > _WORK:
        raise ValueError("invalid scores: their range is too wide for an exact count; use midranks or subset_bound")
    mask = (1 << size) - 1
    rows = [1] + [0] * chosen
    for done, step in enumerate(sorted(steps), start=1):
        for k in range(min(done, chosen), max(1, chosen - len(steps) + done) - 1, -1):
            rows[k] += rows[k - 1] << (8 * slot * step) if step <= limit else 0
            if rows[k].bit_length() > size:
                rows[k] &= mask
    raw = rows[chosen].to_bytes(slot * (limit + 1), "little")
    return [int.from_bytes(raw[at : at + slot], "little") for at in range(0, len(raw), slot)]


def _bound(values: FloatArray, chosen: NDArray[np.bool_]) -> float:
    k, observed = int(chosen.sum()), float(values[chosen].sum())
    log_subsets = _log_elementary(np.zeros(len(values)), k)

    def log_bound(log_rate: float) -> float:
        rate = math.exp(log_rate)
        return _log_elementary(rate * values, k) - rate * observed - log_subsets

    best = optimize.minimize_scalar(log_bound, bounds=(-9.0, 9.0), method="bounded", options={"xatol": 1e-6})
    return min(0.0, float(best.fun) + _SLACK)


def _log_elementary(logs: FloatArray, k: int) -> float:
    """Returns log e_k(exp(logs)), the sum over all k-subsets of the products."""
    row = np.full(k + 1, -np.inf)
    row[0] = 0.0
    for value in logs:
        row[1:] = np.logaddexp(row[1:], row[:-1] + value)
    return float(row[k])
