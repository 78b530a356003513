import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special

from forensics.statistics import bayes_cap, bayes_factor_binomial, p_to_e, upper_limit


@pytest.mark.parametrize(("k", "n", "p0"), [(51, 64, 0.5), (0, 10, 0.5), (12, 24, 0.1), (3, 3, 0.25), (20, 64, 0.5)])
def test_bayes_factor_equals_the_integral(k: int, n: int, p0: float) -> None:
    def likelihood(p: float) -> float:
        return math.exp(special.xlogy(k, p) + special.xlog1py(n - k, -p)) / (1 - p0)

    area, _ = integrate.quad(likelihood, p0, 1.0, epsabs=0.0, epsrel=1e-10)
    assert 10 ** bayes_factor_binomial(k, n, p0) == pytest.approx(area / (p0**k * (1 - p0) ** (n - k)), rel=1e-6)


def test_bayes_factor_stays_finite_where_floats_end() -> None:
    assert bayes_factor_binomial(5000, 5000) == pytest.approx(5000 * math.log10(2) + math.log10(2 / 5001), rel=1e-9)
    assert -4.0 < bayes_factor_binomial(5, 5000) < -3.0
    assert bayes_factor_binomial(0, 0) == pytest.approx(0.0, abs=1e-12)


@settings(deadline=None)
@given(st.integers(1, 200), st.data())
def test_bayes_factor_rises_with_the_matches(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n - 1))
    assert bayes_factor_binomial(k, n) < bayes_factor_binomial(k + 1, n)


@pytest.mark.parametrize("p", [1.0, 0.999_999, 0.998, 0.5, 0.05, 1e-6, 2.0**-128])
def test_p_to_e_equals_its_formula(p: float) -> None:
    expected = 0.5 if p > 0.999_99 else (1 - p + p * math.log(p)) / (p * math.log(p) ** 2)
    assert p_to_e(p) == pytest.approx(expected, rel=1e-5)


def test_p_to_e_has_expectation_one_at_most() -> None:
    area, _ = integrate.quad(lambda x: p_to_e(math.exp(-x)) * math.exp(-x), 0.0, 600.0, limit=400)
    assert area <= 1.0
    assert p_to_e(5e-324) == math.inf


def test_the_cap_follows_the_validation() -> None:
    assert bayes_cap(math.inf, upper_limit(0, 1000, 0.95)) == pytest.approx(334, abs=1)
    assert bayes_cap(1e40, upper_limit(0, 3000, 0.95)) == pytest.approx(1002, abs=1)
    assert bayes_cap(100.0, 0.0) == pytest.approx(100.0)
    assert bayes_cap(math.inf, 0.0) == math.inf
    assert bayes_cap(1e9, 1.0) == 1.0


@settings(deadline=None)
@given(st.floats(1e-6, 1e30), st.floats(0.0, 1.0))
def test_the_cap_never_raises_a_factor_above_one(factor: float, eps: float) -> None:
    assert min(factor, bayes_cap(factor, eps)) <= factor
    if factor >= 1.0:
        assert bayes_cap(factor, eps) <= factor * (1 + 1e-9)


def test_invalid_input_is_named() -> None:
    for p in (0.0, -0.1, 1.1, math.nan, math.inf, None, Fraction(2)):
        with pytest.raises(ValueError, match=r"^invalid "):
            p_to_e(p)  # type: ignore[arg-type]
    for factor, eps in ((0.0, 0.1), (math.nan, 0.1), (2.0, -0.1), (2.0, math.nan)):
        with pytest.raises(ValueError, match=r"^invalid "):
            bayes_cap(factor, eps)
    with pytest.raises(ValueError, match=r"^invalid "):
        bayes_factor_binomial(5, 4)
    assert np.isfinite(bayes_factor_binomial(4, 4, Fraction(1, 3)))
