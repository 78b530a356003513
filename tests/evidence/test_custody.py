from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from forensics.errors import CheckFailed
from forensics.evidence.chain import append, verify_chain
from forensics.evidence.custody import CUSTODY, EVIDENCE, is_sealed, payload_digest, record_custody, verify_custody

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
    act(files, "add", "data/transcript.jsonl")
    assert len(verify_chain(files[CUSTODY])) == 2
    with pytest.raises(CheckFailed):
        verify_custody({**files, CUSTODY: files[CUSTODY].split(b"\n", 1)[1]})
