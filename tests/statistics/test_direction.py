import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from forensics.statistics import FLOOR, direction_test


@settings(deadline=None)
@given(st.floats(-0.9, 0.9), st.integers(2, 400))
def test_agrees_with_the_beta_law_of_scipy(cosine: float, dimension: int) -> None:
    half = (dimension - 1) / 2
    expected = float(stats.beta.sf((1 + cosine) / 2, half, half))
    assert direction_test(cosine, dimension).pvalue == pytest.approx(max(FLOOR, expected), rel=1e-8)


@pytest.mark.parametrize(("cosine", "dimension"), [(0.75, 4001), (0.5, 5001), (0.9375, 3001)])
def test_the_far_tail_equals_an_exact_binomial_sum(cosine: float, dimension: int) -> None:
    # For an odd dimension the parameter a is whole, and I_x(a, a) = P(Binomial(2a - 1, x) >= a).
    a, x = (dimension - 1) // 2, (1 - Fraction(cosine)) / 2
    n = 2 * a - 1
    weights = [math.comb(n, j) * x.numerator**j * (x.denominator - x.numerator) ** (n - j) for j in range(a, n + 1)]
    exact = math.log10(sum(weights)) - n * math.log10(x.denominator)
    result = direction_test(cosine, dimension)
    assert exact < -300
    assert result.pvalue == FLOOR
    assert result.log10_p == pytest.approx(exact, rel=1e-10)


def test_a_uniform_direction_is_uniform() -> None:
    rng = np.random.default_rng(4)
    vectors = rng.normal(size=(2000, 24))
    cosines = vectors[:, 0] / np.linalg.norm(vectors, axis=1)
    pvalues = [direction_test(cosine, 24).pvalue for cosine in cosines]
    assert stats.kstest(pvalues, "uniform").pvalue > 1e-3


def test_opposite_and_orthogonal_directions_are_not_significant() -> None:
    assert direction_test(0.0, 384).pvalue == pytest.approx(0.5)
    assert direction_test(-1.0, 384).pvalue == 1.0
    assert math.isfinite(direction_test(1.0, 384).log10_p)


@pytest.mark.parametrize(
    ("cosine", "dimension"), [(math.nan, 8), (1.1, 8), (math.inf, 8), (0.1, 1), (0.1, 2.5), (None, 8)]
)
def test_invalid_input_is_named(cosine: float, dimension: int) -> None:
    with pytest.raises(ValueError, match=r"^invalid "):
        direction_test(cosine, dimension)
