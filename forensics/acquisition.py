"""Putting a plan to a suspect, with a journal as witness: a local one in plan order, a remote one many at a time."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from forensics.codec import encode_answers, encode_rows, join_answers
from forensics.errors import UsageError
from forensics.evidence.journal import Journal
from forensics.evidence.scribe import Scribe
from forensics.keys.timestamp import TimestampAuthority
from forensics.labels import match_labels
from forensics.progress import Advance, Progress, silent
from forensics.records import Answers, Identity, Plan
from forensics.suspects.remote.witness import Past

if TYPE_CHECKING:
    from forensics.suspects import Suspect
    from forensics.suspects.remote.suspect import RemoteSuspect


def ask_plan(
    journal: Journal,
    plan: Plan,
    suspect: "Suspect",
    labels: Sequence[str],
    progress: Progress,
    authority: TimestampAuthority | None = None,
) -> Identity:
    """Asks what the journal does not hold yet; returns the suspect's identity with the facts of its questioning.

    Args:
        labels: the claim's label list; a suspect with another number of labels cannot be examined.
        authority: stamps blocks of a remote suspect's transcript.

    Raises:
        UsageError: another number of labels, or a cap is reached.
        Unreachable: the suspect does not answer.
    """
    from forensics.suspects.remote.suspect import RemoteSuspect

    with progress("Asking the suspect", len(plan.probes)) as advance:
        advance(journal.recorded)
        if isinstance(suspect, RemoteSuspect):
            asyncio.run(_converse(journal, plan, suspect, labels, advance, authority))
            return replace(suspect.identity, facts={**suspect.identity.facts, **journal.ledger.facts()})
        while journal.recorded < len(plan.probes):
            first = journal.recorded
            batch = plan.probes[first : first + plan.batch_size]
            started = time.monotonic()
            answers = suspect.answer(batch)
            elapsed = time.monotonic() - started
            _approve(journal, answers.labels, labels, by_name=False)
            journal.record(
                first,
                [probe.digest for probe in batch],
                encode_rows(answers),
                elapsed,
                form=encode_answers(answers),
            )
            advance(len(batch))
    return suspect.identity


def ask(
    suspect: "Suspect",
    plan: Plan,
    progress: Progress = silent,
    label: str = "Asking a reference",
    labels: Sequence[str] = (),
) -> Answers:
    """Puts a whole plan to a model and returns its answers; nothing is recorded on the way.

    Args:
        labels: the claim's label list, where the answers shall be scored.

    Raises:
        UsageError: the model's classes cannot be brought together with the claim's.
    """
    from forensics.suspects.remote.suspect import RemoteSuspect

    # A remote one is given everything at once and cuts it into batches by itself.
    size = len(plan.probes) if isinstance(suspect, RemoteSuspect) else plan.batch_size
    parts: list[Answers] = []
    with progress(label, len(plan.probes)) as advance:
        for start in range(0, len(plan.probes), size):
            batch = plan.probes[start : start + size]
            parts.append(suspect.answer(batch))
            advance(len(batch))
    answers = join_answers(parts)
    if labels:
        require_labels(answers.labels, labels, by_name=isinstance(suspect, RemoteSuspect) and suspect.by_name)
    return answers


async def _converse(
    journal: Journal,
    plan: Plan,
    suspect: "RemoteSuspect",
    labels: Sequence[str],
    advance: Advance,
    authority: TimestampAuthority | None,
) -> None:
    from forensics.suspects.remote.tables import ByName

    ledger = journal.ledger
    past = Past(
        attempts=ledger.attempts,
        tokens=ledger.tokens,
        form=ledger.form,
        first_rows=tuple(journal.rows(0)) if 0 in ledger.batches else (),
        replies=ledger.replies,
        models=tuple(ledger.models),
        constant=ledger.constant,
    )
    await suspect.converse(
        plan.probes,
        ledger.remaining(len(plan.probes)),
        suspect.batch_size(plan),
        Scribe(journal, authority.stamp if authority is not None else None),
        past,
        names=labels,
        approve=lambda answers, theirs: _approve(journal, theirs, labels, by_name=isinstance(answers, ByName)),
        advance=advance,
    )


def _approve(journal: Journal, theirs: Sequence[str], labels: Sequence[str], *, by_name: bool) -> None:
    """Ends an acquisition that cannot be scored, with nothing left of it."""
    try:
        require_labels(theirs, labels, by_name=by_name)
    except UsageError:
        journal.discard()
        raise


def require_labels(theirs: Sequence[str], labels: Sequence[str], *, by_name: bool) -> None:
    """Refuses answers whose classes cannot be brought together with the claim's.

    Args:
        theirs: the answers' class names; none for vectors, texts and bare numbers.
        by_name: the classes stand in the order of their names, so that their places tell nothing.

    Raises:
        UsageError: another number of classes, or foreign names in no order of the model's.
    """
    if len(theirs) not in (0, len(labels)):
        raise UsageError(
            f"The suspect has {len(theirs)} labels; the claim has {len(labels)}.",
            "Examine a classifier of the claim's label list.",
        )
    if by_name and theirs and match_labels(theirs, labels) is None:
        raise UsageError(
            "The suspect names its classes otherwise than the claim, and in no order that would tell which is which.",
            "Describe it in a file (json:FILE) whose answer is a vector, with the classes' names in their order.",
        )
