import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from forensics.canonical import sha256
from forensics.errors import UsageError
from forensics.images import decode_image, encode_png


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3]), st.integers(0, 2**32 - 1))
def test_round_trip(height: int, width: int, channels: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    assert np.array_equal(decode_image(encode_png(pixels)), pixels)


def test_large_image_spans_several_stored_blocks() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    assert np.array_equal(decode_image(encode_png(pixels)), pixels)


def test_bytes_are_the_same_everywhere() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert sha256(encode_png(pixels)) == "664fc93c785dc4c415cee8fde6f7e0ff2c0a5d5b706c8654bde19c935862dceb"


def test_grey_becomes_rgb_when_asked() -> None:
    pixels = np.full((2, 2, 1), 7, dtype=np.uint8)
    assert decode_image(encode_png(pixels), 3).shape == (2, 2, 3)


def test_rubbish_is_refused_in_one_sentence() -> None:
    with pytest.raises(UsageError, match="cannot be decoded"):
        decode_image(b"not an image")


def test_huge_image_is_refused_before_decoding() -> None:
    buffer = io.BytesIO()
    Image.new("1", (5000, 2)).save(buffer, "PNG")
    with pytest.raises(UsageError, match="5000"):
        decode_image(buffer.getvalue())
