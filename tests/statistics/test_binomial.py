import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from forensics.statistics import (
    FLOOR,
    binomial_outcomes,
    binomial_test,
    blocks_test,
    critical_value,
    labels_test,
    size_by_enumeration,
)

ALPHAS = (Fraction(1, 20), Fraction(1, 100), Fraction(1, 1000), Fraction(1, 10**6))


@pytest.mark.parametrize("k", [32, 64, 128, 256])
@pytest.mark.parametrize("alpha", ALPHAS)
def test_size_of_the_bit_test_never_exceeds_its_level(k: int, alpha: Fraction) -> None:
    size = size_by_enumeration(lambda m: binomial_test(m, k).pvalue, binomial_outcomes(k), alpha)
    assert 0 < size <= alpha


@pytest.mark.parametrize(("families", "classes"), [(6, 10), (24, 10), (40, 7), (16, 3)])
@pytest.mark.parametrize("alpha", ALPHAS)
def test_size_of_the_label_test_never_exceeds_its_level(families: int, classes: int, alpha: Fraction) -> None:
    outcomes = list(binomial_outcomes(families, Fraction(1, classes)))
    assert sum(chance for _, chance in outcomes) == 1
    size = size_by_enumeration(lambda hits: labels_test(hits, families, classes).pvalue, outcomes, alpha)
    assert 0 < size <= alpha


@pytest.mark.parametrize(
    ("alpha", "needed"),
    [("1e-6", {64: 51, 128: 92, 256: 167}), ("1e-12", {64: 59, 128: 103, 256: 184}), ("1e-9", {64: 56})],
)
def test_thresholds_of_payload_bits(alpha: str, needed: dict[int, int]) -> None:
    for n, matches in needed.items():
        exact, below = binomial_test(matches, n).exact, binomial_test(matches - 1, n).exact
        assert exact is not None
        assert below is not None
        assert exact <= Fraction(alpha) < below
        assert critical_value(n, float(alpha)) == matches


@pytest.mark.parametrize(("families", "needed"), [(10, 8), (20, 11), (24, 12), (32, 14), (40, 16), (6, 6)])
def test_thresholds_of_labels_with_ten_classes(families: int, needed: int) -> None:
    exact, below = labels_test(needed, families, 10).exact, labels_test(needed - 1, families, 10).exact
    assert exact is not None
    assert below is not None
    assert exact <= Fraction(1, 10**6) < below
    assert critical_value(families, 1e-6, 0.1) == needed


def test_six_of_six_labels_is_exactly_one_in_a_million() -> None:
    result = labels_test(6, 6, 10)
    assert result.exact == Fraction(1, 10**6)
    assert result.pvalue == 1e-6
    assert 0.1**6 > 1e-6, "the naive float would miss the threshold"
    assert binomial_test(6, 6, 0.1).exact == Fraction(1, 10**6), "a decimal chance is read as the decimal"


@settings(deadline=None)
@given(st.integers(1, 400), st.data())
def test_agrees_with_scipy(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    p0 = data.draw(st.sampled_from([0.5, 0.1, 0.25, 1 / 3, 0.9]))
    expected = float(stats.binom.sf(k - 1, n, p0))
    result = binomial_test(k, n, p0)
    assert result.pvalue == pytest.approx(max(FLOOR, expected), rel=1e-9)
    theirs = stats.binomtest(k, n, p0, alternative="greater")
    assert result.statistic == theirs.k
    low, high = result.confidence_interval(0.95)
    reference = stats.binomtest(k, n).proportion_ci(0.95, method="exact")
    assert (low, high) == pytest.approx((reference.low, reference.high), abs=1e-9)
    assert result.upper_limit(0.99) >= k / n


def test_long_counts_agree_with_exact_ones_and_never_underflow() -> None:
    assert binomial_test(30_500, 100_000, 0.3).pvalue == pytest.approx(
        float(stats.binom.sf(30_499, 100_000, 0.3)), rel=1e-9
    )
    far = binomial_test(90_000, 200_000, 0.3)
    assert far.exact is None
    assert far.pvalue == FLOOR
    assert far.log10_p == pytest.approx(float(stats.binom.logpmf(90_000, 200_000, 0.3)) / math.log(10), abs=1.0)
    assert binomial_test(4096, 4096).log10_p == pytest.approx(-4096 * math.log10(2))
    assert binomial_test(0, 200_000, 0.3).pvalue == 1.0


def test_the_floor_holds_for_the_p_value_and_not_for_its_logarithm() -> None:
    assert binomial_test(128, 128).pvalue == 2.0**-128 == FLOOR
    assert binomial_test(256, 256).pvalue == FLOOR
    assert binomial_test(256, 256).log10_p == pytest.approx(-256 * math.log10(2))
    assert binomial_test(0, 64).log10_p == 0.0


@settings(deadline=None)
@given(st.integers(1, 300), st.data())
def test_inverted_bits_are_never_significant(k: int, data: st.DataObject) -> None:
    matched = data.draw(st.integers(0, k // 2))
    assert binomial_test(matched, k).pvalue >= 0.5


def test_blocks_follow_one_in_r() -> None:
    assert blocks_test(3, 3, 16).exact == Fraction(1, 16**3)
    assert blocks_test(0, 3, 16).pvalue == 1.0
    assert blocks_test(5, 8, 2).exact == binomial_test(5, 8).exact


@pytest.mark.parametrize(
    ("matches", "n", "p0"),
    [
        (-1, 4, 0.5),
        (5, 4, 0.5),
        (0, 0, 0.5),
        (math.nan, 4, 0.5),
        (1.5, 4, 0.5),
        (None, 4, 0.5),
        (1, 4, 0.0),
        (1, 4, 1.0),
        (1, 4, math.nan),
        (1, 4, math.inf),
        (1, 4, None),
    ],
)
def test_invalid_input_is_named(matches: object, n: object, p0: object) -> None:
    with pytest.raises(ValueError, match=r"^invalid "):
        binomial_test(matches, n, p0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^invalid classes"):
        labels_test(1, 2, 1)
