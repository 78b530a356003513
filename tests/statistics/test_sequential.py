import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.statistics import allowed_rejections, bayes_factor_binomial, sequential_test
from forensics.statistics.strength import log10_mixture


@settings(deadline=None)
@given(st.lists(st.integers(0, 1), min_size=1, max_size=60))
def test_the_path_is_the_bayes_factor_so_far(outcomes: list[int]) -> None:
    result = sequential_test(outcomes, 0.5)
    expected = [bayes_factor_binomial(sum(outcomes[:n]), n) for n in range(1, len(outcomes) + 1)]
    assert result.path == pytest.approx(tuple(expected))
    assert result.pvalue == pytest.approx(min(1.0, 10 ** -max(result.path)))


@pytest.mark.parametrize("p0", [0.5, 0.1])
def test_the_process_is_fair_at_the_null(p0: float) -> None:
    # One step: the expectation of E_{n+1} given s hits of n equals E_n when the chance is p0.
    for n in (0, 1, 5, 40):
        s = np.arange(n + 1)
        now = 10.0 ** log10_mixture(s, np.full(n + 1, n), p0)
        hit, miss = (10.0 ** log10_mixture(s + gain, np.full(n + 1, n + 1), p0) for gain in (1, 0))
        assert p0 * hit + (1 - p0) * miss == pytest.approx(now)


@pytest.mark.parametrize("p0", [0.5, 0.1])
def test_few_null_runs_ever_cross(p0: float) -> None:
    rng = np.random.default_rng(11)
    hits = np.cumsum(rng.random((1000, 300)) < p0, axis=1)
    highest = log10_mixture(hits, np.broadcast_to(np.arange(1, 301), hits.shape), p0).max(axis=1)
    crossed = int((highest >= np.log10(20)).sum())
    assert 0 < crossed <= allowed_rejections(1000, 0.05, 2)


def test_a_run_without_hits_has_p_one_and_a_finite_path() -> None:
    result = sequential_test(np.zeros(3000), 0.5)
    assert result.pvalue == 1.0
    assert np.isfinite(result.path).all()


def test_a_missing_outcome_is_a_miss() -> None:
    assert sequential_test([1, np.nan, 1], 0.5).path == sequential_test([1, 0, 1], 0.5).path


def test_stopping_early_keeps_the_best_value() -> None:
    rise = sequential_test(np.ones(40), 0.5)
    fall = sequential_test(np.r_[np.ones(40), np.zeros(60)], 0.5)
    assert fall.pvalue == rise.pvalue
    assert fall.path[-1] < rise.path[-1]


@pytest.mark.parametrize("bad", [[0.5], [2], [], ["x"], [[1, 0]], [np.inf]])
def test_invalid_input_is_named(bad: list[float]) -> None:
    with pytest.raises(ValueError, match=r"^invalid "):
        sequential_test(bad, 0.5)
    with pytest.raises(ValueError, match=r"^invalid "):
        sequential_test([1, 0], 1.0)
