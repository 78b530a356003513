from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.statistics import FLOOR, class_ranks, labels_test, rank_outcomes, rank_sum_test, size_by_enumeration


@settings(max_examples=60, deadline=None)
@given(
    st.integers(2, 5).flatmap(lambda c: st.tuples(st.just(c), st.lists(st.integers(0, c - 1), min_size=1, max_size=5)))
)
def test_the_convolution_equals_brute_force(case: tuple[int, list[int]]) -> None:
    classes, ranks = case
    vectors = list(product(range(classes), repeat=len(ranks)))
    reached = sum(sum(vector) >= sum(ranks) for vector in vectors)
    assert rank_sum_test(ranks, classes).exact == Fraction(reached, len(vectors))


@pytest.mark.parametrize(("families", "classes"), [(3, 5), (6, 4), (4, 7)])
def test_size_by_enumeration(families: int, classes: int) -> None:
    pvalues = {
        total: rank_sum_test(_vector(total, families, classes), classes).pvalue
        for total in range(families * (classes - 1) + 1)
    }
    for alpha in (0.05, 0.01, 0.001):
        size = size_by_enumeration(lambda v: pvalues[sum(v)], rank_outcomes(families, classes), alpha)
        assert size <= Fraction(str(alpha))


def test_size_down_to_one_in_a_million_from_the_convolution() -> None:
    families, classes = 24, 10
    ways = np.array([1], dtype=object)
    for _ in range(families):
        ways = np.convolve(ways, np.ones(classes, dtype=object))
    for alpha in (Fraction(1, 20), Fraction(1, 1000), Fraction(1, 10**6)):
        size = sum(
            Fraction(int(count), classes**families)
            for total, count in enumerate(ways)
            if rank_sum_test(_vector(total, families, classes), classes).pvalue <= float(alpha)
        )
        assert 0 < size <= alpha


def test_the_best_ranks_are_as_rare_as_all_labels_hit() -> None:
    assert rank_sum_test([9] * 6, 10).exact == labels_test(6, 6, 10).exact == Fraction(1, 10**6)
    assert rank_sum_test([9] * 24, 10).log10_p == pytest.approx(-24.0)
    assert rank_sum_test([9] * 50, 10).pvalue == FLOOR
    assert rank_sum_test([0] * 24, 10).pvalue == 1.0


@settings(deadline=None)
@given(st.permutations([0, 9, 9, 3, 7, 1]))
def test_order_does_not_matter(ranks: list[int]) -> None:
    assert rank_sum_test(ranks, 10).exact == rank_sum_test([0, 1, 3, 7, 9, 9], 10).exact


def test_ties_and_missing_families_count_against_the_claim() -> None:
    shifts = [[0.1, 0.5, 0.3], [0.5, 0.5, 0.1], [np.nan, 0.2, 0.9], [0.0, 0.0, 0.0]]
    assert class_ranks(shifts, [1, 0, 2, 1]).tolist() == [2, 1, 0, 0]
    assert rank_sum_test(class_ranks(np.zeros((12, 10)), np.arange(12) % 10), 10).pvalue == 1.0


def test_ranks_of_a_uniform_class_are_uniform() -> None:
    shifts = np.random.default_rng(1).normal(size=(1, 6))
    assert sorted(int(class_ranks(shifts, [drawn])[0]) for drawn in range(6)) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("ranks", [[np.nan], [10], [-1], [0.5], [], ["a"], [[1]]])
def test_invalid_ranks_are_named(ranks: list[float]) -> None:
    with pytest.raises(ValueError, match=r"^invalid "):
        rank_sum_test(ranks, 10)


@pytest.mark.parametrize(
    ("shifts", "drawn"),
    [
        ([[1.0, 2.0]], [2]),
        ([[1.0, 2.0]], [0, 1]),
        ([1.0, 2.0], [0]),
        ([[1.0], [1.0, 2.0]], [0, 0]),
        ([[1.0, 2.0]], [np.nan]),
    ],
)
def test_invalid_shifts_are_named(shifts: list[list[float]], drawn: list[int]) -> None:
    with pytest.raises(ValueError, match=r"^invalid "):
        class_ranks(shifts, drawn)


def _vector(total: int, families: int, classes: int) -> list[int]:
    """One vector of ranks with that sum."""
    full, rest = divmod(total, classes - 1)
    return ([classes - 1] * full + [rest] + [0] * families)[:families]
