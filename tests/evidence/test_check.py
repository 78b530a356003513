import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from forensics.canonical import canonical_json, now, parse_json, sha256
from forensics.errors import CaseError, UsageError
from forensics.evidence.bag import SIGNATURE
from forensics.evidence.case import CaseFolder, add_exhibit, encode_share
from forensics.evidence.check import REPRODUCED, check_case
from forensics.evidence.schema import OpenedShare
from forensics.evidence.seal import seal_case, sign_detached
from forensics.evidence.signer import load_signer
from forensics.examination import acquire, make_kit, open_case, score
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.records import Pool
from tests.evidence.conftest import PASSPHRASE, Line, RecordedSuspect, clean_checkpoint, make_key, marked_logits

Copy = Callable[[Path], Path]


@pytest.mark.parametrize(
    ("state", "signed", "reproduced"),
    [("acquired", False, None), ("scored", False, None), ("opened", False, True), ("sealed", True, True)],
)
def test_every_honest_state_passes(line: Line, state: str, signed: bool, reproduced: bool | None) -> None:
    result = check_case(getattr(line, state))
    assert (result.ok, result.intact, result.complete) == (True, True, True), result.reasons
    assert result.trusted is None
    assert result.timestamped is True
    assert result.reproduced is reproduced
    assert (result.signed_by is not None) == signed
    assert "signer NOT identified" in result.headline
    assert result.headline.startswith("PASSED")
    assert (REPRODUCED in result.reasons) == (reproduced is True)


def test_the_result_is_frozen_and_its_details_are_json(line: Line) -> None:
    result = check_case(line.sealed)
    assert canonical_json(dict(result.details))
    assert result.details["probes_rebuilt"] is True
    assert result.details["values_compared"] > 100
    assert result.details["script_is_ours"] is True
    assert result.details["manifest_sha256"] == CaseFolder.load(line.sealed).manifest_sha256
    assert result.details["signature_timestamp"] is not None
    with pytest.raises(FrozenInstanceError):
        result.ok = False  # type: ignore[misc]


def test_a_check_changes_nothing(line: Line) -> None:
    before = {path: path.stat().st_mtime_ns for path in line.sealed.rglob("*")}
    check_case(line.sealed, trust=line.trust)
    assert {path: path.stat().st_mtime_ns for path in line.sealed.rglob("*")} == before
    assert not [path for path in line.root.iterdir() if path.name.startswith(".")]


def test_whom_to_trust_decides_what_is_trusted(line: Line, tmp_path: Path) -> None:
    fingerprint = check_case(line.sealed).details["signer_fingerprint"]
    other = DemonstrationAuthority.create()
    stranger = tmp_path / "stranger.pem"
    stranger.write_bytes(other.root_pem)
    both = tmp_path / "both.pem"
    both.write_bytes(other.root_pem + line.authority.root_pem)
    for trust, expected, outcome in (
        (line.trust, None, True),
        (both, None, True),
        (stranger, None, False),
        (None, fingerprint, True),
        (None, fingerprint.upper(), True),
        (None, "0" * 64, False),
        (line.trust, fingerprint, True),
        (stranger, fingerprint, False),
        (line.trust, "0" * 64, False),
    ):
        result = check_case(line.sealed, trust=trust, expect_fingerprint=expected)
        assert result.trusted is outcome
        assert result.ok is outcome
        assert result.intact
        assert ("NOT trusted" in result.headline) is not outcome
        assert "DEMONSTRATION signature" in result.headline


def test_an_unsigned_case_is_never_trusted(line: Line) -> None:
    result = check_case(line.opened, trust=line.trust)
    assert (result.ok, result.trusted, result.intact) == (False, False, True)
    assert "not signed" in result.headline


def test_wrong_arguments_are_usage_errors(line: Line, tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="nothing at"):
        check_case(tmp_path / "nothing")
    with pytest.raises(UsageError):
        check_case(line.sealed, expect_fingerprint="abc")
    with pytest.raises(UsageError):
        check_case(line.sealed, trust=tmp_path / "nothing.pem")


def test_a_signature_taken_away_is_noticed(line: Line, copy_of: Copy) -> None:
    case = copy_of(line.sealed)
    (case / SIGNATURE).unlink()
    result = check_case(case)
    assert not result.ok
    assert any(SIGNATURE in reason for reason in result.reasons)


def test_a_signature_put_beside_an_open_case_is_noticed(line: Line, copy_of: Copy) -> None:
    case = copy_of(line.opened)
    content = (case / "tagmanifest-sha256.txt").read_bytes()
    (case / SIGNATURE).write_bytes(sign_detached(content, load_signer(line.signer, PASSPHRASE), None, now()))
    assert not check_case(case).ok


def test_another_signer_is_seen_by_trust_and_fingerprint_alone(line: Line, copy_of: Copy, tmp_path: Path) -> None:
    case, other = copy_of(line.opened), DemonstrationAuthority.create()
    path = tmp_path / "other.p12"
    path.write_bytes(other.signer_p12(PASSPHRASE))
    seal_case(case, load_signer(path, PASSPHRASE), other, actor="forger", moment=now())
    assert check_case(case).ok
    assert check_case(case, trust=line.trust).trusted is False
    expected = check_case(line.sealed).details["signer_fingerprint"]
    assert check_case(case, expect_fingerprint=expected).trusted is False


def put_link(case: Path) -> None:
    (case / "data" / "evidence.json").unlink()
    (case / "data" / "evidence.json").symlink_to("/etc/passwd")


def put_folder(case: Path) -> None:
    (case / "data" / "evidence.json").unlink()
    (case / "data" / "evidence.json").mkdir()


def put_filled_folder(case: Path) -> None:
    put_folder(case)
    (case / "data" / "evidence.json" / "x").write_bytes(b"")


def put_huge(case: Path) -> None:
    with (case / "data" / "evidence.json").open("wb") as stream:
        stream.truncate(1 << 43)


def put_pipe(case: Path) -> None:
    (case / "manifest-sha256.txt").unlink()
    os.mkfifo(case / "manifest-sha256.txt")


def put_odd_name(case: Path) -> None:
    (case / os.fsdecode(b"\xff\x1b[31m")).write_bytes(b"")


def put_loop(case: Path) -> None:
    (case / "data" / "loop").symlink_to(case)


def put_unreadable_text(case: Path) -> None:
    for path in case.rglob("*"):
        if path.is_file():
            path.write_bytes(b"\xff\xfe" + path.read_bytes())


def put_traversal(case: Path) -> None:
    path = case / "manifest-sha256.txt"
    path.write_bytes(path.read_bytes() + b"0" * 64 + b"  ../../../../etc/passwd\n")


def put_absolute(case: Path) -> None:
    path = case / "tagmanifest-sha256.txt"
    path.write_bytes(sha256(Path("/etc/passwd").read_bytes()).encode() + b"  /etc/passwd\n" + path.read_bytes())


def put_nothing(case: Path) -> None:
    shutil.rmtree(case)
    case.mkdir()


def put_a_file(case: Path) -> None:
    shutil.rmtree(case)
    case.write_bytes(b"x")


def put_dangling(case: Path) -> None:
    shutil.rmtree(case)
    case.symlink_to(case.parent / "nowhere")


def put_deep(case: Path) -> None:
    (case / "/".join("a" * 300)).mkdir(parents=True)


@pytest.mark.parametrize(
    "put",
    [
        put_link,
        put_folder,
        put_filled_folder,
        put_huge,
        put_pipe,
        put_odd_name,
        put_loop,
        put_unreadable_text,
        put_traversal,
        put_absolute,
        put_nothing,
        put_a_file,
        put_dangling,
        put_deep,
    ],
)
def test_an_odd_folder_fails_in_words(line: Line, copy_of: Copy, put: Callable[[Path], None]) -> None:
    case = copy_of(line.sealed)
    put(case)
    result = check_case(case)
    assert not result.ok
    assert result.reasons
    assert all(reason.isprintable() for reason in result.reasons)


def test_a_self_dated_case_says_so(tmp_path: Path, digits_pool: Pool) -> None:
    key = make_key(tmp_path / "key", digits_pool, [])
    kit = make_kit(key)
    case = tmp_path / "CASE"
    suspect = RecordedSuspect("suspect", kit.plan, marked_logits(key, digits_pool, 2.0))
    acquire(kit, suspect, case, named=[clean_checkpoint(kit.plan)])
    score(key, case)
    opened = open_case(key, case)
    result = check_case(case)
    assert result.ok, result.reasons
    assert result.timestamped is False
    assert result.reproduced is True
    assert opened.evidence.score is not None
    assert opened.evidence.score.verdict.outcome == "INCONCLUSIVE"
    assert any("does not bind its owner" in reason for reason in result.reasons)
    script = subprocess.run([sys.executable, "-I", "data/recompute.py"], cwd=case, capture_output=True, text=True)
    assert script.returncode == 0, script.stdout + script.stderr


def test_an_exhibit_added_with_an_entry_passes(line: Line, copy_of: Copy) -> None:
    case = copy_of(line.opened)
    add_exhibit(case, "letter.txt", b"Dear court", actor="clerk", moment=now())
    assert check_case(case).ok


def test_an_interrupted_replacement_is_checked_in_its_new_state(line: Line, copy_of: Copy) -> None:
    case = copy_of(line.acquired)
    shutil.copytree(line.opened, case.with_name(".forensics-CASE.next"))
    case.rename(case.with_name(".forensics-CASE.previous"))
    assert check_case(case).reproduced
    assert [entry.name for entry in case.parent.iterdir()] == ["CASE"]


def test_an_opened_share_has_one_form(line: Line) -> None:
    share = CaseFolder.load(line.opened).evidence.share
    assert share is not None
    assert OpenedShare.model_validate(parse_json(encode_share(share))) == share


def test_checking_loads_neither_torch_nor_weasyprint(line: Line) -> None:
    script = (
        "import sys; from pathlib import Path; from forensics.evidence.check import check_case\n"
        f"result = check_case(Path({str(line.sealed)!r}), trust=Path({str(line.trust)!r}))\n"
        "assert result.ok and result.reproduced, result\n"
        "loaded = {'torch', 'weasyprint', 'transformers', 'pyhanko', 'httpx2'} & sys.modules.keys()\n"
        "assert not loaded, loaded\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
