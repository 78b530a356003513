"""The published specification against an implementation written from its words alone: hashlib, hmac and floats."""

import hashlib
import hmac
import json
import math
from importlib import resources

import numpy as np
import pytest

from forensics.keys.derive import (
    Stream,
    direction,
    generator_digest,
    hkdf_expand,
    master_secret,
    orthonormal,
    split,
)
from forensics.keys.shares import Share, leaf
from forensics.keys.timestamp import self_dated_salt

TEXT = resources.files("forensics.keys").joinpath("generator.txt").read_bytes()
VECTORS = dict(
    line.split(" = ", 1) for line in TEXT.decode("ascii").splitlines() if " = " in line and not line.startswith(" ")
)
SEED, BLIND, CLAIM = bytes(range(32)), bytes(range(32, 64)), bytes(range(64, 96))
PROBE = bytes.fromhex(VECTORS["probe_0"])


def mac(key: bytes, text: bytes) -> bytes:
    return hmac.new(key, text, hashlib.sha256).digest()


def expand(key: bytes, info: bytes, length: int = 32) -> bytes:
    blocks, last = b"", b""
    counter = 1
    while len(blocks) < length:
        last = mac(key, last + info + bytes([counter]))
        blocks += last
        counter += 1
    return blocks[:length]


class Reader:
    """Section 5."""

    def __init__(self, label: str) -> None:
        self.label, self.j, self.rest = label.encode(), 0, b""

    def take(self, n: int) -> bytes:
        while len(self.rest) < n:
            self.rest += mac(PROBE, self.label + b"\x00" + self.j.to_bytes(8, "big"))
            self.j += 1
        taken, self.rest = self.rest[:n], self.rest[n:]
        return taken

    def integer(self, m: int) -> int:
        while True:
            w = int.from_bytes(self.take(8), "big")
            if w < 2**64 - 2**64 % m:
                return w % m

    def bits(self, n: int) -> list[int]:
        taken = self.take(math.ceil(n / 8))
        return [byte >> (7 - place) & 1 for byte in taken for place in range(8)][:n]

    def permutation(self, n: int) -> list[int]:
        entries = list(range(n))
        for last in range(n - 1, 0, -1):
            other = self.integer(last + 1)
            entries[last], entries[other] = entries[other], entries[last]
        return entries

    def uniforms(self, n: int) -> list[float]:
        return [(int.from_bytes(self.take(8), "big") // 2**11 + 0.5) * 2.0**-53 for _ in range(n)]

    def normals(self, n: int) -> list[float]:
        found: list[float] = []
        while len(found) < n:
            u = self.uniforms(2 * math.ceil((n - len(found)) / 2))
            for u1, u2 in zip(u[::2], u[1::2], strict=True):
                v1, v2 = 2 * u1 - 1, 2 * u2 - 1
                s = v1 * v1 + v2 * v2
                if 0 < s < 1:
                    f = math.sqrt((-2 * ln(s)) / s)
                    found += [v1 * f, v2 * f]
        return found[:n]


def ln(x: float) -> float:
    m, e = math.frexp(x)
    if m < 0.7071067811865476:
        m, e = 2 * m, e - 1
    r = (m - 1) / (m + 1)
    q, p, t = r * r, r, 0.0
    for j in range(12):
        t = t + p / (2 * j + 1)
        p = p * q
    return e * 0.6931471803691238 + (2 * t + e * 1.9082149292705877e-10)


def dot(a: list[float], b: list[float]) -> float:
    total = a[0] * b[0]
    for one, two in zip(a[1:], b[1:], strict=True):
        total = total + one * two
    return total


def basis(rows: list[list[float]]) -> list[list[float]]:
    for i in range(len(rows)):
        length = math.sqrt(dot(rows[i], rows[i]))
        rows[i] = [value / length for value in rows[i]]
        for j in range(i + 1, len(rows)):
            part = dot(rows[j], rows[i])
            rows[j] = [a - part * b for a, b in zip(rows[j], rows[i], strict=True)]
    return rows


def integers(name: str) -> list[int]:
    return [int(word) for word in VECTORS[name].split()]


def reals(name: str) -> list[float]:
    return [float(word) for word in VECTORS[name].split()]


def close(found: object, name: str) -> bool:
    return bool(np.allclose(np.asarray(found, dtype=float).reshape(-1), reals(name), rtol=0, atol=1e-12))


def test_the_specification_is_plain_text_with_all_vectors() -> None:
    assert generator_digest() == hashlib.sha256(TEXT).hexdigest()
    assert b"\r" not in TEXT
    assert len(VECTORS) == 29


def test_secrets() -> None:
    assert expand(SEED, b"info", 42).hex() == VECTORS["hkdf_expand_42"]
    assert hkdf_expand(SEED, b"info", 42).hex() == VECTORS["hkdf_expand_42"]
    for i in (0, 1):
        master = expand(mac(BLIND, SEED), CLAIM + i.to_bytes(4, "big"))
        secrets = (master, expand(master, b"probe"), expand(master, b"score"))
        named = tuple(bytes.fromhex(VECTORS[f"{name}_{i}"]) for name in ("master", "probe", "score"))
        assert secrets == named
        assert (master_secret(SEED, BLIND, CLAIM, i), *split(master)) == named


def test_hkdf_agrees_with_the_first_case_of_its_rfc() -> None:
    """RFC 5869, appendix A.1."""
    pseudorandom = mac(bytes(range(13)), b"\x0b" * 22)
    output = hkdf_expand(pseudorandom, bytes(range(0xF0, 0xFA)), 42)
    assert output.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"


def test_salts_and_leaf() -> None:
    dated = b"forensics/v1/self-dated" + CLAIM
    assert hashlib.sha256(dated).hexdigest() == VECTORS["self_dated_salt"] == self_dated_salt(CLAIM).hex()
    body = b"forensics/v1/tst"
    for part in ("3003020101", "3100", "aaaaaaaa", "3000", "31020500", "bbbb"):
        body += (len(part) // 2).to_bytes(8, "big") + bytes.fromhex(part)
    assert hashlib.sha256(body).hexdigest() == VECTORS["token_salt"]
    record = {"i": 1, "method": "ofsw", "n": 3, "pool": "ab" * 32, "seed": hashlib.sha256(SEED).hexdigest()}
    written = json.dumps(record, separators=(",", ":")).encode()
    assert hashlib.sha256(b"\x00" + BLIND + written).hexdigest() == VECTORS["leaf"]
    assert leaf(Share(SEED, BLIND), index=1, count=3, method="ofsw", pool="ab" * 32).hex() == VECTORS["leaf"]


def test_integers() -> None:
    ours = Stream(PROBE, "test/bytes")
    assert Reader("test/bytes").take(70).hex() == ours.take(70).hex() == VECTORS["bytes_70"]
    for stream in (Reader("test/bytes"), Stream(PROBE, "test/bytes")):
        assert f"{stream.take(3).hex()} {stream.take(5).hex()}" == VECTORS["bytes_3_5"]
    reader = Reader("test/integers")
    assert [reader.integer(1000) for _ in range(8)] == integers("integers_1000")
    assert Stream(PROBE, "test/integers").integers(1000, 8).tolist() == integers("integers_1000")
    for stream in (Reader("test/rejection"), Stream(PROBE, "test/rejection")):
        assert [stream.integer(2**63 + 1) for _ in range(6)] == integers("integers_2_63_plus_1")
    assert Reader("test/bits").bits(20) == Stream(PROBE, "test/bits").bits(20).tolist() == integers("bits_20")
    for stream in (Reader("test/bits"), Stream(PROBE, "test/bits")):
        assert [*stream.bits(3), *stream.bits(9)] == integers("bits_3_then_9")
    assert Reader("test/permutation").permutation(12) == integers("permutation_12")
    assert Stream(PROBE, "test/permutation").permutation(12).tolist() == integers("permutation_12")
    assert sorted(Reader("test/subset").permutation(30)[:7]) == integers("subset_30_7")
    assert Stream(PROBE, "test/subset").subset(30, 7).tolist() == integers("subset_30_7")


@pytest.mark.parametrize("count", [4, 9])
def test_normals(count: int) -> None:
    assert close(Reader("test/normals").normals(count), f"normals_{count}")
    assert close(Stream(PROBE, "test/normals").normals(count), f"normals_{count}")


def test_reals() -> None:
    assert close(Reader("test/uniforms").uniforms(5), "uniforms_5")
    assert close(Stream(PROBE, "test/uniforms").uniforms(5), "uniforms_5")
    drawn = Reader("test/basis").normals(18)
    ours = orthonormal(Stream(PROBE, "test/basis").normals(18).reshape(2, 3, 3))
    for b in range(2):
        rows = [drawn[9 * b + 3 * r : 9 * b + 3 * r + 3] for r in range(3)]
        for r, row in enumerate(basis(rows)):
            assert close(row, f"basis_{b}_{r}")
            assert close(ours[b, r], f"basis_{b}_{r}")
    vector = Reader("test/direction").normals(5)
    assert close([value / math.sqrt(dot(vector, vector)) for value in vector], "direction_5")
    assert close(direction(Stream(PROBE, "test/direction").normals(5)), "direction_5")


def test_both_agree_to_the_last_bit_on_long_streams() -> None:
    assert Stream(PROBE, "long").normals(5001).tolist() == Reader("long").normals(5001)
