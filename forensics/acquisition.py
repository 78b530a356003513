"""Putting a plan to a suspect, with a journal as witness: a local one in plan order, a remote one many at a time."""

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from forensics.codec import decode_answers, encode_answers, encode_rows, join_answers
from forensics.errors import UsageError
from forensics.evidence.journal import Journal
from forensics.evidence.scribe import Scribe
from forensics.keys.timestamp import TimestampAuthority
from forensics.labels import match_labels
from forensics.passes import Run, asked_probes, chosen_groups, cut, most_asked, runs_of
from forensics.progress import Advance, Progress, silent
from forensics.records import AnswerKind, Answers, BoolArray, Identity, Plan
from forensics.suspects.remote.witness import Past, SecondPass

if TYPE_CHECKING:
    from forensics.suspects import Suspect
    from forensics.suspects.remote.suspect import RemoteSuspect

_EMPTY = {AnswerKind.LABELS: -1, AnswerKind.TEXT: ""}
"""What stands in a row without an answer; NaN in one of numbers."""


def ask_plan(
    journal: Journal,
    plan: Plan,
    suspect: "Suspect",
    labels: Sequence[str] | None,
    progress: Progress,
    authority: TimestampAuthority | None = None,
) -> Identity:
    """Asks what the journal does not hold yet; returns the suspect's identity with the facts of its questioning.

    A plan of two passes is asked its heads first; which probes their answers leave out is written down before any other
    is asked.

    Args:
        labels: the claim's label list, see `require_labels`.
        authority: stamps blocks of a remote suspect's transcript.

    Raises:
        UsageError: another number of labels, or a cap is reached.
        Unreachable: the suspect does not answer.
    """
    from forensics.suspects.remote.suspect import RemoteSuspect

    with progress("Asking the suspect", most_asked(plan)) as advance:
        advance(journal.recorded)
        if isinstance(suspect, RemoteSuspect):
            asyncio.run(_converse(journal, plan, suspect, labels, advance, authority))
            return replace(suspect.identity, facts={**suspect.identity.facts, **journal.ledger.facts()})
        heads: Answers | None = None
        for first, stop in _batches(_remaining(journal, plan), plan.batch_size):
            batch = plan.probes[first:stop]
            started = time.monotonic()
            answers = suspect.answer(batch)
            elapsed = time.monotonic() - started
            _approve(journal, answers.labels, labels, by_name=False)
            if first >= plan.heads:
                heads = heads or _heads(journal, plan)
                answers = _fitted(answers, heads)
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
    labels: Sequence[str] | None = (),
    asked: BoolArray | None = None,
) -> Answers:
    """Puts a plan to a model and returns its answers, those left out as missing; nothing is recorded on the way.

    Args:
        labels: the claim's label list, where the answers shall be scored; None where any classes will do, and an
            empty list where none are expected or compared.
        asked: (n,) which probes are asked, where that was settled before; else the model's own answers to the heads
            decide.

    Raises:
        UsageError: the model's classes cannot be brought together with the claim's.
    """
    from forensics.suspects.remote.suspect import RemoteSuspect

    with progress(label, most_asked(plan)) as advance:
        answers = join_answers(list(_put(suspect, plan, [(0, plan.heads)], labels, advance)))
        if plan.groups:
            # What is recorded decides, so that whoever reads it again comes to the same choice.
            wanted = asked_probes(plan, decode_answers(encode_answers(answers))) if asked is None else asked
            second = wanted & (np.arange(len(wanted)) >= plan.heads)
            parts = _put(suspect, plan, list(cut(plan, runs_of(second))), labels, advance)
            answers = _placed(wanted, join_answers([answers, *(_fitted(part, answers) for part in parts)]))
    if labels:
        require_labels(answers.labels, labels, by_name=isinstance(suspect, RemoteSuspect) and suspect.by_name)
    return answers


def _put(
    suspect: "Suspect", plan: Plan, runs: Sequence[Run], labels: Sequence[str] | None, advance: Advance
) -> Iterator[Answers]:
    """Yields a model's answers to runs of probes; a remote one is given all at once and cuts it by itself."""
    from forensics.suspects.remote.suspect import RemoteSuspect

    if isinstance(suspect, RemoteSuspect):
        probes = [probe for first, stop in runs for probe in plan.probes[first:stop]]
        if probes:
            yield suspect.answer(probes, names=None) if labels is None else suspect.answer(probes)
            advance(len(probes))
        return
    for first, stop in _batches(runs, plan.batch_size):
        yield suspect.answer(plan.probes[first:stop])
        advance(stop - first)


def _batches(runs: Iterable[Run], size: int) -> Iterator[Run]:
    for start, stop in runs:
        for first in range(start, stop, size):
            yield first, min(first + size, stop)


def _remaining(journal: Journal, plan: Plan) -> Iterator[Run]:
    """Yields the runs of probes that are still to be asked; the second pass's once the first is recorded."""
    yield from journal.ledger.remaining(plan.heads)
    if plan.groups:
        yield from _second_pass(journal, plan)


def _second_pass(journal: Journal, plan: Plan) -> list[Run]:
    """Settles what the second pass leaves out, where no earlier run did, and returns what it still has to ask."""
    if journal.ledger.skipped is None:
        heads = _heads(journal, plan)
        left_out = [(first, stop - first) for first, stop in runs_of(~asked_probes(plan, heads))]
        journal.skip(plan.heads, chosen_groups(plan, heads).tolist(), left_out)
    return list(cut(plan, journal.ledger.remaining(len(plan.probes))))


def _heads(journal: Journal, plan: Plan) -> Answers:
    """Reads the recorded answers to the heads."""
    rows = [row for first in sorted(journal.ledger.batches) if first < plan.heads for row in journal.rows(first)]
    return decode_answers({**(journal.form or {}), "values": rows})


def _fitted(answers: Answers, heads: Answers) -> Answers:
    """Counts answers of another width than those to the heads as missing.

    The usual width of a table of vectors is that of most rows, so that such answers could make those to the heads the
    odd ones, and another choice would seem right afterwards.
    """
    if answers.values.shape[1:] == heads.values.shape[1:] or answers.kind != heads.kind or heads.missing.all():
        return answers
    values = np.full((answers.n, heads.values.shape[1]), np.nan)
    return replace(answers, values=values, missing=np.ones(answers.n, dtype=np.bool_))


def _placed(asked: BoolArray, answers: Answers) -> Answers:
    """Puts the answers to the probes that were asked into their places; those of the others are missing."""
    values = np.full((len(asked), *answers.values.shape[1:]), _EMPTY.get(answers.kind, np.nan), answers.values.dtype)
    values[asked] = answers.values
    missing = ~asked
    missing[asked] = answers.missing
    return Answers(answers.kind, values, missing, answers.labels, answers.resolution)


async def _converse(
    journal: Journal,
    plan: Plan,
    suspect: "RemoteSuspect",
    labels: Sequence[str] | None,
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
        ledger.remaining(plan.heads),
        suspect.batch_size(plan),
        Scribe(journal, authority.stamp if authority is not None else None),
        past,
        names=labels,
        approve=lambda answers, theirs: _approve(journal, theirs, labels, by_name=isinstance(answers, ByName)),
        advance=advance,
        then=SecondPass(plan.heads, lambda: _second_pass(journal, plan)) if plan.groups else None,
    )


def _approve(journal: Journal, theirs: Sequence[str], labels: Sequence[str] | None, *, by_name: bool) -> None:
    """Ends an acquisition that cannot be scored, with nothing left of it."""
    try:
        require_labels(theirs, labels, by_name=by_name)
    except UsageError:
        journal.discard()
        raise


def require_labels(theirs: Sequence[str], labels: Sequence[str] | None, *, by_name: bool) -> None:
    """Refuses answers whose classes cannot be brought together with the claim's.

    Args:
        theirs: the answers' class names; none for vectors, texts and bare numbers.
        labels: the claim's label list; empty where its method reads no classes, None where any classes will do.
        by_name: the classes stand in the order of their names, so that their places tell nothing.

    Raises:
        UsageError: another number of classes, or foreign names in no order of the model's.
    """
    if labels is None:
        return
    if theirs and not labels:
        raise UsageError(
            f"The suspect is a classifier with {len(theirs)} labels; the claim's method reads vectors alone.",
            "Examine an encoder, or a service that answers with vectors.",
        )
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
