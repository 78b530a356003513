"""What each custody entry was about follows from the evidence at the end: nothing found is told otherwise later."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forensics.bench.tamper_cases import rechained, relogged
from forensics.canonical import canonical_json, now, parse_json
from forensics.evidence.bag import render_bag
from forensics.evidence.case import CaseFolder, add_exhibit, compose_case
from forensics.evidence.chain import verify_chain
from forensics.evidence.check import check_case
from forensics.evidence.custody import CUSTODY, EVIDENCE, record_custody
from forensics.evidence.entries import entry_signer
from forensics.evidence.schema import Evidence
from forensics.evidence.seal import seal_case
from forensics.evidence.signer import load_signer
from forensics.evidence.stages import STATES, find_changes
from forensics.evidence.supersede import supersede_case
from forensics.examination import open_case
from tests.evidence.conftest import PASSPHRASE, Line, lay

Body = dict[str, Any]


def changed(evidence: Evidence, change: Callable[[Body], None]) -> Evidence:
    body = parse_json(evidence.core)
    change(body)
    return Evidence.parse(canonical_json(body))


def another_suspect(body: Body) -> None:
    body["suspect"]["name"] = "another product"


def another_date(body: Body) -> None:
    body["dates"]["suspect"]["source"] = "court record"


def test_every_state_follows_from_the_last(line: Line) -> None:
    last = CaseFolder.load(line.opened).evidence
    for action, state in (("acquire", line.acquired), ("score", line.scored), ("open", line.opened)):
        assert STATES[action](last) == CaseFolder.load(state).evidence
    acquired = CaseFolder.load(line.acquired).evidence
    assert STATES["acquire"](acquired) == acquired
    assert check_case(line.acquired).ok


@pytest.mark.parametrize("change", [another_suspect, another_date])
def test_findings_are_not_rewritten_by_the_step_after_a_signed_entry(
    line: Line, tmp_path: Path, change: Callable[[Body], None]
) -> None:
    """A clerk signs an entry between scoring and opening; whoever opens cannot change what was found before."""
    case, moment = tmp_path / "CASE", now()
    shutil.copytree(line.scored, case)
    signer = entry_signer(load_signer(line.signer, PASSPHRASE), line.authority, moment)
    add_exhibit(case, "letter.txt", b"Dear court", actor="clerk", moment=moment, signer=signer)
    before = CaseFolder.load(case).files()
    open_case(line.key, case)
    assert check_case(case).ok
    opened = CaseFolder.load(case)
    forged = changed(opened.evidence, change)
    files = {**opened.files(), CUSTODY: before[CUSTODY]}
    payload = compose_case(forged, files, actor="owner", action="open", moment=now())
    seen = check_case(lay(tmp_path / "FORGED", render_bag(payload, forged)))
    assert not seen.ok
    assert [each for each in seen.problems if "is about other findings" in each], seen.problems
    payload[CUSTODY] = relogged(payload)
    assert not check_case(lay(tmp_path / "ANEW", render_bag(payload, forged))).ok, "the signature is over the old line"


@pytest.mark.parametrize("action", ["acquire", "score", "open", "add"])
def test_no_action_rewrites_the_findings_of_an_opened_case(line: Line, tmp_path: Path, action: str) -> None:
    case = CaseFolder.load(line.opened)
    forged = changed(case.evidence, another_suspect)
    payload = compose_case(forged, case.files(), actor="owner", action=action, moment=now())
    result = check_case(lay(tmp_path / "CASE", render_bag(payload, forged)))
    assert not result.ok
    assert any(f"({action})" in problem for problem in result.problems), result.problems


def superseding(line: Line, tmp_path: Path, state: Path) -> tuple[Path, CaseFolder]:
    old, new = tmp_path / "OLD", tmp_path / "NEW"
    shutil.copytree(state, old)
    seal_case(old, load_signer(line.signer, PASSPHRASE), line.authority, actor="examiner", moment=now())
    return old, supersede_case(old, new, reason="A letter came in.", actor="owner", moment=now())


@pytest.mark.parametrize(
    ("change", "field"), [(another_suspect, "suspect.name"), (another_date, "dates.suspect.source")]
)
def test_a_superseding_case_names_each_field_that_it_tells_otherwise(
    line: Line, tmp_path: Path, change: Callable[[Body], None], field: str
) -> None:
    old, new = superseding(line, tmp_path, line.opened)
    assert new.content["data/supersedes/0/evidence.json"] == CaseFolder.load(old).content[EVIDENCE]
    forged = changed(new.evidence, change)
    files = {**new.files(), EVIDENCE: forged.core}
    files[CUSTODY] = record_custody(files, actor="owner", action="add", item=EVIDENCE, moment=now())
    case = lay(tmp_path / "FORGED", render_bag(files, forged))
    sentence = f"Superseded case 1: it was sealed with another {field} in evidence.json."
    for given in (None, old):
        result = check_case(case, supersedes=given)
        assert not result.ok
        assert sentence in result.problems, result.problems
    kept = {**files, "data/supersedes/0/evidence.json": forged.core}
    result = check_case(lay(tmp_path / "KEPT", render_bag(kept, forged)))
    assert any("its evidence is not the one that was sealed" in problem for problem in result.problems)


def test_what_scoring_and_opening_add_is_no_change(line: Line, tmp_path: Path) -> None:
    stages = [CaseFolder.load(state).evidence for state in (line.acquired, line.scored, line.opened)]
    for place, old in enumerate(stages):
        for new in stages[place:]:
            assert list(find_changes(old, new)) == []
    assert "score" in list(find_changes(stages[1], stages[0]))
    assert list(find_changes(stages[2], stages[1])) == [
        "score.measurement.items",
        "score.measurement.target",
        "share",
    ]
    assert list(
        find_changes(stages[0], changed(stages[0], lambda body: body["dates"]["release"].update(value="1")))
    ) == ["dates.release.value"]
    assert list(find_changes(stages[1], changed(stages[1], lambda body: body["answers"]["values"].pop()))) == [
        "answers.values"
    ]
    _, new = superseding(line, tmp_path, line.scored)
    open_case(line.key, new.path)
    result = check_case(new.path, supersedes=tmp_path / "OLD")
    assert result.ok, result.problems
    assert result.reproduced


def redated(line: Line, tmp_path: Path, place: int, moment: str) -> list[str]:
    files = CaseFolder.load(line.opened).files()
    entries = [dict(entry) for entry in verify_chain(files[CUSTODY])]
    for entry in entries[: place + 1]:
        entry["utc"] = moment
    files[CUSTODY] = rechained(entries)
    return list(check_case(lay(tmp_path / "CASE", render_bag(files, Evidence.parse(files[EVIDENCE])))).problems)


def test_a_custody_log_begins_after_the_claim_and_the_transcript(line: Line, tmp_path: Path) -> None:
    early = redated(line, tmp_path, 2, "2020-01-01T00:00:00Z")
    assert any("entry 1 of the custody log (acquire" in each and "the claim's timestamp" in each for each in early)
    assert any("entry 3 of the custody log (open" in each and "the claim's timestamp" in each for each in early)
    assert any(
        "the end of the transcript" in each and "lies after entry 1 of the custody log" in each for each in early
    )
    own = verify_chain(CaseFolder.load(line.opened).files()[CUSTODY])[0]["utc"]
    assert redated(line, tmp_path, 0, own) == []
