"""Hash-chained logs: one canonical JSON object a line, each naming the SHA-256 of the line before it (ours).

`prev` covers the raw bytes of the previous line with its newline, so that `sed -n 3p LOG | sha256sum` shows the
`prev` of line 4. A chain shows that nothing was changed in between; only a timestamp of its head shows that the
whole was not written anew.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from forensics.canonical import canonical_json, canonical_object, parse_json, sha256, utc
from forensics.errors import CheckFailed

GENESIS = "0" * 64
"""`prev` of the first line, and the head of an empty log."""

CLOCKS = timedelta(minutes=1)
"""By how much the clocks of those who wrote times into a case may differ."""

_RESERVED = frozenset({"seq", "utc", "prev"})
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


def encode_line(seq: int, prev: str, body: Mapping[str, Any], moment: datetime) -> bytes:
    """Returns one line of a log, with its newline.

    Args:
        seq: position of the line, from 0.
        prev: SHA-256 of the previous line's raw bytes, or `GENESIS`.
        body: what the line says; no floats, names in ASCII, and none of the keys `seq`, `utc`, `prev`.
        moment: UTC-aware time, written to the second.
    """
    if _RESERVED & body.keys():
        raise ValueError("a log entry may not set seq, utc or prev itself")
    return canonical_object({**body, "seq": seq, "utc": utc(moment), "prev": prev}) + b"\n"


def append(raw: bytes, body: Mapping[str, Any], moment: datetime) -> bytes:
    """Returns the log with one more line; see `encode_line`."""
    return raw + encode_line(raw.count(b"\n"), head(raw), body, moment)


def head(raw: bytes) -> str:
    """Returns the SHA-256 of the last line's raw bytes; `GENESIS` for an empty log."""
    if not raw:
        return GENESIS
    start = raw.rfind(b"\n", 0, len(raw) - 1) + 1
    return sha256(raw[start:])


def verify_chain(raw: bytes) -> tuple[dict[str, Any], ...]:
    """Reads a log and checks every link, number, time format and the canonical form of every line.

    Returns:
        The entries in order.

    Raises:
        CheckFailed: something in it is not as it was written.
    """
    if raw and not raw.endswith(b"\n"):
        raise CheckFailed("The log's last line is cut off.", "Ask for the complete file.")
    entries: list[dict[str, Any]] = []
    prev = GENESIS
    for seq, text in enumerate(raw[:-1].split(b"\n") if raw else ()):
        line = text + b"\n"
        entries.append(read_line(line, seq, prev))
        prev = sha256(line)
    return tuple(entries)


def read_line(line: bytes, seq: int, prev: str) -> dict[str, Any]:
    """Reads one line of a log and checks its link, number, time format and canonical form.

    Args:
        line: raw bytes with the newline.
        seq: which line it must be, from 0.
        prev: SHA-256 of the line before it, or `GENESIS`.

    Raises:
        CheckFailed: it is not as it was written.
    """
    try:
        entry = parse_json(line)
        canonical = isinstance(entry, dict) and canonical_json(entry) + b"\n" == line
    except (ValueError, TypeError, RecursionError):
        canonical = False
    if not canonical:
        raise CheckFailed(f"Line {seq + 1} of the log is not canonical JSON.", "Ask for the file as it was written.")
    moment = entry.get("utc")
    if type(entry.get("seq")) is not int or entry["seq"] != seq or entry.get("prev") != prev:
        raise CheckFailed(
            f"The log's chain breaks at line {seq + 1}: its number or the digest of the line before it is wrong.",
            "Lines were changed, removed or put in; ask for the file as it was written.",
        )
    if not isinstance(moment, str) or not _MOMENT.fullmatch(moment):
        raise CheckFailed(f"Line {seq + 1} of the log has no UTC time.", "Ask for the file as it was written.")
    return dict(entry)
