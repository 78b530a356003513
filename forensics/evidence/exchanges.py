"""What a transcript tells: which probes are settled, how a remote suspect was asked, and whether that agrees."""

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from forensics.errors import CheckFailed
from forensics.keys.timestamp import verify_token
from forensics.plaintext import printable

LOCAL_KINDS = frozenset({"folder", "onnx", "replay"})
"""Kinds of suspects that are asked in this process, in the order of the plan."""

SKIP_LIMIT = 1 << 20
"""Most probes that a second pass may leave out."""

_MOST_NAMES = 20
_UNASKED = "The transcript holds two answers to one request, or one to nothing that was sent."


class Ledger:
    """Running totals of a transcript; takes one line after the other and keeps no body of an answered batch.

    Attributes:
        batches: first probe of each recorded batch -> (number of probes, line of the transcript).
        recorded: how many probes have recorded answers, missing ones included.
        skipped: runs of probes that the second pass leaves out, (first, count); None before that is settled.
        form: kind, labels and resolution; None before the first answer.
        attempts: requests sent.
        tokens: their upper limits, summed.
        failures: attempts, and batches, that gave no answer.
        models: model names that bodies stated, in the order in which they appeared.
        certificates: SHA-256 of the peers' certificates.
        constant: the first batch was asked once more.
        stamped: how many of the attempts lie before the last timestamp within the transcript.
        references: what models that the claim names answered, by role.
        last: event of the last line.
        lines: how many there are.
    """

    def __init__(self) -> None:
        self.batches: dict[int, tuple[int, int]] = {}
        self.recorded = 0
        self.skipped: list[tuple[int, int]] | None = None
        self.form: dict[str, Any] | None = None
        self.attempts = self.tokens = self.failures = self.changes = self.lines = 0
        self.models: list[str] = []
        self.certificates: list[str] = []
        self.constant = False
        self.stamped = 0
        self.references: dict[str, dict[str, Any]] = {}
        self.last = ""
        self.begun = self.ended = ""
        self.start: dict[str, Any] = {}
        self._settled: set[int] = set()
        self._next = 0
        self._asked: dict[tuple[int, int, int], str] = {}
        self._replies: dict[tuple[int, int], dict[int, tuple[str, bytes]]] = {}

    def absorb(self, entry: Mapping[str, Any], moment: str, *, bodies: bool) -> None:
        """Takes the next line.

        Args:
            moment: its time.
            bodies: keep the bodies of answers to conversations that are not finished.

        Raises:
            LookupError, TypeError, ValueError: it is no line of a transcript.
        """
        event = entry["event"]
        if event in _TAKERS:
            _TAKERS[event](self, entry, moment, bodies)
        self.last = event
        self.lines += 1

    @property
    def next(self) -> int:
        """The first probe that is neither answered nor left out."""
        while self._next in self._settled:
            self._next += 1
        return self._next

    @property
    def settled(self) -> int:
        """How many probes are answered or left out."""
        return len(self._settled)

    def remaining(self, total: int) -> list[tuple[int, int]]:
        """Returns the runs of probes among the first `total` that are still to be asked: first, and behind the last."""
        done = [(first, count) for first, (count, _) in self.batches.items()]
        runs: list[tuple[int, int]] = []
        position = 0
        for first, count in sorted([*done, *(self.skipped or ())]):
            if position < min(first, total):
                runs.append((position, min(first, total)))
            position = first + count
        return [*runs, (position, total)] if position < total else runs

    def overlaps(self, first: int, count: int) -> bool:
        """Tells whether any probe of a batch is answered or left out already."""
        return not self._settled.isdisjoint(range(first, first + count))

    @property
    def replies(self) -> dict[tuple[int, int, int], tuple[str, bytes]]:
        """Valid answers within conversations that are not finished, with the digest of their requests."""
        return {(*chunk, step): reply for chunk, steps in self._replies.items() for step, reply in steps.items()}

    def facts(self) -> dict[str, str]:
        """Returns what the evidence states of a remote suspect's questioning; empty for a local one."""
        if not self.attempts:
            return {}
        facts = {
            "asked from": self.begun,
            "asked until": self.ended or self.begun,
            "attempts": str(self.attempts),
            "failed attempts": str(self.failures),
        }
        if self.certificates:
            facts["certificate SHA-256"] = ", ".join(self.certificates)
        if self.models:
            facts["model stated"] = ", ".join(printable(name, 200) for name in self.models)
        if self.changes:
            facts["changes of form"] = str(self.changes)
        return facts

    def _start(self, entry: Mapping[str, Any], moment: str, bodies: bool) -> None:
        self.start = {"plan": entry["plan"], "suspect": entry["suspect"]}

    def _form(self, entry: Mapping[str, Any], moment: str, bodies: bool) -> None:
        self.form = {name: entry[name] for name in ("kind", "labels", "resolution")}

    def _batch(self, entry: Mapping[str, Any], moment: str, bodies: bool) -> None:
        first, count = entry["first"], len(entry["rows"])
        self.batches[first] = (count, self.lines)
        self._settled.update(range(first, first + count))
        self.recorded += count
        self._replies.pop((first, count), None)

    def _skip(self, entry: Mapping[str, Any], moment: str, bodies: bool) -> None:
        self.skipped = left_out([entry])
        for first, count in self.skipped:
            self._settled.update(range(first, first + count))

    def _sent(self, entry: Mapping[str, Any], moment: str, bodies: bool) -> None:
        self.attempts += 1
        self.tokens += entry["units"]
        self.begun = self.begun or moment
        if bodies and not entry.get("again"):
            self._asked[entry["first"], entry["count"], entry["step"]] = entry["sha256"]

    def _received(self, entry: Mapping[str, Any], moment: str, bodies: bool) -> None:
        self.ended = moment
        certificate = entry.get("certificate")
        if certificate and certificate not in self.certificates and len(self.certificates) < _MOST_NAMES:
            self.certificates.append(certificate)
        if bodies and not entry.get("again"):
            digest = self._asked.pop((entry["first"], entry["count"], entry["step"]), None)
            if digest is None:
                raise CheckFailed(_UNASKED, "Ask for the transcript as it was written.")
            steps = self._replies.setdefault((entry["first"], entry["count"]), {})
            steps[entry["step"]] = (digest, content(entry))

    def _failure(self, entry: Mapping[str, Any], moment: str, bodies: bool) -> None:
        self.failures += 1
        if "step" in entry and not entry.get("again"):
            self._replies.get((entry["first"], entry["count"]), {}).pop(entry["step"], None)

    def _model(self, entry: Mapping[str, Any], moment: str, bodies: bool) -> None:
        self.models.append(entry["name"])

    def _change(self, entry: Mapping[str, Any], moment: str, bodies: bool) -> None:
        self.changes += 1

    def _constancy(self, entry: Mapping[str, Any], moment: str, bodies: bool) -> None:
        self.constant = True

    def _token(self, entry: Mapping[str, Any], moment: str, bodies: bool) -> None:
        self.stamped = entry["attempts"]

    def _reference(self, entry: Mapping[str, Any], moment: str, bodies: bool) -> None:
        self.references[entry["role"]] = dict(entry)


_TAKERS: Mapping[str, Callable[[Ledger, Mapping[str, Any], str, bool], None]] = {
    "start": Ledger._start,
    "form": Ledger._form,
    "batch": Ledger._batch,
    "skip": Ledger._skip,
    "sent": Ledger._sent,
    "received": Ledger._received,
    "failure": Ledger._failure,
    "model": Ledger._model,
    "change": Ledger._change,
    "constancy": Ledger._constancy,
    "reference": Ledger._reference,
    "token": Ledger._token,
}


def told_facts(entries: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Returns what a whole transcript tells of a remote suspect's questioning; see `Ledger.facts`."""
    ledger = Ledger()
    for entry in entries:
        ledger.absorb(entry, entry["utc"], bodies=False)
    return ledger.facts()


def content(entry: Mapping[str, Any]) -> bytes:
    """Returns the bytes of a request's or an answer's body, as a line holds them."""
    if "body" in entry:
        return str(entry["body"]).encode("utf-8")
    return base64.b64decode(entry["body_base64"], validate=True)


def ordered_rows(entries: Sequence[Mapping[str, Any]]) -> tuple[list[str | None], list[Any]]:
    """Returns the probes and rows of a transcript in the order of the plan.

    What the second pass leaves out has the row None, as a missing answer has, and no probe.

    Raises:
        CheckFailed: a probe is answered twice, or left out and answered, or neither.
    """
    parts = [(entry["first"], entry["probes"], entry["rows"]) for entry in entries if entry.get("event") == "batch"]
    for first, count in left_out(entries):
        parts.append((first, [None] * count, [None] * count))
    probes: list[str | None] = []
    rows: list[Any] = []
    for first, asked, answered in sorted(parts, key=lambda part: part[0]):
        if first != len(probes) or len(asked) != len(answered):
            raise CheckFailed(
                f"The transcript's batch from probe {len(probes)} is missing, out of order or there twice.",
                "Ask for the complete transcript.",
            )
        probes += asked
        rows += answered
    return probes, rows


def left_out(entries: Sequence[Mapping[str, Any]]) -> list[tuple[int, int]]:
    """Returns the runs of probes, (first, count), that a transcript says the second pass leaves out.

    Raises:
        CheckFailed: a run is absurd.
    """
    runs = [(first, count) for entry in entries if entry.get("event") == "skip" for first, count in entry["left_out"]]
    sound = all(type(value) is int and 0 <= value <= SKIP_LIMIT for run in runs for value in run)
    if not sound or any(not count for _, count in runs) or sum(count for _, count in runs) > SKIP_LIMIT:
        raise CheckFailed("The transcript leaves out probes that no plan has.", "Ask for the complete transcript.")
    return runs


def _find_odd_tokens(entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yields a sentence for each timestamp within the transcript that is not over what lies before it."""
    for line, entry in enumerate(entries, 1):
        if entry.get("event") == "token":
            if entry["head"] != entry["prev"]:
                yield f"Line {line} of the transcript holds a timestamp over something else than the lines before it."
            verify_token(base64.b64decode(entry["token"], validate=True), bytes.fromhex(entry["head"]))


def _find_odd_counts(entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yields a sentence for each line that counts other answers than the lines before it hold."""
    recorded = 0
    for line, entry in enumerate(entries, 1):
        if entry.get("event") == "batch":
            recorded += len(entry["rows"])
        elif entry.get("event") in ("resume", "end") and entry["answered"] != recorded:
            yield f"Line {line} of the transcript does not count the answers before it: there are {recorded}."


def _find_constancy(entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yields a sentence where a finished run does not tell what became of asking the first batch again."""
    told = [entry for entry in entries if entry.get("event") == "constancy"]
    if not told:
        yield "The first batch was not asked again at the end, and the transcript does not say why."
    elif any(entry["differing"] is None and not entry.get("reason") for entry in told):
        yield "The transcript does not say why the first batch could not be asked again."


def find_gaps(entries: Sequence[Mapping[str, Any]], *, remote: bool) -> Iterator[str]:
    """Yields a sentence for each batch that does not follow from what was sent and received, odd timestamp or count.

    Args:
        remote: the suspect was asked over a network; a local one answers in the order of the plan.
    """
    yield from _find_odd_tokens(entries)
    yield from _find_odd_counts(entries)
    if not remote:
        places = [entry["first"] for entry in entries if entry.get("event") == "batch"]
        if places != sorted(places):
            yield "The transcript of a local suspect is out of order."
        if any(entry.get("event") in ("sent", "received") for entry in entries):
            yield "The transcript of a local suspect tells of requests over a network."
        return
    yield from _find_constancy(entries)
    sent: set[tuple[int, int, int, bool]] = set()
    waiting: set[tuple[int, int, int, bool]] = set()
    received: set[tuple[int, int]] = set()
    failed: set[int] = set()
    for line, entry in enumerate(entries, 1):
        event = entry.get("event")
        if event == "sent":
            key = (entry["first"], entry["count"], entry["step"], bool(entry.get("again")))
            sent.add(key)
            waiting.add(key)
        elif event == "received":
            key = (entry["first"], entry["count"], entry["step"], bool(entry.get("again")))
            if key not in sent:
                yield f"Line {line} of the transcript holds an answer to nothing that was sent."
            elif key not in waiting:
                yield f"Line {line} of the transcript holds a second answer to one request."
            waiting.discard(key)
            received.add((entry["first"], entry["count"]))
        elif event == "failure":
            failed.add(entry["first"])
        elif event == "batch":
            answered = any(row is not None for row in entry["rows"])
            if answered and (entry["first"], len(entry["rows"])) not in received:
                yield f"The transcript's batch from probe {entry['first']} follows no answer that was received."
            if not answered and entry["first"] not in failed and (entry["first"], len(entry["rows"])) not in received:
                yield f"The transcript's batch from probe {entry['first']} is missing without a reason."
