"""Whether the rows that were scored follow from the recorded bodies of a suspect that was asked over a network.

Every conversation is held again with what the transcript says was sent and received. With an opened share the
requests are made anew from the plan's probes and compared byte for byte; without, bodies are read by count alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from forensics import __version__
from forensics.canonical import sha256
from forensics.errors import ForensicsError
from forensics.evidence.case import EXHIBITS
from forensics.evidence.exchanges import LOCAL_KINDS, Ledger, content
from forensics.evidence.kit import expected_labels
from forensics.evidence.schema import Evidence, IdentityRecord
from forensics.keys.claim import Claim
from forensics.plaintext import printable
from forensics.records import AnswerKind, Answers, Identity, Plan, Probe
from forensics.suspects.remote.adapter import Adapter
from forensics.suspects.remote.form import Form, count_differing, plain
from forensics.suspects.remote.redaction import REDACTED
from forensics.suspects.remote.registry import find_factory
from forensics.suspects.remote.rereading import DarkError, HiddenProbe, OddError, Rereading
from forensics.suspects.remote.uri import identify, parse_uri

TOOL_VERSION = "version"
"""Under this name `evidence.json` states the tool's version."""

_HIDDEN_KIND = "the reading depends on probes that are not disclosed"

_Key = tuple[int, int, bool]
"""First probe and number of probes of a batch, and whether it is the first one asked once more."""


@dataclass(frozen=True)
class BodiesRead:
    """What became of reading the recorded bodies again.

    Attributes:
        problems: a sentence for each batch and line that does not follow.
        remarks: what was compared, and what could not be.
        read: bodies that were read again.
        not_readable: bodies of answers that could not be.
    """

    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    read: int = 0
    not_readable: int = 0


def read_bodies(
    claim: Claim,
    evidence: Evidence,
    entries: Sequence[Mapping[str, Any]],
    files: Mapping[str, bytes],
    plan: Plan | None,
) -> BodiesRead | None:
    """Reads every recorded body again and compares rows and requests with those in the transcript.

    Args:
        entries: lines of the transcript.
        files: of the case, by path.
        plan: as rebuilt from the opened share; None where no share is opened.

    Returns:
        What was found; None for a local suspect.

    Raises:
        ForensicsError, LookupError, TypeError, ValueError: the transcript is malformed.
    """
    if evidence.suspect.kind in LOCAL_KINDS:
        return None
    if plan is not None and plan.digest != evidence.plan.digest:
        plan = None
    digests = [_altered(entry, line) for line, entry in enumerate(entries, 1)]
    altered = [sentence for sentence in digests if sentence]
    try:
        url, identity, adapter = _find_adapter(evidence.suspect, files)
    except _UnreadableError as error:
        if error.named and evidence.tool.get(TOOL_VERSION) == __version__:
            altered.append("evidence.json names a protocol that this version of the tool does not have, or not so.")
        return _unread(entries, altered, str(error))
    stated = evidence.suspect
    if (identity.kind, identity.name, identity.digest) != (stated.kind, stated.name, stated.digest) or not (
        identity.facts.items() <= stated.facts.items()
    ):
        altered.append("The suspect's name, digest and facts in evidence.json do not belong together.")
        return _unread(entries, altered, "it is not certain how the suspect was asked")
    kinds = {entry["kind"] for entry in entries if entry["event"] == "form"}
    if plan is None and AnswerKind.LOG_PROBABILITIES.value in kinds:
        return _unread(entries, altered, _HIDDEN_KIND)
    reader = _Reader(adapter, url, expected_labels(claim), _probes(evidence, plan), hidden=plan is None)
    for line, entry in enumerate(entries, 1):
        reader.take(entry, line)
    redacted = sum(bool(entry.get("redacted")) for entry in entries)
    return BodiesRead(
        (*altered, *reader.problems),
        tuple(_remarks(reader, redacted, hidden=plan is None)),
        reader.read,
        reader.not_readable,
    )


class _UnreadableError(Exception):
    """No adapter can be made from what the case holds; the sentence's second half says why.

    Attributes:
        named: the case holds everything, and it is not understood.
    """

    def __init__(self, reason: str, *, named: bool) -> None:
        super().__init__(reason)
        self.named = named


class _Reader:
    """Takes a transcript line by line and holds its conversations again.

    A run begins with the transcript or with a `resume`; what an earlier one left behind, a later one goes on with.
    """

    def __init__(
        self, adapter: Adapter, url: str, names: Sequence[str] | None, probes: Sequence[Probe], *, hidden: bool
    ) -> None:
        self._adapter = adapter
        self._url = url
        self._names = names
        self._probes = probes
        self._hidden = hidden
        self._ledger = Ledger()
        self._left: dict[tuple[int, int], dict[int, tuple[str, bytes]]] = {}
        self._open: dict[_Key, Rereading | None] = {}
        self._bodies: dict[_Key, int] = {}
        self._stated: dict[str, Any] | None = None
        self._form: Form | None = None
        self._first: list[Any] = []
        self.problems: list[str] = []
        self.read = self.not_readable = 0

    def take(self, entry: Mapping[str, Any], line: int) -> None:
        """Takes the next line."""
        event = entry["event"]
        if event == "resume":
            self._open.clear()
            self._left = {}
            for (first, count, step), reply in self._ledger.replies.items():
                self._left.setdefault((first, count), {})[step] = reply
        elif event == "form":
            self._stated = {name: entry[name] for name in ("kind", "labels", "resolution")}
        elif event in ("sent", "received") or (event == "failure" and "step" in entry):
            self._follow(entry, line)
        elif event == "batch":
            self._compare(entry)
        elif event == "constancy" and entry["differing"] is not None:
            self._compare_again(entry)
        self._ledger.absorb(entry, entry["utc"], bodies=True)

    def _follow(self, entry: Mapping[str, Any], line: int) -> None:
        key = (entry["first"], entry["count"], bool(entry.get("again")))
        if entry["event"] == "received":
            self._bodies[key] = self._bodies.get(key, 0) + 1
        if key not in self._open:
            begun = self._begin(key, line)
            if not begun:
                return
        reading = self._open[key]
        if reading is None:
            return
        try:
            if entry["event"] == "sent":
                self._compare_request(reading, entry, line)
            elif entry["event"] == "received":
                reading.received(entry["status"], content(entry), whole=not entry.get("cut"))
            else:
                reading.failed()
        except OddError as error:
            self.problems.append(f"Line {line} of the transcript {error}.")
            self._open[key] = None
        except DarkError:
            self._open[key] = None

    def _begin(self, key: _Key, line: int) -> bool:
        """Begins a batch's conversation; false where there is none to be had."""
        first, count, again = key
        if first < 0 or not 1 <= count <= len(self._probes) - first:
            raise ValueError("a batch lies outside the plan")
        if not again and self._ledger.overlaps(first, count):
            self.problems.append(
                f"Line {line} of the transcript belongs to a batch that was answered before or left out."
            )
            return False
        known = {} if again else self._left.get((first, count), {})
        try:
            self._open[key] = Rereading(self._adapter, self._probes[first : first + count], known)
        except DarkError:
            self._open[key] = None
        return True

    def _compare_request(self, reading: Rereading, entry: Mapping[str, Any], line: int) -> None:
        request = reading.sent(entry["step"])
        if self._hidden:
            return
        target = self._url + request.path
        ours = [request.method, request.content_type, request.units, request.body]
        theirs = [entry["method"], entry["type"], entry["units"], content(entry)]
        if ours != theirs or (entry["url"] != target and REDACTED not in entry["url"]):
            raise OddError("sends another request than the suspect's protocol makes of these probes")

    def _compare(self, entry: Mapping[str, Any]) -> None:
        """Compares a batch's rows with those that its bodies give."""
        first, rows = entry["first"], list(entry["rows"])
        key = (first, len(rows), False)
        if key not in self._open:
            self._begin(key, self._ledger.lines + 1)
        reading = self._open.get(key)
        bodies = self._bodies.get(key, 0)
        problem = f"The answers scored are not those in the recorded bodies: batch at probe {first}."
        same: bool | None = None
        try:
            if reading is not None:
                same = self._rows(reading.finish(), len(rows)) == rows
        except OddError as error:
            problem = f"The transcript's batch from probe {first} {error}."
            same = False
        except DarkError:
            same = None
        if same is None:
            self.not_readable += bodies
        elif reading is not None:
            self.read += reading.read
        if same is False:
            self.problems.append(problem)
        if first == 0 and not self._first:
            self._first = rows
        self._open.pop(key, None)

    def _compare_again(self, entry: Mapping[str, Any]) -> None:
        """Compares how many answers of the first batch are said to differ the second time."""
        key = (entry["first"], entry["count"], True)
        held = key in self._open
        reading = self._open.pop(key, None)
        if held and reading is None:
            self.not_readable += self._bodies.get(key, 0)
            return
        try:
            if reading is None:
                raise OddError("was never asked")
            again = self._rows(reading.finish(), entry["count"])
            self.read += reading.read
            if count_differing(self._first, again, float(entry["tolerance"])) != entry["differing"]:
                raise OddError("does not follow from the bodies")
        except OddError:
            self.problems.append("What the transcript tells of the first batch's repetition is not in the bodies.")
        except DarkError:
            self.not_readable += self._bodies.get(key, 0)

    def _rows(self, answers: Answers | None, count: int) -> list[Any]:
        """The rows that answers give in the form of the first ones; sets that form with the first."""
        if answers is None:
            return [None] * count
        if self._form is None:
            self._form = Form.of(answers, self._names)
            if self._form.body != self._stated:
                self.problems.append("The form of the answers scored is not that of the recorded bodies.")
        return plain(self._form.rows(answers)[0])


def _altered(entry: Mapping[str, Any], line: int) -> str:
    if entry["event"] not in ("sent", "received") or sha256(content(entry)) == entry["sha256"]:
        return ""
    return f"Line {line} of the transcript holds a body with another digest than it states."


def _probes(evidence: Evidence, plan: Plan | None) -> Sequence[Probe]:
    if plan is not None:
        return plan.probes
    return [HiddenProbe(b"hidden", "text/plain", told=digest) for digest in evidence.plan.probes]


def _find_adapter(record: IdentityRecord, files: Mapping[str, bytes]) -> tuple[str, Identity, Adapter]:
    """Makes the adapter of a recorded suspect; returns its base URL and the identity that follows too."""
    try:
        if record.kind == "json":
            from forensics.suspects.remote.generic import parse_description

            name, raw = _find_description(record, files)
            url, model, adapter = parse_description(name, raw)
            return url, identify(record.name, url, model, adapter), adapter
        uri = parse_uri(record.name)
        adapter = find_factory(uri.scheme)(uri.url, uri.model, uri.options)
    except ForensicsError as error:
        reason = f"the suspect's protocol cannot be set up from the case ({error.cause.rstrip('.')})"
        raise _UnreadableError(reason, named=True) from error
    return uri.url, identify(record.name, uri.url, uri.model, adapter), adapter


def _find_description(record: IdentityRecord, files: Mapping[str, bytes]) -> tuple[str, bytes]:
    """Finds the file that describes the suspect's API among the exhibits."""
    wanted = record.facts.get("option description")
    for name in sorted(files):
        if name.startswith(EXHIBITS) and sha256(files[name]) == wanted:
            return name, files[name]
    raise _UnreadableError(
        f"the file that describes the suspect's API (SHA-256 {printable(str(wanted), 64)}) is not among the exhibits",
        named=False,
    )


def _unread(entries: Sequence[Mapping[str, Any]], problems: Sequence[str], reason: str) -> BodiesRead:
    count = sum(entry["event"] == "received" for entry in entries)
    return BodiesRead(tuple(problems), (f"{_bodies(count)} not read again: {reason}.",), 0, count)


def _remarks(reader: _Reader, redacted: int, *, hidden: bool) -> list[str]:
    remarks: list[str] = []
    if reader.read:
        told = "the requests were not made again, for the probes are not disclosed"
        told = told if hidden else "the requests are those that the suspect's protocol makes of the probes"
        verb = "were compared with" if reader.problems else "follow from"
        remarks.append(f"The answers scored {verb} {_recorded(reader.read)}{'' if reader.problems else f'; {told}'}.")
    if reader.not_readable:
        remarks.append(f"{_bodies(reader.not_readable)} not read again: {_HIDDEN_KIND}.")
    if redacted:
        remarks.append(
            f"{_bodies(redacted)} recorded and read without a secret of the examiner that the suspect had repeated."
        )
    return remarks


def _recorded(count: int) -> str:
    return "one recorded body" if count == 1 else f"{count} recorded bodies"


def _bodies(count: int) -> str:
    return "One body of an answer was" if count == 1 else f"{count} bodies of answers were"
