"""Pools of patterns: what they hold, that they are drawn alike, and what is refused."""

import random

import numpy as np
import pytest

from forensics.errors import UsageError
from forensics.images import decode_image
from forensics.methods import load_method
from forensics.methods.patterns import NEUTRAL
from forensics.patternpools import AMPLITUDE, SQUARE, draw_pattern, make_pattern_pools, visibility

IMAGES = [np.random.default_rng(row).integers(0, 256, (28, 28, 1), dtype=np.uint8) for row in range(70)]


def pixels(pool):
    return [decode_image(item.data) for item in pool.items]


def test_a_pool_holds_patterns_then_carriers_and_shares_have_none_in_common():
    first, second = make_pattern_pools(IMAGES, generator=random.Random(1), shares=2, candidates=96, carriers=32)
    assert len(first.items) == len(second.items) == 128
    given = {image.tobytes() for image in IMAGES}
    carriers = [image.tobytes() for pool in (first, second) for image in pixels(pool)[96:]]
    assert len(set(carriers)) == 64
    assert set(carriers) <= given
    assert first.items[:96] != second.items[:96]
    assert all(item.media_type == "image/png" and item.label is None for item in first.items)


def test_a_pattern_is_a_field_of_squares_that_leaves_the_mean_alone():
    (pool,) = make_pattern_pools(IMAGES, generator=random.Random(2))
    patterns = np.stack(pixels(pool)[:96]).astype(int) - NEUTRAL
    assert patterns.shape == (96, 28, 28, 1)
    assert set(np.unique(patterns)) == {-AMPLITUDE, AMPLITUDE}
    assert not patterns.reshape(96, -1).sum(axis=1).any()
    blocks = patterns.reshape(96, 28 // SQUARE, SQUARE, 28 // SQUARE, SQUARE)
    assert (blocks == blocks[:, :, :1, :, :1]).all()


def test_patterns_of_a_pool_are_far_apart():
    (pool,) = make_pattern_pools(IMAGES, generator=random.Random(2))
    signs = np.sign(np.stack(pixels(pool)[:96]).astype(int) - NEUTRAL).reshape(96, -1)
    likeness = signs @ signs.T / signs.shape[1] - np.eye(96)
    assert np.abs(likeness).max() < 0.4


def test_the_method_takes_the_pool():
    (pool,) = make_pattern_pools(IMAGES, generator=random.Random(2))
    method = load_method("wpe")
    assert method.parameters({}, pool, ())["candidates"] == 96


def test_an_odd_size_is_filled_to_its_edges():
    pattern = draw_pattern((27, 25, 3), random.Random(1))
    assert pattern.shape == (27, 25, 3)
    assert (pattern != NEUTRAL).all()
    assert (pattern == pattern[:, :, :1]).all()


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
    most = 20.0 * np.log10(255.0 / AMPLITUDE)
    # Clipping at black and white only takes away.
    assert 20.0 < most <= visibility(pool, 8) <= most + 2.0


@pytest.mark.parametrize(
    ("images", "options", "sentence"),
    [
        (IMAGES, {"candidates": 95}, "95 patterns cannot be halved"),
        (IMAGES[:31], {}, "31 different images; 32 are needed"),
        ([IMAGES[0]] * 40, {}, "1 different images"),
        ([*IMAGES, IMAGES[0][:14]], {}, "several sizes"),
        ([image[:14, :14] for image in IMAGES], {}, "14 x 14 pixels are too small"),
    ],
)
def test_what_cannot_be_a_pool_is_refused(images, options, sentence):
    with pytest.raises(UsageError, match=sentence):
        make_pattern_pools(images, generator=random.Random(7), **options)
