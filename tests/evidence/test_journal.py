import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from forensics.canonical import sha256
from forensics.errors import CaseError, CheckFailed, StorageError
from forensics.evidence.chain import head, verify_chain
from forensics.evidence.exchanges import Ledger
from forensics.evidence.journal import Journal
from forensics.evidence.scribe import Scribe

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
@pytest.mark.parametrize("complete", [True, False])
def test_another_plan_or_suspect_is_refused(tmp_path: Path, arguments: dict, message: str, complete: bool) -> None:
    with begin(tmp_path / "CASE.partial") as journal:
        # A valid answer within a conversation that is not finished is worth keeping as well.
        journal.write([{"event": "form", **FORM}, *exchange(0, 1)] if complete else exchange(0, 1)[:2])
        before = journal.transcript()
    with pytest.raises(CaseError, match=message):
        begin(tmp_path / "CASE.partial", **arguments)
    with begin(tmp_path / "CASE.partial", resume=True) as journal:
        assert journal.transcript().startswith(before)


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


def test_a_working_folder_that_is_gone_is_called_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = begin(tmp_path / "CASE.partial")

    def fail(first: int, lines: object) -> None:
        shutil.rmtree(tmp_path / "CASE.partial")
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error

    monkeypatch.setattr(journal, "_insert", fail)
    with pytest.raises(StorageError, match="is gone"):
        journal.record(0, digests(0, 1), rows(0, 1), 0.1, form=FORM)
    journal.discard()
    assert list(tmp_path.iterdir()) == []


def test_two_answers_to_one_request_are_said_plainly() -> None:
    ledger = Ledger()
    sent = {"event": "sent", "first": 0, "count": 1, "step": 0, "units": 1, "sha256": "0" * 64}
    received = {"event": "received", "first": 0, "count": 1, "step": 0, "body": "[]"}
    ledger.absorb(sent, "", bodies=True)
    ledger.absorb(received, "", bodies=True)
    with pytest.raises(CheckFailed, match="two answers to one request"):
        ledger.absorb(received, "", bodies=True)


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


HEAD = {"step": 0, "attempt": 1}
SENT = {"event": "sent", **HEAD, "units": 3, "sha256": "d" * 64, "body": "question"}
RECEIVED = {"event": "received", **HEAD, "status": 200, "body": "answer"}


def exchange(first: int, count: int) -> list[dict]:
    place = {"first": first, "count": count}
    batch = {"event": "batch", "first": first, "probes": digests(first, count), "rows": rows(first, count)}
    return [{**SENT, **place}, {**RECEIVED, **place}, batch]


def test_batches_of_a_remote_suspect_come_in_any_order_and_go_back_in_plan_order(tmp_path: Path) -> None:
    folder = tmp_path / "CASE.partial"
    with begin(folder) as journal:
        journal.write([{"event": "form", **FORM}, *exchange(0, 2)])
        journal.write([*exchange(6, 2), *exchange(3, 1)])
    with begin(folder, resume=True) as journal:
        assert journal.recorded == 5
        assert journal.ledger.remaining(10) == [(2, 3), (4, 6), (8, 10)]
        assert journal.answered() == [rows(0, 2), rows(3, 1), rows(6, 2)]
        assert (journal.ledger.attempts, journal.ledger.tokens) == (3, 9)
        assert journal.ledger.replies == {}
        verify_chain(journal.transcript())


def test_a_probe_is_answered_once(tmp_path: Path) -> None:
    with begin(tmp_path / "CASE.partial") as journal:
        journal.write([{"event": "form", **FORM}, *exchange(4, 2)])
        for first, count in ((4, 2), (5, 1), (3, 2), (0, 9)):
            with pytest.raises(CaseError, match="recorded already"):
                journal.write(exchange(first, count))
        with pytest.raises(CaseError, match="recorded already"):
            journal.write([*exchange(0, 2), *exchange(1, 2)])
        with pytest.raises(CaseError, match="form"):
            journal.write([{"event": "form", **FORM}])
        assert journal.recorded == 2


def test_what_was_received_before_a_kill_is_known_after_it(tmp_path: Path) -> None:
    folder = tmp_path / "CASE.partial"
    place = {"first": 0, "count": 2}
    with begin(folder) as journal:
        journal.write([{**SENT, **place}, {**RECEIVED, **place}])
        journal.write([{**SENT, **place, "step": 1}, {**RECEIVED, **place, "step": 1, "status": 500}])
        journal.write([{"event": "failure", **place, "step": 1, "attempt": 1, "reason": "status 500"}])
        journal.write([{**SENT, **place, "step": 1, "attempt": 2}])
    with begin(folder, resume=True) as journal:
        assert journal.ledger.replies == {(0, 2, 0): ("d" * 64, b"answer")}
        assert journal.ledger.attempts == 3
        assert journal.ledger.failures == 1


ASKED = {**SENT, "first": 0, "count": 2}
FAILED = {"event": "failure", **HEAD, "first": 0, "count": 2}
UNANSWERED: dict[str, list[dict]] = {
    "nothing sent": [],
    "killed while it waited": [ASKED],
    "no reply": [ASKED, {**FAILED, "reason": "no connection"}],
    "refused": [
        ASKED,
        {**RECEIVED, "first": 0, "count": 2, "status": 401, "body": "no"},
        {**FAILED, "reason": "status 401"},
    ],
}


@pytest.mark.parametrize("lines", UNANSWERED.values(), ids=UNANSWERED)
@pytest.mark.parametrize("resume", [True, False])
def test_where_nothing_was_answered_the_same_acquisition_goes_on_and_keeps_its_attempts(
    tmp_path: Path, lines: list[dict], resume: bool
) -> None:
    folder = tmp_path / "CASE.partial"
    with begin(folder) as journal:
        journal.write(lines)
        before = journal.transcript()
    with begin(folder, resume=resume) as journal:
        assert journal.ledger.attempts == len(lines[:1])
        journal.write([{"event": "form", **FORM}, *exchange(0, 2)])
        journal.finish(2)
        transcript = journal.transcript()
    assert transcript.startswith(before)
    after = [entry["event"] for entry in verify_chain(transcript)][1 + len(lines) :]
    assert after == ["resume", "form", "sent", "received", "batch", "end"]


@pytest.mark.parametrize("lines", UNANSWERED.values(), ids=UNANSWERED)
@pytest.mark.parametrize("other", [{"plan": "c" * 64}, {"suspect": "c" * 64}, {"suspect": "c" * 64, "resume": True}])
def test_where_nothing_was_answered_another_plan_or_suspect_begins_anew(
    tmp_path: Path, lines: list[dict], other: dict
) -> None:
    folder = tmp_path / "CASE.partial"
    with begin(folder) as journal:
        journal.write(lines)
    with begin(folder, **other) as journal:
        assert (journal.ledger.attempts, journal.ledger.failures, journal.ledger.lines) == (0, 0, 1)
        assert journal._size == len(journal.transcript())
        journal.write([{"event": "form", **FORM}, *exchange(0, 2)])
        entries = verify_chain(journal.transcript())
    assert [entry["event"] for entry in entries] == ["start", "form", "sent", "received", "batch"]
    assert {"plan": PLAN, "suspect": SUSPECT, **other}.items() <= {**entries[0], "resume": True}.items()
    with begin(folder, **{**other, "resume": True}) as journal:
        assert journal.recorded == 2


def test_forgetting_that_is_cut_short_leaves_a_journal_that_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "CASE.partial"
    with begin(folder) as journal:
        journal.write(UNANSWERED["no reply"])
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "_insert", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            begin(folder, suspect="c" * 64)
    with begin(folder, suspect="d" * 64) as journal:
        (entry,) = verify_chain(journal.transcript())
        assert entry["suspect"] == "d" * 64


def test_what_cannot_be_forgotten_is_said_plainly(tmp_path: Path) -> None:
    folder = tmp_path / "CASE.partial"
    begin(folder).close()
    connection = sqlite3.connect(folder / "journal.sqlite")
    with connection:
        connection.execute("CREATE TRIGGER stop BEFORE DELETE ON lines BEGIN SELECT no_such_function(); END")
    connection.close()
    with pytest.raises(StorageError, match="cannot be written"):
        begin(folder, suspect="c" * 64)
    with begin(folder) as journal:
        assert journal.ledger.start["suspect"] == SUSPECT


def test_many_writers_share_commits_and_each_waits_for_its_own_lines(tmp_path: Path) -> None:
    commits = 0

    async def write(scribe: Scribe, first: int) -> None:
        sent, received, batch = exchange(first, 1)
        await scribe.record(sent)
        assert first in durable
        scribe.note(received, batch)

    durable: set[int] = set()

    class Watched(Journal):
        def commit(self, draft) -> None:
            nonlocal commits
            super().commit(draft)
            commits += 1
            durable.update(body["first"] for body in draft.bodies if body["event"] == "sent")

    async def run(journal: Journal) -> None:
        scribe = Scribe(journal)
        await asyncio.gather(*(write(scribe, first) for first in range(40)))
        await scribe.record()

    folder = tmp_path / "CASE.partial"
    with Watched.open(folder, plan_digest=PLAN, suspect_digest=SUSPECT, resume=False) as journal:
        journal.write([{"event": "form", **FORM}])
        asyncio.run(run(journal))
        assert journal.recorded == 40
        assert commits < 20
        verify_chain(journal.transcript())


def test_a_full_disk_reaches_every_writer(tmp_path: Path) -> None:
    async def run(journal: Journal) -> list[BaseException | None]:
        scribe = Scribe(journal)
        big = {**SENT, "first": 0, "count": 1, "body": "x" * 200_000}
        return await asyncio.gather(*(scribe.record(big) for _ in range(3)), return_exceptions=True)

    folder = tmp_path / "CASE.partial"
    with begin(folder) as journal:
        pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
        journal._connection.execute(f"PRAGMA max_page_count = {pages}")
        found = asyncio.run(run(journal))
        assert all(isinstance(each, StorageError) for each in found)
        assert journal.ledger.attempts == 0
