from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from forensics.statistics import (
    allowed_rejections,
    binomial_test,
    midranks,
    rank_outcomes,
    size_by_enumeration,
    subset_bound,
    subset_outcomes,
    subset_test,
)

LEVELS = (0.05, 0.01, 0.001)
KEYS = 1000


@pytest.mark.parametrize(("alpha", "allowed"), [(0.05, 77), (0.01, 23), (0.001, 6)])
def test_allowed_rejections_of_a_thousand_keys_in_nine_cells(alpha: float, allowed: int) -> None:
    assert allowed_rejections(1000, alpha, 9) == allowed
    assert allowed == stats.binom.ppf(1 - 1e-3 / 9, 1000, alpha)


def test_simulated_size_of_the_bit_test_for_a_biased_dependent_model() -> None:
    rng = np.random.default_rng(20)
    extracted = np.repeat(rng.random(16) < 0.9, 8)
    matched = (rng.integers(0, 2, (KEYS, 128)) == extracted).sum(axis=1)
    table = {int(m): binomial_test(int(m), 128).pvalue for m in np.unique(matched)}
    _assert_allowed([table[int(m)] for m in matched])


def test_simulated_size_of_the_subset_test_for_heavy_tailed_scores() -> None:
    rng = np.random.default_rng(21)
    raw = rng.standard_cauchy(60)
    scores, chosen = midranks(raw), np.array([rng.permutation(60) < 10 for _ in range(KEYS)])
    _assert_allowed([subset_test(scores, selected).pvalue for selected in chosen])
    _assert_allowed([subset_bound(raw, selected).pvalue for selected in chosen[:200]])


def test_outcomes_are_complete() -> None:
    assert sum(chance for _, chance in subset_outcomes(7, 3)) == 1
    assert sum(chance for _, chance in rank_outcomes(3, 4)) == 1
    assert size_by_enumeration(lambda s: 1.0, subset_outcomes(7, 3), 0.05) == 0
    assert size_by_enumeration(lambda s: 0.01, subset_outcomes(7, 3), 0.05) == Fraction(1)


def test_a_test_that_is_too_liberal_is_caught() -> None:
    with pytest.raises(AssertionError):
        _assert_allowed(np.random.default_rng(3).random(KEYS) ** 2)


def test_invalid_input_is_named() -> None:
    for keys, alpha, cells in ((0, 0.05, 9), (10, 0.0, 9), (10, 0.05, 0), (10, float("nan"), 1)):
        with pytest.raises(ValueError, match=r"^invalid "):
            allowed_rejections(keys, alpha, cells)


def _assert_allowed(pvalues: object) -> None:
    values = np.asarray(pvalues)
    for alpha in LEVELS:
        assert (values <= alpha).sum() <= allowed_rejections(len(values), alpha, 9)
