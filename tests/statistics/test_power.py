import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from forensics.statistics import binomial_test, critical_value, power_binomial, sample_size


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 200), st.sampled_from([0.05, 1e-3, 1e-6]), st.sampled_from([0.5, 0.1]))
def test_the_critical_value_is_the_first_that_the_exact_test_accepts(n: int, alpha: float, p0: float) -> None:
    needed = critical_value(n, alpha, p0)
    assert needed == n + 1 or binomial_test(needed, n, p0).pvalue <= alpha
    assert binomial_test(needed - 1, n, p0).pvalue > alpha


def test_power_is_the_tail_at_the_effect() -> None:
    assert power_binomial(64, 0.9, 1e-6) == pytest.approx(float(stats.binom.sf(50, 64, 0.9)))
    assert power_binomial(8, 0.9, 1e-6) == 0.0
    assert power_binomial(64, 1.0, 1e-6) == 1.0
    assert power_binomial(64, 0.0, 1e-6) == 0.0


@pytest.mark.parametrize(
    ("p0", "p1", "n"),
    [(0.1, 0.3, 127), (0.1, 0.5, 39), (0.1, 0.9, 10), (0.5, 0.7, 219), (0.5, 0.9, 46), (0.01, 0.1, 152)],
)
def test_known_sample_sizes_for_one_in_a_million_at_ninety_percent(p0: float, p1: float, n: int) -> None:
    assert sample_size(p1, 1e-6, 0.9, p0) == n
    assert power_binomial(n, p1, 1e-6, p0) >= 0.9 > power_binomial(n - 1, p1, 1e-6, p0)


def test_invalid_input_is_named() -> None:
    for effect in (0.5, 0.3, float("nan"), 1.2, 0.500001):
        with pytest.raises(ValueError, match=r"^invalid "):
            sample_size(effect, 1e-6, 0.9)
    with pytest.raises(ValueError, match=r"^invalid "):
        power_binomial(0, 0.7, 1e-6)
    with pytest.raises(ValueError, match=r"^invalid "):
        critical_value(10, 0.0)
