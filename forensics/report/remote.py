"""A suspect behind an API: what is recorded of it, and what asking it cannot show."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from forensics.errors import CheckFailed
from forensics.evidence.case import TRANSCRIPT
from forensics.evidence.chain import head, verify_chain
from forensics.evidence.exchanges import LOCAL_KINDS
from forensics.evidence.schema import Evidence, IdentityRecord
from forensics.report.tables import Row
from forensics.report.text import clean, integer, moment

_LABELS = {
    "url": "Endpoint",
    "model asked for": "Model asked for",
    "asked from": "First request sent",
    "asked until": "Last answer received",
    "attempts": "Requests sent, repeats included",
    "failed attempts": "Attempts that gave no answer",
    "certificate SHA-256": "Certificate shown, SHA-256",
    "model stated": "Model named in the answers",
    "changes of form": "Changes of the answers’ form",
}
"""Facts of a remote suspect in words and in the order in which they are printed; others follow as recorded."""

OTHER_NAME = (
    "The answers name another model than the one asked for. That can be a dated version or an alias of it; the record "
    "does not show which."
)
"""Printed once, where a service answers under another name."""

_MOMENTS = frozenset({"asked from", "asked until"})

LIMITATIONS = (
    "The suspect was reached over a network. The examination cannot show who operates the endpoint, which weights "
    "answered, or that the same model answers tomorrow: its operator can change it at any time.",
    "What is recorded of a remote suspect are the HTTP messages sent and received, with their times and, where the "
    "connection was encrypted, the certificate shown; the operator did not sign them.",
)

_COUNTED = (
    ("sent", "Requests sent, repeats included"),
    ("received", "Answers received"),
    ("failure", "Attempts that gave no answer"),
    ("change", "Changes of the answers’ form"),
    ("resume", "Interruptions"),
    ("token", "Time stamps within the transcript"),
)


def is_remote(identity: IdentityRecord) -> bool:
    """Tells whether a suspect was reached over a network, now or, for a replay, when it was recorded."""
    kind = identity.facts.get("replayed from", "folder") if identity.kind == "replay" else identity.kind
    return kind not in LOCAL_KINDS


def noun(identity: IdentityRecord) -> str:
    """Returns what the suspect is called: a service where it was reached over a network, else a model."""
    return "service" if is_remote(identity) else "model"


def fact_rows(facts: Mapping[str, str], most: int) -> tuple[Row, ...]:
    """Returns the facts of a remote suspect: the known ones in order, then others by name.

    Args:
        most: how many are printed.
    """
    known = [name for name in _LABELS if name in facts]
    others = sorted(name for name in facts if name not in _LABELS and name != "protocol")
    rows = tuple(
        Row(
            _LABELS.get(name, clean(name[:1].upper() + name[1:], 60)),
            moment(facts[name]) if name in _MOMENTS else clean(facts[name], 300),
        )
        for name in [*known, *others][:most]
    )
    asked, stated = facts.get("model asked for"), facts.get("model stated")
    return (*rows, Row("Remark", OTHER_NAME)) if asked and stated and asked != stated else rows


def transcript_rows(evidence: Evidence, files: Mapping[str, bytes]) -> tuple[Row, ...]:
    """Returns what a remote suspect's transcript counts: attempts, failures, and whether the answers stayed the same.

    Args:
        files: content by path in the case folder; without the transcript nothing is counted.
    """
    raw = files.get(TRANSCRIPT)
    if raw is None or not is_remote(evidence.suspect):
        return ()
    if head(raw) != evidence.transcript_head:
        return (Row("Transcript", "It is not the one that the evidence names, so that nothing of it is counted."),)
    try:
        entries = verify_chain(raw)
    except CheckFailed as error:
        return (Row("Transcript", f"It cannot be counted: {clean(str(error), 200)}"),)
    counts = Counter(str(entry.get("event")) for entry in entries)
    rows = [Row(label, integer(counts[event])) for event, label in _COUNTED if counts[event]]
    return (*rows, Row("First questions asked again", _constancy(entries)))


def _constancy(entries: Sequence[Mapping[str, Any]]) -> str:
    found = _last(entry for entry in entries if entry.get("event") == "constancy")
    if found is None:
        return "No; whether the suspect stayed the same is not known."
    count, differing = found.get("count"), found.get("differing")
    if not isinstance(count, int) or not isinstance(differing, int):
        return f"Not answered: {clean(str(found.get('reason', 'no reason is recorded')), 200).rstrip('.')}."
    within = clean(str(found.get("tolerance", "0")), 20)
    return f"{integer(differing)} of {integer(count)} answers differed by more than {within}."


def _last(entries: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    return next(reversed(list(entries)), None)
