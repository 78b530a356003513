import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from forensics.canonical import sha256
from forensics.errors import CaseError
from forensics.evidence.bag import SIGNATURE, find_damage, find_odd_tags, render_bag
from forensics.evidence.case import (
    CaseFolder,
    add_exhibit,
    compose_case,
    opened_files,
    replace_case,
    write_case,
)
from forensics.evidence.custody import EVIDENCE
from forensics.evidence.storage import create_folder
from forensics.evidence.storage import read_folder as read
from tests.evidence.conftest import Line
from tests.evidence.test_storage import run_killed

MOMENT = datetime(2026, 4, 1, tzinfo=UTC)
Copy = Callable[[Path], Path]


def coreutils(case: Path, manifest: str) -> int:
    return subprocess.run(["sha256sum", "--check", "--strict", "--quiet", manifest], cwd=case).returncode


def require_valid_bag(case: Path) -> None:
    """What RFC 8493 demands of a valid bag, written down anew from the specification."""
    assert re.fullmatch(
        rb"BagIt-Version: 1\.0\nTag-File-Character-Encoding: UTF-8\n", (case / "bagit.txt").read_bytes()
    )
    payload = {path.relative_to(case).as_posix() for path in (case / "data").rglob("*") if path.is_file()}
    listed = dict(
        reversed(line.split("  ", 1)) for line in (case / "manifest-sha256.txt").read_text("utf-8").splitlines()
    )
    assert listed.keys() == payload
    tags = dict(
        reversed(line.split("  ", 1)) for line in (case / "tagmanifest-sha256.txt").read_text("utf-8").splitlines()
    )
    assert {"bagit.txt", "bag-info.txt", "manifest-sha256.txt"} <= tags.keys()
    for name, digest in {**listed, **tags}.items():
        assert sha256((case / name).read_bytes()) == digest
    info = (case / "bag-info.txt").read_text("utf-8")
    size = sum((case / name).stat().st_size for name in payload)
    assert f"Payload-Oxum: {size}.{len(payload)}\n" in info
    assert all(re.fullmatch(r"[A-Za-z0-9-]+: \S.*", line) for line in info.splitlines())


@pytest.mark.parametrize("state", ["acquired", "scored", "opened", "sealed"])
def test_every_state_is_a_valid_bag(line: Line, state: str) -> None:
    case = getattr(line, state)
    require_valid_bag(case)
    assert coreutils(case, "manifest-sha256.txt") == 0
    assert coreutils(case, "tagmanifest-sha256.txt") == 0
    assert find_damage(read(case)) == []


def test_a_case_comes_back_as_it_was_written(line: Line, tmp_path: Path) -> None:
    loaded = CaseFolder.load(line.opened)
    again = write_case(tmp_path / "CASE", loaded.files())
    assert read(tmp_path / "CASE") == read(line.opened) == dict(again.content)
    assert loaded.opened
    assert not loaded.closed
    assert loaded.evidence.case == "acquired"
    assert loaded.manifest_sha256 == sha256((line.opened / "manifest-sha256.txt").read_bytes())


def test_the_same_payload_gives_the_same_bytes_in_any_order(line: Line) -> None:
    case = CaseFolder.load(line.sealed)
    shuffled = dict(reversed(case.files().items()))
    assert render_bag(shuffled, case.evidence) == {
        name: content for name, content in case.content.items() if name != SIGNATURE
    }


def test_an_unopened_case_holds_no_secret(line: Line) -> None:
    opening = line.key.opening()
    secrets = [opening["seed"], opening["salt"], *(key.hex() for key in line.key.secrets())]
    images = [item.data for item in line.key.pool().items]
    for case in (line.acquired, line.scored):
        assert not CaseFolder.load(case).opened
        for content in read(case).values():
            assert not any(secret.encode() in content or bytes.fromhex(secret) in content for secret in secrets)
            assert not any(image in content for image in images)
            assert not any(sha256(image).encode() in content for image in images)


def test_an_opened_case_holds_the_share_and_the_pool(line: Line) -> None:
    files = CaseFolder.load(line.opened).files()
    pool = opened_files(0, line.key.pool())
    assert len(pool) == 16
    assert pool.items() <= files.items()
    assert {"data/opened/share-0/share.json", "data/recompute.py", "data/VERIFY.txt"} <= files.keys()


def test_a_sealed_case_cannot_be_changed(line: Line, copy_of: Copy) -> None:
    case = copy_of(line.sealed)
    before = read(case)
    loaded = CaseFolder.load(case)
    assert loaded.closed
    with pytest.raises(CaseError, match="sealed"):
        replace_case(case, loaded.files())
    with pytest.raises(CaseError, match="sealed"):
        add_exhibit(case, "letter.txt", b"x", actor="a", moment=MOMENT)
    (case / SIGNATURE).unlink()
    with pytest.raises(CaseError, match="sealed"):
        replace_case(case, loaded.files())
    assert read(case) | {SIGNATURE: before[SIGNATURE]} == before


def test_nothing_is_overwritten(line: Line, copy_of: Copy) -> None:
    case = copy_of(line.opened)
    with pytest.raises(CaseError, match="exists already"):
        write_case(case, CaseFolder.load(line.acquired).files())
    assert read(case) == read(line.opened)


def test_a_replacement_shows_only_the_new_state(line: Line, copy_of: Copy) -> None:
    case = copy_of(line.acquired)
    replace_case(case, CaseFolder.load(line.opened).files())
    assert read(case) == read(line.opened)


def test_an_interrupted_replacement_is_finished_or_rolled_back_on_loading(line: Line, copy_of: Copy) -> None:
    old, new = read(line.acquired), read(line.scored)
    outcomes = set()
    for moment in range(0, 400, 3):
        case = copy_of(line.acquired, f"{moment}/CASE")
        killed = run_killed(case, lambda path, _: replace_case(path, CaseFolder.load(line.scored).files()), moment)
        loaded = CaseFolder.load(case)
        assert dict(loaded.content) in (old, new)
        assert [entry.name for entry in case.parent.iterdir()] == ["CASE"]
        outcomes.add(dict(loaded.content) == new)
        if not killed:
            break
    assert not killed
    assert outcomes == {True, False}


def test_exhibits_are_added_with_an_entry(line: Line, copy_of: Copy) -> None:
    case = copy_of(line.opened)
    added = add_exhibit(case, "letter.txt", b"Dear court", actor="clerk", moment=MOMENT)
    assert added.files()["data/exhibits/letter.txt"] == b"Dear court"
    assert b'"actor":"clerk"' in added.files()["data/custody.jsonl"]
    require_valid_bag(case)
    with pytest.raises(CaseError, match="has an exhibit"):
        add_exhibit(case, "letter.txt", b"other", actor="clerk", moment=MOMENT)
    for name in ("../x", "a/b", ".x", "", "ä"):
        with pytest.raises(CaseError, match="may not be named"):
            add_exhibit(case, name, b"", actor="clerk", moment=MOMENT)


def test_a_damaged_case_is_not_loaded(line: Line, copy_of: Copy) -> None:
    case = copy_of(line.opened)
    path = case / "data" / "VERIFY.txt"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(CaseError, match="damaged"):
        CaseFolder.load(case)
    with pytest.raises(CaseError, match="no case at"):
        CaseFolder.load(case / "nothing")


def test_a_bag_of_something_else_is_no_case(line: Line, tmp_path: Path) -> None:
    evidence = CaseFolder.load(line.opened).evidence
    files = render_bag({EVIDENCE: evidence.core}, evidence)
    create_folder(tmp_path / "bag", files)
    with pytest.raises(CaseError, match="needs"):
        write_case(tmp_path / "other", {EVIDENCE: evidence.core})
    del files[EVIDENCE]
    create_folder(tmp_path / "empty", files)
    with pytest.raises(CaseError, match="damaged"):
        CaseFolder.load(tmp_path / "empty")


def test_evidence_in_another_form_is_not_written(line: Line, tmp_path: Path) -> None:
    files = CaseFolder.load(line.opened).files()
    for raw in (files[EVIDENCE] + b"\n", b"{}", b"[" * 100_000, b"\xff", b'{"a":1,"a":2}'):
        with pytest.raises(CaseError, match="evidence"):
            write_case(tmp_path / "CASE", {**files, EVIDENCE: raw})


def test_odd_text_in_the_evidence_makes_no_odd_tag_file(line: Line) -> None:
    case = CaseFolder.load(line.opened)
    odd = case.evidence.model_copy(update={"case": "one\nSealed-By: me\r\n\u2028two\x00"})
    payload = compose_case(odd, case.files(), actor="a", action="score", moment=MOMENT)
    info = render_bag(payload, odd)["bag-info.txt"].decode()
    assert len(info.split("\n")) == 6
    assert "\nSealed-By" not in info
    assert find_odd_tags(render_bag(payload, odd), odd) == []
    assert find_odd_tags(render_bag(payload, odd), case.evidence) != []
