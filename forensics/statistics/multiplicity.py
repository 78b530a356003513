"""Charges for several looks: N*, the charge of gate G2, and Holm inside one audit."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import SupportsIndex

from forensics.statistics.inputs import Share, count, numbers, pvalue, share

LIMIT = Fraction(1, 1000)
"""What a finding must stay below after all charges."""


def n_star(p: Share) -> int:
    """Returns N* = floor(1e-3 / p): after so many undisclosed attempts it is still one in a thousand (ours).

    The division is exact for the float that p is.

    Raises:
        ValueError: p is not greater than 0 and at most 1.
    """
    return math.floor(LIMIT / pvalue("p", p))


def adjusted_p(p: Share, grinding: SupportsIndex, examinations: SupportsIndex) -> float:
    """Returns min(1, p * 2**g * M), the p-value after the charges for attempts and examinations (ours).

    Args:
        p: the deciding p-value.
        grinding: g; 2**g undisclosed attempts are charged.
        examinations: M, at least 1.

    Raises:
        ValueError: a value out of range.
    """
    charge = 2 ** count("grinding", grinding, 0, 1024) * count("examinations", examinations, 1)
    return float(min(Fraction(1), pvalue("p", p) * charge))


@dataclass(frozen=True)
class HolmResult:
    """Holm's step-down procedure: what is rejected, and the adjusted p-values, in the order given."""

    rejected: tuple[bool, ...]
    adjusted: tuple[float, ...]
    alpha: float


def holm(pvalues: Sequence[float], alpha: float) -> HolmResult:
    """Controls the chance of any false rejection within one audit whose p-values are all given (Holm, 1979).

    Args:
        pvalues: all p-values of the audit, at least one.
        alpha: familywise level.

    Raises:
        ValueError: a p-value that is missing or out of range.
    """
    from statsmodels.stats.multitest import multipletests

    values = [float(pvalue("p-value", value)) for value in numbers("p-values", pvalues)]
    level = float(share("alpha", alpha))
    rejected, adjusted, _, _ = multipletests(values, alpha=level, method="holm")
    return HolmResult(tuple(rejected.tolist()), tuple(adjusted.tolist()), level)
