import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.statistics import FLOOR, adjusted_p, holm, n_star


def test_n_star_is_exact_at_the_floor() -> None:
    assert n_star(FLOOR) == 2**128 // 1000 == 340282366920938463463374607431768211
    assert isinstance(n_star(FLOOR), int)
    assert n_star(1.0) == 0
    assert n_star(Fraction(1, 10**6)) == 1000


@settings(deadline=None)
@given(st.floats(FLOOR, 1.0))
def test_n_star_attempts_stay_below_one_in_a_thousand_and_one_more_does_not(p: float) -> None:
    attempts = n_star(p)
    assert attempts * Fraction(p) <= Fraction(1, 1000) < (attempts + 1) * Fraction(p)


def test_the_charge_multiplies_by_attempts_and_examinations() -> None:
    assert adjusted_p(2.0**-40, 20, 3) == 3 * 2.0**-20
    assert adjusted_p(0.5, 20, 1) == 1.0
    assert adjusted_p(1e-6, 0, 1000) == 1e-3
    assert adjusted_p(FLOOR, 64, 1) == 2.0**-64


def test_holm_steps_down() -> None:
    result = holm([0.01, 0.04, 0.03, 0.005], 0.05)
    assert result.rejected == (True, False, False, True)
    assert result.adjusted == pytest.approx((0.03, 0.06, 0.06, 0.02))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(1e-9, 1.0), min_size=1, max_size=12), st.floats(0.001, 0.2))
def test_holm_lies_between_bonferroni_and_no_correction(pvalues: list[float], alpha: float) -> None:
    rejected = np.array(holm(pvalues, alpha).rejected)
    values = np.array(pvalues)
    assert (rejected <= (values <= alpha)).all()
    assert (rejected >= (values * len(values) <= alpha * (1 - 1e-9))).all()


def test_invalid_input_is_named() -> None:
    for p in (0.0, math.nan, 2.0, "x"):
        with pytest.raises(ValueError, match=r"^invalid "):
            n_star(p)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"^invalid "):
            holm([0.5, p], 0.05)  # type: ignore[list-item]
    for grinding, examinations in ((-1, 1), (0, 0), (1.5, 1)):
        with pytest.raises(ValueError, match=r"^invalid "):
            adjusted_p(0.1, grinding, examinations)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^invalid "):
        holm([], 0.05)
