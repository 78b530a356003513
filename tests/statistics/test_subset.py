import time
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from forensics.statistics import (
    FLOOR,
    midranks,
    quantised,
    size_by_enumeration,
    subset_bound,
    subset_outcomes,
    subset_test,
)


def brute_force(scores: list[int], selected: list[int], two_sided: bool) -> Fraction:
    chosen = sum(selected)
    sums = [sum(subset) for subset in combinations(scores, chosen)]
    observed = sum(score for score, picked in zip(scores, selected) if picked)
    if two_sided:
        centre = Fraction(chosen * sum(scores), len(scores))
        reached = sum(abs(value - centre) >= abs(observed - centre) for value in sums)
    else:
        reached = sum(value >= observed for value in sums)
    return Fraction(reached, len(sums))


@st.composite
def pools(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    scores = draw(st.lists(st.integers(-30, 30), min_size=1, max_size=11))
    selected = draw(st.lists(st.integers(0, 1), min_size=len(scores), max_size=len(scores)))
    return scores, selected


@settings(max_examples=150, deadline=None)
@given(pools(), st.booleans())
def test_the_count_equals_all_subsets_by_brute_force(pool: tuple[list[int], list[int]], two_sided: bool) -> None:
    scores, selected = pool
    assert subset_test(scores, selected, two_sided).exact == brute_force(scores, selected, two_sided)


@settings(max_examples=60, deadline=None)
@given(pools())
def test_the_bound_is_never_below_the_exact_p(pool: tuple[list[int], list[int]]) -> None:
    scores, selected = pool
    bound = subset_bound(np.array(scores) / 7.0, selected)
    assert bound.bound
    assert bound.pvalue >= float(brute_force(scores, selected, False))


@pytest.mark.parametrize("chosen", [1, 3, 6, 9])
def test_size_by_enumeration(chosen: int) -> None:
    scores = midranks(np.random.default_rng(chosen).normal(size=11))
    for two_sided in (False, True):
        for alpha in (0.05, 0.01, 0.003):
            outcomes = subset_outcomes(11, chosen)
            size = size_by_enumeration(lambda s, sides=two_sided: subset_test(scores, s, sides).pvalue, outcomes, alpha)
            assert size <= Fraction(str(alpha))


def test_size_down_to_one_in_a_million_by_the_attainable_values() -> None:
    # Half of 24 items: the largest sums have known counts, 1, 1, 2, 3, 5 subsets (partitions) of 2704156.
    scores, top = np.arange(1, 25), np.arange(24) >= 12
    assert subset_test(scores, top).exact == Fraction(1, 2704156)
    for drop, reached in ((1, 2), (2, 4), (3, 7), (4, 12)):
        selected = top.copy()
        selected[12], selected[12 - drop] = False, True
        assert subset_test(scores, selected).exact == Fraction(reached, 2704156)
    assert subset_test(scores, top).pvalue <= 1e-6


@pytest.mark.parametrize(("items", "log10"), [(24, -6.4), (68, -19.4)])
def test_full_separation_of_half_the_pool(items: int, log10: float) -> None:
    top = np.arange(items) >= items // 2
    assert subset_test(np.arange(items), top).log10_p == pytest.approx(log10, abs=0.1)
    assert subset_test(np.arange(items), ~top).pvalue == 1.0
    assert subset_test(np.arange(items), ~top, two_sided=True).exact == 2 * subset_test(np.arange(items), top).exact


def test_agrees_with_the_rank_sum_test_of_scipy() -> None:
    rng = np.random.default_rng(2)
    scores, selected = rng.normal(size=30), np.arange(30) < 9
    theirs = stats.mannwhitneyu(scores[selected], scores[~selected], alternative="greater", method="exact")
    assert subset_test(midranks(scores), selected).pvalue == pytest.approx(float(theirs.pvalue), rel=1e-12)


def test_zero_one_scores_give_the_hypergeometric_tail() -> None:
    scores, selected = np.repeat([1, 0], [40, 1000]), np.zeros(1040, dtype=bool)
    selected[20:120] = True
    expected = stats.hypergeom.sf(19, 1040, 40, 100)
    assert subset_test(scores, selected).pvalue == pytest.approx(float(expected), rel=1e-9)


def test_three_hundred_items_with_twenty_chosen_take_about_a_second() -> None:
    rng = np.random.default_rng(3)
    selected = np.zeros(300, dtype=bool)
    selected[rng.permutation(300)[:20]] = True
    scores = rng.normal(size=300) + selected
    start = time.process_time()
    ranked = subset_test(midranks(scores), selected)
    fine = subset_test(quantised(scores), selected)
    assert time.process_time() - start < 4.0
    assert ranked.log10_p == pytest.approx(fine.log10_p, abs=1.0)
    assert subset_bound(scores, selected).log10_p > fine.log10_p


def test_far_tails_do_not_underflow() -> None:
    top = np.arange(1100) >= 550
    result = subset_test(np.arange(1100) >= 550, top)
    assert result.pvalue == FLOOR
    assert result.log10_p < -300


@settings(deadline=None)
@given(pools(), st.randoms(use_true_random=False))
def test_order_and_offset_do_not_matter(pool: tuple[list[int], list[int]], random: object) -> None:
    scores, selected = pool
    order = list(range(len(scores)))
    random.shuffle(order)  # type: ignore[attr-defined]
    moved = subset_test([5 * scores[i] + 11 for i in order], [selected[i] for i in order])
    assert moved.exact == subset_test(scores, selected).exact


@pytest.mark.parametrize("chosen", [0, 5, 12])
def test_constant_scores_and_empty_choices_give_one(chosen: int) -> None:
    selected = np.arange(12) < chosen
    for two_sided in (False, True):
        assert subset_test(np.full(12, 7), selected, two_sided).pvalue == 1.0
        assert subset_test(midranks(np.full(12, np.nan)), selected, two_sided).pvalue == 1.0
        if chosen in (0, 12):
            assert subset_test(np.arange(12), selected, two_sided).pvalue == 1.0
    assert subset_bound(np.full(12, 0.3), selected).pvalue == 1.0


def test_midranks_share_ties_and_fill_missing_items() -> None:
    assert midranks([0.3, 0.1, 0.2]).tolist() == [6, 2, 4]
    assert midranks([1.0, 1.0, 2.0, 0.0]).tolist() == [5, 5, 8, 2]
    assert midranks([5.0, np.nan, 7.0, 6.0]).tolist() == [2, 4, 6, 4]
    assert midranks([np.nan, np.nan]).tolist() == [1, 1]
    values = np.random.default_rng(0).integers(0, 9, 50).astype(float)
    assert (midranks(values) / 2).tolist() == stats.rankdata(values).tolist()


def test_quantised_scores_span_twelve_bits() -> None:
    assert quantised([0.0, 1.0, 0.5, np.nan]).tolist() == [0, 4095, 2048, 2048]
    assert quantised([2.0, 2.0]).tolist() == [0, 0]
    assert quantised([np.nan, np.nan]).tolist() == [0, 0]
    with pytest.raises(ValueError, match=r"^invalid "):
        quantised([0.0, np.inf])


@pytest.mark.parametrize(
    ("scores", "selected"),
    [([1.5, 2.0], [0, 1]), ([np.nan, 2.0], [0, 1]), ([1, 2], [0, 1, 1]), ([1, 2], [0, 3]), ([], []), (["a"], [1])],
)
def test_invalid_input_is_named(scores: list[float], selected: list[int]) -> None:
    with pytest.raises(ValueError, match=r"^invalid "):
        subset_test(scores, selected)
    with pytest.raises(ValueError, match=r"^invalid "):
        subset_bound([np.nan, *scores], [*selected, 0])


def test_scores_too_wide_for_an_exact_count_are_refused() -> None:
    scores = np.arange(4000) * 1_000_003
    with pytest.raises(ValueError, match=r"^invalid scores: their range"):
        subset_test(scores, np.arange(4000) % 2)
