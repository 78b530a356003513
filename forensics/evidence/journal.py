"""Working state of an acquisition: a hash-chained transcript in SQLite, complete after any kill.

Each answered batch is one line of the transcript, written in one transaction. What was recorded is never asked again.
A request to a remote suspect is a line before it is sent, and what came back is another; bodies are not kept in memory.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any

from forensics.canonical import decimal, now, parse_json, sha256, utc
from forensics.errors import CaseError, CheckFailed, StorageError, UsageError
from forensics.evidence import storage
from forensics.evidence.chain import GENESIS, encode_line, read_line
from forensics.evidence.custody import TOOL
from forensics.evidence.exchanges import Ledger
from forensics.evidence.storage import storage_error

FORMAT = "forensics-transcript/1"
_FILE = "journal.sqlite"
_LEFTOVERS = (_FILE, f"{_FILE}-wal", f"{_FILE}-shm", f"{_FILE}-journal")
_TOGETHER = 400
_PUT_BACK = "Put it back and add --resume, or begin again."
_OUT_OF_SPACE = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})


@dataclass(frozen=True)
class Draft:
    """Lines of a transcript that are not written yet.

    Attributes:
        bodies: what they say.
        lines: their bytes.
        moment: their time.
        head: SHA-256 of the last one.
    """

    bodies: tuple[Mapping[str, Any], ...]
    lines: tuple[bytes, ...]
    moment: str
    head: str


class Journal:
    """An acquisition under way; made by `Journal.open`, used as a context manager.

    A local suspect's batches are written one by one, in plan order (`record`); a remote one's exchanges many at a
    time and in any order (`encode`, then `commit` in another thread).
    """

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self._folder = folder
        self._connection = connection
        self._lock = Lock()
        self._prev = GENESIS
        self._size = 0
        self.ledger = Ledger()
        for seq, (line,) in enumerate(connection.execute("SELECT line FROM lines ORDER BY seq")):
            if not isinstance(line, bytes):
                raise CheckFailed("A line of the journal is not as it was written.")
            entry = read_line(line, seq, self._prev)
            self.ledger.absorb(entry, entry["utc"], bodies=True)
            self._prev = sha256(line)
            self._size += len(line)

    @classmethod
    def open(cls, folder: Path, *, plan_digest: str, suspect_digest: str, resume: bool) -> "Journal":
        """Begins an acquisition, or goes on with one that was interrupted.

        Args:
            folder: the working folder, `CASE.partial`.
            plan_digest: digest of the plan that is asked.
            suspect_digest: digest of the suspect's identity.
            resume: go on with what is recorded. Where nothing was answered yet, it makes no difference: attempts of
                the same plan and suspect stay on record, those of another are forgotten.

        Raises:
            CaseError: answers are recorded and `resume` is not asked for; they belong to another plan or suspect;
                the journal is damaged, or in use by another process.
            StorageError: the disk is full or the place cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(error, folder) from error
        connection = _connect(folder)
        try:
            journal = cls(folder, connection)
            journal._begin(plan_digest, suspect_digest, resume)
        except (CheckFailed, sqlite3.DatabaseError, LookupError, TypeError) as error:
            connection.close()
            raise CaseError(f"The journal in {folder} is damaged.", "Remove the folder and begin again.") from error
        except BaseException:
            connection.close()
            raise
        return journal

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and issubclass(kind, UsageError) and self.ledger.lines == 1:
            self.discard()  # the input was wrong before anything was asked
        self.close()

    @property
    def recorded(self) -> int:
        """How many probes have recorded answers (missing ones included)."""
        return self.ledger.recorded

    @property
    def form(self) -> dict[str, Any] | None:
        """Kind, labels and resolution of the recorded answers, as `record` got them; None before the first."""
        return dict(self.ledger.form) if self.ledger.form is not None else None

    @property
    def full(self) -> bool:
        """Whether so much is recorded that nothing more may be asked.

        What is on its way by then still fits: half of the largest file that a case is read with is left for it.
        """
        return self._size > storage.FILE_LIMIT // 2

    @property
    def head(self) -> str:
        """SHA-256 of the last line."""
        return self._prev

    def record(
        self,
        first: int,
        probe_digests: Sequence[str],
        rows: Sequence[Any],
        elapsed: float,
        *,
        form: Mapping[str, Any],
    ) -> None:
        """Records the answers to one batch, durably, before it returns.

        Args:
            first: position of the batch's first probe in the plan; must be the first that is not settled.
            probe_digests: digest of each probe.
            rows: one row per probe, as `codec.encode_rows` gives them.
            elapsed: seconds between question and answer.
            form: `kind`, `labels` and `resolution` of the answers, as `codec.encode_answers` gives them.

        Raises:
            CaseError: the batch is not the next one, or the form differs from the one recorded before.
            StorageError: the disk is full; nothing of the batch was recorded.
        """
        if first != self.ledger.next or len(rows) != len(probe_digests) or not rows:
            raise CaseError(
                f"A batch from probe {first} does not follow the {self.recorded} answers recorded.",
                "Ask the probes in the plan's order.",
            )
        wanted = {name: form[name] for name in ("kind", "labels", "resolution")}
        bodies: list[dict[str, Any]] = []
        if self.form is None:
            bodies.append({"event": "form", **wanted})
        elif self.form != wanted:
            raise CaseError(
                "The suspect answers in another form than before (kind, labels or rounding).",
                "It is not the same suspect any more; begin a new acquisition.",
            )
        bodies.append(
            {
                "event": "batch",
                "first": first,
                "probes": list(probe_digests),
                "rows": list(rows),
                "elapsed": decimal(round(elapsed, 6)),
            }
        )
        self.write(bodies)

    def failure(self, first: int, reason: str, *, attempt: int = 1) -> None:
        """Records that a batch was not answered; failures are part of the transcript."""
        self.write([{"event": "failure", "first": first, "attempt": attempt, "reason": reason}])

    def reference(self, role: str, identity: str, answers: str) -> None:
        """Records what a model that the claim names answered to the same plan, before anything is scored.

        Args:
            identity: digest of the model.
            answers: SHA-256 of its answers in the form of `evidence.json`, canonical.

        Raises:
            CaseError: other answers of that role are recorded.
        """
        body = {"event": "reference", "role": role, "identity": identity, "answers": answers}
        known = self.ledger.references.get(role)
        if known is None:
            self.write([body])
        elif any(known[name] != value for name, value in body.items()):
            raise CaseError(f"The {role} answers otherwise than before.", "Begin a new acquisition.")

    def skip(self, heads: int, groups: Sequence[int], left_out: Sequence[tuple[int, int]]) -> None:
        """Records which probes the second pass leaves out, once and before any of it is asked.

        Args:
            heads: how many probes the first pass asked.
            groups: the groups that the answers to them choose, ascending.
            left_out: runs of probes of the other groups, (first, count).

        Raises:
            CaseError: that is recorded already, or one of the probes is answered.
        """
        runs = [list(run) for run in left_out]
        self.write([{"event": "skip", "heads": heads, "groups": list(groups), "left_out": runs}])

    def answered(self) -> list[list[Any]]:
        """Returns the recorded rows, batch by batch in plan order; null stands for what was left out."""
        chunks = {first: self.rows(first) for first in self.ledger.batches}
        chunks |= {first: [None] * count for first, count in self.ledger.skipped or ()}
        return [chunks[first] for first in sorted(chunks)]

    def rows(self, first: int) -> list[Any]:
        """Returns the rows of the batch that begins with a probe."""
        _, seq = self.ledger.batches[first]
        query = "SELECT line FROM lines WHERE seq = ?"
        return list(parse_json(self._connection.execute(query, (seq,)).fetchone()[0])["rows"])

    def finish(self, probes: int) -> None:
        """Records that the plan was asked to its end; does nothing when that is recorded already.

        Raises:
            CaseError: fewer or more answers are recorded.
        """
        if self.ledger.settled != probes:
            raise CaseError(f"{self.recorded} of {probes} probes are answered.", "Go on with --resume.")
        if self.ledger.last != "end":
            self.write([{"event": "end", "answered": self.recorded}])

    def transcript(self) -> bytes:
        """Returns the transcript so far: the recorded lines, byte for byte."""
        return b"".join(line for (line,) in self._connection.execute("SELECT line FROM lines ORDER BY seq"))

    def close(self) -> None:
        """Closes the database; what is recorded stays."""
        with self._lock:
            self._connection.close()

    def discard(self) -> None:
        """Removes the working folder, once the case is written."""
        self.close()
        for name in _LEFTOVERS:
            (self._folder / name).unlink(missing_ok=True)
        if self._folder.is_dir():
            self._folder.rmdir()

    def _begin(self, plan_digest: str, suspect_digest: str, resume: bool) -> None:
        if self.ledger.lines and not self.recorded and not self.ledger.replies:
            # A wrong address or key ends here: nothing is there that could be lost or asked twice.
            resume = (self.ledger.start["plan"], self.ledger.start["suspect"]) == (plan_digest, suspect_digest)
            if not resume:
                self._forget()
        if not self.ledger.lines:
            self.write(
                [{"event": "start", "format": FORMAT, "plan": plan_digest, "suspect": suspect_digest, "tool": TOOL}]
            )
            return
        start = self.ledger.start
        if not resume:
            raise CaseError(
                f"An interrupted acquisition lies in {self._folder} ({self.recorded} answers).",
                "Add --resume to go on with it, or remove that folder.",
            )
        if start["plan"] != plan_digest:
            raise CaseError(
                "The interrupted acquisition asked another plan.",
                f"Use the kit that it began with, or remove {self._folder} to begin anew.",
            )
        if start["suspect"] != suspect_digest:
            raise CaseError(
                "The interrupted acquisition examined another suspect.",
                f"Name the suspect it began with, or remove {self._folder} to begin anew.",
            )
        if self.ledger.last != "end":
            self.write([{"event": "resume", "answered": self.recorded, "tool": TOOL}])

    def _forget(self) -> None:
        """Removes all lines, in one transaction; a kill before the next line leaves an empty journal."""
        with self._lock:
            try:
                with self._connection:
                    self._connection.execute("DELETE FROM lines")
            except sqlite3.OperationalError as error:
                raise _storage(error, self._folder) from error
            self._prev, self._size, self.ledger = GENESIS, 0, Ledger()

    def write(self, bodies: Sequence[Mapping[str, Any]]) -> None:
        """Writes lines in one transaction, durably, before it returns.

        Raises:
            CaseError: a batch answers a probe a second time, or a second form is given.
            StorageError: the disk is full; none of the lines was written.
        """
        self.commit(self.encode(bodies))

    def encode(self, bodies: Sequence[Mapping[str, Any]]) -> "Draft":
        """Returns the next lines, not written yet; they must be committed before others are encoded.

        Raises:
            CaseError: a batch answers a probe a second time, or a second form is given.
        """
        self._refuse(bodies)
        moment, prev = now(), self._prev
        lines: list[bytes] = []
        for seq, body in enumerate(bodies, self.ledger.lines):
            lines.append(encode_line(seq, prev, body, moment))
            prev = sha256(lines[-1])
        return Draft(tuple(bodies), tuple(lines), utc(moment), prev)

    def commit(self, draft: "Draft") -> None:
        """Writes encoded lines in one transaction, durably, before it returns; may be called from any thread.

        Raises:
            StorageError: the disk is full; none of the lines was written.
        """
        with self._lock:
            try:
                with self._connection:
                    for start in range(0, len(draft.lines), _TOGETHER):
                        self._insert(self.ledger.lines + start, draft.lines[start : start + _TOGETHER])
            except sqlite3.OperationalError as error:
                if not (self._folder / _FILE).is_file():
                    raise StorageError(f"The working folder {self._folder} is gone.", _PUT_BACK) from error
                raise _storage(error, self._folder) from error
            for body in draft.bodies:
                self.ledger.absorb(body, draft.moment, bodies=False)
            self._prev = draft.head
            self._size += sum(map(len, draft.lines))

    def _insert(self, first: int, lines: Sequence[bytes]) -> None:
        # One statement for many lines: each statement waits for its turn among Python's threads once more.
        values = [value for seq, line in enumerate(lines, first) for value in (seq, line)]
        places = ", ".join(["(?, ?)"] * len(lines))
        self._connection.execute(f"INSERT INTO lines VALUES {places}", values)  # noqa: S608 - question marks alone

    def _refuse(self, bodies: Sequence[Mapping[str, Any]]) -> None:
        taken: set[int] = set()
        for body in bodies:
            if body["event"] == "batch":
                first, count = body["first"], len(body["rows"])
                places = range(first, first + count)
                if self.ledger.overlaps(first, count) or not taken.isdisjoint(places) or len(body["probes"]) != count:
                    raise CaseError(
                        f"The batch from probe {first} is recorded already.", "This is a defect; report it."
                    )
                taken.update(places)
            elif body["event"] == "skip" and (
                self.ledger.skipped is not None or any(self.ledger.overlaps(*run) for run in body["left_out"])
            ):
                raise CaseError("The second pass is settled already.", "This is a defect; report it.")
            elif body["event"] == "form" and self.ledger.form is not None:
                raise CaseError("The form of the answers is recorded already.", "Please report this.")


def _connect(folder: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(folder / _FILE, timeout=0.5, check_same_thread=False)
        connection.execute("PRAGMA page_size = 32768")  # lines are long; of no effect on a journal that exists
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("CREATE TABLE IF NOT EXISTS lines (seq INTEGER PRIMARY KEY, line BLOB NOT NULL)")
    except sqlite3.OperationalError as error:
        raise _storage(error, folder) from error
    except sqlite3.DatabaseError as error:
        raise CaseError(f"The journal in {folder} is damaged.", "Remove the folder and begin again.") from error
    return connection


def _storage(error: sqlite3.OperationalError, folder: Path) -> StorageError | CaseError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return CaseError(f"Another process is acquiring into {folder}.", "Wait for it, or stop it.")
    if code in _OUT_OF_SPACE:
        return StorageError(f"The disk is full: {folder} was not written.", "Free some space and add --resume.")
    return StorageError(f"The journal in {folder} cannot be written: {error}.", "Check the place and its permissions.")
