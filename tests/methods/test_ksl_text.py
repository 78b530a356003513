"""Keyed soft labels for texts: how a text is seen, a planted mark at every access, and pools that are not right."""

import dataclasses
import hashlib

import numpy as np
import pytest

from forensics.errors import UsageError
from forensics.keys.derive import ProbeKey, ScoreKey
from forensics.methods.cleancheckpoint import CLEAN
from forensics.methods.ksl_text import METHOD, see_texts
from forensics.methods.softlabels import derive_classes, derive_order
from forensics.methods.wordtable import WordTable
from forensics.records import AnswerKind, Answers, Pool, PoolItem
from forensics.rules import draft_rule
from tests.textclassifiers import NAMES, text_pool

PROBE = ProbeKey(hashlib.sha256(b"probe").digest())
SCORE = ScoreKey(hashlib.sha256(b"score").digest())
TABLE = WordTable(("one", "two"), np.array([[10.0, -3.0], [5.0, 4.0]]))


@pytest.fixture(scope="module")
def pool() -> Pool:
    return text_pool(300)


@pytest.fixture(scope="module")
def parameters(pool: Pool) -> dict:
    return METHOD.parameters({}, pool, NAMES)


def _answers(pool: Pool, parameters: dict, strength: float, seed: int = 1) -> Answers:
    """Logits of a made-up classifier: right, noisy, and following the key by `strength`."""
    rng, order = np.random.default_rng(seed), derive_order(PROBE, 300)
    keyed = METHOD.coordinates(PROBE, pool, parameters)[order] @ np.eye(4)[derive_classes(SCORE, parameters)]
    values = 2.0 * np.eye(4)[METHOD.truth(pool)[order]] + strength * keyed + rng.normal(0.0, 0.5, (300, 4))
    return Answers(AnswerKind.LOGITS, values, np.zeros(300, dtype=np.bool_), NAMES)


def _measured(pool: Pool, parameters: dict, answers: Answers, clean: Answers):
    reading = METHOD.read(PROBE, pool, parameters, NAMES, answers, {CLEAN: clean})
    return METHOD.measure(SCORE, parameters, reading, draft_rule(METHOD.spec, 24).model_dump())


def test_a_text_is_the_mean_of_its_known_words_in_sixteenths_rounded_down() -> None:
    assert see_texts(['One, "two" (three)', "one one TWO", "nothing known", "-one"], TABLE).tolist() == [
        [16 * 15 // 2, 16 * 1 // 2],
        [16 * 25 // 3, 16 * -2 // 3],
        [0, 0],
        [0, 0],
    ]
    assert 16 * -2 // 3 == -11


@pytest.mark.parametrize("access", ["scores", "labels"])
def test_a_planted_mark_is_found_and_its_opposite_never(pool: Pool, parameters: dict, access: str) -> None:
    for strength, found in ((1.0, True), (0.0, False), (-1.0, False)):
        given = [_answers(pool, parameters, each, seed) for seed, each in enumerate((strength, 0.0))]
        if access == "labels":
            given = [
                dataclasses.replace(each, kind=AnswerKind.LABELS, values=each.values.argmax(axis=1)) for each in given
            ]
        measured = _measured(pool, parameters, *given)
        assert measured.access == access
        assert (measured.p_value <= 1e-6) is found
        if strength < 0:
            assert measured.p_value > 0.99


def test_coordinates_have_variance_near_one_and_hardly_correlate(pool: Pool, parameters: dict) -> None:
    places = METHOD.coordinates(PROBE, pool, parameters)
    assert places.shape == (300, 24)
    assert np.abs(places.var(axis=0) - 1.0).max() < 0.1
    assert np.abs(np.corrcoef(places.T) - np.eye(24)).max() < 0.1


def test_what_is_no_pool_is_refused(pool: Pool, parameters: dict) -> None:
    table, *texts = pool.items
    no_table = Pool((PoolItem(b"word x y", "text/plain"), *texts))
    too_large = Pool((PoolItem(b"word 1" + b"0" * 400, "text/plain"), *texts))
    for other, words in (
        (Pool(()), "empty"),
        (Pool(tuple(texts)), "no word table"),
        (no_table, "no word table"),
        (too_large, "no word table"),
        (Pool((PoolItem(b"word 128", "text/plain"), *texts)), "malformed"),
        (Pool((table, *texts[:20])), "too few"),
        (Pool((table, dataclasses.replace(texts[0], label=4), *texts)), "no label"),
    ):
        with pytest.raises(UsageError, match=words):
            METHOD.parameters({}, other, NAMES)
    with pytest.raises(UsageError, match="two or more classes"):
        METHOD.parameters({}, pool, NAMES[:1])
    with pytest.raises(UsageError, match="do not fit"):
        METHOD.parameters({"families": 33}, pool, NAMES)
    with pytest.raises(UsageError, match="another width"):
        METHOD.see(pool, {**parameters, "width": 31})
    strange = Pool((table, dataclasses.replace(texts[0], data=b"\xff"), *texts[1:]))
    with pytest.raises(UsageError, match="no UTF-8"):
        METHOD.see(strange, parameters)
    withheld = Pool((table, dataclasses.replace(texts[0], data=b""), *texts[1:]))
    with pytest.raises(UsageError, match="not there"):
        METHOD.coordinates(PROBE, withheld, parameters)
