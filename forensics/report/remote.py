"""A suspect behind an API: what is recorded of it, and what asking it cannot show."""

from collections import Counter
from collections.abc import Mapping

from forensics.errors import CheckFailed
from forensics.evidence.case import TRANSCRIPT
from forensics.evidence.chain import head, verify_chain
from forensics.evidence.schema import Evidence, IdentityRecord
from forensics.report.tables import Row
from forensics.report.text import clean, integer

LOCAL = frozenset({"folder", "onnx", "encoder", "replay"})
"""Kinds of identity that are read from files; every other kind is the scheme of a remote protocol."""

FACT_LABELS = {
    "url": "Endpoint",
    "model asked for": "Model asked for",
}
"""Facts of a remote suspect in words; others are printed as they are recorded."""

LIMITATIONS = (
    "The suspect was reached over a network. The examination cannot show who operates the endpoint, which weights "
    "answered, or that the same model answers tomorrow: its operator can change it at any time.",
    "What is recorded of a remote suspect are the HTTP messages sent and received, with their times and the "
    "certificate that the endpoint showed; they are not signed by its operator.",
)

_EVENTS = (
    ("sent", "Requests sent"),
    ("received", "Responses received"),
    ("failure", "Attempts that failed"),
    ("constancy", "Tests whether the answers stay the same"),
    ("resume", "Times the acquisition was taken up again"),
)


def is_remote(identity: IdentityRecord) -> bool:
    """Tells whether a suspect was reached over a network."""
    kind = identity.facts.get("replayed from", identity.kind) if identity.kind == "replay" else identity.kind
    return kind not in LOCAL


def transcript_rows(evidence: Evidence, files: Mapping[str, bytes]) -> tuple[Row, ...]:
    """Returns what a remote suspect's transcript counts: attempts, failures, tests of constancy.

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
    return tuple(Row(label, integer(counts[event])) for event, label in _EVENTS if counts[event])
