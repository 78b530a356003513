"""Images with a pattern on them (ours)."""

import numpy as np
from numpy.typing import NDArray

NEUTRAL = 128
"""The value of a pattern that leaves a pixel as it is."""


def stamp(carrier: NDArray[np.uint8], pattern: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns a carrier to whose pixels a pattern's values minus 128 are added, clipped to 0..255.

    Args:
        carrier: uint8 (height, width, channels).
        pattern: uint8 of the same shape.

    Raises:
        ValueError: the shapes differ.
    """
    if carrier.shape != pattern.shape:
        raise ValueError(f"invalid pattern: {pattern.shape} on an image of {carrier.shape}")
    changed = carrier.astype(np.int16) + pattern.astype(np.int16) - NEUTRAL
    return np.clip(changed, 0, 255).astype(np.uint8)
