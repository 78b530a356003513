"""The area under the curve of chosen items against the rest of a pool: value, limits, and the power of its test."""

import math
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from forensics.statistics.inputs import Share, count, share, zero_one
from forensics.statistics.intervals import Interval
from forensics.statistics.subset import midranks

MOST_ITEMS = 1200
"""Most items for which the null distribution of a rank sum is counted."""

_WORK = 1 << 25
"""Most additions that such a count may take (seconds)."""

MOST_PLANNED = 1200
"""Largest pool that `subset_size` looks at."""


class Auc(NamedTuple):
    """The share of pairs (chosen item, other item) in which the chosen one scores higher; a tie counts half.

    Attributes:
        value: the area, 1/2 by chance.
        chosen: m, how many items were chosen.
        others: n, how many were not.
    """

    value: float
    chosen: int
    others: int

    def confidence_interval(self, confidence: float = 0.95) -> Interval:
        """Returns a conservative two-sided interval.

        Of all pairs of distributions with the same AUC, that of a share of min(m, n) trials spreads most: the variance
        of an AUC is at most A (1 - A) / min(m, n) (D. van Dantzig 1951; Birnbaum and Klose, Annals of Mathematical
        Statistics 28, 1957). So the interval of Clopper and Pearson of such a share is used.

        Raises:
            ValueError: a confidence out of range.
        """
        half = (1.0 - float(share("confidence", confidence))) / 2.0
        trials = min(self.chosen, self.others)
        hits = self.value * trials
        low = 0.0 if self.value <= 0.0 else float(special.betaincinv(hits, trials - hits + 1.0, half))
        return Interval(low, self.upper_limit(1.0 - half))

    def upper_limit(self, confidence: float = 0.99) -> float:
        """Returns the one-sided upper limit in the manner of `confidence_interval`."""
        level, trials = float(share("confidence", confidence)), min(self.chosen, self.others)
        hits = self.value * trials
        return 1.0 if self.value >= 1.0 else float(special.betaincinv(hits + 1.0, trials - hits, level))


def auc(scores: ArrayLike, selected: ArrayLike) -> Auc:
    """Returns the AUC of the chosen items' scores against the others'.

    Args:
        scores: (N,) item scores; a missing one (NaN) ties with every other.
        selected: (N,) 1 (or True) where the key chose the item; at least one chosen and one not.

    Raises:
        ValueError: shapes that do not agree, or an empty side.
    """
    ranks = midranks(scores)
    chosen = zero_one("selected", selected, len(ranks)).astype(bool)
    # Leaving the missing ones out of the ranking lowers every rank by as many half steps as there are of them.
    gone = int(np.isnan(np.asarray(scores, dtype=np.float64)).sum())
    return auc_of_rank_sum(int(ranks[chosen].sum()) + gone * int(chosen.sum()), len(ranks), int(chosen.sum()))


def most_doubled(doubled: SupportsIndex, items: SupportsIndex, chosen: SupportsIndex, missing: SupportsIndex) -> int:
    """Returns the largest doubled rank sum that could have been seen had the missing items been answered.

    A pair with a missing item counts half; at most min(missing, K) chosen ones win all theirs.

    Args:
        doubled: T, with each missing item at the pool's mid-rank.
        items: N.
        chosen: K.
        missing: how many of the N items have no score.
    """
    n, k = int(items), int(chosen)
    return min(int(doubled) + min(int(missing), k) * (n - k), k * (k + 1) + 2 * k * (n - k))


def auc_of_rank_sum(doubled: SupportsIndex, items: SupportsIndex, chosen: SupportsIndex) -> Auc:
    """Returns the AUC that belongs to a sum of doubled mid-ranks (2, 4, ..., 2N without ties).

    Args:
        doubled: T, the sum over the chosen items.
        items: N, the size of the pool.
        chosen: K.

    Raises:
        ValueError: a count out of range, or a sum that no K of N ranks have.
    """
    n = count("items", items, 2)
    k = count("chosen", chosen, 1, n - 1)
    least = k * (k + 1)
    total = count("doubled rank sum", doubled, least, least + 2 * k * (n - k))
    return Auc((total - least) / (2 * k * (n - k)), k, n - k)


def critical_rank_sum(items: SupportsIndex, chosen: SupportsIndex, alpha: Share) -> int:
    """Returns the fewest pairs won, U, with P(U or more | null) <= alpha, without ties; K (N - K) + 1 if none is.

    U is the number of pairs (chosen, other) in which the chosen item scores higher; the AUC is U / (K (N - K)).
    Subsets are counted in whole numbers.

    Raises:
        ValueError: a value out of range.
    """
    n = count("items", items, 2, MOST_ITEMS)
    k = min(count("chosen", chosen, 1, n - 1), n - int(chosen))
    if k * k * (n - k) > _WORK:
        raise ValueError(f"invalid chosen: {chosen} of {n} items are too many to count all subsets")
    return _critical(n, k, share("alpha", alpha))


def power_subset(items: SupportsIndex, chosen: SupportsIndex, effect: Share, alpha: Share) -> float:
    """Returns the approximate chance that a true AUC of `effect` reaches p <= alpha in the test of a rank sum.

    The critical value is exact (no ties); the chance of reaching it is a normal approximation with the variance of
    Hanley and McNeil (Radiology 143, 1982), which assumes scores that do not depend on one another.

    Args:
        items: N, the size of the pool.
        chosen: K, how many of them the key draws.
        effect: true AUC, from 0 to 1.
        alpha: level of the test.

    Raises:
        ValueError: a value out of range.
    """
    needed = critical_rank_sum(items, chosen, alpha)
    pairs = int(chosen) * (int(items) - int(chosen))
    return 0.0 if needed > pairs else _reaching((needed - 0.5) / pairs, int(items), int(chosen), effect)


def subset_size(
    items: SupportsIndex, chosen: SupportsIndex, effect: Share, alpha: Share, power: Share
) -> tuple[int, int]:
    """Returns the smallest pool, with the same share of chosen items, that reaches p <= alpha with this power.

    Approximate as `power_subset` is.

    Args:
        items: N of the pool whose proportion K : N is kept.
        chosen: K.

    Returns:
        N and K.

    Raises:
        ValueError: a value out of range, or more than `MOST_PLANNED` items needed.
    """
    n = count("items", items, 2)
    k = count("chosen", chosen, 1, n - 1)
    wanted, unit = float(share("power", power)), math.gcd(n, k)
    n, k = n // unit, k // unit
    most = MOST_PLANNED // n
    # The normal approximation of the critical value, which costs nothing, says where to look.
    at = next((each for each in range(1, most + 1) if _power(each * n, each * k, effect, alpha) >= wanted), most + 1)
    while 1 < at <= most and power_subset((at - 1) * n, (at - 1) * k, effect, alpha) >= wanted:
        at -= 1
    while at <= most and power_subset(at * n, at * k, effect, alpha) < wanted:
        at += 1
    if at > most:
        raise ValueError(f"invalid effect: {effect!r} needs more than {MOST_PLANNED} items")
    return at * n, at * k


def _reaching(level: float, items: int, chosen: int, effect: Share) -> float:
    """P(AUC >= level), normal, with the variance of Hanley and McNeil (1982, eq. 1 and the exponential Q1 and Q2)."""
    a, m, n = float(share("effect", effect, closed=True)), chosen, items - chosen
    both, either = a / (2.0 - a), 2.0 * a * a / (1.0 + a)
    variance = (a * (1.0 - a) + (m - 1) * (both - a * a) + (n - 1) * (either - a * a)) / (m * n)
    return float(special.ndtr((a - level) / math.sqrt(variance))) if variance > 0.0 else float(a > level)


def _power(items: int, chosen: int, effect: Share, alpha: Share) -> float:
    """`power_subset` with a normal approximation of the critical value."""
    spread = math.sqrt((items + 1) / (12.0 * chosen * (items - chosen)))
    return _reaching(0.5 - float(special.ndtri(float(share("alpha", alpha)))) * spread, items, chosen, effect)


@lru_cache(maxsize=64)
def _critical(n: int, k: int, alpha: Fraction) -> int:
    """Goes down from the largest U, whose counts are those of the smallest U by symmetry."""
    allowed, tail = math.floor(math.comb(n, k) * alpha), 0
    for lost, number in enumerate(_pairs_won(n, k)):
        tail += number
        if tail > allowed:
            return k * (n - k) - lost + 1
    raise ValueError("invalid alpha: every rank sum reaches it")


def _pairs_won(n: int, k: int) -> list[int]:
    """Counts the K-subsets of N ranks by U: the coefficients of the Gaussian binomial, which are symmetric."""
    pairs = k * (n - k)
    row = [1] + [0] * (pairs // 2)
    for factor in range(n - k + 1, n + 1):
        for at in range(len(row) - 1, factor - 1, -1):
            row[at] -= row[at - factor]
    for factor in range(1, k + 1):
        for at in range(factor, len(row)):
            row[at] += row[at - factor]
    return row + row[: pairs + 1 - len(row)][::-1]
