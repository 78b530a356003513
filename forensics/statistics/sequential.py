"""Sequential test of independent hits: stop whenever you like, the p-value stays valid."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from forensics.statistics.inputs import Share, numbers, share
from forensics.statistics.result import LN10, Result, from_log
from forensics.statistics.strength import log10_mixture


@dataclass(frozen=True)
class SequentialResult(Result):
    """The outcome of a sequential test.

    Attributes:
        path: log10 of the e-process after 1, 2, ..., n outcomes.
    """

    path: tuple[float, ...] = ()


def sequential_test(outcomes: ArrayLike, p0: Share = 0.5) -> SequentialResult:
    """Tests H0: hit rate <= p0 by the truncated beta-binomial e-process; p = min(1, 1 / sup E).

    E_n is the Bayes factor of the first n outcomes, with Beta(1, 1) truncated to (p0, 1) as alternative.
    Under H0 it is a supermartingale that starts at 1, so by Ville's inequality P(sup E >= 1/a) <= a,
    whenever one stops (textbook mixture; its use here is ours). Only for labels, coins or blocks that the
    key drew independently, in the order of the plan; the p-value of a fixed n must then not be printed
    beside it.

    Args:
        outcomes: (n,) 1 for a hit and 0 for a miss, in plan order; a missing one (NaN) is a miss.
        p0: chance of a hit.

    Raises:
        ValueError: other values, or a chance out of range.
    """
    chance = share("p0", p0)
    hits = np.nan_to_num(numbers("outcomes", outcomes, missing=True), nan=0.0)
    if not np.isin(hits, (0.0, 1.0)).all():
        raise ValueError("invalid outcomes: only 0 and 1 are allowed")
    path = log10_mixture(np.cumsum(hits), np.arange(1, len(hits) + 1), chance)
    pvalue, log10_p = from_log(-max(0.0, float(path.max())) * LN10)
    return SequentialResult(
        statistic=float(path.max()),
        pvalue=pvalue,
        log10_p=log10_p,
        n=len(hits),
        alternative="greater",
        null=f"each outcome is a hit with chance at most {float(chance):g}, whatever came before",
        method="truncated beta-binomial e-process, p = min(1, 1 / sup E)",
        bound=True,
        path=tuple(path.tolist()),
    )
