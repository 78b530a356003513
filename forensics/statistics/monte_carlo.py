"""Monte Carlo test, for statistics that are no sum over what the key drew."""

from collections.abc import Callable
from fractions import Fraction
from typing import SupportsIndex

import numpy as np

from forensics.statistics.inputs import FloatArray, count, numbers
from forensics.statistics.result import Result, from_ratio

LEAST_DRAWS = 10**7
"""Fewer draws may not decide."""

_BATCH = 100_000


def monte_carlo_test(
    statistic: float, draw: Callable[[int], FloatArray], draws: SupportsIndex, *, deciding: bool = True
) -> Result:
    """Tests a statistic against redrawn secrets: p = (1 + #{drawn >= observed}) / (1 + B).

    The one added stands for the observed key, which makes the p-value valid for every B (textbook).

    Args:
        statistic: as observed.
        draw: returns so many statistics (m,) of secrets redrawn by the key's own law, the answers held
            fixed; it holds its own random generator. A missing one (NaN) counts against the claim.
        draws: B.
        deciding: set to False for fewer than 10**7 draws; the result then decides nothing.

    Raises:
        ValueError: too few draws to decide, a missing statistic, or a batch of another size than asked for.
    """
    observed = float(numbers("statistic", [statistic])[0])
    total = count("draws", draws, 1)
    if deciding and total < LEAST_DRAWS:
        raise ValueError(f"invalid draws: {total} are too few to decide; at least {LEAST_DRAWS} are needed")
    reached = 0
    for start in range(0, total, _BATCH):
        size = min(_BATCH, total - start)
        batch = np.asarray(draw(size), dtype=np.float64)
        if batch.shape != (size,):
            raise ValueError(f"invalid draw: expected {size} statistics, got shape {batch.shape}")
        reached += size - int((batch < observed).sum())
    exact = Fraction(1 + reached, 1 + total)
    pvalue, log10_p = from_ratio(exact)
    return Result(
        statistic=observed,
        pvalue=pvalue,
        log10_p=log10_p,
        n=total,
        alternative="greater",
        null="the secret is redrawn by its own law, the answers held fixed",
        method=f"Monte Carlo, {total} draws; smallest possible value 1/{total + 1}",
        exact=exact,
        deciding=deciding,
    )
