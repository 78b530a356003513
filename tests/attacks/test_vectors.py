import numpy as np

from forensics.attacks.vectors import whiten

ROWS = np.random.default_rng(0).normal(size=(400, 6)) * [5, 3, 1, 1, 0.5, 0.2] + 1.0


def test_whitened_vectors_have_no_direction_of_their_own() -> None:
    rows = whiten(ROWS)
    assert rows.shape == (400, 6)
    assert rows.dtype == np.float32
    assert np.allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)
    spread = np.linalg.eigvalsh(rows.T @ rows / len(rows))
    assert spread.max() / spread.min() < 2.0
    unit = ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True)
    before = np.linalg.eigvalsh(unit.T @ unit / len(unit))
    assert before.max() / before.min() > 50.0
    assert np.abs(rows.mean(axis=0)).max() < 0.1


def test_whitening_keeps_the_leading_components_and_bears_flat_directions() -> None:
    assert whiten(ROWS, 2).shape == (400, 2)
    flat = np.column_stack([ROWS[:, 0], ROWS[:, 1], np.zeros(400)])
    rows = whiten(flat)
    assert rows.shape == (400, 3)
    assert np.isfinite(rows).all()
    assert np.isfinite(whiten(np.ones((3, 4)))).all()
