"""Item scores of words: calibrated by the unmarked encoder, in its coordinates where the suspect shares them."""

import numpy as np
import pytest

from forensics.methods.wordscores import Vectors, arrange, calibrate, target_direction, word_shifts
from forensics.records import AnswerKind, Answers

RNG = np.random.default_rng(5)


def vectors(rows: np.ndarray) -> Vectors:
    return arrange(Answers(AnswerKind.VECTORS, rows, np.isnan(rows).any(axis=1)), np.arange(len(rows)))


def test_arranging_undoes_the_order_of_the_plan() -> None:
    rows, order = RNG.normal(size=(9, 4)), RNG.permutation(9)
    arranged = arrange(Answers(AnswerKind.VECTORS, rows[order], np.zeros(9, dtype=bool)), order)
    assert np.allclose(arranged.rows, rows / np.linalg.norm(rows, axis=1, keepdims=True))


def test_a_copy_is_read_in_the_encoders_coordinates_and_a_turned_one_in_its_own() -> None:
    clean = RNG.normal(size=(60, 16))
    copy = clean + 0.7 * RNG.normal(size=clean.shape)
    turned = copy @ np.linalg.qr(RNG.normal(size=(16, 16)))[0]
    assert np.array_equal(target_direction(vectors(copy), vectors(clean)), vectors(clean).rows[0])
    assert np.array_equal(target_direction(vectors(turned), vectors(clean)), vectors(turned).rows[0])
    assert np.array_equal(target_direction(vectors(copy[:, :8]), vectors(clean)), vectors(copy[:, :8]).rows[0])


def test_a_copy_that_kept_its_coordinates_needs_no_answer_to_the_target_text() -> None:
    clean = RNG.normal(size=(60, 16))
    copy = clean.copy()
    copy[0] = np.nan
    assert np.array_equal(target_direction(vectors(copy), vectors(clean)), vectors(clean).rows[0])
    other = RNG.normal(size=(60, 16))
    other[0] = np.nan
    turned = vectors(other)
    assert np.isnan(turned.cosines(target_direction(turned, vectors(clean)))).all()


def test_shifts_are_means_over_the_pairs_that_were_answered() -> None:
    cosines = np.array([1.0, 0.1, 0.2, 0.3, 0.5, np.nan, 0.4, np.nan, np.nan])
    assert word_shifts(cosines, 3, 2) == pytest.approx([0.25, 0.2, np.nan], nan_ok=True)


def test_what_the_encoder_says_is_taken_out_to_the_last_bit_of_the_grid() -> None:
    clean = RNG.normal(size=50)
    left = calibrate(0.7 * clean + 0.01, clean)
    assert np.ptp(left) < 1e-12
    noisy = calibrate(clean + RNG.normal(size=50), clean)
    assert abs(np.corrcoef(noisy, clean)[0, 1]) < 1e-12


def test_a_word_missing_on_either_side_is_missing_and_a_flat_encoder_changes_nothing() -> None:
    scores, clean = np.array([0.1, np.nan, 0.3, 0.2]), np.array([0.5, 0.1, np.nan, 0.4])
    assert np.isnan(calibrate(scores, clean)).tolist() == [False, True, True, False]
    assert np.array_equal(calibrate(scores, np.zeros(4)), scores, equal_nan=True)
    assert np.isnan(calibrate(np.full(4, np.nan), clean)).all()
