"""Pools of labelled texts: a table of words in whole numbers, texts that stand in one pool only, too little data."""

import random

import numpy as np
import pytest

from forensics.errors import UsageError
from forensics.methods.wordtable import LARGEST, read_table
from forensics.records import Pool
from forensics.textpools import make_text_pools, word_table
from tests.textclassifiers import WORDS, toy_texts, toy_vectors

DATA = toy_texts(300, 4)


def _pools(texts=DATA.texts, labels=None, **changes) -> tuple[Pool, ...]:
    given = {"generator": random.Random(2), "size": 50, **changes}
    return make_text_pools(texts, DATA.labels.tolist() if labels is None else labels, toy_vectors, **given)


def test_a_table_has_the_common_words_in_whole_numbers() -> None:
    table = word_table(DATA.texts, toy_vectors)
    assert sorted(table.words) == list(WORDS)
    assert np.array_equal(table.vectors, np.rint(table.vectors))
    assert np.abs(table.vectors).max() <= LARGEST
    assert np.abs(np.linalg.norm(table.vectors, axis=1) - LARGEST).max() < 4
    few = word_table(DATA.texts, toy_vectors, words=70)
    assert set(few.words) < set(table.words)
    assert len(few.words) == 70


def test_shares_have_one_table_and_no_text_in_common() -> None:
    first, second = _pools(shares=2)
    assert first.items[0] == second.items[0]
    assert sorted(read_table(first.items[0].data).words) == list(WORDS)
    texts = [{item.data for item in pool.items[1:]} for pool in (first, second)]
    assert [len(each) for each in texts] == [50, 50]
    assert not texts[0] & texts[1]
    known = dict(zip(DATA.texts, DATA.labels.tolist()))
    assert all(known[item.data.decode()] == item.label for item in (*first.items[1:], *second.items[1:]))


def test_texts_are_made_even_and_those_without_known_words_left_out() -> None:
    uneven = [text.replace(" ", " \t ") for text in DATA.texts[:200]]
    (pool,) = _pools([*uneven, *["strange talk of nothing"] * 50, *["ba\x00de fi go hu"] * 50], size=150)
    assert {item.data.decode() for item in pool.items[1:]} <= set(DATA.texts[:200])


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (DATA.texts[:40], "40 different texts"),
        (["one word"] * 300, "0 common words"),
        ([DATA.texts[0]] * 300, "common"),
    ],
)
def test_too_little_is_said(texts: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        _pools(texts, [0] * len(texts))
