"""Exact test of summed ranks: where does the drawn class stand among the classes of its family?"""

import math
from fractions import Fraction
from typing import SupportsIndex

import numpy as np
from numpy.typing import ArrayLike

from forensics.statistics.inputs import IntArray, count, numbers
from forensics.statistics.result import Result, from_ratio


def class_ranks(shifts: ArrayLike, drawn: ArrayLike) -> IntArray:
    """Returns the rank of each family's drawn class among its classes; ties count against the claim.

    Args:
        shifts: (L, C) label-blind shift of each class in each family; a family with a missing value (NaN)
            gets rank 0.
        drawn: (L,) class that the key drew, 0 to C - 1.

    Returns:
        (L,) int64: how many classes have a smaller shift than the drawn one, 0 (worst) to C - 1.

    Raises:
        ValueError: shapes that do not agree or classes out of range.
    """
    table = numbers("shifts", shifts, missing=True, ndim=2)
    classes = numbers("drawn", drawn)
    if len(table) != len(classes):
        raise ValueError(f"invalid shifts: {len(table)} rows for {len(classes)} families")
    if not np.isin(classes, np.arange(table.shape[1])).all():
        raise ValueError(f"invalid drawn: a class is not between 0 and {table.shape[1] - 1}")
    own = table[np.arange(len(table)), classes.astype(np.int64)]
    ranks = (table < own[:, None]).sum(axis=1)
    return np.where(np.isnan(table).any(axis=1), 0, ranks).astype(np.int64)


def rank_sum_test(ranks: ArrayLike, classes: SupportsIndex) -> Result:
    """Tests the sum of L ranks, each uniform on 0 .. C - 1 under the null, exactly (ours).

    The tail of the L-fold convolution is counted in whole numbers: the number of rank vectors with sum at
    most s is the sum over j of (-1)^j C(L, j) C(s - j C + L, L), read from the other end by symmetry.

    Args:
        ranks: (L,) ranks of the drawn classes, C - 1 the best, ties ranked against the claim (`class_ranks`).
        classes: C, at least 2.

    Raises:
        ValueError: ranks that are missing, not whole or out of range.
    """
    c = count("classes", classes, 2)
    values = numbers("ranks", ranks)
    if not np.isin(values, np.arange(c)).all():
        raise ValueError(f"invalid ranks: a rank is no whole number between 0 and {c - 1}")
    families, observed = len(values), int(values.sum())
    short = families * (c - 1) - observed
    ways = sum(
        (-1) ** j * math.comb(families, j) * math.comb(short - j * c + families, families)
        for j in range(short // c + 1)
    )
    exact = Fraction(ways, c**families)
    pvalue, log10_p = from_ratio(exact)
    return Result(
        statistic=float(observed),
        pvalue=pvalue,
        log10_p=log10_p,
        n=families,
        alternative="greater",
        null="the drawn classes are independent of the answers: each rank is uniform on 0 .. C - 1",
        method="exact convolution of uniform ranks",
        exact=exact,
    )
