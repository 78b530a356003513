import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forensics.canonical import canonical_json, now, parse_json
from forensics.errors import CaseError
from forensics.evidence.bag import SIGNATURE, render_bag
from forensics.evidence.case import CLAIM, TRANSCRIPT, CaseFolder
from forensics.evidence.check import check_case
from forensics.evidence.custody import CUSTODY, EVIDENCE, record_custody
from forensics.evidence.schema import Evidence
from tests.evidence.conftest import Line, lay

pytestmark = pytest.mark.slow

Copy = Callable[[Path], Path]


def flipped(path: Path, position: int, bit: int) -> bytes:
    raw = path.read_bytes()
    path.write_bytes(raw[:position] + bytes([raw[position] ^ (1 << bit)]) + raw[position + 1 :])
    return raw


def test_a_flipped_bit_in_any_file_is_noticed(line: Line, copy_of: Copy) -> None:
    case = copy_of(line.sealed)
    rng = np.random.default_rng(11)
    paths = sorted(path for path in case.rglob("*") if path.is_file())
    assert len(paths) > 25
    tried = 0
    while tried < 300:
        for path in paths:
            raw = flipped(path, int(rng.integers(path.stat().st_size)), int(rng.integers(8)))
            result = check_case(case)
            assert not result.ok, path
            assert not result.intact
            assert result.reasons
            path.write_bytes(raw)
            tried += 1
    assert check_case(case).ok


def test_a_flipped_bit_in_the_signature_is_noticed(line: Line, copy_of: Copy) -> None:
    case = copy_of(line.sealed)
    path = case / SIGNATURE
    rng = np.random.default_rng(12)
    for position in rng.choice(path.stat().st_size, 100, replace=False):
        raw = flipped(path, int(position), int(rng.integers(8)))
        result = check_case(case)
        assert not result.ok
        assert result.signed_by is None
        path.write_bytes(raw)


def test_added_and_lost_bytes_are_noticed(line: Line, copy_of: Copy) -> None:
    case = copy_of(line.sealed)
    for path in sorted(path for path in case.rglob("*") if path.is_file()):
        raw = path.read_bytes()
        for changed in (raw + b"\n", raw[:-1], b""):
            path.write_bytes(changed)
            assert not check_case(case).ok, path
        path.unlink()
        assert not check_case(case).ok, path
        path.write_bytes(raw)


SMALL = ["data/evidence.json", CLAIM, TRANSCRIPT, CUSTODY, "data/claim/claim.tst", "bag-info.txt", SIGNATURE]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(SMALL), raw=st.one_of(st.binary(max_size=300), st.text(max_size=100).map(str.encode)))
def test_rubbish_in_any_file_never_crashes(line: Line, tmp_path: Path, name: str, raw: bytes) -> None:
    case = CaseFolder.load(line.sealed)
    files = {**case.content, name: raw}
    assert not check_case(lay(tmp_path / "CASE", files)).ok
    assert not check_case(lay(tmp_path / "CASE", render_bag(files, case.evidence))).ok


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def places(body: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(body, dict):
        return found + [each for key in sorted(body) for each in places(body[key], (*path, key))]
    if isinstance(body, list):
        return found + [each for index in range(min(len(body), 2)) for each in places(body[index], (*path, index))]
    return found


FREE = {"case", "created", "tool", "acquired", "dates", "suspect", "asset", "transcript_token"}
"""Descriptions that nothing else in a case repeats: only the signature keeps them."""


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), value=JSON)
def test_any_value_anywhere_in_the_evidence_never_crashes(line: Line, tmp_path: Path, data, value) -> None:
    case = CaseFolder.load(line.opened)
    files, body = case.files(), parse_json(case.content[EVIDENCE])
    route = data.draw(st.sampled_from(places(body)))
    node = body
    for step in route[:-1]:
        node = node[step]
    changed = node[route[-1]] != value or type(node[route[-1]]) is not type(value)
    node[route[-1]] = value
    try:
        files[EVIDENCE] = canonical_json(body)
    except ValueError:
        return
    files[CUSTODY] = record_custody(files, actor="x", action="score", item=EVIDENCE, moment=now())
    if isinstance(body["share"], dict):
        files["data/opened/share-0/share.json"] = canonical_json(body["share"])
    bag = render_bag(files, case.evidence)
    with contextlib.suppress(CaseError):
        bag = render_bag(files, Evidence.parse(files[EVIDENCE]))
    result = check_case(lay(tmp_path / "CASE", bag))
    assert result.reasons
    described = route[0] in FREE or "identity" in route or "provenance" in route or route == ("score", "created")
    assert described or not (result.ok and changed), route
