"""The exact test of a drawn subset, shared by every method whose key draws some of a pool's items."""

import math

import numpy as np

from forensics.methods.protocol import MethodSpec, Parameters
from forensics.records import Effect, IntArray, Measurement, Reading
from forensics.statistics import FLOOR, auc, auc_of_rank_sum, midranks, most_doubled, power_subset, subset_test


def measure_subset(spec: MethodSpec, chosen: IntArray, reading: Reading, rule: Parameters) -> Measurement:
    """Tests the sum of the chosen items' ranks against all subsets of that size, whatever the suspect (ours).

    Args:
        chosen: (N,) 1 where the scoring secret drew the item.
        reading: item scores (N,); an item that is missing gets the pool's mid-rank.
        rule: the claim's rule, for alpha and the minimum effect.
    """
    gone = int(reading.missing.sum())
    # Ranks among the items that are there; each missing one moves all of them by half a rank.
    ranks = midranks(np.where(reading.missing, np.nan, reading.scores)) + gone
    drawn, n, k = chosen.astype(bool), len(chosen), int(chosen.sum())
    exact, total = subset_test(ranks, chosen), int(ranks[drawn].sum())
    area = auc_of_rank_sum(total, n, k)
    low, high = area.confidence_interval(0.95)
    # Whoever withholds answers must not thereby show that the effect is small.
    upper = auc_of_rank_sum(most_doubled(total, n, k, gone), n, k).upper_limit(0.99)
    context = {"chosen": float(k), "missing": float(gone)}
    if (plain := reading.notes.get("uncalibrated")) is not None:
        context["uncalibrated AUC"] = auc(plain, chosen).value
    best = np.lexsort((chosen, -ranks))[:k]
    return Measurement(
        test=spec.test,
        statistic=reading.statistic,
        access=reading.access,
        null=spec.null,
        n=n,
        matched=int(chosen[best].sum()),
        value=float(total),
        p_value=exact.pvalue,
        log10_p=max(exact.log10_p, math.log10(FLOOR)),
        effect=Effect(spec.effect_name, area.value, low, high, upper, float(spec.chance)),
        bayes_factor_log10=None,
        power=power_subset(n, k, float(rule["minimum_effect"]), float(rule["alpha"])),
        missing_share=reading.missing_share,
        items=tuple(reading.scores.tolist()),
        target=tuple(chosen.tolist()),
        context=context,
    )
