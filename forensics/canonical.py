"""Canonical bytes: RFC 8785 JSON without floats, decimal strings, SHA-256, UTC times."""

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import rfc8785


def canonical_json(value: Any) -> bytes:
    """Returns the RFC 8785 form of a value made of dicts, lists, strings, integers, booleans and null.

    Raises:
        TypeError: the value contains a float; write numbers with a fraction as decimal strings.
    """
    _refuse_floats(value)
    return rfc8785.dumps(value)


def parse_json(raw: bytes) -> Any:
    """Parses JSON strictly: UTF-8, no duplicate keys, no NaN or infinity.

    Raises:
        ValueError: the bytes are not such JSON.
    """
    return json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant)


def sha256(data: bytes) -> str:
    """Returns the SHA-256 of bytes as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Returns the SHA-256 of a file, read in blocks of 1 MiB, as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def decimal(value: float) -> str:
    """Returns the shortest decimal string that reads back as the same float64."""
    return repr(float(value))


def decimals(values: Iterable[float]) -> list[str]:
    """Returns the decimal string of every value; see `decimal`."""
    return [repr(float(value)) for value in values]


def through_decimals(values: "np.ndarray[Any, Any]") -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Returns float32 values as the float64 values that their shortest decimal strings read back as.

    What is scored is then exactly what a transcript of those strings holds.

    Args:
        values: any shape, cast to float32 first.
    """
    single = np.asarray(values, dtype=np.float32)
    return single.astype("U32").astype(np.float64).reshape(single.shape)


def now() -> datetime:
    """Returns the current time in UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0)


def utc(moment: datetime) -> str:
    """Returns a time as `YYYY-MM-DDTHH:MM:SSZ`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _refuse_floats(value: Any) -> None:
    if isinstance(value, float):
        raise TypeError(f"a float ({value!r}) has no canonical form here; use a decimal string")
    if isinstance(value, dict):
        for item in value.values():
            _refuse_floats(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_floats(item)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a JSON object names a key twice")
    return result


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
