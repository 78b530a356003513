import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from forensics.statistics import (
    Auc,
    auc,
    auc_of_rank_sum,
    critical_rank_sum,
    midranks,
    most_doubled,
    power_subset,
    subset_size,
    subset_test,
)


def by_pairs(scores: np.ndarray, chosen: np.ndarray) -> float:
    """Share of pairs won, a tie or a missing value counting half."""
    own, rest = scores[chosen], scores[~chosen]
    return float(np.mean([0.5 if np.isnan(a + b) or a == b else float(a > b) for a in own for b in rest]))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.one_of(st.integers(-3, 3).map(float), st.just(np.nan)), min_size=4, max_size=30),
    st.integers(0, 2**32 - 1),
)
def test_the_area_is_the_share_of_pairs_won(values: list[float], seed: int) -> None:
    scores, rng = np.array(values), np.random.default_rng(seed)
    chosen = np.isin(np.arange(len(scores)), rng.permutation(len(scores))[: rng.integers(1, len(scores))])
    found = auc(scores, chosen)
    assert found.value == pytest.approx(by_pairs(scores, chosen))
    assert (found.chosen, found.others) == (chosen.sum(), (~chosen).sum())


def test_the_interval_is_clopper_and_pearsons_of_the_smaller_arm() -> None:
    found = Auc(0.8, 20, 180)
    low, high = found.confidence_interval(0.95)
    exact = stats.binomtest(16, 20).proportion_ci(0.95, method="exact")
    assert (low, high) == pytest.approx((exact.low, exact.high))
    assert found.confidence_interval(0.95) == Auc(0.8, 180, 20).confidence_interval(0.95)
    assert found.upper_limit(0.99) == pytest.approx(found.confidence_interval(0.98).high)
    assert Auc(1.0, 5, 9).confidence_interval().high == 1.0
    assert Auc(0.0, 5, 9).confidence_interval().low == 0.0


@pytest.mark.parametrize("area", [0.5, 0.65, 0.75, 0.85, 0.95])
def test_the_upper_limit_errs_at_most_as_often_as_it_says_in_the_widest_family(area: float) -> None:
    """Each chosen item lies above or below all others: no pair of distributions spreads the AUC more."""
    wins = np.arange(21)
    below = np.array([Auc(won / 20, 20, 180).upper_limit(0.99) < area for won in wins])
    assert stats.binom.pmf(wins, 20, area)[below].sum() <= 0.01


@pytest.mark.parametrize("gone", [0, 1, 3, 9])
def test_withheld_items_could_have_won_all_their_pairs(gone: int) -> None:
    rng = np.random.default_rng(gone)
    scores, chosen = rng.normal(size=12), np.arange(12) < 4
    whole = int(midranks(scores)[chosen].sum())
    for _ in range(30):
        hidden = scores.copy()
        hidden[rng.permutation(12)[:gone]] = np.nan
        seen = int(midranks(hidden)[chosen].sum()) + gone * 4
        assert seen <= most_doubled(seen, 12, 4, gone) <= 4 * 5 + 2 * 4 * 8
        assert whole <= most_doubled(seen, 12, 4, gone)


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.0])
def test_the_interval_covers_at_least_as_often_as_it_says(shift: float) -> None:
    rng, truth = np.random.default_rng(8), float(stats.norm.cdf(shift / np.sqrt(2.0)))
    chosen = np.arange(120) < 20
    covered = 0
    for _ in range(500):
        low, high = auc(rng.normal(size=120) + shift * chosen, chosen).confidence_interval(0.95)
        covered += low <= truth <= high
    assert covered >= 470


@pytest.mark.parametrize(("n", "k"), [(5, 2), (6, 3), (8, 3), (9, 7), (10, 5), (12, 1)])
@pytest.mark.parametrize("alpha", [0.9, 0.5, 0.2, 0.1, 0.05, 0.01, 1e-3])
def test_the_critical_rank_sum_is_that_of_all_subsets(n: int, k: int, alpha: float) -> None:
    won = [sum(subset) - k * (k - 1) // 2 for subset in itertools.combinations(range(n), k)]
    tails = {u: sum(each >= u for each in won) / len(won) for u in range(k * (n - k) + 2)}
    assert critical_rank_sum(n, k, alpha) == min(u for u, tail in tails.items() if tail <= alpha)


@pytest.mark.parametrize(("n", "k"), [(60, 12), (200, 20)])
@pytest.mark.parametrize("alpha", [1e-3, 1e-6, 1e-9])
def test_the_critical_rank_sum_is_the_first_that_the_exact_test_accepts(n: int, k: int, alpha: float) -> None:
    needed = critical_rank_sum(n, k, alpha)
    for won, accepted in ((needed, True), (needed - 1, False)):
        # The best subset has won all pairs; each is moved down one rank at a time until `won` are left.
        places, lost = list(range(n - k, n)), k * (n - k) - won
        for index in range(k):
            step = min(lost, n - k)
            places[index], lost = places[index] - step, lost - step
        p = subset_test(midranks(np.arange(n)), np.isin(np.arange(n), places)).pvalue
        assert (p <= alpha) is accepted


def test_power_agrees_with_simulation_of_two_normals() -> None:
    rng, alpha = np.random.default_rng(2), 1e-3
    for effect in (0.7, 0.8):
        shift = np.sqrt(2.0) * stats.norm.ppf(effect)
        needed = critical_rank_sum(100, 20, alpha)
        chosen = np.arange(100) < 20
        hits = 0
        for _ in range(1500):
            found = auc(rng.normal(size=100) + shift * chosen, chosen)
            hits += round(found.value * 1600) >= needed
        assert power_subset(100, 20, effect, alpha) == pytest.approx(hits / 1500, abs=0.05)


def test_power_at_the_ends() -> None:
    assert power_subset(200, 20, 1.0, 1e-6) == 1.0
    assert power_subset(200, 20, 0.0, 1e-6) == 0.0
    assert power_subset(6, 3, 1.0, 1e-6) == 0.0
    assert power_subset(200, 20, 0.5, 0.05) == pytest.approx(0.05, abs=0.02)


def test_the_planned_pool_is_the_smallest_of_its_proportion() -> None:
    n, k = subset_size(200, 20, 0.8, 1e-6, 0.9)
    assert n == 10 * k
    assert power_subset(n, k, 0.8, 1e-6) >= 0.9 > power_subset(n - 10, k - 1, 0.8, 1e-6)


def test_a_rank_sum_has_its_area() -> None:
    assert auc_of_rank_sum(12, 5, 2) == Auc((12 - 6) / 12, 2, 3)
    assert auc_of_rank_sum(sum(range(362, 402, 2)), 200, 20).value == 1.0


@pytest.mark.parametrize(
    "call",
    [
        lambda: auc([1.0, 2.0], [1, 1]),
        lambda: auc([1.0, 2.0], [0, 0]),
        lambda: auc([1.0, 2.0], [1]),
        lambda: auc_of_rank_sum(5, 5, 2),
        lambda: auc_of_rank_sum(19, 5, 2),
        lambda: auc_of_rank_sum(10, 5, 5),
        lambda: critical_rank_sum(5, 0, 0.1),
        lambda: critical_rank_sum(10**6, 5, 0.1),
        lambda: critical_rank_sum(1200, 600, 0.1),
        lambda: power_subset(20, 5, 1.5, 0.1),
        lambda: power_subset(20, 5, 0.8, 0.0),
        lambda: Auc(0.5, 3, 3).confidence_interval(1.0),
        lambda: subset_size(200, 20, 0.51, 1e-6, 0.9),
        lambda: subset_size(200, 20, 0.5, 1e-6, 0.9),
    ],
)
def test_invalid_input_is_named(call) -> None:
    with pytest.raises(ValueError, match=r"^invalid "):
        call()
