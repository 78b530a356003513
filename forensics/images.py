"""Images on the wire: PNG whose bytes depend on the pixels alone, and a bounded decoder."""

import io
import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from forensics.errors import UsageError

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_SIDE = 4096
_STORED_BLOCK = 65535
_COLOUR = {1: 0, 3: 2}


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Returns a PNG with stored (uncompressed) deflate blocks, so that no compressor's version changes a byte.

    Args:
        pixels: uint8 (height, width, channels) with 1 (grey) or 3 (RGB) channels.
    """
    height, width, channels = pixels.shape
    rows = np.zeros((height, 1 + width * channels), dtype=np.uint8)
    rows[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR[channels], 0, 0, 0)
    return PNG_SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", _stored(rows.tobytes())) + _chunk(b"IEND", b"")


def decode_image(data: bytes, channels: int | None = None) -> NDArray[np.uint8]:
    """Decodes an image to uint8 (height, width, channels), grey as one channel and everything else as RGB.

    Args:
        data: PNG (or another format that Pillow reads).
        channels: convert to 1 or 3 channels; None keeps grey as grey.

    Raises:
        UsageError: not an image, or larger than 4096 pixels a side.
    """
    try:
        image = Image.open(io.BytesIO(data))
        if max(image.size) > MAX_SIDE:
            raise UsageError(f"An image is {image.size[0]} x {image.size[1]} pixels; {MAX_SIDE} a side is the most.")
        mode = {1: "L", 3: "RGB", None: "L" if image.mode in {"1", "L", "I", "I;16", "F"} else "RGB"}[channels]
        pixels = np.asarray(image.convert(mode), dtype=np.uint8)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise UsageError("An image cannot be decoded.", "Use PNG files of 8 bits a channel.") from error
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def _stored(raw: bytes) -> bytes:
    parts = [b"\x78\x01"]
    starts = range(0, len(raw), _STORED_BLOCK)
    for start in starts:
        block = raw[start : start + _STORED_BLOCK]
        final = start + _STORED_BLOCK >= len(raw)
        parts.append(struct.pack("<BHH", final, len(block), len(block) ^ 0xFFFF) + block)
    parts.append(struct.pack(">I", zlib.adler32(raw)))
    return b"".join(parts)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
