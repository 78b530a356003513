"""The script of a case of trigger sets reads every kind of answers as the method does."""

import dataclasses

import numpy as np
import pytest

from forensics.codec import decode_answers, encode_answers
from forensics.evidence.recompute import LONGEST, render_recompute
from forensics.evidence.recompute.t2s import measure
from forensics.images import encode_png
from forensics.keys.derive import ProbeKey, ScoreKey
from forensics.methods.cleancheckpoint import CLEAN
from forensics.methods.t2s import METHOD
from forensics.records import AnswerKind, Answers, Pool, PoolItem
from forensics.rules import draft_rule
from tests.evidence.test_recompute import answered

PROBE, SCORE = ProbeKey(b"p" * 32), ScoreKey(b"s" * 32)
NAMES = ("zero", "one", "two", "three")
FAMILIES, DECOYS, EACH = 6, 3, 4
N = (FAMILIES + DECOYS) * EACH


def pool() -> Pool:
    images = np.random.default_rng(7).integers(0, 256, (8, 10, 12, 3), dtype=np.uint8)
    return Pool(tuple(PoolItem(encode_png(image), "image/png", index % 4) for index, image in enumerate(images)))


def many(answers: Answers) -> Answers:
    """The same kind of answers, as many as there are triggers."""
    rows = np.arange(N) % answers.n
    values = answers.values[rows].copy()
    if answers.kind is not AnswerKind.LABELS:
        values = values + 0.001 * np.arange(N)[:, None] * (np.arange(values.shape[1]) == 1)
    return dataclasses.replace(answers, values=values, missing=answers.missing[rows])


def family_gone(answers: Answers, first: int, last: int) -> Answers:
    """The same answers without those of some families."""
    from forensics.methods.t2s import derive_order

    order = derive_order(PROBE, PARAMETERS)
    gone = (order >= first * EACH) & (order < last * EACH)
    return dataclasses.replace(answers, values=np.where(gone[:, None], np.nan, answers.values), missing=gone)


PARAMETERS = METHOD.parameters({"families": FAMILIES, "decoys": DECOYS, "carriers": EACH}, pool(), NAMES)
CLEAN_ONE, OTHER = many(answered(AnswerKind.LOGITS, 2)), many(answered(AnswerKind.LOGITS, 1))
PAIRS = {
    "logits": (OTHER, CLEAN_ONE),
    "log-probabilities": (many(answered(AnswerKind.LOG_PROBABILITIES, 1)), CLEAN_ONE),
    "probabilities": (many(answered(AnswerKind.PROBABILITIES, 1, (), 0.01)), CLEAN_ONE),
    "labels": (many(answered(AnswerKind.LABELS, 1)), many(answered(AnswerKind.LABELS, 2))),
    "labels against logits": (many(answered(AnswerKind.LABELS, 1)), CLEAN_ONE),
    "logits against labels": (OTHER, many(answered(AnswerKind.LABELS, 2))),
    "missing answers": (many(answered(AnswerKind.LOGITS, 1, (0, 5, 27))), CLEAN_ONE),
    "missing in the reference": (OTHER, many(answered(AnswerKind.LOGITS, 2, (1, 5, 30)))),
    "a family missing": (family_gone(OTHER, 2, 3), CLEAN_ONE),
    "the decoys missing": (family_gone(OTHER, FAMILIES, FAMILIES + DECOYS), CLEAN_ONE),
    "nothing answered": (family_gone(OTHER, 0, N), CLEAN_ONE),
    "the clean model itself": (CLEAN_ONE, CLEAN_ONE),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_the_script_reads_every_kind_of_answers_like_the_method(pair: str) -> None:
    suspect, clean = PAIRS[pair]
    suspect = dataclasses.replace(suspect, labels=("three", "one", "zero", "two"))
    records = encode_answers(suspect), encode_answers(clean)
    evidence = {"answers": records[0], "references": [{"role": CLEAN, "answers": records[1]}]}
    items, drawn, matched, p = measure(PROBE, SCORE, {"parameters": PARAMETERS, "labels": list(NAMES)}, {}, evidence)
    theirs = {CLEAN: decode_answers(records[1])}
    reading = METHOD.read(PROBE, pool(), PARAMETERS, NAMES, decode_answers(records[0]), theirs)
    found = METHOD.measure(SCORE, PARAMETERS, reading, draft_rule(METHOD.spec, FAMILIES).model_dump())
    assert np.abs(np.array(items) - found.items).max() <= 1e-9
    assert any(items) == (pair not in ("nothing answered", "the decoys missing"))
    assert drawn == list(found.target)
    assert matched == found.matched
    assert float(p) == found.p_value


def test_the_script_is_short() -> None:
    script = render_recompute("t2s").decode()
    assert len(script.splitlines()) <= LONGEST
    assert max(map(len, script.splitlines())) <= 120
