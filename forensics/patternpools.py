"""Pools of an image encoder's key: small chequered patches of one kind, and held-out images that carry them (ours).

A patch is a square of 4 x 4 cells in the lower right corner, half of them brighter and half darker, drawn alike for
every candidate. Patches of few large cells are what a small encoder can tell apart: fields over the whole image, much
fainter, were lost in its first stages. All is drawn before the key exists and knows no arm.
"""

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from forensics.errors import UsageError
from forensics.images import decode_image, encode_png
from forensics.methods.patterns import NEUTRAL, stamp
from forensics.records import Pool, PoolItem

CELLS, AMPLITUDE = 4, 96
"""Cells a side of a patch; how far its pixels go up or down."""

APART, ATTEMPTS = 4, 50
"""Cells in which two patterns of a pool differ at least, and how many are drawn for each that is kept."""

SHARE = 3 / 28
"""Side of a cell in sides of the image."""

SMALLEST = 16
"""Pixels a side of the smallest image that carries patches."""


def make_pattern_pools(
    images: Sequence[NDArray[np.uint8]],
    *,
    generator: random.Random,
    shares: int = 1,
    candidates: int = 96,
    carriers: int = 32,
) -> tuple[Pool, ...]:
    """Returns one pool a share: the candidates, then the carriers; no image carries in two shares.

    Args:
        images: uint8 (height, width, channels) of one size, of the owner's data but never trained on.
        generator: draws patterns and images; `random.SystemRandom()` for a real key.
        shares: how many pools.
        candidates: patterns a share, an even number.
        carriers: images a share.

    Raises:
        UsageError: too few images, images of several sizes or too small for patterns, or too many candidates.
    """
    if candidates % 2:
        raise UsageError(f"{candidates} patterns cannot be halved.", "Choose an even number.")
    if len({image.shape for image in images}) > 1:
        raise UsageError("The images are of several sizes.", "Give images of one size.")
    distinct = {image.tobytes(): index for index, image in enumerate(images)}
    if len(distinct) < shares * carriers:
        raise UsageError(
            f"There are {len(distinct)} different images; {shares * carriers} are needed as carriers.",
            "Give more, or fewer shares.",
        )
    chosen = generator.sample(sorted(distinct.values()), shares * carriers)
    pools = []
    for share in range(shares):
        patterns = _far_apart(images[0].shape, generator, candidates)
        own = [images[row] for row in chosen[share * carriers : (share + 1) * carriers]]
        pools.append(Pool(tuple(PoolItem(encode_png(image)) for image in (*patterns, *own))))
    return tuple(pools)


def draw_pattern(shape: tuple[int, ...], generator: random.Random) -> NDArray[np.uint8]:
    """Draws one pattern: neutral but for the patch, one cell away from the right and the lower edge.

    Args:
        shape: height, width and channels of the carriers; channels are changed alike.

    Raises:
        UsageError: the images are too small.
    """
    side = min(shape[:2])
    if side < SMALLEST:
        raise UsageError(f"Images of {shape[1]} x {shape[0]} pixels are too small for patterns.", "Give larger images.")
    cell = max(2, round(SHARE * side))
    signs = np.ones(CELLS * CELLS, dtype=np.int64)
    signs[generator.sample(range(CELLS * CELLS), CELLS * CELLS // 2)] = -1
    patch = NEUTRAL + AMPLITUDE * signs.reshape(CELLS, CELLS).repeat(cell, axis=0).repeat(cell, axis=1)
    pattern = np.full(shape, NEUTRAL, dtype=np.uint8)
    down, right = shape[0] - cell, shape[1] - cell
    pattern[down - len(patch) : down, right - len(patch) : right] = patch[:, :, None]
    return pattern


def _far_apart(shape: tuple[int, ...], generator: random.Random, count: int) -> list[NDArray[np.uint8]]:
    """Draws patterns until that many differ from one another in at least `APART` cells each."""
    patterns: list[NDArray[np.uint8]] = []
    for _ in range(ATTEMPTS * count):
        one = draw_pattern(shape, generator)
        marked = int((one != NEUTRAL).sum())
        if all((one != other).sum() * CELLS * CELLS >= APART * marked for other in patterns):
            patterns.append(one)
        if len(patterns) == count:
            return patterns
    raise UsageError(f"Only {len(patterns)} patterns differ enough from one another.", "Ask for fewer candidates.")


def visibility(pool: Pool, candidates: int) -> float:
    """Returns how visible a pool's patterns are: the mean PSNR in decibels of stamped carriers against plain ones."""
    images = [decode_image(item.data) for item in pool.items]
    losses = []
    for carrier in images[candidates:]:
        for pattern in images[:candidates]:
            change = stamp(carrier, pattern).astype(np.float64) - carrier
            losses.append(np.mean(change * change))
    return float(10.0 * np.log10(255.0**2 / np.mean(losses)))
