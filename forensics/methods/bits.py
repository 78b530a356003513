"""The exact test of uniform payload bits, shared by every multi-bit method."""

import math

import numpy as np

from forensics.methods.protocol import MethodSpec, Parameters
from forensics.records import Effect, IntArray, Measurement, Published, Reading
from forensics.statistics import (
    FLOOR,
    bayes_factor_binomial,
    binomial_test,
    clopper_pearson,
    fisher_exact,
    pearson_chi_square,
    power_binomial,
    upper_limit,
)

TIE = 1e-9
"""Scores nearer to zero than this carry no sign and count as misses."""


def measure_bits(spec: MethodSpec, bits: IntArray, reading: Reading, rule: Parameters) -> Measurement:
    """Tests extracted signs against uniform bits: matches ~ Binomial(k, 1/2), whatever the model (ours).

    Args:
        bits: (k,) what the scoring secret drew, 0 or 1.
        reading: item scores (k,); the sign is the extracted bit. `notes["raw"]`, where present, holds the
            scores as the paper reads them, for the published statistic.
        rule: the claim's rule, for alpha and the minimum effect.
    """
    scores = np.where(reading.missing, 0.0, reading.scores)
    hits = (scores * (2 * bits - 1)) > TIE
    matched, n = int(hits.sum()), len(bits)
    exact = binomial_test(matched, n)
    low, high = clopper_pearson(matched, n, 0.95)
    # A bit that the answers leave open is a miss; but whoever leaves it open must not seem clear of the mark.
    left_open = int((np.abs(scores) <= TIE).sum())
    upper = upper_limit(matched + left_open, n, 0.99)
    effect = Effect("share of payload bits that match", matched / n, low, high, upper, 0.5)
    raw = reading.notes.get("raw", scores)
    extracted = (raw >= 0).astype(np.int64)
    return Measurement(
        test=spec.test,
        statistic=reading.statistic,
        access=reading.access,
        null=spec.null,
        n=n,
        matched=matched,
        value=float(matched),
        p_value=exact.pvalue,
        log10_p=max(exact.log10_p, math.log10(FLOOR)),
        effect=effect,
        bayes_factor_log10=bayes_factor_binomial(matched, n, 0.5),
        power=power_binomial(n, float(rule["minimum_effect"]), float(rule["alpha"]), 0.5),
        missing_share=reading.missing_share,
        items=tuple(scores.tolist()),
        target=tuple(bits.tolist()),
        published=_published(extracted, bits),
        context={"raw_matched": float((extracted == bits).sum())} | ({"left open": left_open} if left_open else {}),
    )


def _published(extracted: IntArray, bits: IntArray) -> tuple[Published, ...]:
    chi = pearson_chi_square(extracted, bits)
    fisher = fisher_exact(extracted, bits)
    return (
        Published(
            "Pearson chi-square",
            float(chi.statistic),
            float(chi.pvalue),
            "OFSW (Electronics 2025, 14(19), 3888), section 3.4",
            "two-sided and asymptotic: a fully inverted extraction has the same p-value as a perfect one",
        ),
        Published(
            "Fisher's exact test",
            float(fisher.statistic),
            float(fisher.pvalue),
            "R. A. Fisher (1935), one-sided",
            "conditions on the number of ones extracted; printed for comparison",
        ),
    )
