"""How strong a finding is: p to e, Bayes factors of a share, and their cap by a validation."""

import math
from typing import SupportsIndex

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from forensics.statistics.binomial import log_upper_tail
from forensics.statistics.inputs import FloatArray, Share, count, pvalue, share
from forensics.statistics.result import LN10


def p_to_e(p: Share) -> float:
    """Returns the e-value (1 - p + p ln p) / (p (ln p)^2) of a p-value.

    Its expectation under the null is at most 1 (the mixture of all calibrators k p^(k-1); Vovk and Wang,
    Annals of Statistics 49, 2021). It is no likelihood ratio and carries no words.

    Raises:
        ValueError: p is not greater than 0 and at most 1.
    """
    x = -math.log(pvalue("p", p))
    if x < 1e-3:
        return 0.5 + x / 6.0 + x * x / 24.0
    return (math.expm1(x) - x) / (x * x) if x < 700.0 else math.inf


def bayes_factor_binomial(k: SupportsIndex, n: SupportsIndex, p0: Share = 0.5) -> float:
    """Returns the base-10 logarithm of the Bayes factor of k hits in n against the chance p0.

    The alternative is Beta(1, 1) truncated to (p0, 1): every share above chance is equally likely beforehand
    (textbook; the choice of the prior is a convention that the claim names).

    Raises:
        ValueError: counts or chance out of range.
    """
    trials = count("n", n)
    hits = count("k", k, 0, trials)
    return float(log10_mixture(np.array([hits]), np.array([trials]), p0)[0])


def log10_mixture(successes: ArrayLike, trials: ArrayLike, p0: Share) -> FloatArray:
    """Returns log10 of [B(s+1, n-s+1) P(Bin(n+1, p0) <= s)] / [(1 - p0) p0^s (1 - p0)^(n-s)], elementwise.

    Args:
        successes: s, any shape.
        trials: n, the same shape.
        p0: chance, between 0 and 1.
    """
    s, n = np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    chance = float(share("p0", p0))
    above = special.betainc(n - s + 1.0, s + 1.0, 1.0 - chance)
    log_above = np.log(np.maximum(above, 1e-290))
    for at in np.argwhere(above <= 1e-290):
        place = tuple(at)
        log_above[place] = log_upper_tail(int(n[place] + 1 - s[place]), int(n[place]) + 1, 1.0 - chance)
    log_null = s * math.log(chance) + (n - s + 1.0) * math.log1p(-chance)
    return np.asarray((special.betaln(s + 1.0, n - s + 1.0) + log_above - log_null) / LN10)


def bayes_cap(bf: float, eps: float) -> float:
    """Returns what a Bayes factor may be worth if the procedure errs at rate eps: 1 / (eps + (1 - eps) / BF).

    Words attach to min(BF, cap) only, and only where a validation gave eps (ours).

    Args:
        bf: Bayes factor (not its logarithm), positive; infinity is allowed.
        eps: upper limit of the rate of false SUPPORTED per independent key, from a validation.

    Raises:
        ValueError: a Bayes factor that is not positive or a rate outside the unit interval.
    """
    rate = float(share("eps", eps, closed=True))
    if not bf > 0.0:
        raise ValueError(f"invalid Bayes factor: {bf!r} is not positive")
    doubt = rate + (1.0 - rate) / bf
    return 1.0 / doubt if doubt > 0.0 else math.inf
