"""Statistics as the watermark papers print them. They decide nothing; each result says why in `method`."""

import math
import sys
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from forensics.statistics.inputs import numbers, zero_one
from forensics.statistics.result import Result, from_log, from_ratio


def pearson_chi_square(bits: ArrayLike, target: ArrayLike, yates: bool = False) -> Result:
    """Pearson's chi-square of the 2x2 table of extracted and embedded bits, two-sided as OFSW prints it.

    Faults: a fully inverted extraction has the p-value of a perfect one, the tail is asymptotic, and
    positions count as independent draws. Where a margin is empty (all bits equal) the table says nothing
    and p is 1.

    Args:
        bits: (n,) extracted bits.
        target: (n,) embedded bits.
        yates: apply the continuity correction.

    Raises:
        ValueError: values other than 0 and 1, or shapes that do not agree.
    """
    from scipy.stats import chi2_contingency

    found = zero_one("bits", bits)
    wanted = zero_one("target", target, len(found))
    statistic = 0.0
    if 0 < found.sum() < len(found) and 0 < wanted.sum() < len(found):
        table = np.bincount(2 * found + wanted, minlength=4).reshape(2, 2)
        statistic = float(chi2_contingency(table, correction=yates).statistic)
    # P(chi-square with one degree of freedom >= x) = 2 Phi(-sqrt x), whose logarithm does not underflow.
    pvalue, log10_p = from_log(math.log(2.0) + float(special.log_ndtr(-math.sqrt(statistic))))
    name = "chi-square with Yates' correction" if yates else "chi-square"
    return Result(
        statistic=statistic,
        pvalue=pvalue,
        log10_p=log10_p,
        n=len(found),
        alternative="two-sided",
        null="extracted and embedded bits are independent over positions",
        method=f"asymptotic {name}; decides nothing: an inverted extraction looks like a match",
        deciding=False,
    )


def fisher_exact(bits: ArrayLike, target: ArrayLike) -> Result:
    """Fisher's exact test of the same table, one-sided: too many ones in common.

    It conditions on how many ones were extracted and embedded; an empty margin gives p = 1.

    Args:
        bits: (n,) extracted bits.
        target: (n,) embedded bits.

    Returns:
        The statistic is the number of positions where both bits are 1 (the odds ratio may be infinite).

    Raises:
        ValueError: values other than 0 and 1, or shapes that do not agree.
    """
    found = zero_one("bits", bits)
    wanted = zero_one("target", target, len(found))
    n, rows, columns, both = len(found), int(found.sum()), int(wanted.sum()), int((found & wanted).sum())
    ways = sum(math.comb(columns, j) * math.comb(n - columns, rows - j) for j in range(both, min(rows, columns) + 1))
    exact = Fraction(ways, math.comb(n, rows))
    pvalue, log10_p = from_ratio(exact)
    return Result(
        statistic=float(both),
        pvalue=pvalue,
        log10_p=log10_p,
        n=n,
        alternative="greater",
        null="extracted and embedded bits are independent, given the number of ones of each",
        method="hypergeometric tail; decides nothing: printed for comparison",
        exact=exact,
        deciding=False,
    )


def ks_two_sample(first: ArrayLike, second: ArrayLike) -> Result:
    """The two-sample Kolmogorov-Smirnov test, two-sided, as embedding watermarks print it.

    Fault: it asks whether trigger and clean inputs differ, which they do in many innocent models, and it
    counts dependent pairs as independent.

    Args:
        first: (n,) scores of one sample.
        second: (m,) scores of the other.

    Raises:
        ValueError: a sample that is empty or holds a missing value.
    """
    from scipy.stats import ks_2samp

    one, other = numbers("first sample", first), numbers("second sample", second)
    test = ks_2samp(one, other)
    pvalue, log10_p = from_log(math.log(max(float(test.pvalue), sys.float_info.min)))
    return Result(
        statistic=float(test.statistic),
        pvalue=pvalue,
        log10_p=log10_p,
        n=len(one) + len(other),
        alternative="two-sided",
        null="both samples come from one distribution",
        method="Kolmogorov-Smirnov; decides nothing: innocent models fail this null too",
        deciding=False,
    )
