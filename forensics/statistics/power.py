"""Planning: critical values, power and sample size of the binomial tests."""

from typing import SupportsIndex

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

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
