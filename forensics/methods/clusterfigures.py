"""How closely outputs for the drawn candidates lie together: figures beside the test, which decide nothing."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from forensics.records import FloatArray, IntArray, Published
from forensics.statistics import direction_test

_DECIDES_NOTHING = "decides nothing: "
_DECOYS = "models that were never marked draw together whatever shares words or spots; compare with the decoys'"

DIRECTION = (
    "cosine with the secret direction",
    "ours: mean shift of triggers less that of decoys; exact for a uniform direction",
    _DECIDES_NOTHING + "a turned copy has another frame, in which the cosine says nothing",
)
COSINE = (
    "usual measure of a cluster; the paper's own test is not known",
    _DECIDES_NOTHING + "pairs of outputs share inputs and are not independent; " + _DECOYS,
)
RESULTANT = (
    "length of the mean of unit vectors (Mardia and Jupp, Directional Statistics, 2000)",
    _DECIDES_NOTHING + _DECOYS,
)
SILHOUETTE = (
    "mean silhouette of triggers against decoys",
    "Rousseeuw, J. Comput. Appl. Math. 20 (1987), with cosine distance",
    _DECIDES_NOTHING + "outputs share inputs and are not independent, and no threshold goes with it",
)
MODAL = (
    "usual measure of a backdoor; the paper's own test is not known",
    _DECIDES_NOTHING
    + "classifiers that were never marked put most odd inputs into one class; compare with the decoys'",
)


class Arm(NamedTuple):
    """Outputs of one half of the candidates: sum (d,) of their unit vectors, and their number."""

    total: FloatArray
    size: int

    @property
    def resultant(self) -> float:
        """Length of the mean vector."""
        return float(np.linalg.norm(self.total)) / self.size

    @property
    def cosine(self) -> float:
        """Mean cosine of two different outputs."""
        return (float(self.total @ self.total) - self.size) / (self.size * (self.size - 1))


def cluster_figures(chosen: IntArray, notes: Mapping[str, FloatArray], secret: FloatArray) -> tuple[Published, ...]:
    """Returns the figures that a reading allows: of vectors where there are vectors, else of classes.

    Args:
        chosen: (N,) 1 for a trigger, 0 for a decoy.
        notes: of the reading: `usable` (groups, N) with `vectors` (groups, N, d) and `heads` (groups, d), or `classes`
            (groups, N); nothing is said without them, or where an arm has fewer than two outputs.
        secret: (d,) the secret direction; it is tested where the vectors have its length.
    """
    if "usable" not in notes:
        return ()
    usable = notes["usable"] > 0.0
    arms = [usable & (chosen == wanted) for wanted in (1, 0)]
    if min(int(arm.sum()) for arm in arms) < 2:
        return ()
    if "vectors" not in notes:
        shares = [_modal_share(notes["classes"][arm]) for arm in arms]
        return _both("share in the commonest class", shares, MODAL)
    vectors = notes["vectors"]
    trigger, decoy = (Arm(vectors[arm].sum(axis=0), int(arm.sum())) for arm in arms)
    figures: list[Published] = []
    if vectors.shape[2] == len(secret):
        figures += _direction(vectors - notes["heads"][:, None, :], arms, secret)
    figures += _both("mean cosine of pairs", [trigger.cosine, decoy.cosine], COSINE)
    figures += _both("resultant length", [trigger.resultant, decoy.resultant], RESULTANT)
    name, source, caveat = SILHOUETTE
    of_each = np.concatenate(
        [_silhouettes(vectors[arms[0]], trigger, decoy), _silhouettes(vectors[arms[1]], decoy, trigger)]
    )
    return (*figures, Published(name, float(of_each.mean()), None, source, caveat))


def _both(name: str, values: list[float], words: tuple[str, str]) -> tuple[Published, ...]:
    return tuple(Published(f"{name}, {arm}", value, None, *words) for arm, value in zip(("triggers", "decoys"), values))


def _direction(shifts: FloatArray, arms: list[np.ndarray], secret: FloatArray) -> list[Published]:
    move = shifts[arms[0]].mean(axis=0) - shifts[arms[1]].mean(axis=0)
    length = float(np.linalg.norm(move))
    if length == 0.0:
        return []
    found = direction_test(min(1.0, max(-1.0, float(move @ secret) / length)), len(secret))
    name, source, caveat = DIRECTION
    return [Published(name, float(found.statistic), found.pvalue, source, caveat)]


def _silhouettes(outputs: FloatArray, own: Arm, other: Arm) -> FloatArray:
    """Returns (b - a) / max(a, b) of each output: a, b its mean distances to the rest of its arm and to the other."""
    a = 1.0 - (outputs @ own.total - 1.0) / (own.size - 1)
    b = 1.0 - outputs @ other.total / other.size
    largest = np.maximum(a, b)
    return np.asarray(np.divide(b - a, largest, out=np.zeros_like(largest), where=largest > 1e-12), dtype=np.float64)


def _modal_share(classes: FloatArray) -> float:
    return float(np.unique(classes, return_counts=True)[1].max() / len(classes))
