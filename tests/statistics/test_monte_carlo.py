from fractions import Fraction

import numpy as np
import pytest

from forensics.statistics import monte_carlo_test
from forensics.statistics.monte_carlo import LEAST_DRAWS


def test_counts_draws_that_reach_the_observed_value_ties_included() -> None:
    result = monte_carlo_test(2.0, lambda m: np.resize([1.0, 2.0, 3.0, np.nan], m), 4, deciding=False)
    assert result.exact == Fraction(1 + 3, 1 + 4)
    assert not result.deciding


def test_the_p_value_is_never_below_one_in_b_plus_one() -> None:
    result = monte_carlo_test(1e9, lambda m: np.zeros(m), 250_000, deciding=False)
    assert result.pvalue == 1 / 250_001
    assert monte_carlo_test(0.0, lambda m: np.zeros(m), 999, deciding=False).pvalue == 1.0


def test_a_deciding_test_needs_ten_million_draws() -> None:
    with pytest.raises(ValueError, match=r"^invalid draws"):
        monte_carlo_test(1.0, lambda m: np.zeros(m), LEAST_DRAWS - 1)
    result = monte_carlo_test(1.0, lambda m: np.zeros(m), LEAST_DRAWS)
    assert result.deciding
    assert result.pvalue == 1 / (10**7 + 1)


def test_sub_uniform_under_the_null() -> None:
    rng = np.random.default_rng(8)
    pvalues = [
        monte_carlo_test(float(rng.normal()), rng.standard_normal, 99, deciding=False).pvalue for _ in range(2000)
    ]
    assert np.mean(np.array(pvalues) <= 0.05) <= 0.07


def test_invalid_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"^invalid statistic"):
        monte_carlo_test(float("nan"), lambda m: np.zeros(m), 9, deciding=False)
    with pytest.raises(ValueError, match=r"^invalid draw:"):
        monte_carlo_test(1.0, lambda m: np.zeros(m + 1), 9, deciding=False)
    with pytest.raises(ValueError, match=r"^invalid draws"):
        monte_carlo_test(1.0, lambda m: np.zeros(m), 0, deciding=False)
