"""Statistics as the watermark papers print them. They decide nothing: each says why in its `method`."""

import math
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from forensics.statistics.inputs import numbers, zero_one
from forensics.statistics.result import LN10, Result, from_log, from_ratio


def pearson_chi_square(bits: ArrayLike, target: ArrayLike, yates: bool = False) -> Result:
    """Pearson's chi-square of the 2x2 table of extracted and embedded bits, two-sided as published (OFSW, EaaW).

    Faults: a fully inverted extraction has the p-value of a perfect one, the tail is asymptotic, and positions are taken as
    independent draws. Where one margin is empty (all bits equal) the table says nothing and p is 1.

    Args:
        bits: (n,) extracted bits.
        target: (n,) embedded bits.
        yates: apply the continuity correction.

    Raises:
        ValueError: values other than 0 and 1, or shapes that do not agree.
    """
    found = zero_one("bits", bits)
    wanted = zero_one("target", target, len(found))
    n, rows, columns = len(found), int(found.sum()), int(wanted.sum())
    margins = rows * (n - rows) * columns * (n - columns)
    skew = abs(n * int((found & wanted).sum()) - rows * columns)
    if yates:
        skew = max(0, 2 * skew - n) / 2
    statistic = skew * skew * n / margins if margins else 0.0
    # P(chi2_1 >= x) = 2 Phi(-sqrt(x)), whose logarithm does not underflow.
    pvalue, log10_p = from_log(math.log(2.0) + float(special.log_ndtr(-math.sqrt(statistic))))
    return Result(
        statistic=statistic,
        pvalue=pvalue,
        log10_p=log10_p,
        n=n,
        alternative="two-sided",
        null="extracted and embedded bits are independent over positions",
        method=f"asymptotic chi-square{' with Yates correction' if yates else ''}; decides nothing: inverted bits look like a match",
        deciding=False,
    )
