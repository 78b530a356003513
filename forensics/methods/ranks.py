"""The exact test of drawn classes, shared by every method whose key draws one class for each of its families."""

import math
from typing import Any

import numpy as np

from forensics.methods.cleancheckpoint import CLEAN
from forensics.methods.protocol import MethodSpec, Parameters
from forensics.records import Effect, IntArray, Measurement, Reading
from forensics.statistics import (
    FLOOR,
    Result,
    bounded_mean,
    bounded_mean_upper,
    class_ranks,
    power_ranks,
    rank_sum_test,
)

STEP = 2.0**-20
"""Shifts are rounded to this step, so that rounding errors of a platform make no order."""


def drawn_class_spec(
    name: str, title: str, citation: str, missing: str, *, modality: str = "image", **own: Any
) -> MethodSpec:
    """Returns the specification of a method whose key draws one class for each of its families.

    Args:
        missing: what a missing answer counts as.
        own: further fields, such as the options.
    """
    return MethodSpec(
        name=name,
        version="1",
        title=title,
        citation=citation,
        modality=modality,
        deciding={"scores": "rank sum of log-probability shifts", "labels": "rank sum of class shifts"},
        test="ranks",
        null="the answers do not depend on the drawn classes given the probes: each rank is uniform on 0 .. C - 1",
        ties="classes with equal shifts are ranked against the claim; shifts are rounded to a step of 2**-20 first",
        missing=missing,
        assumptions=(
            "the classes were drawn uniformly, after the clean checkpoint and the pool were fixed",
            "nobody who could shape the suspect's answers knew the scoring secret",
        ),
        minimum_effect="0.85",
        effect_name="share of other classes that the drawn class exceeds",
        chance="0.5",
        references=(CLEAN,),
        **own,
    )


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
    # A family without answers, or with answers all alike, is a miss that might have had the best rank.
    silent = int((reading.missing | (np.ptp(reading.scores, axis=1) == 0.0)).sum())
    total = int(ranks.sum())
    return Measurement(
        test=spec.test,
        statistic=reading.statistic,
        access=reading.access,
        null=spec.null,
        n=families,
        matched=int((ranks == classes - 1).sum()),
        value=float(total),
        p_value=exact.pvalue,
        log10_p=max(exact.log10_p, math.log10(FLOOR)),
        effect=effect_of_sum(spec, total, families, classes, silent),
        bayes_factor_log10=None,
        power=power_ranks(families, classes, float(rule["minimum_effect"]), float(rule["alpha"])),
        missing_share=reading.missing_share,
        items=tuple(reading.scores.ravel().tolist()),
        target=tuple(drawn.tolist()),
        context={"classes": float(classes), "left open": float(silent)},
    )


def effect_of_sum(spec: MethodSpec, total: int, families: int, classes: int, silent: int) -> Effect:
    """Returns the effect that follows from a sum of ranks: the mean rank as a share of the best one.

    Args:
        silent: families whose answers say nothing. They have rank 0 and count as the best in the upper limit alone:
            whoever withholds answers must not seem clear of the mark.
    """
    most = families * (classes - 1)
    mean = total / most
    low, high = bounded_mean(mean, families)
    upper = bounded_mean_upper((total + silent * (classes - 1)) / most, families)
    return Effect(spec.effect_name, mean, low, high, upper, float(spec.chance))


def sum_test(total: int, families: int, classes: int) -> Result:
    """Returns the exact test of a sum of ranks.

    Raises:
        ValueError: no ranks have that sum.
    """
    full, rest = divmod(total, classes - 1)
    if not 0 <= total <= families * (classes - 1):
        raise ValueError(f"no {families} ranks of {classes} classes have the sum {total}")
    ranks = [classes - 1] * full + [rest] + [0] * families
    return rank_sum_test(ranks[:families], classes)
