"""Whether a plan of two passes was asked as the answers to its heads demand: every probe chosen, and no other."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from forensics.errors import CheckFailed
from forensics.evidence.exchanges import left_out
from forensics.evidence.reproduce import read_answers
from forensics.evidence.schema import AnswersRecord, Evidence, PlanRecord
from forensics.passes import asked_probes, chosen_groups, find_fault
from forensics.records import Plan, Probe


def find_odd_choices(evidence: Evidence, entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yields a sentence for everything that was asked or left out against the rule of `passes`.

    The groups are those of the plan's digest; an opened share shows in addition that they are the key's.

    Args:
        entries: lines of the transcript.

    Raises:
        CheckFailed: the plan's groups are malformed, or the transcript does not settle the second pass once.
        CaseError: a record of answers is malformed.
    """
    record = evidence.plan
    told = [(place, entry) for place, entry in enumerate(entries) if entry.get("event") == "skip"]
    if record.groups is None and record.keep is None:
        if told:
            yield "The transcript leaves probes out, and the plan has a single pass."
        return
    plan = _rebuilt(record)
    if len(told) != 1:
        raise CheckFailed("The transcript does not settle the second pass once.", "Ask for the complete transcript.")
    place, skip = told[0]
    yield from _find_order(entries, place, plan.heads)
    answers = read_answers(evidence.answers)
    asked = asked_probes(plan, answers)
    skipped = np.zeros(len(asked), dtype=np.bool_)
    for first, count in left_out([skip]):
        skipped[first : first + count] = True
    if (skipped & asked).any():
        yield f"Probe {int(np.argmax(skipped & asked))} was left out, and the answers to the heads choose it."
    if (~skipped & ~asked).any():
        yield f"Probe {int(np.argmax(~skipped & ~asked))} was asked, and the answers to the heads leave it out."
    if [skip["heads"], skip["groups"]] != [plan.heads, chosen_groups(plan, answers).tolist()]:
        yield "The transcript names other groups for the second pass than the answers to the heads choose."
    for name, table in _others(evidence):
        theirs = asked_probes(plan, read_answers(table))
        if any(row is not None for row, wanted in zip(table.values, theirs, strict=True) if not wanted):
            yield f"The answers of {name} are to a probe that its answers to the heads leave out."


def _rebuilt(record: PlanRecord) -> Plan:
    """The plan's shape; its probes are known by their digests alone."""
    groups, keep = tuple(record.groups or ()), record.keep or 0
    fault = find_fault(groups, keep, len(record.probes)) if groups else "the groups are missing"
    if fault:
        raise CheckFailed(f"The plan in evidence.json cannot be asked: {fault}.", "Ask for the case as it was written.")
    return Plan((Probe(b""),) * len(record.probes), record.batch_size, groups, keep)


def _find_order(entries: Sequence[Mapping[str, Any]], place: int, heads: int) -> Iterator[str]:
    """The second pass is settled between the last answer to a head and the first question beyond them."""
    events = ("sent", "batch")
    late = [each for each in entries[place:] if each.get("event") in events and not each.get("again")]
    early = [each for each in entries[:place] if each.get("event") in events]
    if any(each["first"] < heads for each in late):
        yield "A head was asked after the second pass was settled."
    if any(each["first"] + _count(each) > heads for each in early):
        yield "A probe beyond the heads was asked before the second pass was settled."


def _count(entry: Mapping[str, Any]) -> int:
    return len(entry["rows"]) if entry["event"] == "batch" else int(entry["count"])


def _others(evidence: Evidence) -> Iterator[tuple[str, AnswersRecord]]:
    for reference in evidence.references:
        yield f"the {reference.role}", reference.answers
    for place, control in enumerate(evidence.score.controls if evidence.score is not None else ()):
        yield f"control {place}", control.answers
