"""A sealed case is superseded by a new one that names it; nothing is added to it."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from forensics.canonical import canonical_json, now, parse_json
from forensics.cli import root
from forensics.errors import CaseError, CheckFailed, ForensicsError, UsageError
from forensics.evidence.bag import MANIFEST, SIGNATURE, TAGMANIFEST, render_bag
from forensics.evidence.case import CaseFolder, add_exhibit, compose_case
from forensics.evidence.chain import encode_line, head, verify_chain
from forensics.evidence.check import check_case
from forensics.evidence.custody import CUSTODY, EVIDENCE, record_custody
from forensics.evidence.entries import entry_signer
from forensics.evidence.schema import Evidence
from forensics.evidence.seal import seal_case
from forensics.evidence.signer import load_signer
from forensics.evidence.storage import read_folder
from forensics.evidence.supersede import supersede_case
from tests.evidence.conftest import PASSPHRASE, Line, lay

Copy = Callable[[Path], Path]
REASON = "A letter of the respondent came in after the case was sealed."
RECORD = "data/supersedes/0/record.json"


@pytest.fixture(scope="module")
def newer(line: Line, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A case that supersedes the sealed one, signed by the demonstration's signer."""
    path, moment = tmp_path_factory.mktemp("newer") / "NEW", now()
    signer = entry_signer(load_signer(line.signer, PASSPHRASE), line.authority, moment)
    supersede_case(line.sealed, path, reason=REASON, actor="examiner", moment=moment, signer=signer)
    return path


def test_the_new_case_names_the_old_one_which_stays_as_it_was(line: Line, newer: Path) -> None:
    old, new = CaseFolder.load(line.sealed), CaseFolder.load(newer)
    assert parse_json(new.content[RECORD]) == {
        "format": "forensics-supersedes/1",
        "manifest_sha256": old.manifest_sha256,
        "reason": REASON,
    }
    assert new.evidence == old.evidence
    assert not new.closed
    assert new.content[CUSTODY].startswith(old.content[CUSTODY])
    assert verify_chain(new.content[CUSTODY])[-1]["action"] == "supersede"
    assert check_case(line.sealed, trust=line.trust).ok


def test_a_check_verifies_what_is_superseded(line: Line, newer: Path) -> None:
    result = check_case(newer)
    assert result.ok, result.reasons
    assert result.reproduced
    (told,) = result.details["supersedes"]
    assert told["manifest_sha256"] == CaseFolder.load(line.sealed).manifest_sha256
    assert told["reason"] == REASON
    assert "DEMONSTRATION" in told["sealed_by"]
    assert any(REASON in reason for reason in result.reasons)
    assert any("--supersedes" in reason for reason in result.reasons)
    both = check_case(newer, supersedes=line.sealed)
    assert both.ok, both.reasons
    assert both.details["superseded_case"]["ok"] is True


def test_another_case_is_not_the_superseded_one(line: Line, newer: Path, copy_of: Copy) -> None:
    other = check_case(newer, supersedes=line.opened)
    assert not other.ok
    assert any("is not one that is named" in reason for reason in other.problems)
    again = copy_of(line.opened)
    seal_case(again, load_signer(line.signer, PASSPHRASE), actor="another", moment=now())
    assert not check_case(newer, supersedes=again).ok
    assert not check_case(line.opened, supersedes=line.sealed).ok


def test_a_damaged_old_case_makes_the_check_of_both_fail(line: Line, newer: Path, copy_of: Copy) -> None:
    old = copy_of(line.sealed)
    path = old / "data" / "transcript.jsonl"
    path.write_bytes(path.read_bytes() + b" ")
    result = check_case(newer, supersedes=old)
    assert not result.ok
    assert any("superseded case does not pass" in reason for reason in result.problems)


def test_the_new_case_takes_exhibits_and_a_seal_and_is_superseded_in_turn(
    line: Line, newer: Path, copy_of: Copy, tmp_path: Path
) -> None:
    case, signer = copy_of(newer), load_signer(line.signer, PASSPHRASE)
    add_exhibit(case, "letter.txt", b"Dear court", actor="clerk", moment=now())
    seal_case(case, signer, actor="examiner", moment=now())
    assert check_case(case, supersedes=line.sealed).ok
    third = tmp_path / "THIRD"
    supersede_case(case, third, reason="again", actor="examiner", moment=now())
    result = check_case(third, supersedes=case)
    assert result.ok, result.reasons
    assert check_case(third, supersedes=line.sealed).ok
    assert [each["reason"] for each in result.details["supersedes"]] == [REASON, "again"]


def test_only_an_intact_sealed_case_is_superseded(line: Line, copy_of: Copy, tmp_path: Path) -> None:
    new = tmp_path / "NEW"

    def refuse(old: Path, error: type[Exception], words: str, target: Path = new, reason: str = REASON) -> None:
        with pytest.raises(error, match=words):
            supersede_case(old, target, reason=reason, actor="a", moment=now())
        assert not new.exists()

    sealed = copy_of(line.sealed)
    refuse(line.opened, CaseError, "not sealed")
    refuse(sealed, UsageError, "why", reason=" \n\x1b ")
    refuse(sealed, CaseError, "inside", target=sealed / "data" / "NEW")
    refuse(sealed, CaseError, "inside", target=sealed)
    with pytest.raises(CaseError, match="exists already"):
        supersede_case(sealed, line.opened, reason=REASON, actor="a", moment=now())
    before = read_folder(sealed)
    (sealed / SIGNATURE).unlink()
    refuse(sealed, CaseError, "signature")
    lay(sealed, {**before, SIGNATURE: before[SIGNATURE][:-1] + bytes([before[SIGNATURE][-1] ^ 1])})
    refuse(sealed, CheckFailed, "does not verify")


def other_digest(files: dict[str, bytes]) -> None:
    files[RECORD] = canonical_json({**parse_json(files[RECORD]), "manifest_sha256": "0" * 64})


def loose_form(files: dict[str, bytes]) -> None:
    files[RECORD] += b"\n"


def other_manifest(files: dict[str, bytes]) -> None:
    files[f"data/supersedes/0/{MANIFEST}"] += b"0" * 64 + b"  data/exhibits/letter.txt\n"


def other_seal(files: dict[str, bytes]) -> None:
    name = f"data/supersedes/0/{TAGMANIFEST}"
    files[name] = files[name].replace(b"0", b"1", 1)


def lost_seal(files: dict[str, bytes]) -> None:
    del files[f"data/supersedes/0/{SIGNATURE}"]


def another_file(files: dict[str, bytes]) -> None:
    files["data/supersedes/0/more.txt"] = b""


def another_place(files: dict[str, bytes]) -> None:
    files["data/supersedes/1/record.json"] = files[RECORD]


def lost_probe(files: dict[str, bytes]) -> None:
    del files["data/transcript.tst"]


def other_transcript(files: dict[str, bytes]) -> None:
    files["data/transcript.tst"] += b"\x00"


def rewritten_past(files: dict[str, bytes]) -> None:
    """The custody log tells another story of the time before the seal, in a chain that holds."""
    entries, raw = verify_chain(files[CUSTODY]), b""
    for seq, entry in enumerate(entries):
        body = {name: value for name, value in entry.items() if name not in ("seq", "utc", "prev", "signer")}
        body["actor"] = "somebody else" if seq == 0 else body["actor"]
        moment = datetime.fromisoformat(entry["utc"]).astimezone(UTC)
        raw += encode_line(seq, head(raw), body, moment)
    files[CUSTODY] = raw
    files.pop("data/custody/0004.p7s", None)


@pytest.mark.parametrize(
    ("forge", "words"),
    [
        (other_digest, "its manifest is not the one that is named"),
        (loose_form, "not in canonical form"),
        (other_manifest, "its manifest is not the one that is named"),
        (other_seal, "does not verify"),
        (lost_seal, "tagmanifest-sha256.txt.p7s is missing"),
        (another_file, "is not accounted for"),
        (another_place, "is not accounted for"),
        (lost_probe, "data/transcript.tst is no longer there"),
        (other_transcript, "data/transcript.tst is not as it was sealed"),
        (rewritten_past, "the custody log does not continue the one that was sealed"),
    ],
)
def test_a_forged_past_is_noticed(
    newer: Path, tmp_path: Path, forge: Callable[[dict[str, bytes]], None], words: str
) -> None:
    files = CaseFolder.load(newer).files()
    forge(files)
    if forge in (other_digest, loose_form):
        files[CUSTODY] = record_custody(files, actor="forger", action="add", item=RECORD, moment=now())
    result = check_case(lay(tmp_path / "CASE", render_bag(files, Evidence.parse(files[EVIDENCE]))))
    assert not result.ok
    assert any(words in problem for problem in result.problems), result.problems


def test_the_seal_of_another_case_does_not_fit(line: Line, newer: Path, copy_of: Copy, tmp_path: Path) -> None:
    other, files = copy_of(line.opened), CaseFolder.load(newer).files()
    sealed = seal_case(other, load_signer(line.signer, PASSPHRASE), actor="another", moment=now())
    for name in (TAGMANIFEST, SIGNATURE):
        files[f"data/supersedes/0/{name}"] = sealed.content[name]
    result = check_case(lay(tmp_path / "NEW", render_bag(files, Evidence.parse(files[EVIDENCE]))))
    assert any("its seal is over another manifest" in problem for problem in result.problems), result.problems


def test_a_case_that_was_never_sealed_cannot_be_said_to_be_superseded(line: Line, newer: Path, tmp_path: Path) -> None:
    case, kept = CaseFolder.load(line.opened), CaseFolder.load(newer).files()
    files = {**case.files(), **{name: kept[name] for name in kept if name.startswith("data/supersedes/")}}
    payload = compose_case(case.evidence, files, actor="a", action="supersede", moment=now(), item=RECORD)
    result = check_case(lay(tmp_path / "CASE", render_bag(payload, case.evidence)))
    assert not result.ok
    assert any("not sealed" in reason for reason in result.problems)


def test_an_unscored_case_can_still_be_scored_after_it_is_superseded(line: Line, copy_of: Copy, tmp_path: Path) -> None:
    from forensics.examination import open_case, score

    early, new = copy_of(line.acquired), tmp_path / "NEW"
    seal_case(early, load_signer(line.signer, PASSPHRASE), actor="examiner", moment=now())
    with pytest.raises(CaseError, match="sealed"):
        score(line.key, early)
    supersede_case(early, new, reason="It was sealed before it was scored.", actor="examiner", moment=now())
    score(line.key, new)
    open_case(line.key, new)
    result = check_case(new, supersedes=early)
    assert result.ok, result.reasons
    assert result.reproduced
    shutil.rmtree(early)


def invoke(*arguments: object) -> tuple[int, str, str]:
    environment = {"FORENSICS_SIGNER_PASSPHRASE": PASSPHRASE}
    done = CliRunner().invoke(root, [str(each) for each in arguments], env=environment)
    error = done.exception.cause if isinstance(done.exception, ForensicsError) else ""
    step = done.exception.next_step if isinstance(done.exception, ForensicsError) else ""
    return done.exit_code, done.output, f"{error} {step}"


def test_the_commands_lead_from_a_sealed_case_to_its_successor(line: Line, tmp_path: Path) -> None:
    letter, new = tmp_path / "letter.txt", tmp_path / "NEW"
    letter.write_bytes(b"Dear court")
    code, _, words = invoke("case", "add", line.sealed, letter)
    assert code != 0
    assert "is sealed" in words
    assert "forensics case supersede CASE --case NEW --reason WHY" in words
    code, out, _ = invoke("case", "supersede", line.sealed, "--case", new, "--reason", REASON, "--json")
    assert code == 0, out
    assert json.loads(out)["supersedes"] == CaseFolder.load(line.sealed).manifest_sha256
    signing = ("--signer", line.signer, "--actor", "clerk")
    code, out, _ = invoke("case", "add", new, letter, *signing)
    assert code == 0, out
    assert "the entry is signed" in out
    code, out, _ = invoke("case", "add", new, letter, "--name", "again.txt")
    assert "the entry is NOT signed" in out
    code, _, words = invoke("case", "add", new, letter, "--name", "third.txt", "--tsa", "http://127.0.0.1:1")
    assert code != 0
    assert "--signer" in words
    code, _, words = invoke("case", "add", new, tmp_path)
    assert code != 0
    assert "is no file" in words
    code, out, _ = invoke("check", new, "--supersedes", line.sealed, "--json")
    found = json.loads(out)
    assert (code, found["ok"], found["details"]["superseded_case"]["ok"]) == (0, True, True)
    signers = [row.get("signed_by") for row in found["details"]["custody"]]
    assert [signer is not None for signer in signers] == [False] * 5 + [True, False]
    code, _, words = invoke("check", letter, "--supersedes", line.sealed)
    assert code != 0
    assert "goes with a case folder" in words
