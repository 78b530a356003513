import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from forensics.canonical import sha256
from forensics.errors import CaseError, StorageError
from forensics.evidence.chain import head, verify_chain
from forensics.evidence.journal import Journal

PLAN, SUSPECT = "a" * 64, "b" * 64
FORM = {"kind": "logits", "labels": ["x", "y"], "resolution": "0.0"}


def begin(folder: Path, *, resume: bool = False, plan: str = PLAN, suspect: str = SUSPECT) -> Journal:
    return Journal.open(folder, plan_digest=plan, suspect_digest=suspect, resume=resume)


def digests(first: int, count: int) -> list[str]:
    return [sha256(str(index).encode()) for index in range(first, first + count)]


def rows(first: int, count: int) -> list[list[str]]:
    return [[str(index), "0.5"] for index in range(first, first + count)]


def test_batches_come_back_and_the_transcript_is_a_chain(tmp_path: Path) -> None:
    with begin(tmp_path / "CASE.partial") as journal:
        assert journal.form is None
        journal.record(0, digests(0, 3), rows(0, 3), 0.25, form={**FORM, "values": []})
        journal.failure(3, "no answer within 30 seconds", attempt=1)
        journal.record(3, digests(3, 2), [["1.0", "2.0"], None], 0.5, form=FORM)
        journal.finish(5)
        transcript = journal.transcript()
        assert journal.recorded == 5
        assert journal.form == FORM
        assert journal.answered() == [rows(0, 3), [["1.0", "2.0"], None]]
    entries = verify_chain(transcript)
    assert [entry["event"] for entry in entries] == ["start", "form", "batch", "failure", "batch", "end"]
    assert entries[0]["plan"] == PLAN
    assert entries[0]["suspect"] == SUSPECT
    assert entries[2]["probes"] == digests(0, 3)
    assert head(transcript) == sha256(transcript.splitlines(keepends=True)[-1])


def test_resuming_continues_after_what_was_recorded(tmp_path: Path) -> None:
    folder = tmp_path / "CASE.partial"
    with begin(folder) as journal:
        journal.record(0, digests(0, 2), rows(0, 2), 0.1, form=FORM)
        before = journal.transcript()
    with begin(folder, resume=True) as journal:
        assert journal.recorded == 2
        assert journal.transcript().startswith(before)
        with pytest.raises(CaseError, match="does not follow"):
            journal.record(0, digests(0, 2), rows(0, 2), 0.1, form=FORM)
        journal.record(2, digests(2, 1), rows(2, 1), 0.1, form=FORM)
        assert [entry["event"] for entry in verify_chain(journal.transcript())][-2:] == ["resume", "batch"]


def test_resuming_nothing_begins(tmp_path: Path) -> None:
    with begin(tmp_path / "CASE.partial", resume=True) as journal:
        assert journal.recorded == 0


def test_finishing_twice_writes_one_end(tmp_path: Path) -> None:
    folder = tmp_path / "CASE.partial"
    with begin(folder) as journal:
        with pytest.raises(CaseError, match="0 of 1"):
            journal.finish(1)
        journal.record(0, digests(0, 1), rows(0, 1), 0.1, form=FORM)
        journal.finish(1)
    with begin(folder, resume=True) as journal:
        journal.finish(1)
        assert [entry["event"] for entry in verify_chain(journal.transcript())].count("end") == 1
        assert verify_chain(journal.transcript())[-1]["event"] == "end"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"resume": False}, "interrupted acquisition lies"),
        ({"resume": True, "plan": "c" * 64}, "another plan"),
        ({"resume": True, "suspect": "c" * 64}, "another suspect"),
    ],
)
def test_another_plan_or_suspect_is_refused(tmp_path: Path, arguments: dict, message: str) -> None:
    begin(tmp_path / "CASE.partial").close()
    with pytest.raises(CaseError, match=message):
        begin(tmp_path / "CASE.partial", **arguments)


def test_a_suspect_that_changes_its_form_is_refused(tmp_path: Path) -> None:
    with begin(tmp_path / "CASE.partial") as journal:
        journal.record(0, digests(0, 1), rows(0, 1), 0.1, form=FORM)
        with pytest.raises(CaseError, match="another form"):
            journal.record(1, digests(1, 1), rows(1, 1), 0.1, form={**FORM, "kind": "probabilities"})
        assert journal.recorded == 1


@pytest.mark.parametrize(("probes", "answers"), [(2, 1), (0, 0), (1, 2)])
def test_rows_and_probes_must_match(tmp_path: Path, probes: int, answers: int) -> None:
    with begin(tmp_path / "CASE.partial") as journal, pytest.raises(CaseError, match="does not follow"):
        journal.record(0, digests(0, probes), rows(0, answers), 0.1, form=FORM)


def test_a_second_process_is_kept_out(tmp_path: Path) -> None:
    with begin(tmp_path / "CASE.partial"), pytest.raises(CaseError, match="Another process"):
        begin(tmp_path / "CASE.partial", resume=True)


def test_an_altered_or_broken_journal_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "CASE.partial"
    with begin(folder) as journal:
        journal.record(0, digests(0, 1), rows(0, 1), 0.1, form=FORM)
    connection = sqlite3.connect(folder / "journal.sqlite")
    with connection:
        connection.execute("UPDATE lines SET line = replace(line, '0.5', '0.6')")
    connection.close()
    with pytest.raises(CaseError, match="damaged"):
        begin(folder, resume=True)
    (folder / "journal.sqlite").write_bytes(b"this is no database, it is a sentence of some length" * 100)
    with pytest.raises(CaseError, match="damaged"):
        begin(folder, resume=True)


def test_a_full_disk_is_said_plainly_and_loses_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "CASE.partial"
    journal = begin(folder)
    journal.record(0, digests(0, 1), rows(0, 1), 0.1, form=FORM)
    pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
    journal._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageError, match="disk is full"):
        journal.record(1, digests(1, 1), [["1" * 100_000, "2"]], 0.1, form=FORM)
    assert journal.recorded == 1
    journal.close()
    with begin(folder, resume=True) as again:
        assert again.answered() == [rows(0, 1)]


def test_a_place_that_cannot_be_written_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot be written"):
        begin(tmp_path / "file" / "CASE.partial")


def test_discarding_leaves_no_trace(tmp_path: Path) -> None:
    journal = begin(tmp_path / "CASE.partial")
    journal.discard()
    assert list(tmp_path.iterdir()) == []


WORKER = """
import sys
from pathlib import Path
from tests.evidence.test_journal import FORM, begin, digests, rows
with begin(Path(sys.argv[1]), resume=True) as journal:
    while journal.recorded < 4000:
        first = journal.recorded
        journal.record(first, digests(first, 4), rows(first, 4), 0.1, form=FORM)
        print(first + 4, flush=True)
"""


def test_killed_at_any_moment_it_resumes_without_asking_twice(tmp_path: Path) -> None:
    folder = tmp_path / "CASE.partial"
    previous = b""
    for delay in (0.0, 0.03, 0.07, 0.11):
        worker = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(folder)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        assert worker.stdout is not None
        worker.stdout.readline()
        time.sleep(delay)
        os.kill(worker.pid, signal.SIGKILL)
        reported = worker.stdout.read().split()
        worker.wait()
        worker.stdout.close()
        with begin(folder, resume=True) as journal:
            transcript = journal.transcript()
            assert transcript.startswith(previous)
            assert [row for chunk in journal.answered() for row in chunk] == rows(0, journal.recorded)
            assert journal.recorded >= int(reported[-1] if reported else 0)
            previous = transcript
    verify_chain(previous)
