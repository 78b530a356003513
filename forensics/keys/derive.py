"""Platform-independent derivation of secrets (ours): HKDF, integers by rejection, reals without libm or BLAS.

Integers are the same everywhere by construction. Reals use float64 with + - * / and sqrt in a fixed order,
which IEEE 754 rounds identically on every platform.
"""

import hashlib
import hmac
import math
from functools import cache
from importlib import resources
from typing import NewType

import numpy as np

from forensics.records import FloatArray, IntArray

ProbeKey = NewType("ProbeKey", bytes)
"""32 bytes; decides what is asked. The prober may hold it."""

ScoreKey = NewType("ScoreKey", bytes)
"""32 bytes; decides what counts as a hit. Nothing that a suspect or the prober can reach receives it."""

_LN2_HIGH = 0.6931471803691238
_LN2_LOW = 1.9082149292705877e-10
_SERIES_TERMS = 12
_DIGEST = 32


def hkdf_extract(salt: bytes, key: bytes) -> bytes:
    """HKDF-Extract with SHA-256 (RFC 5869, section 2.2)."""
    return hmac.digest(salt, key, "sha256")


def hkdf_expand(key: bytes, info: bytes, length: int = _DIGEST) -> bytes:
    """HKDF-Expand with SHA-256 (RFC 5869, section 2.3); `length` at most 255 * 32 bytes."""
    output, block = b"", b""
    for counter in range(1, -(-length // _DIGEST) + 1):
        block = hmac.digest(key, block + info + bytes([counter]), "sha256")
        output += block
    return output[:length]


def master_secret(seed: bytes, salt: bytes, claim_digest: bytes, share: int) -> bytes:
    """master_i = HKDF-SHA256(s_i, salt, info = C || i), i as four bytes, big-endian.

    Args:
        seed: 32 random bytes of the share.
        salt: from the timestamp tokens (`timestamp.token_salt`).
        claim_digest: C, 32 bytes.
        share: index from 0.
    """
    return hkdf_expand(hkdf_extract(salt, seed), claim_digest + share.to_bytes(4, "big"))


def split(master: bytes) -> tuple[ProbeKey, ScoreKey]:
    """Returns the probe secret and the scoring secret of a share."""
    return ProbeKey(hkdf_expand(master, b"probe")), ScoreKey(hkdf_expand(master, b"score"))


class Stream:
    """A keyed stream of random values: HMAC-SHA256(key, label || 0x00 || counter), counter as eight bytes.

    Streams of different labels are independent; a stream is read in order and has no other state.

    Args:
        key: a secret of 32 bytes.
        label: what the values are for, such as `ofsw/bits`.
    """

    def __init__(self, key: bytes, label: str) -> None:
        self._key = key
        self._prefix = label.encode("ascii") + b"\x00"
        self._counter = 0
        self._buffer = b""

    def take(self, count: int) -> bytes:
        """Returns the next `count` bytes."""
        missing = count - len(self._buffer)
        if missing > 0:
            blocks = -(-missing // _DIGEST)
            start, self._counter = self._counter, self._counter + blocks
            key, prefix = self._key, self._prefix
            self._buffer += b"".join(
                hmac.digest(key, prefix + index.to_bytes(8, "big"), "sha256") for index in range(start, start + blocks)
            )
        result, self._buffer = self._buffer[:count], self._buffer[count:]
        return result

    def integer(self, bound: int) -> int:
        """Returns a uniform integer in [0, bound), by rejection of 64-bit words."""
        limit = (1 << 64) - (1 << 64) % bound
        while True:
            word = int.from_bytes(self.take(8), "big")
            if word < limit:
                return word % bound

    def integers(self, bound: int, count: int) -> IntArray:
        """Returns `count` independent uniform integers in [0, bound), shape (count,)."""
        return np.array([self.integer(bound) for _ in range(count)], dtype=np.int64)

    def bits(self, count: int) -> IntArray:
        """Returns `count` independent fair bits, shape (count,), most significant bit of each byte first."""
        raw = np.frombuffer(self.take(-(-count // 8)), dtype=np.uint8)
        return np.unpackbits(raw)[:count].astype(np.int64)

    def permutation(self, n: int) -> IntArray:
        """Returns a uniform permutation of range(n) by Fisher-Yates from the last position down."""
        order = list(range(n))
        for last in range(n - 1, 0, -1):
            other = self.integer(last + 1)
            order[last], order[other] = order[other], order[last]
        return np.array(order, dtype=np.int64)

    def subset(self, n: int, chosen: int) -> IntArray:
        """Returns a uniform subset of range(n) of size `chosen`, sorted."""
        return np.sort(self.permutation(n)[:chosen])

    def uniforms(self, count: int) -> FloatArray:
        """Returns `count` uniforms on (0, 1): (53-bit integer + 1/2) / 2**53, shape (count,)."""
        words = np.frombuffer(self.take(8 * count), dtype=">u8").astype(np.uint64) >> np.uint64(11)
        return (words.astype(np.float64) + 0.5) * 2.0**-53

    def normals(self, count: int) -> FloatArray:
        """Returns `count` standard normals by Marsaglia's polar method, with a logarithm of + - * / only.

        Pairs of uniforms are drawn until enough fall inside the unit circle; an odd last value is dropped.
        """
        values = np.empty(0, dtype=np.float64)
        while len(values) < count:
            pairs = 2.0 * self.uniforms(2 * -(-(count - len(values)) // 2)).reshape(-1, 2) - 1.0
            square = pairs[:, 0] * pairs[:, 0] + pairs[:, 1] * pairs[:, 1]
            inside = (square > 0.0) & (square < 1.0)
            kept, s = pairs[inside], square[inside]
            factor = np.sqrt(-2.0 * _log(s) / s)
            values = np.concatenate([values, (kept * factor[:, None]).reshape(-1)])
        return values[:count]


def orthonormal(normals: FloatArray) -> FloatArray:
    """Returns the rows of square matrices made orthonormal by modified Gram-Schmidt, sums in index order.

    Rows of independent normals give a Haar-distributed basis.

    Args:
        normals: (banks, k, k).

    Returns:
        (banks, k, k) with orthonormal rows.
    """
    rows = normals.astype(np.float64, copy=True)
    count = rows.shape[1]
    for i in range(count):
        rows[:, i] /= np.sqrt(_ordered_dot(rows[:, i : i + 1], rows[:, i]))
        if i + 1 < count:
            rest = rows[:, i + 1 :]
            rest -= _ordered_dot(rest, rows[:, i])[:, :, None] * rows[:, i][:, None, :]
    return rows


def direction(normals: FloatArray) -> FloatArray:
    """Returns a vector of normals scaled to unit length, sums in index order; shape (d,)."""
    total = 0.0
    for value in normals.tolist():
        total += value * value
    return normals / math.sqrt(total)


@cache
def generator_digest() -> str:
    """Returns the SHA-256 of this derivation's published specification, by which a claim names it.

    The specification, with test vectors, is `forensics/keys/generator.txt`.
    """
    return hashlib.sha256(resources.files("forensics.keys").joinpath("generator.txt").read_bytes()).hexdigest()


def _ordered_dot(rows: FloatArray, vector: FloatArray) -> FloatArray:
    """Dot products (banks, rows) of rows (banks, rows, k) with vectors (banks, k), summed in index order."""
    total = rows[:, :, 0] * vector[:, None, 0]
    for index in range(1, vector.shape[1]):
        total = total + rows[:, :, index] * vector[:, None, index]
    return total


def _log(x: FloatArray) -> FloatArray:
    """ln x = e ln 2 + 2 atanh((m - 1) / (m + 1)) by + - * / alone, m in [sqrt(1/2), sqrt 2)."""
    mantissa, exponent = np.frexp(x)
    low = mantissa < 0.7071067811865476
    mantissa = np.where(low, mantissa * 2.0, mantissa)
    power2 = np.where(low, exponent - 1, exponent).astype(np.float64)
    ratio = (mantissa - 1.0) / (mantissa + 1.0)
    square, power, total = ratio * ratio, ratio, np.zeros_like(ratio)
    for term in range(_SERIES_TERMS):
        total = total + power / (2 * term + 1)
        power = power * square
    return power2 * _LN2_HIGH + (2.0 * total + power2 * _LN2_LOW)
