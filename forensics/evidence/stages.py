"""What evidence.json was at each step of a case: later steps only add to it, so that the earlier states follow from it.

The custody log gives the digest of each state. Whoever rewrites a finding must therefore rewrite the entries before it
as well, which a signature over a later entry or over a superseded case forbids (ours).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from forensics.canonical import sha256
from forensics.evidence.chain import verify_chain
from forensics.evidence.consistency import Parts
from forensics.evidence.custody import CUSTODY, EVIDENCE
from forensics.evidence.schema import NOT_STATED, Evidence

_DISCLOSED = ("items", "target", "projection")
"""Fields of the measurement that opening fills."""

_ADDED = frozenset({"score", "asset", "share", *(f"score.measurement.{name}" for name in _DISCLOSED)})
"""Fields that scoring or opening fills, and nothing else does."""

_RELEASE = "dates.release"


def as_scored(evidence: Evidence) -> Evidence:
    """Returns the evidence as it was before a share was opened."""
    if evidence.score is None:
        return evidence.revised(share=None)
    measurement = evidence.score.measurement.model_copy(update=dict.fromkeys(_DISCLOSED))
    return evidence.revised(share=None, score=evidence.score.model_copy(update={"measurement": measurement}))


def as_acquired(evidence: Evidence) -> Evidence:
    """Returns the evidence as it was before it was scored."""
    if evidence.score is None:
        return evidence
    dates = evidence.dates.model_copy(update={"release": NOT_STATED})
    return evidence.revised(share=None, score=None, asset=None, dates=dates)


STATES: Mapping[str, Callable[[Evidence], Evidence]] = {
    "acquire": as_acquired,
    "score": as_scored,
    "open": lambda evidence: evidence,
}
"""The evidence after each action that writes it, as a function of the evidence at the end."""


def find_rewritten(parts: Parts) -> Iterator[str]:
    """Yields a sentence for each custody entry about evidence.json that gives another digest than it had then."""
    for entry in verify_chain(parts.files[CUSTODY]):
        state = STATES.get(entry["action"]) if entry["item"] == EVIDENCE else None
        if state is not None and sha256(state(parts.evidence).core) != entry["sha256"]:
            yield (
                f"Entry {entry['seq'] + 1} of the custody log ({entry['action']}) is about other findings: more in "
                "evidence.json was changed since than what later steps add."
            )


def find_changes(old: Evidence, new: Evidence) -> Iterator[str]:
    """Yields the name of each field that differs otherwise than scoring and opening fill it, as `dates.suspect.value`.

    Args:
        old: of a sealed case.
        new: of a case that supersedes it.
    """
    scored = old.score is None and new.score is not None
    for path, before in _differing("", old.model_dump(mode="json"), new.model_dump(mode="json")):
        added = path in _ADDED and before is None and (path != "asset" or scored)
        released = path.startswith(_RELEASE) and scored and old.dates.release == NOT_STATED
        if not added and not released:
            yield path


def _differing(path: str, old: Any, new: Any) -> Iterator[tuple[str, Any]]:
    """The innermost fields that differ, each with its old value; a field that is absent counts as null."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            yield from _differing(f"{path}.{name}" if path else name, old.get(name), new.get(name))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for place, (before, after) in enumerate(zip(old, new)):
            yield from _differing(f"{path}.{place}", before, after)
    elif old != new or type(old) is not type(new):
        yield path, old
