"""Pools for keys that are asked in text: what is eligible, what is drawn, and what is refused."""

import random
from pathlib import Path

import pytest

from forensics.errors import UsageError
from forensics.methods.espew import METHOD, split_pool
from forensics.methods.marking import words_of
from forensics.wordpools import OwnTexts, candidate_words, make_pools, plain_sentences, read_lines
from tests.services import made_up_words

COMMON = ["the", "old", "man", "went", "slowly", "down", "to", "a", "quiet", "river", "near", "his", "house"]


def corpus(lines: int = 1200, words: int = 60, each: int = 6) -> list[str]:
    """Sentences of common words, 60 of which hold a rare word each, and a name that never stands in lower case."""
    rng, rare = random.Random(5), made_up_words(words)
    texts = []
    for number in range(lines):
        tokens = rng.sample(COMMON, 9)
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


def test_the_generator_decides() -> None:
    draw = [make_pools(corpus(), generator=random.Random(seed), candidates=20)[0].digest for seed in (1, 1, 2)]
    assert draw[0] == draw[1] != draw[2]


def test_a_corpus_that_is_too_small_says_what_it_has() -> None:
    with pytest.raises(UsageError, match=r"1200 lines and 60 words .* 200 are needed.*--candidates-file"):
        make_pools(corpus(), generator=random.Random(1))
    with pytest.raises(UsageError, match=r"0 lines and 0 words"):
        make_pools([], generator=random.Random(1))
    texts = [" ".join(text.split()[:5]) for text in corpus()]
    with pytest.raises(UsageError, match=r"0 sentences of 7 to 18 words"):
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
    with pytest.raises(UsageError, match="cannot be read"):
        read_lines(tmp_path / "missing.txt")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="UTF-8"):
        read_lines(path)
