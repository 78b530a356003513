"""What the tests accept: every fault of an input ends in `ValueError("invalid ...")` and in nothing else."""

import operator
from fractions import Fraction
from typing import SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

Share = float | Fraction
"""A probability: a fraction, or a float, read as the decimal number that it prints as (0.1 is one tenth)."""


def count(name: str, value: SupportsIndex, least: int = 0, most: int | None = None) -> int:
    """Returns a whole number within bounds.

    Raises:
        ValueError: not a whole number, or outside the bounds.
    """
    try:
        number = operator.index(value)
    except TypeError as error:
        raise ValueError(f"invalid {name}: {value!r} is no whole number") from error
    if number < least or (most is not None and number > most):
        span = f"at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"invalid {name}: {number} is not {span}")
    return number


def numbers(name: str, values: ArrayLike, missing: bool = False, ndim: int = 1) -> FloatArray:
    """Returns at least one finite float64, shape (n,) or as many dimensions as asked for.

    Args:
        missing: whether NaN is allowed and stands for a missing value.

    Raises:
        ValueError: other shapes, no numbers, or values that are not finite.
    """
    try:
        vector = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"invalid {name}: these are not numbers") from error
    if vector.ndim != ndim or vector.size == 0:
        raise ValueError(f"invalid {name}: expected numbers in {ndim} dimension(s), got shape {vector.shape}")
    if not missing and not np.isfinite(vector).all():
        raise ValueError(f"invalid {name}: a value is missing or infinite")
    return vector


def zero_one(name: str, values: ArrayLike, n: int | None = None) -> IntArray:
    """Returns a vector of zeros and ones, shape (n,), from booleans or numbers.

    Raises:
        ValueError: another value, or another length than `n`.
    """
    vector = numbers(name, values)
    if not np.isin(vector, (0.0, 1.0)).all():
        raise ValueError(f"invalid {name}: only 0 and 1 are allowed")
    if n is not None and len(vector) != n:
        raise ValueError(f"invalid {name}: {len(vector)} values for {n} items")
    return vector.astype(np.int64)


def share(name: str, value: Share, closed: bool = False) -> Fraction:
    """Returns a probability as an exact fraction; see `Share`.

    Args:
        closed: whether 0 and 1 are allowed.

    Raises:
        ValueError: not a number, or outside the unit interval.
    """
    try:
        exact = value if isinstance(value, Fraction) else Fraction(repr(float(value)))
    except (TypeError, ValueError) as error:
        raise ValueError(f"invalid {name}: {value!r} is no probability") from error
    if not 0 <= exact <= 1 or (not closed and exact in (0, 1)):
        raise ValueError(f"invalid {name}: {value!r} is not {'from 0 to 1' if closed else 'between 0 and 1'}")
    return exact


def pvalue(name: str, value: Share) -> Fraction:
    """Returns a p-value as the exact fraction that the float is.

    Raises:
        ValueError: not a number greater than 0 and at most 1.
    """
    try:
        exact = Fraction(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"invalid {name}: {value!r} is no number") from error
    if not 0 < exact <= 1:
        raise ValueError(f"invalid {name}: {value!r} is not greater than 0 and at most 1")
    return exact
