"""Which groups a second pass asks: balanced over a suspect's classes, and nothing else."""

import numpy as np
import pytest

from forensics.passes import asked_probes, chosen_groups, cut, find_fault, most_asked, runs_of
from forensics.records import AnswerKind, Answers, Plan, Probe


def plan(heads: int, keep: int, size: int = 2) -> Plan:
    """Heads, then so many probes a group."""
    groups = (*range(heads), *(head for head in range(heads) for _ in range(size)))
    return Plan(tuple(Probe(b"%d" % place, "text/plain") for place in range(len(groups))), 4, groups, keep)


def answers(kind: AnswerKind, values: object, missing: tuple[int, ...] = ()) -> Answers:
    table = np.array(values, dtype=np.object_ if kind is AnswerKind.TEXT else None)
    gone = np.zeros(len(table), dtype=np.bool_)
    gone[list(missing)] = True
    return Answers(kind, table, gone)


def test_classes_take_turns_however_rare() -> None:
    heads = answers(AnswerKind.LABELS, [7, 7, 7, 7, 7, 7, 2, 0])
    assert chosen_groups(plan(8, 3), heads).tolist() == [0, 6, 7]
    assert chosen_groups(plan(8, 5), heads).tolist() == [0, 1, 2, 6, 7]
    assert chosen_groups(plan(8, 8), heads).tolist() == list(range(8))


def test_all_that_is_chosen_is_as_balanced_as_can_be() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        classes = rng.integers(0, 5, 32)
        chosen = classes[chosen_groups(plan(32, 16), answers(AnswerKind.LABELS, classes))]
        counts, there = np.bincount(chosen, minlength=5), np.bincount(classes, minlength=5)
        most = counts.max()
        assert all(count in (most, most - 1) or count == whole for count, whole in zip(counts, there))


def test_heads_without_an_answer_come_last() -> None:
    heads = answers(AnswerKind.LABELS, [-1, 1, -1, 1, 0, -1], (0, 2, 5))
    assert chosen_groups(plan(6, 3), heads).tolist() == [1, 3, 4]
    assert chosen_groups(plan(6, 4), heads).tolist() == [0, 1, 3, 4]
    nothing = answers(AnswerKind.LABELS, [-1] * 6, tuple(range(6)))
    assert chosen_groups(plan(6, 2), nothing).tolist() == [0, 1]


@pytest.mark.parametrize(
    "kind", [AnswerKind.LOGITS, AnswerKind.PROBABILITIES, AnswerKind.LOG_PROBABILITIES, AnswerKind.TOP_K]
)
def test_the_largest_score_is_the_class(kind: AnswerKind) -> None:
    table = np.eye(3)[[2, 2, 2, 0, 1]] - 1.0
    assert chosen_groups(plan(5, 3), answers(kind, table)).tolist() == [0, 3, 4]
    table[0, :2] = np.nan  # the likeliest classes alone are given
    assert chosen_groups(plan(5, 3), answers(kind, table)).tolist() == [0, 3, 4]
    table[0] = np.nan
    assert chosen_groups(plan(5, 3), answers(kind, table, (0,))).tolist() == [1, 3, 4]


def test_texts_are_classes_and_vectors_are_none() -> None:
    texts = answers(AnswerKind.TEXT, ["cat", "cat", "a dog", "", "cat"], (3,))
    assert chosen_groups(plan(5, 2), texts).tolist() == [0, 2]
    assert chosen_groups(plan(5, 4), texts).tolist() == [0, 1, 2, 4]
    vectors = np.random.default_rng(1).normal(size=(5, 7))
    assert chosen_groups(plan(5, 3), answers(AnswerKind.VECTORS, vectors)).tolist() == [0, 1, 2]
    assert chosen_groups(plan(5, 3), answers(AnswerKind.VECTORS, vectors, (1,))).tolist() == [0, 2, 3]
    assert chosen_groups(plan(5, 2), answers(AnswerKind.VECTORS, np.zeros((5, 0)), tuple(range(5)))).tolist() == [0, 1]
    assert chosen_groups(plan(5, 2), answers(AnswerKind.LOGITS, np.zeros((5, 0)), tuple(range(5)))).tolist() == [0, 1]


def test_a_text_with_a_null_at_its_end_is_a_class_of_its_own() -> None:
    texts = answers(AnswerKind.TEXT, ["cat", "cat", "cat\0", "cat\0"])
    assert chosen_groups(plan(4, 2), texts).tolist() == [0, 2]
    assert chosen_groups(plan(4, 3), texts).tolist() == [0, 1, 2]


def test_answers_beyond_the_heads_change_nothing() -> None:
    rng = np.random.default_rng(2)
    shape = plan(6, 3)
    table = rng.normal(size=(len(shape.probes), 4))
    first = chosen_groups(shape, answers(AnswerKind.LOGITS, table[:6])).tolist()
    for seed in range(5):
        table[6:] = np.random.default_rng(seed).normal(size=(12, 4))
        again = answers(AnswerKind.LOGITS, table, tuple(range(6, 6 + seed)))
        assert chosen_groups(shape, again).tolist() == first
    asked = asked_probes(shape, answers(AnswerKind.LOGITS, table))
    assert asked[:6].all()
    assert sorted({shape.groups[place] for place in np.flatnonzero(asked[6:]) + 6}) == first
    assert asked.sum() == most_asked(shape) == 12


def test_a_single_pass_asks_everything() -> None:
    single = Plan(tuple(Probe(b"%d" % place, "text/plain") for place in range(5)))
    assert asked_probes(single, answers(AnswerKind.LABELS, [0] * 5)).all()
    assert most_asked(single) == 5
    assert most_asked(single, [1, 2, 3, 4, 5]) == 15
    assert list(cut(single, [(0, 2), (3, 5)])) == [(0, 2), (3, 5)]


def test_groups_of_unlike_size_are_counted_at_their_most() -> None:
    groups = (0, 1, 2, 0, 1, 1, 1, 2, 2)
    uneven = Plan(tuple(Probe(b"%d" % place, "text/plain") for place in range(9)), 4, groups, 2)
    assert most_asked(uneven) == 3 + 3 + 2
    assert most_asked(uneven, [1, 1, 1, 100, 1, 1, 1, 5, 5]) == 3 + 100 + 10


def test_a_batch_ends_where_a_group_does() -> None:
    shape = plan(3, 2, 4)
    assert list(cut(shape, [(0, 15)])) == [(0, 3), (3, 7), (7, 11), (11, 15)]
    assert list(cut(shape, [(1, 3), (5, 9)])) == [(1, 3), (5, 7), (7, 9)]
    marked = np.array([False, True, True, False, True])
    assert runs_of(marked) == [(1, 3), (4, 5)]
    assert runs_of(np.zeros(3, dtype=np.bool_)) == []


@pytest.mark.parametrize(
    ("groups", "keep", "probes", "words"),
    [
        ((), 0, 3, ""),
        ((0, 1, 0, 1), 1, 4, ""),
        ((0, 1, 0, 1), 2, 4, ""),
        ((), 1, 3, "without groups"),
        ((0, 1, 0), 1, 4, "one for each probe"),
        ((1, 0, 0, 1), 1, 4, "begin with their heads"),
        ((0, 0, 1, 1), 1, 4, "begin with their heads"),
        ((0, 1, -1, 1), 1, 4, "begin with their heads"),
        ((0, 1, 10**30, 1), 1, 4, "begin with their heads"),
        ((0, 1, 0, 1), 0, 4, "out of range"),
        ((0, 1, 0, 1), 3, 4, "out of range"),
        ((0, 1, 0, 1), -1, 4, "out of range"),
    ],
)
def test_malformed_groups_are_found(groups: tuple[int, ...], keep: int, probes: int, words: str) -> None:
    fault = find_fault(groups, keep, probes)
    assert bool(fault) is bool(words)
    assert words in fault
