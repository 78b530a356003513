"""Pools of patterns: what they hold, that they are drawn alike, and what is refused."""

import random

import numpy as np
import pytest

from forensics.errors import UsageError
from forensics.images import decode_image
from forensics.patternpools import AMPLITUDE, CELL, LEAST_APART, NEUTRAL, SPOTS, make_pattern_pools, visibility

IMAGES = [np.random.default_rng(row).integers(0, 256, (28, 28, 1), dtype=np.uint8) for row in range(70)]


def pixels(pool):
    return [decode_image(item.data) for item in pool.items]


def cells(pattern):
    """Numbers of the cells that a pattern changes."""
    changed = pattern[:, :, 0] != NEUTRAL
    rows, columns = changed.shape[0] // CELL, changed.shape[1] // CELL
    blocks = changed.reshape(rows, CELL, columns, CELL).any(axis=(1, 3))
    return frozenset(np.flatnonzero(blocks).tolist())


def test_a_pool_holds_patterns_then_carriers_and_shares_have_none_in_common():
    first, second = make_pattern_pools(IMAGES, generator=random.Random(1), shares=2, candidates=96, carriers=32)
    assert len(first.items) == len(second.items) == 128
    given = {image.tobytes() for image in IMAGES}
    carriers = [image.tobytes() for pool in (first, second) for image in pixels(pool)[96:]]
    assert len(set(carriers)) == 64
    assert set(carriers) <= given
    assert first.items[:96] != second.items[:96]
    assert all(item.media_type == "image/png" and item.label is None for item in first.items)


def test_every_pattern_is_a_constellation_of_its_own_and_leaves_the_mean_alone():
    (pool,) = make_pattern_pools(IMAGES, generator=random.Random(2))
    patterns = pixels(pool)[:96]
    places = [cells(pattern) for pattern in patterns]
    assert {len(each) for each in places} == {SPOTS}
    assert min(len(a - b) for i, a in enumerate(places) for b in places[:i]) >= LEAST_APART
    for pattern in patterns:
        assert pattern.shape == (28, 28, 1)
        assert pattern.astype(int).mean() == NEUTRAL
        assert np.abs(pattern.astype(int) - NEUTRAL).max() == AMPLITUDE


def test_the_generator_alone_decides():
    one, same, other = (make_pattern_pools(IMAGES, generator=random.Random(seed))[0] for seed in (3, 3, 4))
    assert one.digest == same.digest
    assert one.digest != other.digest


def test_colour_images_get_patterns_of_their_shape():
    colour = [np.repeat(image, 3, axis=2) for image in IMAGES]
    (pool,) = make_pattern_pools(colour, generator=random.Random(5), candidates=4, carriers=2)
    assert pixels(pool)[0].shape == (28, 28, 3)


def test_patterns_are_faint():
    (pool,) = make_pattern_pools(IMAGES, generator=random.Random(6), candidates=8, carriers=8)
    expected = 10.0 * np.log10(255.0**2 / (AMPLITUDE**2 * SPOTS * CELL**2 / 28**2))
    # Clipping at black and white only takes away.
    assert expected <= visibility(pool, 8) <= expected + 1.0


@pytest.mark.parametrize(
    ("images", "options", "sentence"),
    [
        (IMAGES, {"candidates": 95}, "95 patterns cannot be halved"),
        (IMAGES[:31], {}, "31 different images; 32 are needed"),
        ([IMAGES[0]] * 40, {}, "1 different images"),
        ([*IMAGES, IMAGES[0][:14]], {}, "several sizes"),
        ([image[:12, :12] for image in IMAGES], {}, "too few for 96 patterns"),
    ],
)
def test_what_cannot_be_a_pool_is_refused(images, options, sentence):
    with pytest.raises(UsageError, match=sentence):
        make_pattern_pools(images, generator=random.Random(7), **options)
