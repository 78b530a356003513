"""The exact test of a drawn subset, shared by every method whose key draws some of a pool's items."""

import math
from typing import NamedTuple

import numpy as np

from forensics.methods.protocol import MethodSpec, Parameters
from forensics.records import Effect, IntArray, Measurement, Reading
from forensics.statistics import FLOOR, auc, auc_of_rank_sum, midranks, most_doubled, power_subset, subset_test


class SubsetEffect(NamedTuple):
    """The AUC of a subset with its two-sided 95 % interval and its one-sided 99 % upper limit."""

    value: float
    low: float
    high: float
    upper_99: float


def effect_of_rank_sum(doubled: int, items: int, chosen: int, missing: int, *, two_sided: bool = False) -> SubsetEffect:
    """Returns the AUC that belongs to a sum of doubled mid-ranks, with its limits (ours).

    Two-sided, the effect is A = max(AUC, 1 - AUC). Its limits are those of the AUC in the direction that was seen, no
    lower than 1/2: if the true direction is the other one, its AUC exceeds the limit even more seldom.

    Args:
        doubled: T, the sum over the chosen items.
        items: N, the size of the pool.
        chosen: K.
        missing: how many of the N items have no score.

    Raises:
        ValueError: a count out of range, or a sum that no K of N ranks have.
    """
    total = max(doubled, _mirrored(doubled, items, chosen)) if two_sided else doubled
    area = auc_of_rank_sum(total, items, chosen)
    low, high = area.confidence_interval(0.95)
    # Whoever withholds answers must not thereby show that the effect is small.
    upper = auc_of_rank_sum(most_doubled(total, items, chosen, missing), items, chosen).upper_limit(0.99)
    return SubsetEffect(area.value, max(low, 0.5) if two_sided else low, high, upper)


def measure_subset(spec: MethodSpec, chosen: IntArray, reading: Reading, rule: Parameters) -> Measurement:
    """Tests the sum of the chosen items' ranks against all subsets of that size, whatever the suspect (ours).

    Where the specification is two-sided, a sum far below its mean counts as one far above: p is the share of subsets
    whose sum is at least as far from the mean, and the items that match are counted from the end that was seen.

    Args:
        chosen: (N,) 1 where the scoring secret drew the item.
        reading: item scores (N,); an item that is missing gets the pool's mid-rank. Its notes may hold
            `uncalibrated` scores (N,) and a `projection` (N, 2) of the items.
        rule: the claim's rule, for alpha and the minimum effect.
    """
    gone = int(reading.missing.sum())
    # Ranks among the items that are there; each missing one moves all of them by half a rank.
    ranks = midranks(np.where(reading.missing, np.nan, reading.scores)) + gone
    drawn, n, k = chosen.astype(bool), len(chosen), int(chosen.sum())
    if not np.ptp(ranks):
        gone = n  # answers that are all alike exclude no effect: nothing was measured
    exact, total = subset_test(ranks, chosen, two_sided=spec.two_sided), int(ranks[drawn].sum())
    effect = effect_of_rank_sum(total, n, k, gone, two_sided=spec.two_sided)
    context = {"chosen": float(k), "missing": float(gone)}
    if (plain := reading.notes.get("uncalibrated")) is not None:
        context["uncalibrated AUC"] = auc(plain, chosen).value
    downwards = spec.two_sided and total < _mirrored(total, n, k)
    best = np.lexsort((chosen, ranks if downwards else -ranks))[:k]
    alpha = float(rule["alpha"]) / 2.0 if spec.two_sided else float(rule["alpha"])
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
        effect=Effect(spec.effect_name, *effect, float(spec.chance)),
        bayes_factor_log10=None,
        power=power_subset(n, k, float(rule["minimum_effect"]), alpha),
        missing_share=reading.missing_share,
        items=tuple(reading.scores.tolist()),
        target=tuple(chosen.tolist()),
        context=context,
        projection=tuple((float(x), float(y)) for x, y in reading.notes.get("projection", ())),
    )


def _mirrored(doubled: int, items: int, chosen: int) -> int:
    """Returns the sum of doubled mid-ranks that the same subset has when all ranks are reversed."""
    return 2 * chosen * (items + 1) - doubled
