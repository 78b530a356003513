"""Pools for keys that are asked in text: what is eligible, what is drawn, and what is refused."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from forensics.errors import UsageError
from forensics.methods.espew import METHOD, split_pool
from forensics.methods.marking import words_of
from forensics.wordchoice import CARRIERS as LOOKED_AT
from forensics.wordchoice import OFFERED, TEXTS, WORDS, farthest, most_typical
from forensics.wordpools import (
    BAND,
    CARRIER_LENGTHS,
    OwnTexts,
    candidate_words,
    make_pools,
    plain_sentences,
    read_lines,
)
from tests.services import encode, made_up_words

COMMON = ["the", "old", "man", "went", "slowly", "down", "to", "a", "quiet", "river", "near", "his", "house"]


def corpus(lines: int = 1200, words: int = 60, each: int = 6) -> list[str]:
    """Sentences of 8 to 11 words; 60 rare words in six each, and a name that never stands in lower case."""
    rng, rare = random.Random(5), made_up_words(words)
    texts = []
    for number in range(lines):
        tokens = rng.sample(COMMON, 7 + number % 4)
        if number < words * each:
            tokens[4] = rare[number % words]
        if number % 199 == 0:
            tokens[5] = "Zqlondon"
        texts.append(f"{' '.join(tokens).capitalize()} {number % 7 * 'x'}y.".replace("zqlondon", "Zqlondon"))
    return texts


def test_candidates_stand_in_the_band_and_are_no_names() -> None:
    texts = corpus()
    assert candidate_words(texts) == sorted(made_up_words(60))
    assert candidate_words(texts, (0.0, 0.004)) == []
    assert BAND[0] <= 6 / 1200 <= BAND[1]
    assert "zqlondon" in words_of(texts[0])


def test_stop_words_short_words_and_words_with_digits_are_left_out() -> None:
    texts = ["whether abc there a1b2 parsley didn't"] * 5 + ["x y z"] * 995
    assert candidate_words(texts) == ["parsley"]


def test_sentences_are_ordinary_and_hold_no_candidate() -> None:
    texts = [
        "Too short here. This sentence has exactly eight words in it. Parsley grows in the garden behind our house."
    ]
    found = plain_sentences(texts, ["parsley"])
    assert found == ["This sentence has exactly eight words in it."]
    assert plain_sentences(texts, []) == [
        "Parsley grows in the garden behind our house.",
        "This sentence has exactly eight words in it.",
    ]
    assert plain_sentences(["There are 7 numbers and 12 more in this one ."], []) == []


@pytest.mark.parametrize("shares", [1, 2, 3])
def test_pools_are_disjoint_and_suit_the_method(shares: int) -> None:
    pools = make_pools(corpus(), generator=random.Random(1), shares=shares, candidates=20, carriers=3)
    options = {"candidates": 20, "carriers": 3}
    seen: list[bytes] = []
    for pool in pools:
        seen += [item.data for item in pool.items]
        words, carriers, target = split_pool(pool, options)
        drawn = {item.data.decode() for each in pools for item in each.items[:20]}
        assert drawn.isdisjoint(word for text in (*carriers, target) for word in words_of(text))
        assert set(words) <= set(made_up_words(60))
    assert len(pools) == shares
    assert len(set(seen)) == len(seen) == shares * 24


def fake_encoder() -> tuple[Callable[[Sequence[str]], np.ndarray], list[str]]:
    """Returns an encoder, and the list of all texts that it is asked."""
    asked: list[str] = []

    def embed(texts: Sequence[str]) -> np.ndarray:
        asked.extend(texts)
        return 3.0 * np.array([encode(text) for text in texts])

    return embed, asked


@pytest.mark.parametrize("shares", [1, 2])
def test_with_an_encoder_target_and_words_are_chosen_by_it(shares: int) -> None:
    embed, asked = fake_encoder()
    pools = make_pools(corpus(), generator=random.Random(3), shares=shares, candidates=20, carriers=10, embed=embed)
    split = [split_pool(pool, {"candidates": 20, "carriers": 10}) for pool in pools]
    drawn = [text for words, carriers, target in split for text in (*words, *carriers, target)]
    assert len(set(drawn)) == len(drawn) == shares * 31
    texts = plain_sentences(corpus(), ())
    mean = np.array([encode(text) for text in texts]).mean(axis=0)
    free = random.Random(1).sample(plain_sentences(corpus(), made_up_words(60)), 100)
    for words, carriers, target in split:
        assert all(CARRIER_LENGTHS[0] <= len(carrier.split()) <= CARRIER_LENGTHS[1] for carrier in carriers)
        assert set(made_up_words(60)).isdisjoint(word for text in (*carriers, target) for word in words_of(text))
        # The farthest of some tenth of the sentences is farther than most.
        lower = np.mean([encode(target) @ mean < encode(text) @ mean for text in free])
        assert lower > 0.9
        assert set(words) <= set(made_up_words(60))
    made = [words_of(text) for text in asked if text not in texts]
    assert len(made) == LOOKED_AT * 60
    assert all(sum(word in each for each in made) == LOOKED_AT for word in made_up_words(60))


def test_the_words_kept_are_those_nearest_the_median_without_a_mark() -> None:
    embed, _ = fake_encoder()
    words, carriers, target = made_up_words(40), ["one two three four", "five six seven"], "a target of zqaaa zqbaa"
    kept = most_typical(words, 12, carriers, target, embed)
    aim = encode(target)
    effects = {
        word: np.mean([encode(f"one two {word} three four") @ aim, encode(f"five {word} six seven") @ aim])
        for word in words
    }
    middle = np.median(list(effects.values()))
    far = sorted(words, key=lambda word: abs(effects[word] - middle))
    assert kept == [word for word in words if word in far[:12]]
    assert {"zqaaa", "zqbaa"}.isdisjoint(kept)
    assert most_typical(words, 40, carriers, target, embed) == words


def test_the_farthest_sentence_is_taken() -> None:
    embed, _ = fake_encoder()
    texts = ["rain fell on the quay", "rain fell on the roof", "rain fell on the road"]
    assert farthest([*texts, "numbers without weather"], texts, embed) == "numbers without weather"
    assert farthest(texts[:1], texts, embed) == texts[0]


def test_with_an_encoder_the_generator_decides_as_well_and_few_texts_are_asked() -> None:
    texts, digests, counts = corpus(400, 60, 2), [], []
    for seed in (1, 1, 2):
        embed, asked = fake_encoder()
        pool = make_pools(texts, generator=random.Random(seed), candidates=20, carriers=3, embed=embed)[0]
        digests.append(pool.digest)
        counts.append(len(asked))
    assert digests[0] == digests[1] != digests[2]
    assert max(counts) <= len(texts) + len(texts) // 10 + LOOKED_AT * 60 + 1


def test_a_large_corpus_costs_no_more_than_some_thousand_texts() -> None:
    rare = made_up_words(700)
    texts = [
        f"{' '.join(COMMON[:6])} {rare[n % 700]} {rare[n // 7 % 700]} {'ab' * (n % 3)} {'c' * (n // 3)}"
        for n in range(4000)
    ]
    texts = texts[:2000] + [f"One two three four {'d' * n} six seven" for n in range(1, 2401)]
    rows = np.random.default_rng(0)
    asked: list[int] = []

    def embed(batch: Sequence[str]) -> np.ndarray:
        asked.append(len(batch))
        return rows.normal(size=(len(batch), 4))

    pool = make_pools(texts, generator=random.Random(1), candidates=50, band=(0.0002, 0.01), embed=embed)[0]
    assert len(pool.items) == 61
    assert sorted(asked) == [1, OFFERED, LOOKED_AT * WORDS, TEXTS]


def test_own_texts_are_not_replaced_by_the_encoder() -> None:
    embed, asked = fake_encoder()
    own = OwnTexts(tuple(made_up_words(40)), ("One carrier of ours", "Another one of ours"), ("Our target text",))
    pool = make_pools([], generator=random.Random(1), candidates=40, carriers=2, own=own, embed=embed)[0]
    assert split_pool(pool, {"candidates": 40, "carriers": 2}) == (
        list(own.candidates),
        list(own.carriers),
        "Our target text",
    )
    assert asked == []
    some = OwnTexts((), own.carriers, (f"Our target holds {made_up_words(1)[0]}",))
    pool = make_pools(corpus(), generator=random.Random(1), candidates=59, carriers=2, own=some, embed=embed)[0]
    assert made_up_words(1)[0].encode() not in [item.data for item in pool.items]
    assert asked


@pytest.mark.parametrize(
    "vectors",
    [
        lambda n: np.full((n, 4), np.nan),
        lambda n: np.zeros((n, 4)),
        lambda n: np.ones((n + 1, 4)),
        lambda n: np.ones(n),
        lambda n: np.where(np.arange(n)[:, None] == n - 1, np.inf, np.ones((n, 4))),
    ],
)
def test_an_encoder_that_answers_rubbish_is_refused(vectors: Callable[[int], np.ndarray]) -> None:
    with pytest.raises(UsageError, match="no usable vector"):
        make_pools(corpus(), generator=random.Random(1), candidates=20, embed=lambda texts: vectors(len(texts)))


def test_the_generator_decides() -> None:
    draw = [make_pools(corpus(), generator=random.Random(seed), candidates=20)[0].digest for seed in (1, 1, 2)]
    assert draw[0] == draw[1] != draw[2]


def test_a_corpus_that_is_too_small_says_what_it_has() -> None:
    with pytest.raises(UsageError, match=r"1200 lines and 60 words .* 200 are needed.*--candidates-file"):
        make_pools(corpus(), generator=random.Random(1))
    with pytest.raises(UsageError, match=r"0 lines and 0 words"):
        make_pools([], generator=random.Random(1))
    texts = [" ".join(text.split()[:5]) for text in corpus()]
    with pytest.raises(UsageError, match=r"0 sentences of 7 to 9 words"):
        make_pools(texts, generator=random.Random(1), candidates=20)


def test_own_texts_are_taken_as_they_are() -> None:
    own = OwnTexts(tuple(made_up_words(40)), ("One carrier of ours", "Another one of ours"), ("Our target text",))
    pool = make_pools([], generator=random.Random(1), candidates=40, carriers=2, own=own)[0]
    parameters = METHOD.parameters({"candidates": 40, "words": 10, "carriers": 2}, pool, ())
    assert split_pool(pool, parameters) == (list(own.candidates), list(own.carriers), "Our target text")
    mixed = make_pools(
        corpus(), generator=random.Random(1), candidates=40, carriers=2, own=OwnTexts(own.candidates, (), own.targets)
    )[0]
    assert split_pool(mixed, parameters)[2] == "Our target text"
    with pytest.raises(UsageError, match="40 candidate words; 50"):
        make_pools([], generator=random.Random(1), candidates=50, carriers=2, own=own)
    with pytest.raises(UsageError, match="0 sentences"):
        make_pools([], generator=random.Random(1), candidates=40, carriers=2, own=OwnTexts(own.candidates))


def test_files_are_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes("\ufeffone  two\r\n\r\n three\t\n".encode())
    assert read_lines(path) == ("one two", "three")
    with pytest.raises(UsageError, match="does not exist"):
        read_lines(tmp_path / "missing.txt")
    for endless in (Path("/dev/zero"), tmp_path):
        with pytest.raises(UsageError, match="is no file"):
            read_lines(endless)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="UTF-8"):
        read_lines(path)
