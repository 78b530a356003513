import numpy as np
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from forensics.canonical import EncodedList, canonical_json, canonical_object, through_decimals

VALUES = st.recursive(
    st.none() | st.booleans() | st.text() | st.integers(-(2**53) + 1, 2**53 - 1),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES)
def test_canonical_bytes_are_those_of_the_reference_encoder(value: object) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)


@pytest.mark.parametrize("value", [1.0, [0.5], {"é": 1.0}, {"a": [{"b": ("x", 2.5)}]}, [[], {"": [1, float("nan")]}]])
def test_floats_are_refused_wherever_they_are(value: object) -> None:
    with pytest.raises(TypeError, match="float"):
        canonical_json(value)


@pytest.mark.parametrize("value", ["\ud800", {"a": ["\udfff"]}, 2**53, -(2**60)])
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"surrogate|domain"):
        canonical_json(value)


def test_decimals_are_the_shortest_that_numpy_finds() -> None:
    random = np.random.default_rng(20261122)
    bits = random.integers(0, 2**32, 50_000, dtype=np.uint32).view(np.float32)
    usual = (random.normal(size=50_000) * 10.0 ** random.integers(-8, 8, 50_000)).astype(np.float32)
    short = np.round(random.normal(size=20_000), random.integers(0, 6)).astype(np.float32)
    edges = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, 10.0, 1e-12, 1e9, 8388608.5, 16777216.0], np.float32)
    single = np.concatenate([bits, usual, short, edges]).reshape(-1, 1)
    wanted = single.astype("U32").astype(np.float64)
    assert np.array_equal(through_decimals(single), wanted, equal_nan=True)
    assert np.array_equal(np.signbit(through_decimals(edges)), np.signbit(edges))


def test_objects_with_long_members_have_the_same_bytes() -> None:
    texts = ["x" * 2000, '"quoted" \\ ' * 300, "line\n\r\t" * 400, "\x00\x1f\x7f" * 500, "\u00e9\u2028\U0001f98a" * 500]
    rows = [["0.1", "-2e-07"], None, ["3"]]
    for text in texts:
        members = {"seq": 3, "body": text, "a": None, "zz": ["b", {"c": text}], "rows": rows}
        encoded = EncodedList(tuple(canonical_json(row) for row in rows))
        assert canonical_object({**members, "rows": encoded}) == canonical_json(members)
    assert encoded.values == rows
    assert canonical_object({}) == b"{}"
    with pytest.raises(UnicodeEncodeError):
        canonical_object({"body": "\ud800" * 2000})
    with pytest.raises(TypeError):
        canonical_object({"a": 0.5, "body": texts[0]})
