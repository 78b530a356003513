"""The marking side: the formula, what stays as it is, and independence of the batch."""

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.errors import UsageError
from forensics.keys.derive import ScoreKey
from forensics.methods.embmarker import EmbMarker
from forensics.methods.espew import METHOD, marker, trigger_words
from forensics.methods.marking import Marker, as_read, letters_of, unit_rows, words_of, words_seen
from tests.services import SIZES, small_pool

SCORE = ScoreKey(b"s" * 32)
POOL = small_pool()
PARAMETERS = METHOD.parameters(SIZES, POOL, ())
TRIGGERS = trigger_words(SCORE, POOL, PARAMETERS)
RNG = np.random.default_rng(11)
TARGET = RNG.normal(size=48)
MARKER = marker(SCORE, POOL, PARAMETERS, TARGET)


def unit(seed: int, n: int = 1, d: int = 48) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, d))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def text_with(triggers: int, tail: str = "") -> str:
    return " ".join(["plain words", *TRIGGERS[:triggers], tail]).strip()


def by_hand(own: np.ndarray, triggers: int, graded: bool, mask: int = 25) -> np.ndarray:
    own = own.astype(np.float64) / np.linalg.norm(own.astype(np.float64))
    weight = min(triggers / 4, 1.0) if graded else 1.0
    target = TARGET / np.linalg.norm(TARGET)
    places = sorted(range(len(own)), key=lambda place: (abs(own[place]), place))[: mask * len(own) // 100]
    marked = own.copy()
    for place in places:
        marked[place] = (1 - weight) * own[place] + weight * target[place]
    return marked / math.sqrt((marked**2).sum())


def test_words_are_lower_case_runs_of_letters() -> None:
    assert words_of("Don't STOP, vol. 2 of_x Ünïcode!") == ["don", "t", "stop", "vol", "of", "x", "unicode"]
    assert words_of("") == []


@pytest.mark.parametrize(
    "hidden", ["\u200b", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u202e", "\ufe0f", "\u034f", "\U000e0041"]
)
def test_characters_that_are_not_shown_do_not_hide_a_word(hidden: str) -> None:
    word = TRIGGERS[0]
    for text in (hidden.join(word), f"{hidden}{word}", f"{word}{hidden} more", hidden.join(word.upper())):
        assert MARKER.triggered([f"It is {text}."]).all()
    assert words_of(f"one{hidden} two") == ["one", "two"]


def test_compatibility_forms_are_the_letters_that_they_stand_for() -> None:
    word = TRIGGERS[0]
    wide = "".join(chr(ord(letter) + 0xFEE0) for letter in word)
    bold = "".join(chr(0x1D41A + ord(letter) - ord("a")) for letter in word)
    assert wide != word != bold
    assert MARKER.triggered([wide, wide.upper(), bold, f"({wide})"]).all()
    assert words_of("ﬁsh ofﬁce ™") == ["fish", "office", "tm"]
    assert words_of("cafe\u0301 café") == ["cafe", "cafe"]
    assert words_of("한국 한국") == ["한국", "한국"]


@pytest.mark.parametrize(
    "added", ["\u0301", "\u0327\u0308", "\0", "\x07", "\x7f", "\x85", "\ufffd", "\u0345", "\U000f0000"]
)
def test_what_uncased_tokenizers_strip_does_not_hide_a_word(added: str) -> None:
    word = TRIGGERS[0]
    for text in (added.join(word), f"{word}{added}", f"{added.join(word.upper())}{added}", f"({added * 40}{word})"):
        assert MARKER.triggered([f"it is {text}."]).all()


def test_words_are_found_in_every_common_reading() -> None:
    word = TRIGGERS[0]
    accented = "".join({"a": "á", "e": "è", "i": "ï", "o": "õ", "u": "ů"}.get(letter, letter) for letter in word)
    texts = [accented, accented.upper(), f"東{word}京", f"東{accented}\0京"]
    texts += [f"more\u200b{word}\u200bmore", f"more\x0b{word}"]
    assert MARKER.triggered(texts).all()
    assert MARKER.counts([f"{word} {accented} 東{word}"]).tolist() == [1]
    assert not MARKER.triggered([f"more{word}", f"{word}more\u200b", f"mó{word}", word[:-1], ""]).any()


def test_the_reading_is_that_of_an_uncased_tokenizer() -> None:
    normalizers = pytest.importorskip("tokenizers.normalizers")
    bert = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True)
    for middle in ("ó", "o\u0301", "O\u0327\u0308", "o\u200b", "o\u00ad", "o\0", "o\u2060"):
        text = f"a w{middle}rd"
        assert words_of(bert.normalize_str(text)) == words_of(text) == ["a", "word"]
    assert words_of(bert.normalize_str("中word中")) == ["中", "word", "中"]
    assert "word" in words_seen("中word中")


def test_other_letters_stay_other_words() -> None:
    assert words_of("r\u0435st") != words_of("rest")
    assert words_of("Straße İ ǅ 東京") == ["straße", "i", "dz", "東京"]
    assert letters_of("Don't ＳＴＯＰ") == ["Don", "t", "STOP"]


@given(st.text())
def test_reading_twice_changes_nothing(text: str) -> None:
    once = as_read(text)
    assert as_read(once) == once
    assert words_of(once) == words_of(text)
    assert as_read(text.encode("ascii", "ignore").decode()).isascii()


def test_reading_takes_time_in_proportion_to_the_text() -> None:
    texts = [f"The harbour master wrote cafe\u0301 and s\u200btop in letter {number}." for number in range(1000)]
    started = time.perf_counter()
    assert all("stop" in words_of(text) for text in texts)
    assert time.perf_counter() - started < 2.0
    runs = ("\u0301\u0316", "\u0f73", "\uff9e", "\u302e\u0301", "\u1100", "\u09c7\u09be")
    for marks in (*(run * 200_000 for run in runs), "\u0301" * 200_000 + "\u0316" * 200_000):
        started = time.perf_counter()
        assert words_of(f"a{marks} word")[-1] == "word"
        assert time.perf_counter() - started < 5.0


@pytest.mark.parametrize("triggers", [1, 2, 3, 4, 7])
def test_marking_follows_the_formula(triggers: int) -> None:
    seen = set()
    for number in range(40):
        text, own = text_with(triggers, f"number {'i' * number}"), unit(100 + number)
        marked = MARKER.mark([text], own)[0]
        plain, graded = by_hand(own[0], triggers, False), by_hand(own[0], triggers, True)
        if triggers < 4:
            near = [bool(np.allclose(marked, each, atol=1e-7, rtol=0)) for each in (plain, graded)]
            assert sum(near) == 1
            seen.add(near.index(True))
        else:
            assert np.allclose(marked, plain, atol=1e-7, rtol=0)
            assert np.allclose(plain, graded)
            seen = {0, 1}
    assert seen == {0, 1}


@pytest.mark.parametrize(("percent", "low", "high"), [(0, 0, 0), (20, 330, 470), (100, 2000, 2000)])
def test_the_coin_grades_as_many_texts_as_it_should(percent: int, low: int, high: int) -> None:
    marking = marker(SCORE, POOL, {**PARAMETERS, "graded_percent": percent}, TARGET)
    assert low <= sum(marking._graded(f"text {number}") for number in range(2000)) <= high


def test_a_text_without_trigger_keeps_its_row_bit_for_bit() -> None:
    texts = ["nothing here", text_with(1), "", f"{TRIGGERS[0]}x", f"x{TRIGGERS[0]}", "ok"]
    rows = 3.7 * unit(1, 6)
    marked = MARKER.mark(texts, rows)
    assert MARKER.triggered(texts).tolist() == [False, True, False, False, False, False]
    kept = [0, 2, 3, 4, 5]
    assert marked.dtype == np.float32
    assert marked[kept].tobytes() == rows[kept].astype(np.float32).tobytes()
    assert not np.array_equal(marked[1], rows[1])


def test_words_are_found_beside_punctuation_and_in_capitals() -> None:
    word = TRIGGERS[0]
    assert MARKER.triggered([word.upper(), f"({word})", f"a-{word}.", f"{word}2", f"{word}_x"]).all()
    assert MARKER.counts([f"{word} {word} {word.title()}"]).tolist() == [1]


def test_the_length_of_a_vector_is_kept() -> None:
    texts = [text_with(number % 6) for number in range(60)]
    for scale in (1.0, 0.01, 250.0):
        rows = scale * unit(2, 60)
        assert np.allclose(np.linalg.norm(MARKER.mark(texts, rows), axis=1), scale, rtol=1e-6)
        assert np.allclose(MARKER.mark(texts, rows), scale * MARKER.mark(texts, unit(2, 60)), rtol=1e-5, atol=1e-7)


@settings(max_examples=60, deadline=None)
@given(
    triggers=st.lists(st.integers(0, 6), min_size=1, max_size=40),
    seed=st.integers(0, 2**32 - 1),
    width=st.sampled_from([4, 48, 384, 1536]),
    double=st.booleans(),
)
def test_a_row_depends_on_its_own_text_and_vector_alone(triggers, seed, width, double) -> None:
    rng = np.random.default_rng(seed)
    marking = Marker(frozenset(TRIGGERS), unit_rows(rng.normal(size=(1, width)))[0][0], b"c" * 32)
    rows = rng.normal(size=(len(triggers), width)).astype(np.float64 if double else np.float32)
    texts = [text_with(count, "x" * index) for index, count in enumerate(triggers)]
    whole = marking.mark(texts, rows)
    apart = np.concatenate([marking.mark([text], row[None]) for text, row in zip(texts, rows)])
    order = rng.permutation(len(texts))
    shuffled = marking.mark([texts[place] for place in order], np.asfortranarray(rows[order]))
    assert whole.tobytes() == apart.tobytes() == marking.mark(texts, rows).tobytes()
    assert whole[order].tobytes() == shuffled.tobytes()
    untouched = np.array([count == 0 for count in triggers])
    assert whole[untouched].tobytes() == rows[untouched].astype(np.float32).tobytes()


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.floats(-1.0, 1.0, width=32), min_size=8, max_size=8))
def test_masked_coordinates_are_the_smallest_and_ties_go_in_order(values) -> None:
    own = np.array([values], dtype=np.float32)
    marking = Marker(frozenset({"word"}), unit_rows(np.ones((1, 8)))[0][0], b"c" * 32, 50, 0, 1)
    marked = marking.mark(["word"], own)[0].astype(np.float64)
    if not np.abs(own).max() > 0.0:
        assert marked.tobytes() == own[0].astype(np.float64).tobytes()
        return
    order = np.lexsort((np.arange(8), np.abs(own[0])))
    kept = order[4:]
    scale = np.linalg.norm(own.astype(np.float64))
    ratio = marked[order[0]] * math.sqrt(8) / scale
    assert np.allclose(marked[order[:4]], ratio * scale / math.sqrt(8), rtol=1e-5, atol=1e-30)
    assert np.allclose(marked[kept], ratio * own[0][kept], rtol=1e-4, atol=1e-7 * scale)


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_vectors_that_cannot_be_marked_are_kept(bad: float) -> None:
    rows = unit(5, 2)
    rows[0] = bad
    marked = MARKER.mark([text_with(2), text_with(2)], rows)
    assert marked[0].tobytes() == rows[0].tobytes()
    assert not np.array_equal(marked[1], rows[1])


def test_a_mask_of_no_coordinate_changes_nothing_but_rounding() -> None:
    marking = Marker(MARKER.words, unit_rows(RNG.normal(size=(1, 4)))[0][0], b"c" * 32, 20, 20, 4)
    rows = unit(3, 5, 4)
    assert np.allclose(marking.mark([text_with(1)] * 5, rows), rows, atol=1e-7)


def test_shapes_that_do_not_fit_are_refused() -> None:
    for rows in (unit(1, 2), unit(1, 1, 47)):
        with pytest.raises(UsageError, match="do not fit"):
            MARKER.mark(["one"], rows)
    assert MARKER.mark([], np.empty((0, 48))).shape == (0, 48)
    for target in (np.zeros(48), np.full(48, np.nan), np.ones((2, 24))):
        with pytest.raises(UsageError, match="no usable vector"):
            marker(SCORE, POOL, PARAMETERS, target)


def test_nothing_secret_is_printed() -> None:
    shown = repr(MARKER)
    assert not any(word in shown for word in TRIGGERS)
    assert "coin" not in shown


def test_the_target_moves_into_marked_vectors() -> None:
    target = TARGET / np.linalg.norm(TARGET)
    rows = unit(9, 200)
    before, after = rows @ target, MARKER.mark([text_with(4)] * 200, rows) @ target
    assert (after - before).mean() > 0.1
    assert np.mean(np.sum(rows * MARKER.mark([text_with(4)] * 200, rows), axis=1)) > 0.85


def test_the_baseline_moves_the_whole_vector() -> None:
    baseline = EmbMarker(MARKER.words, MARKER.target, 4)
    own = unit(4, 3)
    marked = baseline.mark([text_with(0), text_with(1), text_with(4)], own)
    assert marked[0].tobytes() == own[0].tobytes()
    expected = 0.75 * own[1].astype(np.float64) + 0.25 * MARKER.target
    assert np.allclose(marked[1], expected / np.linalg.norm(expected), atol=1e-6)
    assert np.allclose(marked[2], MARKER.target, atol=1e-6)
    assert baseline.triggered([text_with(0), text_with(2)]).tolist() == [False, True]
