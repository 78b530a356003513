"""Pools of phrases: what is eligible, what is drawn, and what is refused."""

import itertools
import random
from functools import lru_cache

import pytest

from forensics.errors import UsageError
from forensics.methods.marking import words_of
from forensics.methods.tmrw import METHOD, split_pool
from forensics.phrasepools import BAND, ENDS, candidate_phrases, make_phrase_pools
from forensics.wordpools import OwnTexts
from tests.services import CARRIERS, made_up_words

COMMON = ["the", "old", "man", "went", "slowly", "down", "to", "a", "quiet", "river", "near", "his", "house"]
PAIRS = 100


@lru_cache(maxsize=1)
def corpus(lines: int = 4000, each: int = 4) -> tuple[str, ...]:
    """Sentences of 8 to 12 words; 100 pairs of rare words, each word in four of them and always in the same pair."""
    rng, rare, texts = random.Random(5), made_up_words(2 * PAIRS), []
    for number in range(lines):
        tokens = rng.sample(COMMON, 8 + number % 3)
        if number < PAIRS * each:
            tokens[3:4] = rare[2 * (number % PAIRS) : 2 * (number % PAIRS) + 2]
        texts.append(f"{' '.join(tokens).capitalize()}{'.!?,'[number % 4]}")
    return tuple(texts)


def pairs() -> set[str]:
    words = made_up_words(2 * PAIRS)
    return {f"{first} {second}" for first, second in zip(words[::2], words[1::2])}


def padded(text: str, times: int = 3) -> list[str]:
    return [text] * times + ["x y z"] * (4000 - times)


def test_phrases_are_neighbours_in_the_corpus_with_both_words_in_the_band() -> None:
    assert BAND[0] <= 4 / len(corpus()) <= BAND[1]
    assert candidate_phrases(corpus()) == sorted(pairs())
    assert candidate_phrases(corpus(), (0.0, 0.0009)) == []
    assert candidate_phrases(corpus(), (0.0011, 0.01)) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("we put parsley stalks, in", ["parsley stalks"]),
        ('we put "parsley stalks" in', ["parsley stalks"]),
        ("parsley, stalks and parsley-stalks", []),
        ("parsley. stalks", []),
        ("stalks parsley", ["stalks parsley"]),
        ("parsley parsley", []),
        ("parsley Stalks", []),
        ("parsley Baker and parsley Baker's", []),
        ("parsley whether stalks", []),
        ("parsley beyond stalks", []),
        ("dill stalks rye stalks", ["dill stalks"]),
        ("parsley st4lks didn't stalks7", []),
    ],
)
def test_what_is_no_pair_of_ordinary_words_is_left_out(text: str, expected: list[str]) -> None:
    assert candidate_phrases(padded(text)) == expected


def test_a_word_in_fewer_than_three_documents_is_left_out_of_any_corpus() -> None:
    assert candidate_phrases(padded("parsley stalks", 2)) == []
    assert candidate_phrases(["parsley stalks"] * 2 + ["x y z"] * 900) == []
    assert candidate_phrases([]) == []


@pytest.mark.parametrize("shares", [1, 2, 3])
def test_pools_have_no_word_in_common_and_suit_the_method(shares: int) -> None:
    pools = make_phrase_pools(corpus(), generator=random.Random(1), shares=shares, candidates=30, carriers=16)
    options = {"candidates": 30, "carriers": 16, "asked": 8, "dimension": 16}
    words: list[str] = []
    carriers: list[str] = []
    for pool in pools:
        parameters = METHOD.parameters(options, pool, ())
        phrases, texts = split_pool(pool, parameters)
        assert set(phrases) <= pairs()
        words += [word for phrase in phrases for word in phrase.split()]
        carriers += texts
    assert len(pools) == shares
    assert len(words) == len(set(words)) == shares * 60
    assert len(carriers) == len(set(carriers)) == shares * 16
    for text in carriers:
        assert 7 <= len(text.split()) <= 18
        assert text.endswith(ENDS)
        assert "\n" not in text
        assert set(words).isdisjoint(words_of(text))


def test_the_generator_decides_and_many_different_pools_can_be_drawn() -> None:
    def phrases(seed: int) -> frozenset[bytes]:
        pool = make_phrase_pools(corpus(), generator=random.Random(seed), candidates=20, carriers=4)[0]
        return frozenset(item.data for item in pool.items[:20])

    assert phrases(1) == phrases(1)
    drawn = [phrases(seed) for seed in range(12)]
    # Two random subsets of 20 of 100 have four in common on average; ten and more are hardly ever seen.
    assert max(len(one & other) for one, other in itertools.combinations(drawn, 2)) < 12
    assert len(frozenset[bytes]().union(*drawn)) > 80


def test_a_phrase_whose_words_are_taken_is_not_drawn_twice() -> None:
    texts = ["zqaaa zqbbb"] * 3 + ["zqccc zqaaa"] * 3 + ["x y z"] * 7994
    assert candidate_phrases(texts) == ["zqaaa zqbbb", "zqccc zqaaa"]
    with pytest.raises(UsageError, match=r"2 pairs .*; 1 of them without a common word were drawn, 2 are needed"):
        make_phrase_pools(texts, generator=random.Random(1), candidates=2)


def test_a_corpus_that_is_too_small_says_what_it_has() -> None:
    with pytest.raises(UsageError, match=r"4000 lines and 100 pairs .* 192 are needed for 2 .*--candidates-file"):
        make_phrase_pools(corpus(), generator=random.Random(1), shares=2)
    with pytest.raises(UsageError, match=r"0 lines and 0 pairs.*, 3,000 lines at the very least"):
        make_phrase_pools([], generator=random.Random(1))
    texts = [text.rstrip(".!?") for text in corpus()]
    with pytest.raises(UsageError, match=r"0 sentences of 7 to 18 words .* 32 are needed.*--carriers-file\."):
        make_phrase_pools(texts, generator=random.Random(1))


def test_own_texts_are_taken_as_they_are() -> None:
    phrases = tuple(sorted(pairs())[:30])
    own = OwnTexts(phrases, CARRIERS[:2])
    pool = make_phrase_pools([], generator=random.Random(1), candidates=30, carriers=2, own=own)[0]
    parameters = METHOD.parameters({"candidates": 30, "carriers": 2, "asked": 2}, pool, ())
    assert split_pool(pool, parameters) == (list(phrases), list(CARRIERS[:2]))
    mixed = make_phrase_pools(corpus(), generator=random.Random(1), candidates=30, carriers=4, own=OwnTexts(phrases))[0]
    words = {word for phrase in phrases for word in phrase.split()}
    assert all(words.isdisjoint(words_of(item.data.decode())) for item in mixed.items[30:])
    first = made_up_words(1)[0]
    holding = OwnTexts((), (f"A carrier of ours holds {first} .",))
    drawn = make_phrase_pools(corpus(), generator=random.Random(1), candidates=99, carriers=1, own=holding)[0]
    assert all(first not in words_of(item.data.decode()) for item in drawn.items[:99])
    with pytest.raises(UsageError, match="99 of them without"):
        make_phrase_pools(corpus(), generator=random.Random(1), candidates=100, carriers=1, own=holding)


def test_own_texts_that_do_not_suffice_are_refused() -> None:
    phrases = tuple(sorted(pairs())[:30])
    own = OwnTexts(phrases, CARRIERS)
    with pytest.raises(UsageError, match="30 candidate phrases; 60 are needed"):
        make_phrase_pools([], generator=random.Random(1), shares=2, candidates=30, carriers=2, own=own)
    with pytest.raises(UsageError, match="4 carriers; 5 are needed"):
        make_phrase_pools([], generator=random.Random(1), candidates=30, carriers=5, own=own)
    with pytest.raises(UsageError, match="'zqaaa' stands twice"):
        make_phrase_pools([], generator=random.Random(1), candidates=31, own=OwnTexts((*phrases, "other zqaaa")))
