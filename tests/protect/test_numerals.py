"""Marked vectors print in the manner of their service, and read back exactly."""

import base64
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.protect.numerals import fits, print_base64, print_like, read_base64, read_numbers
from forensics.protect.spans import MalformedError
from tests.protect.services import doubles, full_doubles, shortest

SINGLES = st.floats(width=32, allow_nan=False, allow_infinity=False)


def unit(seed: int, width: int = 384) -> np.ndarray:
    vector = np.random.default_rng(seed).normal(size=width)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def written(text: str, vector: np.ndarray) -> str:
    raw = text.encode()
    return print_like(raw, read_numbers(raw), vector).decode()


@pytest.mark.parametrize("show", [doubles, shortest, full_doubles])
def test_values_read_back_exactly_in_every_manner(show) -> None:
    for seed in range(20):
        marked = unit(1000 + seed)
        marked[:4] = np.float32([1e-5, -2.5e-7, 1e-9, 0.5])
        text = written(show(unit(seed)), marked)
        found = np.array(json.loads(text)).astype(np.float32)
        assert found.tobytes() == marked.tobytes()


@settings(max_examples=200, deadline=None)
@given(st.lists(SINGLES, min_size=2, max_size=40), st.sampled_from([doubles, shortest, full_doubles]))
def test_any_float32_reads_back_exactly(values: list[float], show) -> None:
    marked = np.array(values, dtype=np.float32)
    found = np.array(json.loads(written(show(unit(3, len(values))), marked))).astype(np.float32)
    assert np.array_equal(found, marked)


def test_doubles_that_hold_a_float32_stay_such() -> None:
    assert written(doubles(unit(1)), unit(2)) == doubles(unit(2))


def test_shortest_decimals_stay_shortest() -> None:
    assert written(shortest(unit(1)), unit(2)) == shortest(unit(2))


def test_full_doubles_do_not_turn_into_float32_values() -> None:
    """Otherwise a client would see at a glance which vectors are marked."""
    found = np.array(json.loads(written(full_doubles(unit(1)), unit(2))))
    assert np.mean(found == found.astype(np.float32)) < 0.05


@pytest.mark.parametrize("places", [6, 8])
def test_a_fixed_number_of_decimals_is_kept(places: int) -> None:
    bare = "[" + ", ".join(str(round(float(value), places)) for value in unit(1).astype(float)) + "]"
    words = written(bare, unit(2))[1:-1].split(", ")
    assert max(len(word) - word.index(".") - 1 for word in words) == places
    assert not all(len(word) - word.index(".") - 1 == places for word in words)
    assert np.abs(np.array(list(map(float, words))) - unit(2)).max() <= 0.51 * 10.0**-places
    padded = "[" + ",".join(f"{value:.{places}f}" for value in unit(1)) + "]"
    assert written(padded, unit(2)) == "[" + ",".join(f"{value:.{places}f}" for value in unit(2).tolist()) + "]"


def c_like(shape: str, vector: np.ndarray) -> str:
    return "[" + ",".join(shape % value for value in vector.tolist()) + "]"


@pytest.mark.parametrize("shape", ["%.9g", "%.17g", "%.8e", "%.6g", "%.12g", "%.4e", "%.9G", "%.6f"])
def test_a_fixed_number_of_digits_is_kept(shape: str) -> None:
    came, marked = unit(1), unit(2)
    came[:3] = marked[1:4] = np.float32([3.1e-6, -4.5e-7, 2e-5])
    assert written(c_like(shape, came), marked) == c_like(shape, marked)
    text = c_like(shape, came).encode()
    assert fits(text, read_numbers(text))


@pytest.mark.parametrize("low", [-3, -4, -5, -6])
@pytest.mark.parametrize("power", ["e-05", "e-5", "E-5"])
@pytest.mark.parametrize("single", [True, False])
def test_exponents_stand_where_the_service_puts_them(low: int, power: str, single: bool) -> None:
    def show(vector: np.ndarray) -> str:
        words = []
        for value in vector:
            number = value if single else float(value)
            if abs(value) >= 10.0**low:
                words.append(np.format_float_positional(number, unique=True))
            else:
                word = np.format_float_scientific(number, unique=True, trim="-", exp_digits=len(power) - 2)
                words.append(word.replace("e", power[0]))
        return "[" + ",".join(words) + "]"

    came, marked = unit(1), unit(2)
    for vector, factor in ((came, 1.0), (marked, -1.3)):
        vector[:5] = np.float32([3.123e-3, 4.567e-4, 2.345e-5, 1.234e-6, 7.8912e-7]) * np.float32(factor)
    came[5:9] = np.float32([1.03, 0.103, 0.0103, 0.00103]) * np.float32(10.0 ** (low + 1))
    assert written(show(came), marked) == show(marked)


def test_what_cannot_be_printed_again_is_known() -> None:
    odd = b"[" + b",".join(b"%.5fe0" % value if n % 2 else b"%.9f" % value for n, value in enumerate(unit(1))) + b"]"
    assert not fits(odd, read_numbers(odd))
    for show in (doubles, shortest, full_doubles):
        text = show(unit(4)).encode()
        assert fits(text, read_numbers(text))


def test_white_space_is_kept() -> None:
    assert written("[ 0.5,\n  0.25,\n  1.0 ]", np.float32([0.25, 1.0, 0.5])) == "[ 0.25,\n  1.0,\n  0.5 ]"


@pytest.mark.parametrize("text", [b"[1,,2]", b"[01]", b"[1e999]", b"[1e39]", b"[12,-7]", b"[1 2]", b"[-]"])
def test_what_is_no_vector_is_refused(text: bytes) -> None:
    with pytest.raises(MalformedError):
        read_numbers(text)


def test_base64_is_the_float32_bytes() -> None:
    vector = unit(5)
    text = json.dumps(base64.b64encode(vector.tobytes()).decode())
    assert read_base64(text.encode()).tobytes() == vector.tobytes()
    assert print_base64(text.encode(), unit(6)) == json.dumps(base64.b64encode(unit(6).tobytes()).decode()).encode()
    escaped = text.replace("/", "\\/").encode()
    assert b"\\/" in escaped
    assert b"\\/" in print_base64(escaped, vector)
    assert print_base64(escaped, vector) == escaped


@pytest.mark.parametrize("text", [b'"AAA"', b'"AAAAAAA="', b'"????"', b'""', b'"AADAfw=="'])
def test_bad_base64_is_refused(text: bytes) -> None:
    with pytest.raises(MalformedError):
        read_base64(text)
