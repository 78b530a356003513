"""The exact test of drawn classes, shared by every method whose key draws one class for each of its families."""

import math

import numpy as np

from forensics.methods.protocol import MethodSpec, Parameters
from forensics.records import Effect, IntArray, Measurement, Reading
from forensics.statistics import FLOOR, bounded_mean, bounded_mean_upper, class_ranks, power_ranks, rank_sum_test


def measure_ranks(spec: MethodSpec, drawn: IntArray, reading: Reading, rule: Parameters) -> Measurement:
    """Tests the ranks of the drawn classes within their families, each uniform under the null (ours).

    The sum decides; how many drawn classes stand alone at the top of their family is the count in plain words.

    Args:
        drawn: (L,) class that the scoring secret drew for each family.
        reading: shifts of every class in every family, (L, C); a family that is missing gets rank 0.
        rule: the claim's rule, for alpha and the minimum effect.
    """
    shifts = np.where(reading.missing[:, None], np.nan, reading.scores)
    families, classes = shifts.shape
    ranks = class_ranks(shifts, drawn)
    exact = rank_sum_test(ranks, classes)
    mean = float(ranks.mean()) / (classes - 1)
    # A family without answers, or with answers all alike, is a miss that might have had the best rank: whoever
    # withholds answers must not seem clear of the mark.
    silent = reading.missing | (np.ptp(reading.scores, axis=1) == 0.0)
    most = float(np.where(silent, classes - 1, ranks).mean()) / (classes - 1)
    low, high = bounded_mean(mean, families)
    effect = Effect(spec.effect_name, mean, low, high, bounded_mean_upper(most, families), float(spec.chance))
    return Measurement(
        test=spec.test,
        statistic=reading.statistic,
        access=reading.access,
        null=spec.null,
        n=families,
        matched=int((ranks == classes - 1).sum()),
        value=float(ranks.sum()),
        p_value=exact.pvalue,
        log10_p=max(exact.log10_p, math.log10(FLOOR)),
        effect=effect,
        bayes_factor_log10=None,
        power=power_ranks(families, classes, float(rule["minimum_effect"]), float(rule["alpha"])),
        missing_share=reading.missing_share,
        items=tuple(reading.scores.ravel().tolist()),
        target=tuple(drawn.tolist()),
        context={"classes": float(classes), "left open": float(silent.sum())},
    )
