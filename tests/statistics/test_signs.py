from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.statistics import FLOOR, signs_test

whole = st.lists(st.integers(-50, 50), min_size=1, max_size=9)
weights = st.lists(st.floats(-50, 50).filter(lambda x: x == 0 or abs(x) > 1e-6), min_size=1, max_size=9)


@settings(max_examples=100, deadline=None)
@given(whole, st.data())
def test_the_bound_is_never_below_the_exact_p(scores: list[int], data: st.DataObject) -> None:
    bits = data.draw(st.lists(st.integers(0, 1), min_size=len(scores), max_size=len(scores)))
    sums = [sum(sign * score for sign, score in zip(signs, scores)) for signs in product((-1, 1), repeat=len(scores))]
    observed = sum((2 * bit - 1) * score for bit, score in zip(bits, scores))
    result = signs_test(scores, bits)
    assert result.bound
    assert result.statistic == observed
    assert result.pvalue >= np.mean([value >= observed for value in sums])


def test_size_by_enumeration_of_all_payloads() -> None:
    rng = np.random.default_rng(5)
    scores = rng.normal(size=12)
    pvalues = np.array([signs_test(scores, bits).pvalue for bits in product((0, 1), repeat=12)])
    for alpha in (0.5, 0.2, 0.05, 0.01, 0.001):
        assert np.mean(pvalues <= alpha) <= alpha


def test_equal_weights_meet_the_binomial_in_the_corner() -> None:
    bits = np.arange(64) % 2
    result = signs_test(3.0 * (2 * bits - 1), bits)
    assert result.pvalue == pytest.approx(2.0**-64, rel=1e-6)
    assert result.pvalue >= 2.0**-64
    long = np.arange(256) % 2
    assert signs_test(2.0 * long - 1, long).pvalue == FLOOR
    assert signs_test(2.0 * long - 1, long).log10_p == pytest.approx(-256 * np.log10(2))


@settings(deadline=None)
@given(weights, st.data())
def test_order_and_scale_do_not_matter(scores: list[float], data: st.DataObject) -> None:
    bits = data.draw(st.lists(st.integers(0, 1), min_size=len(scores), max_size=len(scores)))
    order = data.draw(st.permutations(range(len(scores))))
    first = signs_test(scores, bits)
    moved = signs_test([scores[i] for i in order], [bits[i] for i in order])
    scaled = signs_test([7.0 * score for score in scores], bits)
    assert moved.log10_p == pytest.approx(first.log10_p, abs=1e-6)
    assert scaled.log10_p == pytest.approx(first.log10_p, abs=1e-6)


def test_inverted_ties_and_constants_say_nothing() -> None:
    bits = np.arange(64) % 2
    assert signs_test(1.0 - 2 * bits, bits).pvalue == 1.0
    assert signs_test(np.zeros(64), bits).pvalue == 1.0
    assert signs_test(np.full(64, 1e-10), np.ones(64)).pvalue == 1.0
    assert signs_test(np.full(64, 2.5), np.ones(64)).pvalue == 1.0


def test_a_tie_adds_nothing_to_the_sum() -> None:
    bits = np.arange(32) % 2
    scores = np.where(np.arange(32) < 16, 2.0 * bits - 1, 1e-10)
    assert signs_test(scores, bits).statistic == 16.0
    assert signs_test(scores, bits).pvalue == pytest.approx(2.0**-16, rel=1e-6)


@pytest.mark.parametrize(
    ("scores", "bits"),
    [
        ([1.0, np.nan], [0, 1]),
        ([1.0, np.inf], [0, 1]),
        ([], []),
        ([1.0], [2]),
        ([1.0], [0, 1]),
        (["a"], [1]),
        ([[1.0]], [1]),
    ],
)
def test_invalid_input_is_named(scores: list[float], bits: list[int]) -> None:
    with pytest.raises(ValueError, match=r"^invalid "):
        signs_test(scores, bits)
