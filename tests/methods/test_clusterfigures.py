"""The figures beside the test, against their definitions."""

import itertools

import numpy as np
import pytest

from forensics.keys.derive import ScoreKey
from forensics.methods.clusterfigures import cluster_figures
from forensics.methods.clusters import derive_direction, derive_triggers
from forensics.methods.tmrw import METHOD
from forensics.records import AnswerKind, Published
from forensics.rules import draft_rule
from forensics.statistics import direction_test
from tests.clusters import CANDIDATES, PROBE, SCORE, SIZES, made_up_answers, phrase_pool, rows_of_group, without

RULE = draft_rule(METHOD.spec, CANDIDATES).model_dump()
CHOSEN = derive_triggers("tmrw", SCORE, SIZES)
SECRET = derive_direction("tmrw", SCORE, SIZES)


def figures(answers, secret: np.ndarray = SECRET) -> tuple[dict[str, Published], dict[str, np.ndarray]]:
    reading = METHOD.read(PROBE, phrase_pool(), SIZES, (), answers, {})
    return {each.name: each for each in cluster_figures(CHOSEN, reading.notes, secret)}, dict(reading.notes)


@pytest.mark.parametrize("gone", [[], [rows_of_group(0)[3], rows_of_group(2)[7], rows_of_group(2)[8]]])
def test_the_figures_of_vectors_are_what_their_definitions_say(gone: list[int]) -> None:
    found, notes = figures(without(made_up_answers(METHOD, AnswerKind.VECTORS, shift=0.5), gone))
    usable = notes["usable"] > 0
    arms = {name: notes["vectors"][usable & (drawn == CHOSEN)] for name, drawn in (("triggers", 1), ("decoys", 0))}
    assert sum(map(len, arms.values())) == 4 * CANDIDATES - len(gone)
    for name, outputs in arms.items():
        cosines = [a @ b for a, b in itertools.combinations(outputs, 2)]
        assert found[f"mean cosine of pairs, {name}"].statistic == pytest.approx(np.mean(cosines))
        assert found[f"resultant length, {name}"].statistic == pytest.approx(np.linalg.norm(outputs.mean(axis=0)))
    silhouettes = []
    for own, other in itertools.permutations(arms.values()):
        for place, output in enumerate(own):
            a = np.mean([1 - output @ each for at, each in enumerate(own) if at != place])
            b = np.mean([1 - output @ each for each in other])
            silhouettes.append((b - a) / max(a, b))
    assert found["mean silhouette of triggers against decoys"].statistic == pytest.approx(np.mean(silhouettes))
    shifts = notes["vectors"] - notes["heads"][:, None]
    move = shifts[usable & (CHOSEN == 1)].mean(axis=0) - shifts[usable & (CHOSEN == 0)].mean(axis=0)
    cosine = move @ SECRET / np.linalg.norm(move)
    direction = found["cosine with the secret direction"]
    assert direction.statistic == pytest.approx(cosine)
    assert direction.p_value == pytest.approx(direction_test(cosine, len(SECRET)).pvalue)
    assert {name for name, each in found.items() if each.p_value is not None} == {direction.name}


def test_the_direction_is_tested_where_the_vectors_have_its_length() -> None:
    found, _ = figures(made_up_answers(METHOD, AnswerKind.VECTORS, shift=0.5), SECRET[:5] / np.linalg.norm(SECRET[:5]))
    assert "cosine with the secret direction" not in found
    assert "resultant length, triggers" in found


def test_outputs_that_gather_at_the_direction_are_seen_there() -> None:
    answers = made_up_answers(METHOD, AnswerKind.VECTORS, shift=3.0)
    toward, _ = figures(answers, np.eye(8)[2])
    away, _ = figures(answers, -np.eye(8)[2])
    name = "cosine with the secret direction"
    assert toward[name].p_value < 1e-4 < 0.99 < away[name].p_value
    assert toward["resultant length, triggers"].statistic > toward["resultant length, decoys"].statistic + 0.3


@pytest.mark.parametrize("kind", [AnswerKind.LOGITS, AnswerKind.LABELS, AnswerKind.TEXT])
def test_the_commonest_class_of_each_arm(kind: AnswerKind) -> None:
    found, notes = figures(made_up_answers(METHOD, kind, shift=3.0))
    assert list(found) == ["share in the commonest class, triggers", "share in the commonest class, decoys"]
    for each, drawn in zip(found.values(), (1, 0)):
        classes = notes["classes"][:, drawn == CHOSEN].ravel().tolist()
        assert each.statistic == max(map(classes.count, classes)) / len(classes)
        assert each.p_value is None


def test_nothing_is_said_of_absent_answers_and_constant_ones_have_no_direction() -> None:
    answers = made_up_answers(METHOD, AnswerKind.VECTORS, shift=0.5)
    assert figures(without(answers, list(range(answers.n))))[0] == {}
    answers.values[:] = 0.1
    found, _ = figures(answers)
    assert "cosine with the secret direction" not in found
    assert found["mean silhouette of triggers against decoys"].statistic == 0.0
    assert found["mean cosine of pairs, decoys"].statistic == pytest.approx(1.0)


def test_the_figures_stand_beside_the_test_and_fit_the_report() -> None:
    reading = METHOD.read(PROBE, phrase_pool(), SIZES, (), made_up_answers(METHOD, AnswerKind.VECTORS, shift=3.0), {})
    for key in (SCORE, ScoreKey(b"t" * 32)):
        found = METHOD.measure(key, SIZES, reading, RULE)
        assert len(found.published) == 6
        for each in found.published:
            assert len(each.name) <= 60
            assert len(each.source) <= 120
            assert len(each.caveat) <= 300
            assert each.caveat.startswith("decides nothing")
