"""A suspect behind an API: what is recorded of it, and what asking it cannot show."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from forensics.errors import CheckFailed
from forensics.evidence.case import TRANSCRIPT
from forensics.evidence.chain import head, verify_chain
from forensics.evidence.exchanges import LOCAL_KINDS
from forensics.evidence.schema import Evidence, IdentityRecord
from forensics.report.language import Language
from forensics.report.recorded import recorded
from forensics.report.tables import Row
from forensics.report.text import integer
from forensics.wording import Noun, capital, noted

_LABELS = {
    "url": noted("Endpoint"),
    "model asked for": noted("Model asked for"),
    "asked from": noted("First request sent"),
    "asked until": noted("Last answer received"),
    "attempts": noted("Requests sent, repeats included"),
    "failed attempts": noted("Attempts that gave no answer"),
    "certificate SHA-256": noted("Certificate shown, SHA-256"),
    "model stated": noted("Model named in the answers"),
    "changes of form": noted("Changes of the answers’ form"),
}
"""Facts of a remote suspect in words and in the order in which they are printed; others follow as recorded."""

_MOMENTS = frozenset({"asked from", "asked until"})

LIMITATIONS = (
    noted(
        "The suspect was reached over a network. The examination cannot show who operates the endpoint, which weights "
        "answered, or that the same model answers tomorrow: its operator can change it at any time."
    ),
    noted(
        "What is recorded of a remote suspect are the HTTP messages sent and received, with their times and, where the "
        "connection was encrypted, the certificate shown; the operator did not sign them."
    ),
)

_COUNTED = (
    ("sent", _LABELS["attempts"]),
    ("received", noted("Answers received")),
    ("failure", _LABELS["failed attempts"]),
    ("change", _LABELS["changes of form"]),
    ("resume", noted("Interruptions")),
    ("token", noted("Time stamps within the transcript")),
)


def is_remote(identity: IdentityRecord) -> bool:
    """Tells whether a suspect was reached over a network, now or, for a replay, when it was recorded."""
    kind = identity.facts.get("replayed from", "folder") if identity.kind == "replay" else identity.kind
    return kind not in LOCAL_KINDS


def noun(identity: IdentityRecord, say: Language) -> Noun:
    """Returns what the suspect is called: a service where it was reached over a network, else a model."""
    return say.noun(noted("service") if is_remote(identity) else noted("model"))


def fact_rows(facts: Mapping[str, str], most: int, say: Language) -> tuple[Row, ...]:
    """Returns the facts of a remote suspect: the known ones in order, then others by name.

    Args:
        most: how many are printed.
    """
    known = [name for name in _LABELS if name in facts]
    others = sorted(name for name in facts if name not in _LABELS and name != "protocol")
    rows = tuple(
        Row(
            say(_LABELS[name]) if name in _LABELS else say.clean(capital(name), 60),
            say.moment(facts[name]) if name in _MOMENTS else say.clean(facts[name], 300),
        )
        for name in [*known, *others][:most]
    )
    asked, stated = facts.get("model asked for"), facts.get("model stated")
    if not asked or not stated or asked == stated:
        return rows
    remark = say(
        "The answers name another model than the one asked for. That can be a dated version or an alias of it; the "
        "record does not show which."
    )
    return (*rows, Row(say("Remark"), remark))


def transcript_rows(evidence: Evidence, files: Mapping[str, bytes], say: Language) -> tuple[Row, ...]:
    """Returns what a remote suspect's transcript counts: attempts, failures, and whether the answers stayed the same.

    Args:
        files: content by path in the case folder; without the transcript nothing is counted.
    """
    raw = files.get(TRANSCRIPT)
    if raw is None or not is_remote(evidence.suspect):
        return ()
    if head(raw) != evidence.transcript_head:
        foreign = say("It is not the one that the evidence names, so that nothing of it is counted.")
        return (Row(say("Transcript"), foreign),)
    try:
        entries = verify_chain(raw)
    except CheckFailed as error:
        said = recorded(str(error), say, 200)
        return (Row(say("Transcript"), say("It cannot be counted: %(error)s", error=said)),)
    counts = Counter(str(entry.get("event")) for entry in entries)
    rows = [Row(say(label), integer(counts[event])) for event, label in _COUNTED if counts[event]]
    return (*rows, Row(say("First questions asked again"), _constancy(entries, say)))


def _constancy(entries: Sequence[Mapping[str, Any]], say: Language) -> str:
    found = _last(entry for entry in entries if entry.get("event") == "constancy")
    if found is None:
        return say("No; whether the suspect stayed the same is not known.")
    count, differing = found.get("count"), found.get("differing")
    if not isinstance(count, int) or not isinstance(differing, int):
        given = found.get("reason")
        reason = say("no reason is recorded") if given is None else recorded(str(given).rstrip("."), say, 200)
        return say("Not answered: %(reason)s.", reason=reason)
    return say(
        "%(differing)s of %(count)s answers differed by more than %(tolerance)s.",
        differing=integer(differing),
        count=integer(count),
        tolerance=say.decimal(str(found.get("tolerance", "0"))),
    )


def _last(entries: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    return next(reversed(list(entries)), None)
