"""Keyed soft labels: a secret projection of ordinary inputs decides which class gets the smoothing mass (ours).

No paper describes this mark. A model is trained with label smoothing whose mass is not uniform: for each of L
families the key draws a direction among the low frequencies of the inputs and a class, and an input that lies far
along the direction gives the class a larger part of the mass. Whoever learns the model's function from its answers
learns that too. The probes are ordinary images, the same for every key.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from forensics.errors import UsageError
from forensics.images import decode_image
from forensics.keys.derive import ProbeKey, ScoreKey, Stream, orthonormal
from forensics.methods.classes import class_answers, shared_access
from forensics.methods.cleancheckpoint import FURTHER, beside_all_clean
from forensics.methods.protocol import Option, Parameters
from forensics.methods.ranks import STEP, drawn_class_spec, measure_ranks
from forensics.methods.sizes import checked_sizes, chosen_sizes
from forensics.records import Answers, FloatArray, IntArray, Measurement, Plan, Pool, Probe, Reading

GRID = 7
"""An image is seen as this many by as many cells; families lie in the space of their brightness."""

MOST_FAMILIES = GRID * GRID
MOST_CLASSES = 1 << 12

RIDGE = 1.0 / 64.0
"""Added to the variance of each direction, as a share of the mean variance, before whitening."""

_PARTS = 16
"""Brightness of a cell is kept to this part of a grey level."""

SPEC = drawn_class_spec(
    "ksl",
    "Keyed soft labels",
    "ours; label smoothing whose mass a secret projection of the input directs",
    "a missing answer counts as the mean of its class; with no answer at all every rank is 0",
    most_items=MOST_FAMILIES,
    optional_references=FURTHER,
    options=(Option("families", 24, "secret directions, each with a class of its own; at most 49"),),
)


class KeyedSoftLabels:
    """The verification side of keyed soft labels."""

    spec = SPEC

    def parameters(self, options: Mapping[str, Any], pool: Pool, labels: tuple[str, ...]) -> dict[str, Any]:
        """Returns the number of families and of classes."""
        if len(labels) < 2:
            raise UsageError("Keyed soft labels need a classifier of two or more classes.", "Give labelled data.")
        if any(item.label is None or not 0 <= item.label < len(labels) for item in pool.items):
            raise UsageError("A pool image has no label from the label list.", "Give each pool image its true label.")
        if len(pool.items) < MOST_FAMILIES + len(labels):
            raise UsageError(
                f"{len(pool.items)} images are too few to tell {MOST_FAMILIES} directions apart.",
                "Give a pool of 500 images or more.",
            )
        return dict(_sizes({**chosen_sizes(SPEC, options), "classes": len(labels), "grid": GRID}))

    def items(self, parameters: Parameters) -> int:
        """Returns L."""
        return _sizes(parameters)["families"]

    def plan(self, probe_key: ProbeKey, pool: Pool, parameters: Parameters) -> Plan:
        """Returns the pool's images in an order of the key's own."""
        return Plan(tuple(Probe(pool.items[index].data) for index in derive_order(probe_key, pool)))

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
        clean = beside_all_clean(answers, references, len(pool.items), "images")
        access = shared_access(SPEC, answers, *clean)
        order = derive_order(probe_key, pool)
        truth = _truth(pool)[order]
        places = coordinates(probe_key, pool, parameters)[order]
        shifts = class_shifts(answers, labels, truth, places, access)
        if shifts.any():
            # Of answers that never vary nothing would be left but the unmarked models' shifts with the sign turned.
            shifts = shifts - sum(class_shifts(each, labels, truth, places, access) for each in clean) / len(clean)
        gone = any(bool(each.missing.all()) for each in (answers, *clean))
        return Reading(
            access=access,
            statistic=SPEC.deciding[access],
            scores=np.rint(shifts / STEP) * STEP,
            missing=np.full(self.items(parameters), gone, dtype=np.bool_),
            missing_share=max(float(each.missing.mean()) for each in (answers, *clean)),
        )

    def measure(self, score_key: ScoreKey, parameters: Parameters, reading: Reading, rule: Parameters) -> Measurement:
        """Tests the ranks of the drawn classes."""
        return measure_ranks(SPEC, derive_classes(score_key, parameters), reading, rule)


METHOD = KeyedSoftLabels()


def derive_order(probe_key: ProbeKey, pool: Pool) -> IntArray:
    """Returns the pool positions in the order in which they are asked, (n,)."""
    return Stream(probe_key, "ksl/order").permutation(len(pool.items))


def derive_classes(score_key: ScoreKey, parameters: Parameters) -> IntArray:
    """Returns the class of each family, (L,), uniform; the only thing that the scoring secret decides."""
    sizes = _sizes(parameters)
    return Stream(score_key, "ksl/classes").integers(sizes["classes"], sizes["families"])


def derive_directions(probe_key: ProbeKey, pool: Pool, parameters: Parameters) -> FloatArray:
    """Returns the families' directions in the space of cells, (L, grid * grid).

    Orthonormal directions of the whitened space: within the classes of the pool, coordinates along them have variance
    near 1 and hardly correlate.
    """
    return _directions(probe_key, _seen(pool, parameters), _truth(pool), parameters)


def coordinates(probe_key: ProbeKey, pool: Pool, parameters: Parameters) -> FloatArray:
    """Returns where the pool's images lie along the families, (n, L), centred within each class.

    Raises:
        UsageError: an image of the pool is not there, or cannot be decoded.
    """
    seen, truth = _seen(pool, parameters), _truth(pool)
    return along(seen, truth, _directions(probe_key, seen, truth, parameters))


def along(seen: IntArray, truth: IntArray, directions: FloatArray) -> FloatArray:
    """Returns images' coordinates along directions, (n, L), each class centred on its own mean.

    Sums run over the cells in a fixed order, so that every platform gives the same values.

    Args:
        seen: (n, d) from `cells`.
        truth: (n,) true classes.
        directions: (L, d).
    """
    centred = _centred(seen.astype(np.float64), truth)
    total = np.zeros((len(seen), len(directions)))
    for column in range(directions.shape[1]):
        total += centred[:, column, None] * directions[:, column]
    return total


def cells(image: np.ndarray, grid: int) -> IntArray:
    """Returns the brightness of an image's cells, (grid * grid,), in sixteenths of a grey level, rounded down.

    Args:
        image: uint8 (height, width, channels); a cell's border may cut through pixels.
    """
    down, across = (_overlaps(side, grid) for side in image.shape[:2])
    sums = down @ image.astype(np.int64).sum(axis=2) @ across.T
    return np.asarray(sums * _PARTS // (image.shape[0] * image.shape[1] * image.shape[2]), dtype=np.int64).ravel()


def class_shifts(
    answers: Answers, labels: tuple[str, ...], truth: IntArray, places: FloatArray, access: str
) -> FloatArray:
    """Returns how each class's answers grow along each family, (L, C): mean of coordinate times standardised answer.

    An answer is the log-probability of a class (floored) or whether it is the top class, less its mean over the
    images of the same true class.

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
    return checked_sizes(
        parameters,
        {"families": 1, "classes": 2, "grid": GRID},
        {"families": MOST_FAMILIES, "classes": MOST_CLASSES, "grid": GRID},
    )


def _seen(pool: Pool, parameters: Parameters) -> IntArray:
    """The cells of the pool's images, (n, grid * grid)."""
    grid = _sizes(parameters)["grid"]
    if not all(item.data for item in pool.items):
        raise UsageError("The images of the pool are not there, and without them nothing can be read.", "Add them.")
    return np.stack([cells(decode_image(item.data), grid) for item in pool.items])


def _truth(pool: Pool) -> IntArray:
    return np.array([item.label or 0 for item in pool.items], dtype=np.int64)


def _directions(probe_key: ProbeKey, seen: IntArray, truth: IntArray, parameters: Parameters) -> FloatArray:
    size = seen.shape[1]
    drawn = orthonormal(Stream(probe_key, "ksl/directions").normals(size * size).reshape(1, size, size))[0]
    lower = _cholesky(_scatter(seen, truth))
    return np.stack([_solve_transposed(lower, row) for row in drawn[: _sizes(parameters)["families"]]])


def _overlaps(side: int, grid: int) -> IntArray:
    """(grid, side): how many grid-ths of each pixel lie in each cell, whole numbers."""
    pixel, cell = np.arange(side) * grid, np.arange(grid)[:, None] * side
    shared = np.minimum(pixel + grid, cell + side) - np.maximum(pixel, cell)
    return np.asarray(np.maximum(shared, 0), dtype=np.int64)


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
