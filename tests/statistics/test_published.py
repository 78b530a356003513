import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from forensics.statistics import FLOOR, fisher_exact, ks_two_sample, pearson_chi_square

bit_lists = st.integers(1, 80).flatmap(
    lambda n: st.tuples(*(st.lists(st.integers(0, 1), min_size=n, max_size=n) for _ in range(2)))
)


@settings(deadline=None)
@given(bit_lists, st.booleans())
def test_agree_with_scipy(lists: tuple[list[int], list[int]], yates: bool) -> None:
    bits, target = (np.array(values) for values in lists)
    table = [[np.sum((bits == i) & (target == j)) for j in (1, 0)] for i in (1, 0)]
    chi, fisher = pearson_chi_square(bits, target, yates), fisher_exact(bits, target)
    assert fisher.pvalue == pytest.approx(float(stats.fisher_exact(table, alternative="greater").pvalue), rel=1e-9)
    if np.ptp(bits) == 0 or np.ptp(target) == 0:
        assert chi.pvalue == 1.0
        assert fisher.pvalue == 1.0
    else:
        theirs = stats.chi2_contingency(table, correction=yates)
        assert chi.statistic == pytest.approx(float(theirs.statistic))
        assert chi.pvalue == pytest.approx(float(theirs.pvalue), rel=1e-9)
    assert not chi.deciding
    assert not fisher.deciding
    assert "decides nothing" in chi.method
    assert "decides nothing" in fisher.method


def test_perfect_matches_give_the_known_figures() -> None:
    balanced = np.arange(64) % 2
    assert pearson_chi_square(balanced, balanced).pvalue == pytest.approx(1.2e-15, rel=0.05)
    assert pearson_chi_square(balanced, balanced, yates=True).pvalue == pytest.approx(9.2e-15, rel=0.05)
    assert fisher_exact(balanced, balanced).pvalue == pytest.approx(5.5e-19, rel=0.05)


def test_chi_square_cannot_tell_an_inverted_extraction_and_fisher_can() -> None:
    balanced = np.arange(64) % 2
    assert pearson_chi_square(1 - balanced, balanced).pvalue == pearson_chi_square(balanced, balanced).pvalue
    assert fisher_exact(1 - balanced, balanced).pvalue == 1.0


def test_far_tails_do_not_underflow() -> None:
    balanced = np.arange(4096) % 2
    assert pearson_chi_square(balanced, balanced).pvalue == FLOOR
    assert -1000 < pearson_chi_square(balanced, balanced).log10_p < -880


def test_kolmogorov_smirnov_agrees_with_scipy() -> None:
    rng = np.random.default_rng(6)
    first, second = rng.normal(size=60), rng.normal(size=50) + 0.8
    theirs = stats.ks_2samp(first, second)
    ours = ks_two_sample(first, second)
    assert (ours.statistic, ours.pvalue) == pytest.approx((float(theirs.statistic), float(theirs.pvalue)))
    assert not ours.deciding
    assert ks_two_sample(np.zeros(2000), np.ones(2000)).pvalue == FLOOR
    assert ks_two_sample(np.ones(9), np.ones(9)).pvalue == 1.0


@pytest.mark.parametrize("bad", [[np.nan, 1.0], [0.5, 1.0], [], ["a", "b"]])
def test_invalid_input_is_named(bad: list[float]) -> None:
    for function in (pearson_chi_square, fisher_exact):
        with pytest.raises(ValueError, match=r"^invalid "):
            function(bad, [0, 1])
        with pytest.raises(ValueError, match=r"^invalid "):
            function([0, 1, 1], [0, 1])
    with pytest.raises(ValueError, match=r"^invalid "):
        ks_two_sample([np.nan], bad)
