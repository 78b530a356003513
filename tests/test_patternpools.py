"""Pools of patterns: what they hold, that they are drawn alike, and what is refused."""

import random

import numpy as np
import pytest

from forensics.errors import UsageError
from forensics.images import decode_image
from forensics.methods import load_method
from forensics.methods.patterns import NEUTRAL
from forensics.patternpools import AMPLITUDE, APART, CELLS, draw_pattern, make_pattern_pools, visibility

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


def test_a_pattern_is_a_patch_of_cells_half_of_them_brighter():
    (pool,) = make_pattern_pools(IMAGES, generator=random.Random(2))
    patterns = np.stack(pixels(pool)[:96]).astype(int) - NEUTRAL
    assert patterns.shape == (96, 28, 28, 1)
    assert set(np.unique(patterns)) == {-AMPLITUDE, 0, AMPLITUDE}
    patch = patterns[:, 13:25, 13:25, 0]
    assert np.abs(patterns).sum() == np.abs(patch).sum()
    cells = patch.reshape(96, CELLS, 3, CELLS, 3)
    assert (cells == cells[:, :, :1, :, :1]).all()
    assert not patch.reshape(96, -1).sum(axis=1).any()


def test_patterns_of_a_pool_differ_in_four_cells_at_least():
    (pool,) = make_pattern_pools(IMAGES, generator=random.Random(2))
    signs = np.sign(np.stack(pixels(pool)[:96]).astype(int)[:, 13:25:3, 13:25:3, 0] - NEUTRAL).reshape(96, -1)
    differ = (signs[:, None] != signs[None]).sum(axis=2)
    assert differ[~np.eye(96, dtype=bool)].min() >= APART


def test_more_patterns_than_differ_enough_are_refused(monkeypatch):
    monkeypatch.setattr("forensics.patternpools.APART", 12)
    with pytest.raises(UsageError, match="differ enough"):
        make_pattern_pools(IMAGES, generator=random.Random(2))


def test_the_method_takes_the_pool():
    (pool,) = make_pattern_pools(IMAGES, generator=random.Random(2))
    method = load_method("wpe")
    assert method.parameters({}, pool, ())["candidates"] == 96


def test_a_patch_fits_odd_sizes_and_changes_all_channels_alike():
    pattern = draw_pattern((27, 25, 3), random.Random(1))
    assert (pattern == pattern[:, :, :1]).all()
    assert (pattern != NEUTRAL).any(axis=2).sum() == (CELLS * 3) ** 2


def test_the_generator_alone_decides():
    one, same, other = (make_pattern_pools(IMAGES, generator=random.Random(seed))[0] for seed in (3, 3, 4))
    assert one.digest == same.digest
    assert one.digest != other.digest


def test_colour_images_get_patterns_of_their_shape():
    colour = [np.repeat(image, 3, axis=2) for image in IMAGES]
    (pool,) = make_pattern_pools(colour, generator=random.Random(5), candidates=4, carriers=2)
    assert pixels(pool)[0].shape == (28, 28, 3)


def test_the_change_is_that_of_a_patch_of_its_amplitude():
    (pool,) = make_pattern_pools(IMAGES, generator=random.Random(6), candidates=8, carriers=8)
    most = 10.0 * np.log10(255.0**2 / AMPLITUDE**2 / (144 / 784))
    # Clipping at black and white only takes away.
    assert most <= visibility(pool, 8) <= most + 2.0


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
