"""What both methods of keyed soft labels share: coordinates along secret directions, order of the probes, ranks (ours).

A method says how an input is seen, as a row of whole numbers; the rest is the same for images and for texts.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from forensics.errors import UsageError
from forensics.keys.derive import ProbeKey, ScoreKey, Stream, orthonormal
from forensics.methods.classes import class_answers, shared_access
from forensics.methods.cleancheckpoint import beside_all_clean
from forensics.methods.protocol import MethodSpec, Parameters
from forensics.methods.ranks import STEP, measure_ranks
from forensics.methods.sizes import checked_sizes
from forensics.records import Answers, FloatArray, IntArray, Measurement, Plan, Pool, PoolItem, Probe, Reading

MOST_FAMILIES, MOST_CLASSES = 64, 1 << 12

RIDGE = 1.0 / 64.0
"""Added to the variance of each direction, as a share of the mean variance, before whitening."""

PARTS = 16
"""What is seen of an input is kept to this part of a unit (a grey level, a step of the word table)."""


class SoftLabels(ABC):
    """The verification side of keyed soft labels, but for what an input is.

    Attributes:
        inputs: what the probes are called.
    """

    spec: MethodSpec
    inputs: str

    @abstractmethod
    def asked(self, pool: Pool) -> tuple[PoolItem, ...]:
        """Returns those items of a pool that are put to a suspect, each with its true class."""

    @abstractmethod
    def see(self, pool: Pool, parameters: Parameters) -> IntArray:
        """Returns how those items are seen, whole numbers (n, d)."""

    @abstractmethod
    def parameters(self, options: Mapping[str, Any], pool: Pool, labels: tuple[str, ...]) -> dict[str, Any]:
        """Returns the claim's parameters, families and classes among them."""

    def items(self, parameters: Parameters) -> int:
        """Returns L."""
        return _sizes(parameters)["families"]

    def plan(self, probe_key: ProbeKey, pool: Pool, parameters: Parameters) -> Plan:
        """Returns the pool's inputs in an order of the key's own."""
        asked = self.asked(pool)
        order = derive_order(probe_key, len(asked))
        return Plan(tuple(Probe(asked[index].data, asked[index].media_type) for index in order))

    def read(
        self,
        probe_key: ProbeKey,
        pool: Pool,
        parameters: Parameters,
        labels: tuple[str, ...],
        answers: Answers,
        references: Mapping[str, Answers],
    ) -> Reading:
        """Returns the shift of each class in each family against the mean of the unmarked models, (L, C)."""
        truth = self.truth(pool)
        clean = beside_all_clean(answers, references, len(truth), self.inputs)
        access = shared_access(self.spec, answers, *clean)
        order = derive_order(probe_key, len(truth))
        truth, places = truth[order], self.coordinates(probe_key, pool, parameters)[order]
        shifts = class_shifts(answers, labels, truth, places, access)
        if shifts.any():
            # Of answers that never vary nothing would be left but the unmarked models' shifts with the sign turned.
            shifts = shifts - sum(class_shifts(each, labels, truth, places, access) for each in clean) / len(clean)
        gone = any(bool(each.missing.all()) for each in (answers, *clean))
        return Reading(
            access=access,
            statistic=self.spec.deciding[access],
            scores=np.rint(shifts / STEP) * STEP,
            missing=np.full(self.items(parameters), gone, dtype=np.bool_),
            missing_share=max(float(each.missing.mean()) for each in (answers, *clean)),
        )

    def measure(self, score_key: ScoreKey, parameters: Parameters, reading: Reading, rule: Parameters) -> Measurement:
        """Tests the ranks of the drawn classes."""
        return measure_ranks(self.spec, derive_classes(score_key, parameters), reading, rule)

    def truth(self, pool: Pool) -> IntArray:
        """Returns the true classes of the items that are asked, (n,)."""
        return np.array([item.label or 0 for item in self.asked(pool)], dtype=np.int64)

    def directions(self, probe_key: ProbeKey, pool: Pool, parameters: Parameters) -> FloatArray:
        """Returns the families' directions in the space in which inputs are seen, (L, d).

        Orthonormal directions of the whitened space: within the classes of the pool, coordinates along them have
        variance near 1 and hardly correlate.
        """
        return derive_directions(probe_key, self.see(pool, parameters), self.truth(pool), self.items(parameters))

    def coordinates(self, probe_key: ProbeKey, pool: Pool, parameters: Parameters) -> FloatArray:
        """Returns where the pool's inputs lie along the families, (n, L), centred within each class.

        Raises:
            UsageError: an input of the pool is not there, or cannot be read.
        """
        seen, truth = self.see(pool, parameters), self.truth(pool)
        return along(seen, truth, derive_directions(probe_key, seen, truth, self.items(parameters)))

    def require_labelled(self, pool: Pool, labels: tuple[str, ...], width: int) -> None:
        """Refuses a pool that does not suit a claim: too few classes, inputs without one, or too few inputs.

        Args:
            width: numbers by which an input is seen.
        """
        asked = self.asked(pool)
        if len(labels) < 2:
            raise UsageError("Keyed soft labels need a classifier of two or more classes.", "Give labelled data.")
        if any(item.label is None or not 0 <= item.label < len(labels) for item in asked):
            raise UsageError(
                f"Some of the pool's {self.inputs} have no label from the label list.", "Give each its true label."
            )
        if len(asked) < width + len(labels):
            raise UsageError(
                f"{len(asked)} {self.inputs} are too few to tell {width} directions apart.",
                f"Give a pool of 500 {self.inputs} or more.",
            )


def derive_order(probe_key: ProbeKey, count: int) -> IntArray:
    """Returns the positions of so many inputs in the order in which they are asked, (n,)."""
    return Stream(probe_key, "ksl/order").permutation(count)


def derive_classes(score_key: ScoreKey, parameters: Parameters) -> IntArray:
    """Returns the class of each family, (L,), uniform; the only thing that the scoring secret decides."""
    sizes = _sizes(parameters)
    return Stream(score_key, "ksl/classes").integers(sizes["classes"], sizes["families"])


def derive_directions(probe_key: ProbeKey, seen: IntArray, truth: IntArray, families: int) -> FloatArray:
    """Returns the families' directions, (families, d); see `SoftLabels.directions`.

    Args:
        seen: (n, d) of the pool.
        truth: (n,) true classes.
    """
    size = seen.shape[1]
    drawn = orthonormal(Stream(probe_key, "ksl/directions").normals(size * size).reshape(1, size, size))[0]
    lower = _cholesky(_scatter(seen, truth))
    return np.stack([_solve_transposed(lower, row) for row in drawn[:families]])


def along(seen: IntArray, truth: IntArray, directions: FloatArray) -> FloatArray:
    """Returns images' coordinates along directions, (n, L), each class centred on its own mean.

    Sums run over the cells in a fixed order, so that every platform gives the same values.

    Args:
        seen: (n, d) of inputs.
        truth: (n,) true classes.
        directions: (L, d).
    """
    centred = _centred(seen.astype(np.float64), truth)
    total = np.zeros((len(seen), len(directions)))
    for column in range(directions.shape[1]):
        total += centred[:, column, None] * directions[:, column]
    return total


def class_shifts(
    answers: Answers, labels: tuple[str, ...], truth: IntArray, places: FloatArray, access: str
) -> FloatArray:
    """Returns how each class's answers grow along each family, (L, C): mean of coordinate times standardised answer.

    An answer is the log-probability of a class (floored) or whether it is the top class, less its mean over the
    inputs of the same true class.

    Args:
        truth: (n,) true classes in plan order.
        places: (n, L) coordinates in plan order.
        access: `scores` or `labels`.
    """
    given = class_answers(answers, labels, access)
    present = ~answers.missing
    found = np.zeros((places.shape[1], len(labels)))
    if not present.any():
        return found
    centred = _centred(given[present], truth[present])
    spread = np.sqrt((centred**2).mean(axis=0))
    flat = spread <= 1e-9 * np.maximum(np.abs(given[present]).max(axis=0), 1.0)
    standard = np.where(flat, 0.0, centred / np.where(flat, 1.0, spread))
    for place, row in zip(places[present], standard, strict=True):
        found += place[:, None] * row
    return np.asarray(found / present.sum())


def _sizes(parameters: Parameters) -> dict[str, int]:
    most = {"families": MOST_FAMILIES, "classes": MOST_CLASSES}
    return checked_sizes(parameters, {"families": 1, "classes": 2}, most)


def _centred(values: FloatArray, truth: IntArray) -> FloatArray:
    """Subtracts from each row the mean of its class, summed in the order of the rows."""
    centred = values.copy()
    for label in np.unique(truth):
        own = truth == label
        centred[own] -= np.add.accumulate(values[own], axis=0)[-1] / own.sum()
    return centred


def _scatter(seen: IntArray, truth: IntArray) -> FloatArray:
    """The covariance of cells within classes, (d, d), with a ridge; products are whole numbers."""
    total = np.zeros((seen.shape[1], seen.shape[1]))
    for label in np.unique(truth):
        own = seen[truth == label]
        total += (own.T @ own).astype(np.float64) - np.outer(own.sum(axis=0), own.sum(axis=0)) / len(own)
    total /= len(seen)
    ridge = float(np.add.accumulate(np.diag(total))[-1]) / len(total) * RIDGE
    return np.asarray(total + np.eye(len(total)) * max(ridge, 1.0))


def _cholesky(matrix: FloatArray) -> FloatArray:
    """The lower triangle L with L L^T = matrix, column by column, with + - * / and sqrt in a fixed order."""
    lower, rest = np.zeros_like(matrix), matrix.copy()
    for column in range(len(matrix)):
        lower[column:, column] = rest[column:, column] / np.sqrt(rest[column, column])
        rest -= np.outer(lower[:, column], lower[:, column])
    return lower


def _solve_transposed(lower: FloatArray, right: FloatArray) -> FloatArray:
    """Solves L^T x = right from the last row up."""
    found, rest = np.zeros_like(right), right.copy()
    for row in range(len(right) - 1, -1, -1):
        found[row] = rest[row] / lower[row, row]
        rest -= lower[row] * found[row]
    return found
