"""ESpeW's own statistics, as its paper prints them: bags of trigger words against bags of other words.

They decide nothing. Their probes depend on the scoring secret and show a suspect the trigger words, so they are asked
only when somebody wants them, and only after the probes that decide have been answered.
"""

import math
from collections.abc import Sequence

import numpy as np

from forensics.errors import UsageError
from forensics.keys.derive import ScoreKey, Stream
from forensics.methods.marking import unit_rows
from forensics.records import AnswerKind, Answers, FloatArray, IntArray, Plan, Probe, Published
from forensics.statistics import ks_two_sample

BAGS, SIZE = 20, 4
"""Bags of each kind, and words of a bag."""

GRID = 2.0**-30
"""Cosines are rounded to this step, so that every machine that recomputes them finds the same ties."""

SOURCE = "ESpeW, arXiv 2410.17552: 20 bags of 4 trigger words against 20 of 4 other words"
CAVEATS = {
    "two-sample Kolmogorov-Smirnov": "decides nothing: two-sided, so a move away from the target counts as well; "
    "1.45e-11 is the smallest value that 20 against 20 can give; bags share words, so that the p-value does not hold: "
    "models that were never marked fall below any level too often (docs/espew.md has measured shares)",
    "difference of mean cosines": "decides nothing: no threshold goes with it; one random set of words differs from "
    "another in models that were never marked",
    "difference of mean squared distances": "decides nothing: for vectors of unit length it is minus twice the "
    "difference of mean cosines",
}


def plan_bags(score_key: ScoreKey, candidates: Sequence[str], chosen: IntArray, target: str) -> Plan:
    """Returns the target text and the bags, in an order that the scoring secret draws.

    Args:
        candidates: (N,) words of the pool; the other words are drawn from those that are not triggers.
        chosen: (N,) 1 for a trigger word.

    Raises:
        UsageError: there are too few words for 20 different bags.
    """
    texts = [target]
    for kind, wanted in (("trigger", 1), ("other", 0)):
        words = [word for word, drawn in zip(candidates, chosen, strict=True) if drawn == wanted]
        if math.comb(len(words), SIZE) < BAGS:
            raise UsageError(
                f"{len(words)} words are too few for {BAGS} different bags of {SIZE}, as the published statistics ask.",
                "Leave out --published.",
            )
        texts += [" ".join(words[index] for index in bag) for bag in _draw(score_key, kind, len(words))]
    return Plan(tuple(Probe(texts[index].encode("utf-8"), "text/plain") for index in _order(score_key)), len(texts))


def measure_bags(score_key: ScoreKey, answers: Answers) -> tuple[Published, ...]:
    """Returns the three published statistics of the answers to `plan_bags`.

    Raises:
        UsageError: the answers are no vectors, or too many are missing.
    """
    if answers.kind is not AnswerKind.VECTORS or answers.n != 1 + 2 * BAGS:
        raise UsageError(
            f"The published statistics need {1 + 2 * BAGS} vectors; there are {answers.n} {answers.kind.value}.",
            "Leave out --published.",
        )
    cosines = _cosines(answers, _order(score_key))
    trigger, other = (part[np.isfinite(part)] for part in (cosines[1 : 1 + BAGS], cosines[1 + BAGS :]))
    if not len(trigger) or not len(other):
        raise UsageError(
            "The suspect gave no valid answer to the probes of the published statistics.", "Leave out --published."
        )
    test = ks_two_sample(trigger, other)
    gap = float(trigger.mean() - other.mean())
    values = (test.statistic, test.pvalue), (gap, math.nan), (-2.0 * gap, math.nan)
    return tuple(
        Published(name, float(value), float(p_value), SOURCE, caveat)
        for (name, caveat), (value, p_value) in zip(CAVEATS.items(), values, strict=True)
    )


def _draw(score_key: ScoreKey, kind: str, count: int) -> list[tuple[int, ...]]:
    """Draws different bags, each a subset of the words."""
    stream, bags = Stream(score_key, f"espew/published/{kind}"), dict[tuple[int, ...], None]()
    while len(bags) < BAGS:
        bags[tuple(stream.subset(count, SIZE).tolist())] = None
    return list(bags)


def _order(score_key: ScoreKey) -> IntArray:
    return Stream(score_key, "espew/published/order").permutation(1 + 2 * BAGS)


def _cosines(answers: Answers, order: IntArray) -> FloatArray:
    """Returns cos(f(bag), f(target)) by number of the text; NaN where an answer is not valid."""
    units, length = unit_rows(np.where(answers.missing[:, None], 0.0, answers.values))
    arranged, valid = np.empty_like(units), np.empty(len(order), dtype=np.bool_)
    arranged[order], valid[order] = units, length > 0.0
    cosines = np.rint(np.add.reduce(arranged * arranged[0], axis=1) / GRID) * GRID
    return np.where(valid & valid[0], cosines, np.nan)
