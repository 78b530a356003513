"""Exact one-sided binomial tests: uniform bits, labels of families, blocks with one trigger each."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import SupportsIndex

import numpy as np
from scipy import special

from forensics.statistics.inputs import Share, count, share
from forensics.statistics.intervals import Interval, clopper_pearson, upper_limit
from forensics.statistics.result import Result, from_log, from_ratio

_EXACT_DIGITS = 1 << 17
"""Up to so many binary digits the tail is summed in whole numbers; beyond, in logarithms."""


@dataclass(frozen=True)
class BinomialResult(Result):
    """The outcome of a binomial test; the effect is the share of hits."""

    def confidence_interval(self, confidence: float = 0.95) -> Interval:
        """Returns the two-sided Clopper-Pearson interval of the share of hits."""
        return clopper_pearson(int(self.statistic), self.n, confidence)

    def upper_limit(self, confidence: float = 0.99) -> float:
        """Returns the one-sided upper limit of the share of hits."""
        return upper_limit(int(self.statistic), self.n, confidence)


def binomial_test(matches: SupportsIndex, n: SupportsIndex, p0: Share = 0.5) -> BinomialResult:
    """Tests whether there are more matches than chance gives: P(Binomial(n, p0) >= matches).

    A missing or tied bit stays in `n` as a miss. The tail is a ratio of whole numbers, rounded once, so
    that a p-value that equals a threshold compares as equal. Source: textbook; for uniform payload bits,
    ours.

    Args:
        matches: units that agree with the key.
        n: all units that the key drew, at least 1.
        p0: chance of one match; `Fraction(1, 3)` for one third.

    Raises:
        ValueError: counts or chance out of range.
    """
    null = "each unit matches by chance alone, independently: the key was drawn apart from the answers"
    return _test(matches, n, share("p0", p0), null)


def labels_test(hits: SupportsIndex, families: SupportsIndex, classes: SupportsIndex) -> BinomialResult:
    """Tests labels of families: hits follow Binomial(L, 1/C) for labels drawn i.i.d. over C classes (ours).

    Args:
        hits: families whose label is the drawn one; a tie is a miss.
        families: L, missing ones included.
        classes: C, at least 2.

    Raises:
        ValueError: counts out of range.
    """
    null = "the drawn labels are independent of the answers: each family is hit with chance 1/C"
    return _test(hits, families, Fraction(1, count("classes", classes, 2)), null)


def blocks_test(hits: SupportsIndex, blocks: SupportsIndex, r: SupportsIndex) -> BinomialResult:
    """Tests blocks of r candidates with one trigger each: hits follow Binomial(L, 1/r) (ours).

    Args:
        hits: blocks whose trigger has the highest score of its block; a tie is a miss.
        blocks: L, missing ones included.
        r: candidates in a block, at least 2.

    Raises:
        ValueError: counts out of range.
    """
    null = "the place of the trigger within each block is independent of the answers"
    return _test(hits, blocks, Fraction(1, count("r", r, 2)), null)


def upper_tail(k: int, n: int, p0: Fraction) -> Fraction:
    """Returns P(Binomial(n, p0) >= k) as an exact ratio; 0 < p0 < 1."""
    hit, every = p0.numerator, p0.denominator
    miss = every - hit
    whole = every**n
    if k <= 0:
        return Fraction(1)
    if 2 * k > n:
        term, total = hit**n, 0
        for j in range(n, k - 1, -1):
            total += term
            term = term * j * miss // ((n - j + 1) * hit)
        return Fraction(total, whole)
    term, total = miss**n, 0
    for j in range(k):
        total += term
        term = term * (n - j) * hit // ((j + 1) * miss)
    return Fraction(whole - total, whole)


def log_upper_tail(k: int, n: int, p0: float) -> float:
    """Returns the natural logarithm of P(Binomial(n, p0) >= k), without underflow; 0 < p0 < 1."""
    if k <= 0:
        return 0.0
    if k > n:
        return -math.inf
    direct = float(special.betainc(k, n - k + 1, p0))
    if direct > 1e-290:
        return math.log(direct)
    j = np.arange(k, n + 1, dtype=np.float64)
    terms = special.gammaln(n + 1) - special.gammaln(j + 1) - special.gammaln(n - j + 1)
    return float(special.logsumexp(terms + j * math.log(p0) + (n - j) * math.log1p(-p0)))


def _test(matches: SupportsIndex, n: SupportsIndex, p0: Fraction, null: str) -> BinomialResult:
    total = count("n", n, 1)
    hits = count("matches", matches, 0, total)
    exact: Fraction | None = None
    if total * p0.denominator.bit_length() <= _EXACT_DIGITS:
        exact = upper_tail(hits, total, p0)
        pvalue, log10_p = from_ratio(exact)
    else:
        pvalue, log10_p = from_log(log_upper_tail(hits, total, float(p0)))
    method = "exact binomial tail" if exact is not None else "binomial tail, summed in logarithms"
    return BinomialResult(float(hits), pvalue, log10_p, total, "greater", null, method, exact)
