"""Planning: critical values, power and sample size of the binomial tests; power of the test of ranks."""

from typing import SupportsIndex

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special

from forensics.statistics.inputs import FloatArray, IntArray, Share, count, share

MOST = 1 << 17
"""Largest sample size that `sample_size` looks at."""


def critical_value(n: SupportsIndex, alpha: Share, p0: Share = 0.5) -> int:
    """Returns the fewest matches k with P(Binomial(n, p0) >= k) <= alpha; n + 1 where none is enough.

    Raises:
        ValueError: a value out of range.
    """
    return int(_critical(np.array([count("n", n, 1)]), float(share("alpha", alpha)), float(share("p0", p0)))[0])


def power_binomial(n: SupportsIndex, effect: Share, alpha: Share, p0: Share = 0.5) -> float:
    """Returns the chance that n units with hit rate `effect` reach p <= alpha.

    Args:
        n: units, at least 1.
        effect: true hit rate, from 0 to 1.
        alpha: level of the test.
        p0: hit rate under the null.

    Raises:
        ValueError: a value out of range.
    """
    needed = np.array([critical_value(n, alpha, p0)])
    return float(_tail(needed, np.array([count("n", n, 1)]), float(share("effect", effect, closed=True)))[0])


def power_ranks(families: SupportsIndex, classes: SupportsIndex, effect: Share, alpha: Share) -> float:
    """Returns the chance that the sum of L ranks reaches p <= alpha where the mean rank is `effect` of the largest.

    The alternative is the law on 0 .. C - 1 with that mean which is closest to the uniform one (exponential tilting);
    the sums of both are convolutions.

    Args:
        families: L, at least 1.
        classes: C, at least 2.
        effect: true mean rank as a share of C - 1, between 0 and 1.
        alpha: level of the test.

    Raises:
        ValueError: a value out of range.
    """
    count_l, count_c = count("families", families, 1), count("classes", classes, 2)
    rate, level = float(share("effect", effect)), float(share("alpha", alpha))
    ranks = np.arange(count_c)

    def tilted(slope: float) -> FloatArray:
        weights = np.exp(slope * (ranks - ranks[-1] * (slope > 0)))
        return np.asarray(weights / weights.sum())

    slope = optimize.brentq(lambda slope: float(tilted(slope) @ ranks) / ranks[-1] - rate, -60.0, 60.0)
    null, alternative = (_convolved(law, count_l) for law in (tilted(0.0), tilted(slope)))
    tails = np.cumsum(null[::-1])[::-1]
    reached = np.flatnonzero(tails <= level * (1.0 + 1e-12))
    return float(alternative[reached[0] :].sum()) if len(reached) else 0.0


def sample_size(effect: Share, alpha: Share, power: Share, p0: Share = 0.5) -> int:
    """Returns the smallest n that reaches p <= alpha with at least this power.

    Power is no smooth function of n: a slightly larger n may fall just below it again.

    Raises:
        ValueError: a value out of range, an effect not above chance, or more than 2**17 units needed.
    """
    rate, chance = share("effect", effect, closed=True), share("p0", p0)
    level, wanted = float(share("alpha", alpha)), float(share("power", power))
    if rate <= chance:
        raise ValueError(f"invalid effect: {effect!r} does not exceed the chance {p0!r}")
    first, last = 1, 256
    while first <= MOST:
        n = np.arange(first, last + 1)
        enough = _tail(_critical(n, level, float(chance)), n, float(rate)) >= wanted
        if enough.any():
            return int(n[np.argmax(enough)])
        first, last = last + 1, 2 * last
    raise ValueError(f"invalid effect: {effect!r} needs more than {MOST} units")


def _convolved(law: FloatArray, times: int) -> FloatArray:
    """The law of the sum of `times` independent values with that law on 0, 1, ..."""
    total = np.ones(1)
    for _ in range(times):
        total = np.convolve(total, law)
    return total


def _critical(n: IntArray, alpha: float, p0: float) -> IntArray:
    low, high = np.zeros_like(n), n + 1
    while (high - low > 1).any():
        middle = (low + high) // 2
        # The tolerance lets a tail that equals alpha exactly (6 of 6 at one in ten) reach it in floats too.
        passed = _tail(middle, n, p0) <= alpha * (1.0 + 1e-12)
        high, low = np.where(passed, middle, high), np.where(passed, low, middle)
    return high


def _tail(k: ArrayLike, n: IntArray, p: float) -> FloatArray:
    """P(Binomial(n, p) >= k), elementwise; 1 for k <= 0 and 0 for k > n."""
    hits = np.asarray(k)
    inside = special.betainc(np.clip(hits, 1, n), n - np.clip(hits, 1, n) + 1.0, p)
    return np.where(hits <= 0, 1.0, np.where(hits > n, 0.0, inside))
