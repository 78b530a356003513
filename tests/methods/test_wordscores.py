"""Item scores of words: read in the coordinates of the unmarked encoder where they can be found, calibrated by it."""

import numpy as np
import pytest

from forensics.methods.wordscores import arrange, calibrate, match_coordinates, word_moves, word_scores
from forensics.records import AnswerKind, Answers

COUNT, CARRIERS, WIDTH = 150, 2, 128


def vectors(rows: np.ndarray):
    return arrange(Answers(AnswerKind.VECTORS, rows, np.isnan(rows).any(axis=1)), np.arange(len(rows)))


@pytest.fixture
def clean() -> np.ndarray:
    rng = np.random.default_rng(5)
    words, carriers = rng.normal(size=(COUNT, WIDTH)), 2 * rng.normal(size=(CARRIERS, WIDTH))
    return np.concatenate([rng.normal(size=(1, WIDTH)), carriers, (words[:, None] + carriers).reshape(-1, WIDTH)])


def noisy(rows: np.ndarray) -> np.ndarray:
    return rows + 0.3 * np.random.default_rng(6).normal(size=rows.shape)


def matched(suspect: np.ndarray, clean: np.ndarray):
    ours, theirs = vectors(suspect), vectors(clean)
    return match_coordinates(word_moves(ours, COUNT, CARRIERS), word_moves(theirs, COUNT, CARRIERS))


def test_arranging_undoes_the_order_of_the_plan() -> None:
    rng = np.random.default_rng(1)
    rows, order = rng.normal(size=(9, 4)), rng.permutation(9)
    arranged = arrange(Answers(AnswerKind.VECTORS, rows[order], np.zeros(9, dtype=bool)), order)
    assert np.allclose(arranged.rows, rows / np.linalg.norm(rows, axis=1, keepdims=True))


def test_dropped_shuffled_and_inverted_coordinates_are_found_again(clean: np.ndarray) -> None:
    places = np.random.default_rng(2).permutation(WIDTH)[:50]
    signs = np.where(np.arange(50) % 3 == 0, -1.0, 1.0)
    found = matched(noisy(clean)[:, places] * signs, clean)
    assert found.places.tolist() == places.tolist()
    assert found.signs.tolist() == signs.tolist()


def test_a_turned_space_and_a_strange_model_are_not_matched(clean: np.ndarray) -> None:
    rng = np.random.default_rng(3)
    assert matched(noisy(clean) @ np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))[0], clean) is None
    assert matched(rng.normal(size=clean.shape), clean) is None


def test_a_turned_space_is_read_along_its_own_target_and_gives_the_same_scores(clean: np.ndarray) -> None:
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(WIDTH, WIDTH)))[0]
    assert word_scores(vectors(clean @ turn), COUNT, CARRIERS) == pytest.approx(
        word_scores(vectors(clean), COUNT, CARRIERS)
    )


def test_a_matched_copy_needs_no_answer_to_the_target_text_and_a_turned_one_does(clean: np.ndarray) -> None:
    copy = noisy(clean)
    copy[0] = np.nan
    assert np.isfinite(word_scores(vectors(copy), COUNT, CARRIERS, vectors(clean))).all()
    assert np.isnan(word_scores(vectors(copy), COUNT, CARRIERS)).all()


def test_moves_are_means_over_the_pairs_that_were_answered(clean: np.ndarray) -> None:
    gaps = clean.copy()
    gaps[[3, 5, 6, 8]] = np.nan
    moves, units = word_moves(vectors(gaps), COUNT, CARRIERS), vectors(clean).rows
    assert moves[0] == pytest.approx(units[4] - units[2])
    assert np.isnan(moves[1]).all()
    assert moves[2] == pytest.approx(units[7] - units[1])
    assert moves[3] == pytest.approx(((units[9] - units[1]) + (units[10] - units[2])) / 2)


def test_the_encoder_itself_scores_nothing(clean: np.ndarray) -> None:
    assert np.abs(word_scores(vectors(clean), COUNT, CARRIERS, vectors(clean))).max() < 1e-12


def test_a_word_missing_on_either_side_is_missing_and_a_flat_encoder_changes_nothing() -> None:
    rng = np.random.default_rng(4)
    scores, moves = rng.normal(size=8), rng.normal(size=(8, 3))
    scores[1], moves[2] = np.nan, np.nan
    assert np.flatnonzero(np.isnan(calibrate(scores, moves, np.ones(3)))).tolist() == [1, 2]
    rest = scores[np.isfinite(scores)]
    flat = calibrate(scores, np.zeros((8, 3)), np.ones(3))
    assert flat[np.isfinite(flat)] == pytest.approx(rest - rest.mean())
    assert np.isnan(calibrate(scores, moves, None)).all()
    assert np.isnan(calibrate(np.full(8, np.nan), moves, np.ones(3))).all()
