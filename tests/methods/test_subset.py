"""The two-sided test of a drawn subset, its effect and its limits."""

import itertools

import numpy as np
import pytest

from forensics.methods.espew import SPEC as ONE_SIDED
from forensics.methods.subset import effect_of_rank_sum, measure_subset
from forensics.methods.tmrw import SPEC as TWO_SIDED
from forensics.records import Measurement, Reading
from forensics.rules import draft_rule
from forensics.statistics import auc_of_rank_sum, power_subset

RULE = draft_rule(TWO_SIDED, 28).model_dump()


def measured(scores, chosen, gone=None, spec=TWO_SIDED) -> Measurement:
    missing = np.zeros(len(scores), dtype=np.bool_) if gone is None else gone
    reading = Reading("features", "s", np.asarray(scores, dtype=np.float64), missing, 0.0)
    return measure_subset(spec, np.asarray(chosen, dtype=np.int64), reading, RULE)


@pytest.mark.parametrize(("n", "k"), [(6, 3), (8, 4), (7, 2)])
@pytest.mark.parametrize("ties", [False, True])
def test_p_is_the_share_of_subsets_as_far_from_the_mean(n: int, k: int, ties: bool) -> None:
    rng = np.random.default_rng(n)
    scores = rng.integers(0, 3, n) if ties else rng.normal(size=n)
    gone = np.arange(n) == 1
    subsets = [np.isin(np.arange(n), chosen) for chosen in itertools.combinations(range(n), k)]
    away = [abs(measured(scores, chosen, gone).value - k * (n + 1)) for chosen in subsets]
    for chosen, own in zip(subsets, away):
        assert measured(scores, chosen, gone).p_value == pytest.approx(np.mean([each >= own for each in away]))


def test_reversed_scores_give_the_same_result() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        scores, chosen, gone = rng.integers(0, 9, 28), rng.permutation(28) < 14, rng.random(28) < 0.1
        one, other = measured(scores, chosen, gone), measured(-scores, chosen, gone)
        assert (one.p_value, one.effect, one.matched) == (other.p_value, other.effect, other.matched)
        assert one.value + other.value == 2 * 14 * 29
        assert 0.5 <= one.effect.low <= one.effect.value <= one.effect.high <= 1.0
        assert one.effect.value <= one.effect.upper_99


def test_the_effect_is_the_auc_of_the_direction_that_was_seen() -> None:
    for total in range(14 * 15, 14 * 15 + 2 * 14 * 14 + 1, 7):
        area, found = auc_of_rank_sum(total, 28, 14), effect_of_rank_sum(total, 28, 14, 0, two_sided=True)
        assert found.value == pytest.approx(max(area.value, 1.0 - area.value))
        low, high = area.confidence_interval(0.95)
        assert found.high == pytest.approx(max(high, 1.0 - low))
        assert found.low == pytest.approx(max(0.5, low, 1.0 - high))
        other_way = auc_of_rank_sum(2 * 14 * 29 - total, 28, 14).upper_limit(0.99)
        assert found.upper_99 == pytest.approx(max(area.upper_limit(0.99), other_way))


def test_the_limits_hold_in_either_direction() -> None:
    """Over draws of scores with a known AUC, the 99 % limit is below it in no more than about 1 % of them."""
    rng, true = np.random.default_rng(6), 0.7
    shift = 2**0.5 * 0.5244005  # normal scores with an AUC of 0.7
    below = outside = 0
    for turn in range(400):
        chosen = np.arange(28) < 14
        scores = rng.normal(size=28) + shift * chosen * (-1) ** turn
        effect = measured(scores, chosen).effect
        below += effect.upper_99 < true
        outside += not effect.low <= true <= effect.high
    assert below <= 10
    assert outside <= 30


def test_withheld_answers_do_not_show_that_the_effect_is_small() -> None:
    rng = np.random.default_rng(8)
    scores, chosen = rng.normal(size=28) + 3.0 * (np.arange(28) < 14), np.arange(28) < 14
    for sign in (1, -1):
        plain = measured(sign * scores, chosen)
        gone = np.isin(np.arange(28), rng.permutation(14)[:4])
        withheld = measured(sign * scores, chosen, gone)
        assert withheld.effect.value < plain.effect.value
        assert withheld.effect.upper_99 >= plain.effect.value
        assert withheld.context["missing"] == 4.0


def test_the_power_is_that_of_one_tail_at_half_the_level() -> None:
    chosen = np.arange(28) < 14
    effect, alpha = float(RULE["minimum_effect"]), float(RULE["alpha"])
    assert measured(np.arange(28), chosen).power == power_subset(28, 14, effect, alpha / 2)
    assert measured(np.arange(28), chosen, spec=ONE_SIDED).power == power_subset(28, 14, effect, alpha)


def test_a_one_sided_test_knows_one_direction() -> None:
    chosen = np.arange(28) >= 14
    up, down = (measured(sign * np.arange(28), chosen, spec=ONE_SIDED) for sign in (1, -1))
    both = measured(np.arange(28), chosen)
    assert both.p_value == pytest.approx(2 * up.p_value)
    assert (down.p_value, down.effect.value, down.matched) == (1.0, 0.0, 0)


def test_no_p_value_is_below_the_floor() -> None:
    found = measured(np.arange(140), np.arange(140) < 70)
    assert found.p_value == 2.0**-128
    assert found.log10_p == pytest.approx(-38.5, abs=0.1)
