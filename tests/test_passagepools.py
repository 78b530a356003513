import random

import numpy as np
import pytest

from forensics.errors import UsageError
from forensics.methods.ofsw_text import METHOD, read_pool
from forensics.methods.wordtable import LARGEST, make_table
from forensics.passagepools import make_passage_pools
from tests.languagemodels import documents
from tests.services import made_up_words

CORPUS = documents(60, 3)


def vectors(words) -> np.ndarray:
    """Fixed vectors; words with a vowel in third place are no single token."""
    rows = np.array([np.random.default_rng(list(word.encode())).normal(size=24) for word in words])
    rows[[word[2] in "aeiou" for word in words]] = np.nan
    return rows


def make(**changes):
    settings = {"passages": 8, "length": 6, "continuation": 2, "words": 60, "width": 8, **changes}
    return make_passage_pools(CORPUS, vectors, generator=random.Random(1), **settings)


def test_the_table_holds_common_words_that_are_one_token() -> None:
    (pool,) = make()
    table, _ = read_pool(pool)
    assert not any(word[2] in "aeiou" for word in table.words)
    assert len(set(table.words)) == 60
    assert np.abs(table.vectors).max() <= LARGEST
    assert np.allclose(np.linalg.norm(table.vectors, axis=1), LARGEST, rtol=0.02)


def test_a_table_keeps_how_words_lie_to_one_another() -> None:
    words = made_up_words(40)
    rows = vectors(words)
    rows = rows[np.isfinite(rows).all(axis=1)]
    table = make_table(words[: len(rows)], rows, 24)
    centred = rows - rows.mean(axis=0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    assert np.allclose(table.vectors @ table.vectors.T / LARGEST**2, unit @ unit.T, atol=0.03)


def test_shares_have_passages_and_tables_of_their_own() -> None:
    pools = make(shares=3)
    found = [read_pool(pool) for pool in pools]
    assert len({table.words for table, _ in found}) == 3
    everything = [passage for _, passages in found for passage in passages]
    assert len({passage.text for passage in everything}) == 24
    for passage in everything:
        assert any(text.startswith(f"{passage.text} {passage.continuation}") for text in CORPUS)
        assert len(passage.continuation.split()) == 2
    for pool in pools:
        assert METHOD.parameters({"bits": 16, "banks": 4, "length": 6}, pool, ())["length"] == 6


def test_the_generator_draws_words_and_passages() -> None:
    assert make()[0].digest == make()[0].digest
    one, other = (
        make_passage_pools(CORPUS, vectors, generator=random.Random(seed), passages=8, length=6, words=60, width=8)[0]
        for seed in (1, 2)
    )
    assert read_pool(one)[0].words != read_pool(other)[0].words
    assert {item.data for item in one.items}.isdisjoint(item.data for item in other.items)


def test_a_corpus_without_enough_is_refused() -> None:
    with pytest.raises(UsageError, match=r"documents with 6 words .* for share \d; 30 are needed"):
        make(shares=3, passages=30)
    with pytest.raises(UsageError, match="0 documents with 50 words"):
        make(length=50)
    with pytest.raises(UsageError, match="common words that are one token"):
        make_passage_pools(["too short"], vectors, generator=random.Random(0))
    with pytest.raises(UsageError, match="0 common words"):
        make_passage_pools(["12 34 !?"], vectors, generator=random.Random(0))
