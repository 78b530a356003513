"""Exact test of a uniform direction: the cosine of a fixed vector with a vector drawn on the sphere."""

import math
from typing import SupportsIndex

from scipy import special

from forensics.statistics.inputs import count, numbers
from forensics.statistics.result import Result, from_log


def direction_test(cosine: float, dimension: SupportsIndex) -> Result:
    """Tests a cosine S with a uniform direction: (S + 1) / 2 ~ Beta((d - 1) / 2, (d - 1) / 2).

    Valid only in a frame that was fixed before the key existed (ours; the law is textbook).

    Args:
        cosine: S, from -1 to 1.
        dimension: d, at least 2.

    Raises:
        ValueError: a cosine that is missing or out of range, or a dimension below 2.
    """
    s = float(numbers("cosine", [cosine])[0])
    if abs(s) > 1.0 + 1e-9:
        raise ValueError(f"invalid cosine: {s!r} is not between -1 and 1")
    d = count("dimension", dimension, 2)
    # A cosine is known to rounding only, so that no tail is taken nearer to the pole than that.
    cap = min(1.0, max(2.0**-53, (1.0 - s) / 2.0))
    pvalue, log10_p = from_log(_log_tail((d - 1) / 2.0, cap))
    return Result(
        statistic=s,
        pvalue=pvalue,
        log10_p=log10_p,
        n=d,
        alternative="greater",
        null="the direction is uniform on the sphere and independent of the answers",
        method="exact beta tail",
    )


def _log_tail(a: float, x: float) -> float:
    """log I_x(a, a); where it underflows, by x^a (1-x)^a / (a B(a, a)) * 2F1(2a, 1; a+1; x)."""
    direct = float(special.betainc(a, a, x))
    if direct > 1e-290:
        return math.log(direct)
    term, total, m = 1.0, 1.0, 0
    while term > 1e-17 * total:
        term *= (2.0 * a + m) / (a + 1.0 + m) * x
        total += term
        m += 1
    return float(a * (math.log(x) + math.log1p(-x)) - math.log(a) - special.betaln(a, a)) + math.log(total)
