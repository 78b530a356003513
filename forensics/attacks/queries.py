"""What a thief asks who does not send his images as they are."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

QUERIES = ("clean", "mixed", "filtered", "noise", "shifted")

_SHIFT, _NOISE = 2, 12.0
_CENTRE, _CONTRAST = 128.0, 64.0

Images = NDArray[np.uint8]


def draw_queries(kind: str, images: Images, count: int, rng: np.random.Generator) -> Images:
    """Returns fresh queries, uint8 (count, height, width, channels).

    Args:
        kind: `mixed`, `filtered` or `noise`; any other gives images as they are.
        images: uint8 (n, height, width, channels), the thief's.
    """
    if kind == "noise":
        return _noise(images.shape[1:], count, rng)
    chosen = images[rng.integers(0, len(images), count)]
    if kind == "mixed":
        return _mixed(chosen, images[rng.integers(0, len(images), count)], rng)
    if kind == "filtered":
        half = count // 2
        return np.concatenate([_filtered(chosen[:half], rng), chosen[half:]]) if half else chosen
    return chosen


def _mixed(chosen: Images, partners: Images, rng: np.random.Generator) -> Images:
    """Mixes pairs (the first half to all of it), mirrors half, shifts all, adds noise to half."""
    count = len(chosen)
    share = rng.uniform(0.5, 1.0, (count, 1, 1, 1))
    values = share * chosen + (1.0 - share) * partners
    mirrored = rng.random(count) < 0.5
    values[mirrored] = values[mirrored, :, ::-1]
    for row, (down, right) in enumerate(rng.integers(-_SHIFT, _SHIFT + 1, (count, 2))):
        values[row] = np.roll(values[row], (down, right), axis=(0, 1))
    noisy = rng.random((count, 1, 1, 1)) < 0.5
    return _bytes(values + noisy * rng.normal(0.0, _NOISE, values.shape))


def _filtered(chosen: Images, rng: np.random.Generator) -> Images:
    """Passes each image through a random filter of 3 or 5 pixels a side, then gives it one mean and contrast."""
    count, _, _, channels = chosen.shape
    side = int(rng.choice((3, 5)))
    kernels = (
        torch.from_numpy(rng.normal(size=(count, 1, 1, side, side))).expand(-1, channels, -1, -1, -1).flatten(0, 1)
    )
    values = torch.from_numpy(chosen.astype(np.float64)).permute(0, 3, 1, 2).flatten(0, 1)[None]
    padded = torch.nn.functional.pad(values, (side // 2,) * 4, mode="replicate")
    seen = torch.nn.functional.conv2d(padded, kernels, groups=len(kernels))[0].unflatten(0, (count, channels))
    centred = seen - seen.mean(dim=(1, 2, 3), keepdim=True)
    spread = centred.square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp_min(1e-9)
    return _bytes((_CENTRE + _CONTRAST * centred / spread).permute(0, 2, 3, 1).numpy())


def _noise(shape: tuple[int, ...], count: int, rng: np.random.Generator) -> Images:
    """Half of the images fine noise, half of them coarse blots of 2 to 7 a side."""
    height, width, channels = shape
    fine = rng.integers(0, 256, (count - count // 2, *shape), dtype=np.uint8)
    side = int(rng.integers(2, 8))
    blots = torch.from_numpy(rng.uniform(0.0, 255.0, (count // 2, channels, side, side)))
    coarse = torch.nn.functional.interpolate(blots, size=(height, width), mode="bilinear") if count > 1 else blots
    return np.concatenate([fine, _bytes(coarse.permute(0, 2, 3, 1).numpy())]) if count > 1 else fine


def _bytes(values: NDArray[Any]) -> Images:
    return np.asarray(np.rint(np.clip(values, 0.0, 255.0)), dtype=np.uint8)
