"""Pools of an image encoder's key: faint patterns of one kind, and held-out images that carry them (ours).

A pattern is a constellation: small chequered spots at cells of a grid, drawn alike for every candidate. Which cells
they lie in tells the patterns of a pool apart; the spots themselves are the same kind of thing everywhere, so that a
small network learns to see them once. All is drawn before the key exists and knows no arm.
"""

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from forensics.errors import UsageError
from forensics.images import decode_image, encode_png
from forensics.methods.patterns import NEUTRAL, stamp
from forensics.records import Pool, PoolItem

CELL, SPOTS, AMPLITUDE = 4, 8, 40
"""Pixels a side of a cell and of its spot; spots a pattern; how far a spot's pixels go up and down."""

LEAST_APART = 4
"""Fewest cells that a pattern has and another pattern of its pool has not."""

_TRIES = 200


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
        UsageError: too few images, images of several sizes, or images too small for so many patterns.
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
    height, width, channels = images[0].shape
    pools = []
    for share in range(shares):
        patterns = draw_patterns((height, width, channels), candidates, generator)
        own = [images[row] for row in chosen[share * carriers : (share + 1) * carriers]]
        pools.append(Pool(tuple(PoolItem(encode_png(image)) for image in (*patterns, *own))))
    return tuple(pools)


def draw_patterns(shape: tuple[int, int, int], count: int, generator: random.Random) -> tuple[NDArray[np.uint8], ...]:
    """Draws the patterns of a pool, any two of which differ in at least `LEAST_APART` of their cells.

    Args:
        shape: height, width and channels of the carriers; channels are changed alike.

    Returns:
        `count` times uint8 (height, width, channels).

    Raises:
        UsageError: the images have too few cells.
    """
    rows, columns = shape[0] // CELL, shape[1] // CELL
    cells = range(rows * columns)
    found: list[frozenset[int]] = []
    if len(cells) >= 2 * SPOTS:
        for _ in range(_TRIES * count):
            drawn = frozenset(generator.sample(cells, SPOTS))
            if all(len(drawn - other) >= LEAST_APART for other in found):
                found.append(drawn)
            if len(found) == count:
                return tuple(_pattern(shape, sorted(places), columns) for places in found)
    raise UsageError(
        f"Images of {shape[1]} x {shape[0]} pixels have {len(cells)} cells, too few for {count} patterns.",
        "Give larger images.",
    )


def visibility(pool: Pool, candidates: int) -> float:
    """Returns how faint a pool's patterns are: the mean PSNR in decibels of stamped carriers against plain ones."""
    images = [decode_image(item.data) for item in pool.items]
    losses = []
    for carrier in images[candidates:]:
        for pattern in images[:candidates]:
            change = stamp(carrier, pattern).astype(np.float64) - carrier
            losses.append(np.mean(change * change))
    return float(10.0 * np.log10(255.0**2 / np.mean(losses)))


def _pattern(shape: tuple[int, int, int], places: Sequence[int], columns: int) -> NDArray[np.uint8]:
    spot = np.where(np.indices((CELL, CELL)).sum(axis=0) % 2 == 0, AMPLITUDE, -AMPLITUDE)
    field = np.zeros(shape[:2], dtype=np.int64)
    for place in places:
        down, right = CELL * (place // columns), CELL * (place % columns)
        field[down : down + CELL, right : right + CELL] = spot
    return np.repeat((NEUTRAL + field).astype(np.uint8)[:, :, None], shape[2], axis=2)
