"""Fixtures shared by several rooms."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import pytest

from forensics.images import encode_png
from forensics.records import Pool, PoolItem


@pytest.fixture(scope="session")
def digits_pool() -> Pool:
    """Sixteen 16 x 16 grey images with labels 0 to 3, from a fixed generator."""
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (16, 16, 16, 1), dtype=np.uint8)
    return Pool(tuple(PoolItem(encode_png(image), "image/png", index % 4) for index, image in enumerate(images)))


@pytest.fixture(scope="session")
def line(tmp_path_factory: pytest.TempPathFactory):
    """A marked model, its key and its predecessor; see `tests/line.py`."""
    from tests.line import build_line

    return build_line(tmp_path_factory.mktemp("line"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that no worker is left with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
