import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256

from forensics.canonical import now
from forensics.errors import AuthorityError, CheckFailed, UsageError
from forensics.evidence.bag import render_bag
from forensics.evidence.case import CaseFolder, add_exhibit
from forensics.evidence.chain import append, verify_chain
from forensics.evidence.check import check_case
from forensics.evidence.custody import CUSTODY, EVIDENCE, is_sealed, payload_digest, record_custody, verify_custody
from forensics.evidence.entries import entry_signer
from forensics.evidence.schema import Evidence
from forensics.evidence.seal import seal_case
from forensics.evidence.signer import load_signer, signer_certificate
from forensics.keys.demonstration import DemonstrationAuthority
from tests.evidence.conftest import PASSPHRASE, Line, lay
from tests.evidence.test_signer import Failing

Copy = Callable[[Path], Path]

MOMENT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def acquired() -> dict[str, bytes]:
    files = {EVIDENCE: b"{}", "data/transcript.jsonl": b"x"}
    files[CUSTODY] = record_custody(files, actor="examiner", action="acquire", item=EVIDENCE, moment=MOMENT)
    return files


def act(files: dict[str, bytes], action: str, item: str) -> None:
    files[CUSTODY] = record_custody(files, actor="somebody", action=action, item=item, moment=MOMENT)


def test_a_log_tells_who_did_what_to_which_file() -> None:
    files = acquired()
    files[EVIDENCE] = b'{"score":1}'
    act(files, "score", EVIDENCE)
    files["data/exhibits/letter.pdf"] = b"%PDF"
    act(files, "add", "data/exhibits/letter.pdf")
    act(files, "seal", "data")
    entries = verify_custody(files)
    assert [entry["action"] for entry in entries] == ["acquire", "score", "add", "seal"]
    assert entries[0].keys() == {"seq", "utc", "actor", "action", "item", "sha256", "tool", "prev"}
    assert entries[3]["sha256"] == payload_digest(files)
    assert is_sealed(files[CUSTODY])


def test_a_seal_covers_every_file_but_the_log() -> None:
    files = acquired()
    act(files, "seal", "data")
    verify_custody(files)
    for change in ({"data/transcript.jsonl": b"y"}, {"data/new": b""}):
        with pytest.raises(CheckFailed):
            verify_custody({**files, **change})


def unknown_field(files: dict[str, bytes]) -> None:
    body = {"actor": "a", "action": "add", "item": "b", "sha256": "c", "tool": "d", "why": "e"}
    files[CUSTODY] = append(files[CUSTODY], body, MOMENT)


def unknown_action(files: dict[str, bytes]) -> None:
    body = {"actor": "a", "action": "bless", "item": EVIDENCE, "sha256": "c", "tool": "d"}
    files[CUSTODY] = append(files[CUSTODY], body, MOMENT)


def number_as_actor(files: dict[str, bytes]) -> None:
    body = {"actor": 5, "action": "add", "item": EVIDENCE, "sha256": "c", "tool": "d"}
    files[CUSTODY] = append(files[CUSTODY], body, MOMENT)


def action_after_the_seal(files: dict[str, bytes]) -> None:
    act(files, "seal", "data")
    act(files, "score", EVIDENCE)


def other_beginning(files: dict[str, bytes]) -> None:
    del files[CUSTODY]
    act(files, "score", EVIDENCE)


def changed_evidence(files: dict[str, bytes]) -> None:
    files[EVIDENCE] = b"[]"


def lost_exhibit(files: dict[str, bytes]) -> None:
    files["data/exhibits/a"] = b""
    act(files, "add", "data/exhibits/a")
    del files["data/exhibits/a"]


def evidence_added(files: dict[str, bytes]) -> None:
    files[EVIDENCE] = b"[]"
    act(files, "add", EVIDENCE)


def transcript_added(files: dict[str, bytes]) -> None:
    act(files, "add", "data/transcript.jsonl")


def acquired_again(files: dict[str, bytes]) -> None:
    files[EVIDENCE] = b"[]"
    act(files, "acquire", EVIDENCE)


def scored_twice(files: dict[str, bytes]) -> None:
    act(files, "score", EVIDENCE)
    files[EVIDENCE] = b"[]"
    act(files, "score", EVIDENCE)


def scored_after_opening(files: dict[str, bytes]) -> None:
    act(files, "open", EVIDENCE)
    act(files, "score", EVIDENCE)


def opened_twice(files: dict[str, bytes]) -> None:
    act(files, "score", EVIDENCE)
    act(files, "open", EVIDENCE)
    act(files, "open", EVIDENCE)


def opening_of_the_transcript(files: dict[str, bytes]) -> None:
    act(files, "open", "data/transcript.jsonl")


def exhibit_replaced(files: dict[str, bytes]) -> None:
    for content in (b"one", b"other"):
        files["data/exhibits/a"] = content
        act(files, "add", "data/exhibits/a")


def empty_log(files: dict[str, bytes]) -> None:
    files[CUSTODY] = b""


def evidence_never_named(files: dict[str, bytes]) -> None:
    files[CUSTODY] = b""
    act(files, "acquire", "data/transcript.jsonl")


@pytest.mark.parametrize(
    "spoil",
    [
        unknown_field,
        unknown_action,
        number_as_actor,
        action_after_the_seal,
        other_beginning,
        changed_evidence,
        lost_exhibit,
        evidence_added,
        transcript_added,
        acquired_again,
        scored_twice,
        scored_after_opening,
        opened_twice,
        opening_of_the_transcript,
        exhibit_replaced,
        empty_log,
        evidence_never_named,
    ],
)
def test_what_does_not_fit_is_noticed(spoil: Callable[[dict[str, bytes]], None]) -> None:
    files = acquired()
    spoil(files)
    with pytest.raises(CheckFailed):
        verify_custody(files)


def test_only_known_actions_are_recorded() -> None:
    with pytest.raises(ValueError, match="unknown custody action"):
        record_custody(acquired(), actor="a", action="bless", item=EVIDENCE, moment=MOMENT)


@pytest.mark.parametrize("raw", [b"", b"rubbish", b"{}\n"])
def test_rubbish_is_not_sealed(raw: bytes) -> None:
    assert not is_sealed(raw)
    assert not is_sealed(acquired()[CUSTODY])


def test_entries_form_a_chain() -> None:
    files = acquired()
    act(files, "score", EVIDENCE)
    assert len(verify_chain(files[CUSTODY])) == 2
    with pytest.raises(CheckFailed):
        verify_custody({**files, CUSTODY: files[CUSTODY].split(b"\n", 1)[1]})


# Signed entries, on a real case.

EXHIBIT = b"Dear court"


@pytest.fixture(scope="module")
def signed(line: Line, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An opened case with an exhibit whose entry is signed, and one whose entry is not."""
    case = tmp_path_factory.mktemp("signed") / "CASE"
    shutil.copytree(line.opened, case)
    moment = now()
    signer = entry_signer(load_signer(line.signer, PASSPHRASE), line.authority, moment)
    add_exhibit(case, "letter.txt", EXHIBIT, actor="clerk", moment=moment, signer=signer)
    add_exhibit(case, "note.txt", b"later", actor="clerk", moment=now())
    return case


def test_a_signed_entry_is_verified_and_named_and_an_unsigned_one_said_to_be_unsigned(line: Line, signed: Path) -> None:
    result = check_case(signed)
    assert result.ok, result.reasons
    rows = {row["item"]: row for row in result.details["custody"]}
    letter = rows["data/exhibits/letter.txt"]
    assert letter["fingerprint"] == signer_certificate(load_signer(line.signer, PASSPHRASE)).fingerprint(SHA256()).hex()
    assert "report signer" in letter["signed_by"]
    assert letter["timestamp"] is not None
    assert letter["demonstration"] is True
    assert "signed_by" not in rows["data/exhibits/note.txt"]
    (remark,) = (reason for reason in result.reasons if "is not signed: nothing but the log" in reason)
    assert "note.txt, by clerk" in remark


def test_who_signed_an_entry_need_not_be_who_sealed_the_case(line: Line, tmp_path: Path, copy_of: Copy) -> None:
    case, other, moment = copy_of(line.opened), DemonstrationAuthority.create(), now()
    file = tmp_path / "other.p12"
    file.write_bytes(other.signer_p12("another"))
    signer = entry_signer(load_signer(file, "another"), None, moment)
    add_exhibit(case, "letter.txt", EXHIBIT, actor="clerk", moment=moment, signer=signer)
    seal_case(case, load_signer(line.signer, PASSPHRASE), line.authority, actor="examiner", moment=now())
    result = check_case(case, trust=line.trust)
    assert result.ok, result.reasons
    row = result.details["custody"][-2]
    assert (row["fingerprint"], row["trusted"]) == (signer.fingerprint, False)
    assert any("leads to no root that you trust" in reason for reason in result.reasons)
    assert result.trusted


def test_openssl_and_sed_verify_a_signed_entry_as_the_instructions_say(line: Line, signed: Path) -> None:
    text = (signed / "data" / "VERIFY.txt").read_text()
    command = re.search(r"     (sed -n 4p data/custody.jsonl \| openssl .*\\\n.*)\n", text)
    assert command is not None
    shell = command[1].replace("../ROOT.pem", str(line.trust))
    assert subprocess.run(["bash", "-c", shell], cwd=signed, capture_output=True).returncode == 0
    wrong = shell.replace("sed -n 4p", "sed -n 3p")
    assert subprocess.run(["bash", "-c", wrong], cwd=signed, capture_output=True).returncode != 0
    assert b"custody/0003" not in (line.opened / "data" / "VERIFY.txt").read_bytes()


def signature_gone(files: dict[str, bytes]) -> None:
    del files["data/custody/0003.p7s"]


def signature_of_nothing(files: dict[str, bytes]) -> None:
    files["data/custody/0004.p7s"] = files["data/custody/0003.p7s"]


def signature_flipped(files: dict[str, bytes]) -> None:
    raw = bytearray(files["data/custody/0003.p7s"])
    raw[len(raw) // 2] ^= 1
    files["data/custody/0003.p7s"] = bytes(raw)


def rewritten(files: dict[str, bytes], change: Callable[[dict[str, object]], None]) -> None:
    """Changes the signed entry and chains the log anew, as somebody without the signer's key could."""
    raw = b""
    for seq, entry in enumerate(verify_chain(files[CUSTODY])):
        if seq == 3:
            change(entry)
        body = {name: value for name, value in entry.items() if name not in ("seq", "utc", "prev")}
        raw = append(raw, body, datetime.fromisoformat(entry["utc"]))
    files[CUSTODY] = raw


def other_actor(files: dict[str, bytes]) -> None:
    rewritten(files, lambda entry: entry.update(actor="somebody else"))


def other_certificate(files: dict[str, bytes]) -> None:
    rewritten(files, lambda entry: entry.update(signer="0" * 64))


def no_fingerprint(files: dict[str, bytes]) -> None:
    rewritten(files, lambda entry: entry.update(signer="nobody"))


def unsigned_after_all(files: dict[str, bytes]) -> None:
    rewritten(files, lambda entry: entry.pop("signer"))


def older_history(files: dict[str, bytes]) -> None:
    raw = b""
    for seq, entry in enumerate(verify_chain(files[CUSTODY])):
        body = {name: value for name, value in entry.items() if name not in ("seq", "utc", "prev")}
        raw = append(raw, {**body, "actor": "x"} if seq == 0 else body, datetime.fromisoformat(entry["utc"]))
    files[CUSTODY] = raw


@pytest.mark.parametrize(
    "forge",
    [
        signature_gone,
        signature_of_nothing,
        signature_flipped,
        other_actor,
        other_certificate,
        no_fingerprint,
        unsigned_after_all,
        older_history,
    ],
)
def test_a_forged_entry_is_noticed(signed: Path, tmp_path: Path, forge: Callable[[dict[str, bytes]], None]) -> None:
    files = CaseFolder.load(signed).files()
    forge(files)
    case = lay(tmp_path / "CASE", render_bag(files, Evidence.parse(files[EVIDENCE])))
    assert not check_case(case).ok
    untouched = lay(tmp_path / "SAME", CaseFolder.load(signed).content)
    assert check_case(untouched).ok


def test_an_entry_is_signed_at_its_own_time_by_a_certificate_of_that_time(line: Line, copy_of: Copy) -> None:
    case, moment = copy_of(line.opened), now()
    loaded = load_signer(line.signer, PASSPHRASE)
    with pytest.raises(UsageError):
        entry_signer(loaded, None, moment.replace(year=moment.year + 50))
    earlier = entry_signer(loaded, None, moment - timedelta(hours=1))
    add_exhibit(case, "letter.txt", EXHIBIT, actor="clerk", moment=moment, signer=earlier)
    result = check_case(case)
    assert not result.ok
    assert any("another time than the entry" in reason for reason in result.problems)


def test_an_entry_is_signed_by_the_certificate_that_it_names(line: Line, copy_of: Copy) -> None:
    case, moment = copy_of(line.opened), now()
    signer = replace(entry_signer(load_signer(line.signer, PASSPHRASE), None, moment), fingerprint="0" * 64)
    add_exhibit(case, "letter.txt", EXHIBIT, actor="clerk", moment=moment, signer=signer)
    result = check_case(case)
    assert not result.ok
    assert any("another certificate than the entry names" in reason for reason in result.problems)


def test_a_failing_authority_adds_nothing(line: Line, copy_of: Copy) -> None:
    case = copy_of(line.opened)
    before = CaseFolder.load(case).content
    signer = entry_signer(load_signer(line.signer, PASSPHRASE), Failing(), now())
    with pytest.raises(AuthorityError):
        add_exhibit(case, "letter.txt", EXHIBIT, actor="clerk", moment=now(), signer=signer)
    assert CaseFolder.load(case).content == before


def test_a_seal_is_not_signed_beside_the_log() -> None:
    with pytest.raises(ValueError, match="seal"):
        record_custody(acquired(), actor="a", action="seal", item="data", moment=MOMENT, signer="0" * 64)
    files = acquired()
    body = {"actor": "a", "action": "seal", "item": "data", "sha256": payload_digest(files), "tool": "t"}
    files[CUSTODY] = append(files[CUSTODY], {**body, "signer": "0" * 64}, MOMENT)
    with pytest.raises(CheckFailed, match="is not one"):
        verify_custody(files)
