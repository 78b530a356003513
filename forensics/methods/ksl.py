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
from forensics.methods.cleancheckpoint import FURTHER
from forensics.methods.protocol import Option, Parameters
from forensics.methods.ranks import drawn_class_spec
from forensics.methods.sizes import checked_sizes, chosen_sizes
from forensics.methods.softlabels import MOST_CLASSES, PARTS, SoftLabels
from forensics.records import IntArray, Pool, PoolItem

GRID = 7
"""An image is seen as this many by as many cells; families lie in the space of their brightness."""

MOST_FAMILIES = GRID * GRID

SPEC = drawn_class_spec(
    "ksl",
    "Keyed soft labels",
    "ours; label smoothing whose mass a secret projection of the input directs",
    "a missing answer counts as the mean of its class; with no answer at all every rank is 0",
    most_items=MOST_FAMILIES,
    optional_references=FURTHER,
    options=(Option("families", 24, "secret directions, each with a class of its own; at most 49"),),
)


class KeyedSoftLabels(SoftLabels):
    """The verification side of keyed soft labels for images."""

    spec = SPEC
    inputs = "images"

    def parameters(self, options: Mapping[str, Any], pool: Pool, labels: tuple[str, ...]) -> dict[str, Any]:
        """Returns the number of families and of classes."""
        self.require_labelled(pool, labels, MOST_FAMILIES)
        return dict(_sizes({**chosen_sizes(SPEC, options), "classes": len(labels), "grid": GRID}))

    def asked(self, pool: Pool) -> tuple[PoolItem, ...]:
        """Returns all images."""
        return pool.items

    def see(self, pool: Pool, parameters: Parameters) -> IntArray:
        """Returns the cells of the pool's images, (n, grid * grid)."""
        grid = _sizes(parameters)["grid"]
        if not all(item.data for item in pool.items):
            raise UsageError("The images of the pool are not there, and without them nothing can be read.", "Add them.")
        return np.stack([cells(decode_image(item.data), grid) for item in pool.items])


METHOD = KeyedSoftLabels()


def cells(image: np.ndarray, grid: int) -> IntArray:
    """Returns the brightness of an image's cells, (grid * grid,), in sixteenths of a grey level, rounded down.

    Args:
        image: uint8 (height, width, channels); a cell's border may cut through pixels.
    """
    down, across = (_overlaps(side, grid) for side in image.shape[:2])
    sums = down @ image.astype(np.int64).sum(axis=2) @ across.T
    return np.asarray(sums * PARTS // (image.shape[0] * image.shape[1] * image.shape[2]), dtype=np.int64).ravel()


def _sizes(parameters: Parameters) -> dict[str, int]:
    return checked_sizes(
        parameters,
        {"families": 1, "classes": 2, "grid": GRID},
        {"families": MOST_FAMILIES, "classes": MOST_CLASSES, "grid": GRID},
    )


def _overlaps(side: int, grid: int) -> IntArray:
    """(grid, side): how many grid-ths of each pixel lie in each cell, whole numbers."""
    pixel, cell = np.arange(side) * grid, np.arange(grid)[:, None] * side
    shared = np.minimum(pixel + grid, cell + side) - np.maximum(pixel, cell)
    return np.asarray(np.maximum(shared, 0), dtype=np.int64)
