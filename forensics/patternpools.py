"""Pools of an image encoder's key: faint patterns of one kind, and held-out images that carry them (ours).

A pattern is a field of small squares, half of them brighter and half darker, drawn alike for every candidate. Squares
of two pixels are what a small encoder's first layers keep best: there any half of a pool can be told from the other on
images never seen. All is drawn before the key exists and knows no arm.
"""

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from forensics.errors import UsageError
from forensics.images import decode_image, encode_png
from forensics.methods.patterns import NEUTRAL, stamp
from forensics.records import Pool, PoolItem

SQUARE, AMPLITUDE = 2, 24
"""Pixels a side of a square; how far its pixels go up or down."""

FEWEST_SQUARES = 64
"""Fewer would leave patterns of one pool that are much alike."""


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
        UsageError: too few images, images of several sizes, or images too small for patterns.
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
        patterns = [draw_pattern(images[0].shape, generator) for _ in range(candidates)]
        own = [images[row] for row in chosen[share * carriers : (share + 1) * carriers]]
        pools.append(Pool(tuple(PoolItem(encode_png(image)) for image in (*patterns, *own))))
    return tuple(pools)


def draw_pattern(shape: tuple[int, ...], generator: random.Random) -> NDArray[np.uint8]:
    """Draws one pattern: as many squares go up as down, one left over goes up.

    Args:
        shape: height, width and channels of the carriers; channels are changed alike.

    Raises:
        UsageError: the images are too small.
    """
    rows, columns = -(-shape[0] // SQUARE), -(-shape[1] // SQUARE)
    count = rows * columns
    if count < FEWEST_SQUARES:
        raise UsageError(f"Images of {shape[1]} x {shape[0]} pixels are too small for patterns.", "Give larger images.")
    field = np.full(count, AMPLITUDE, dtype=np.int64)
    field[generator.sample(range(count), count // 2)] = -AMPLITUDE
    large = field.reshape(rows, columns).repeat(SQUARE, axis=0).repeat(SQUARE, axis=1)[: shape[0], : shape[1]]
    return np.repeat((NEUTRAL + large).astype(np.uint8)[:, :, None], shape[2], axis=2)


def visibility(pool: Pool, candidates: int) -> float:
    """Returns how faint a pool's patterns are: the mean PSNR in decibels of stamped carriers against plain ones."""
    images = [decode_image(item.data) for item in pool.items]
    losses = []
    for carrier in images[candidates:]:
        for pattern in images[:candidates]:
            change = stamp(carrier, pattern).astype(np.float64) - carrier
            losses.append(np.mean(change * change))
    return float(10.0 * np.log10(255.0**2 / np.mean(losses)))
