"""How the tests themselves are judged: allowed rejections in a simulation, and size by enumeration."""

import math
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import combinations, product
from typing import SupportsIndex, TypeVar

import numpy as np
from scipy import special

from forensics.statistics.inputs import Share, count, share

T = TypeVar("T")


def allowed_rejections(keys: SupportsIndex, alpha: Share, cells: SupportsIndex) -> int:
    """Returns the (1 - 1e-3 / cells) quantile of Binomial(keys, alpha) (ours).

    A perfect test exceeds its nominal count about half of the time. It exceeds this count anywhere in a
    table of so many cells with chance 1e-3 at most.

    Args:
        keys: independent keys tested.
        alpha: nominal level.
        cells: how many such counts the table has.

    Raises:
        ValueError: a value out of range.
    """
    n, level = count("keys", keys, 1), float(share("alpha", alpha))
    exceeded = special.bdtrc(np.arange(n + 1), n, level)
    return int(np.argmax(exceeded <= 1e-3 / count("cells", cells, 1)))


def size_by_enumeration(pvalue: Callable[[T], float], outcomes: Iterable[tuple[T, Fraction]], alpha: Share) -> Fraction:
    """Returns P(p <= alpha) under the null, as an exact ratio, by going through all outcomes (ours).

    Args:
        pvalue: the test, from an outcome to its p-value.
        outcomes: every outcome with its probability under the null.
        alpha: nominal level.
    """
    level = float(share("alpha", alpha))
    return sum((chance for outcome, chance in outcomes if pvalue(outcome) <= level), Fraction(0))


def binomial_outcomes(n: SupportsIndex, p0: Share = 0.5) -> Iterator[tuple[int, Fraction]]:
    """Yields the numbers of matches 0 .. n with their probabilities under Binomial(n, p0)."""
    trials, chance = count("n", n, 1), share("p0", p0)
    for k in range(trials + 1):
        yield k, math.comb(trials, k) * chance**k * (1 - chance) ** (trials - k)


def subset_outcomes(n: SupportsIndex, chosen: SupportsIndex) -> Iterator[tuple[tuple[int, ...], Fraction]]:
    """Yields every 0/1 vector of length n with `chosen` ones; all are equally likely."""
    items = count("n", n, 1)
    ones = count("chosen", chosen, 0, items)
    for places in combinations(range(items), ones):
        yield tuple(int(i in places) for i in range(items)), Fraction(1, math.comb(items, ones))


def rank_outcomes(families: SupportsIndex, classes: SupportsIndex) -> Iterator[tuple[tuple[int, ...], Fraction]]:
    """Yields every vector of ranks 0 .. classes - 1, one a family; all are equally likely."""
    length, base = count("families", families, 1), count("classes", classes, 2)
    for ranks in product(range(base), repeat=length):
        yield ranks, Fraction(1, base**length)
