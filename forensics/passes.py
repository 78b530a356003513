"""The second pass of a plan: which groups of probes are asked, by the answers to their heads (ours).

The rule sees a suspect's answers to unmarked inputs and nothing of the key, so that it favours neither arm. Groups are
balanced over the suspect's own classes: what a mark does to a classifier shows only in inputs that are not in the
class already to which it moves them.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from forensics.records import AnswerKind, Answers, BoolArray, IntArray, Plan

Run: TypeAlias = tuple[int, int]
"""Consecutive probes of a plan: the first, and the one behind the last."""


def find_fault(groups: Sequence[int], keep: int, probes: int) -> str:
    """Says in half a sentence what is wrong with the groups of a plan of so many probes; empty where nothing is."""
    if not groups:
        return "a number of groups to be kept is there without groups" if keep else ""
    if len(groups) != probes:
        return "the groups are not one for each probe"
    count = max(groups) + 1
    if min(groups) < 0 or count > probes or list(groups[:count]) != list(range(count)):
        return "the groups do not begin with their heads"
    return "" if 1 <= keep <= count else "the number of groups to be kept is out of range"


def chosen_groups(plan: Plan, heads: Answers) -> IntArray:
    """Returns the numbers of the groups that the second pass asks, ascending.

    Groups take turns by the class that the suspect gives their head: the first of every class, then the second of
    every class, until `plan.keep` are chosen; within a turn the smaller number goes first. Vectors have no class, so
    the first groups are taken. Groups whose head has no answer come last.

    Args:
        heads: answers to the first `plan.heads` probes, in plan order; further rows are not looked at.
    """
    count = plan.heads
    missing = np.asarray(heads.missing[:count], dtype=np.bool_)
    turn = np.zeros(count, dtype=np.int64)
    if heads.kind is not AnswerKind.VECTORS:
        classes = _classes(heads, count)
        for value in np.unique(classes[~missing]):
            members = np.flatnonzero((classes == value) & ~missing)
            turn[members] = np.arange(len(members))
    turn[missing] = count
    order = np.lexsort((np.arange(count), turn))
    return np.sort(order[: plan.keep])


def asked_probes(plan: Plan, heads: Answers) -> BoolArray:
    """Returns which probes of a plan are asked in all, (n,); every one where there is a single pass.

    Args:
        heads: as in `chosen_groups`; the answers to the whole plan will do.
    """
    if not plan.groups:
        return np.ones(len(plan.probes), dtype=np.bool_)
    asked: BoolArray = np.isin(np.array(plan.groups), chosen_groups(plan, heads))
    asked[: plan.heads] = True
    return asked


def most_asked(plan: Plan, weights: Sequence[int] | None = None) -> int:
    """Returns how many probes are asked at most; exactly so many where all groups have one size.

    Args:
        weights: (n,) what each probe counts for, such as its bytes; 1 where none are given.
    """
    counts = np.ones(len(plan.probes), dtype=np.int64) if weights is None else np.array(weights, dtype=np.int64)
    if not plan.groups:
        return int(counts.sum())
    heads = plan.heads
    sizes = np.zeros(heads, dtype=np.int64)
    np.add.at(sizes, np.array(plan.groups[heads:], dtype=np.int64), counts[heads:])
    return int(counts[:heads].sum() + np.sort(sizes)[heads - plan.keep :].sum())


def runs_of(marked: BoolArray) -> list[Run]:
    """Returns the runs of probes that are marked in a mask, (n,)."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], marked, [False])).astype(np.int8)))
    return [(int(first), int(stop)) for first, stop in edges.reshape(-1, 2)]


def cut(plan: Plan, runs: Iterable[Run]) -> Iterator[Run]:
    """Cuts runs of probes where a group ends, so that a batch is the same whichever groups are asked beside it."""
    heads = plan.heads
    for start, stop in runs:
        first = start
        for place in range(max(start + 1, heads), stop):
            if place == heads or plan.groups[place] != plan.groups[place - 1]:
                yield first, place
                first = place
        yield first, stop


def _classes(heads: Answers, count: int) -> NDArray[np.int64]:
    """Returns a number for the class of each head, (count,)."""
    values = heads.values[:count]
    if heads.kind is AnswerKind.TEXT:
        # Compared as objects: an array of fixed-width strings would drop NULs at a text's end.
        numbers = {text: number for number, text in enumerate(dict.fromkeys(values.tolist()))}
        return np.array([numbers[text] for text in values.tolist()], dtype=np.int64)
    if values.ndim == 1:
        return np.asarray(values, dtype=np.int64)
    if not values.shape[1]:
        return np.zeros(count, dtype=np.int64)
    # A head without an answer has no largest value; it is set aside by the caller.
    return np.asarray(np.argmax(np.where(np.isfinite(values), values, -np.inf), axis=1), dtype=np.int64)
