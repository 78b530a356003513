import pytest
from scipy import stats

from forensics.statistics import clopper_pearson, upper_limit


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (0, 1000), (3, 3), (51, 64), (64, 64), (7, 40)])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_agrees_with_scipy(k: int, n: int, confidence: float) -> None:
    two_sided = stats.binomtest(k, n).proportion_ci(confidence, method="exact")
    assert clopper_pearson(k, n, confidence) == pytest.approx((two_sided.low, two_sided.high), abs=1e-9)
    one_sided = stats.binomtest(k, n, alternative="less").proportion_ci(confidence, method="exact")
    assert upper_limit(k, n, confidence) == pytest.approx(one_sided.high, abs=1e-9)


def test_three_of_three_leaves_a_wide_interval() -> None:
    assert stats.binomtest(3, 3, alternative="greater").proportion_ci(0.95).low == pytest.approx(0.368, abs=1e-3)
    assert 1.0 - upper_limit(0, 3, 0.95) == pytest.approx(0.368, abs=1e-3)


@pytest.mark.parametrize("k", [0, 5, 32, 60, 64])
def test_the_upper_limit_covers(k: int) -> None:
    limit = upper_limit(k, 64, 0.99)
    assert limit == 1.0 or stats.binom.cdf(k, 64, limit) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("k", "n", "confidence"), [(2, 1, 0.9), (-1, 1, 0.9), (0, 0, 0.9), (0, 1, 1.0), (0, 1, float("nan"))]
)
def test_invalid_input_is_named(k: int, n: int, confidence: float) -> None:
    for function in (clopper_pearson, upper_limit):
        with pytest.raises(ValueError, match=r"^invalid "):
            function(k, n, confidence)
