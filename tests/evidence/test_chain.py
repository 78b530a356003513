from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.canonical import canonical_json, sha256
from forensics.errors import CheckFailed
from forensics.evidence.chain import GENESIS, append, encode_line, head, verify_chain

MOMENT = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)


def chain(count: int) -> bytes:
    raw = b""
    for index in range(count):
        raw = append(raw, {"event": "batch", "first": index, "note": "ü\n\r\u2028"}, MOMENT)
    return raw


def test_entries_come_back_in_order_with_their_links() -> None:
    raw = chain(4)
    entries = verify_chain(raw)
    lines = raw.splitlines(keepends=True)
    assert [entry["seq"] for entry in entries] == [0, 1, 2, 3]
    assert [entry["prev"] for entry in entries] == [GENESIS, *map(sha256, lines[:3])]
    assert entries[0]["utc"] == "2026-03-01T12:00:05Z"
    assert head(raw) == sha256(lines[-1])


def test_an_empty_log_verifies_and_has_the_genesis_as_head() -> None:
    assert verify_chain(b"") == ()
    assert head(b"") == GENESIS


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: lines[:1] + lines[2:],
        lambda lines: lines[1:],
        lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
        lambda lines: [*lines[:2], lines[1], *lines[2:]],
        lambda lines: [*lines[:2], b"\n", *lines[2:]],
        lambda lines: [*lines, b"{}\n"],
        lambda lines: [*lines, b"[]\n"],
        lambda lines: [lines[0].replace(b":", b": ", 1), *lines[1:]],
        lambda lines: [b"[" * 100_000 + b"\n", *lines[1:]],
        lambda lines: [*lines[:-1], lines[-1].rstrip(b"\n")],
    ],
)
def test_lost_swapped_doubled_and_odd_lines_are_noticed(damage) -> None:
    with pytest.raises(CheckFailed):
        verify_chain(b"".join(damage(chain(5).splitlines(keepends=True))))


@pytest.mark.parametrize(
    "field", [{"seq": True}, {"seq": "0"}, {"utc": "2026-03-01 12:00:05"}, {"utc": 5}, {"prev": None}]
)
def test_reserved_fields_keep_their_form(field) -> None:
    good = {"seq": 0, "utc": "2026-03-01T12:00:05Z", "prev": GENESIS, "event": "x"}
    assert verify_chain(canonical_json(good) + b"\n")
    with pytest.raises(CheckFailed):
        verify_chain(canonical_json({**good, **field}) + b"\n")


def test_a_body_may_not_set_the_links_itself() -> None:
    with pytest.raises(ValueError, match="may not set"):
        encode_line(0, GENESIS, {"prev": "0"}, MOMENT)


@settings(max_examples=150, deadline=None)
@given(position=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_is_noticed_or_moves_the_head(position: int, bit: int) -> None:
    raw = bytearray(chain(3))
    before = head(bytes(raw))
    raw[position % len(raw)] ^= 1 << bit
    try:
        verify_chain(bytes(raw))
    except CheckFailed:
        return
    assert head(bytes(raw)) != before


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_rubbish_is_refused_and_never_crashes(raw: bytes) -> None:
    if raw:
        with pytest.raises(CheckFailed):
            verify_chain(raw)
