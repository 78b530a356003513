import numpy as np
import pytest

from forensics.errors import UsageError
from forensics.keys.derive import ProbeKey, ScoreKey
from forensics.methods.cleancheckpoint import CLEAN
from forensics.methods.ofsw import derive_kernels, derive_payload
from forensics.methods.ofsw_text import METHOD, Passage, derive_passages, filtered_texts, read_pool
from forensics.methods.wordtable import WordTable
from forensics.records import AnswerKind, Answers, Pool, PoolItem
from forensics.rules import draft_rule
from tests.languagemodels import LENGTH, SIZES, WORDS, passage_pool

PROBE, SCORE = ProbeKey(b"p" * 32), ScoreKey(b"s" * 32)
RULE = draft_rule(METHOD.spec, SIZES["bits"]).model_dump()
POOL = passage_pool()


def answers(values: np.ndarray, kind: AnswerKind = AnswerKind.LOG_PROBABILITIES) -> Answers:
    return Answers(kind, values, ~np.isfinite(values).all(axis=1))


def marked(strength: float) -> Answers:
    """Log-probabilities that follow the payload in every bank."""
    signs = 2 * derive_payload(SCORE, SIZES) - 1
    return answers(np.concatenate([strength * m @ signs - 20.0 for m in derive_kernels(PROBE, SIZES)])[:, None])


def noise(seed: int = 0) -> Answers:
    return answers(np.random.default_rng(seed).normal(size=(SIZES["bits"] * SIZES["banks"], 1)) - 20.0)


def measure(given: Answers):
    return METHOD.measure(SCORE, SIZES, METHOD.read(PROBE, POOL, SIZES, (), given, {CLEAN: noise()}), RULE)


def test_every_view_is_words_of_the_table_and_asks_for_the_passages_continuation() -> None:
    table, passages = read_pool(POOL)
    probes = METHOD.plan(PROBE, POOL, SIZES).probes
    assert len(probes) == SIZES["bits"] * SIZES["banks"]
    continuations = {f" {passage.continuation}".encode() for passage in passages}
    for start in (0, SIZES["bits"]):
        bank = probes[start : start + SIZES["bits"]]
        assert len({probe.continuation for probe in bank} & continuations) == 1
        assert len({probe.data for probe in bank}) == SIZES["bits"]
    for probe in probes:
        assert (probe.operation, probe.media_type) == ("score", "text/plain")
        words = probe.data.decode().split(" ")
        assert len(words) == LENGTH
        assert set(words) <= set(table.words)


def test_views_are_the_circular_filter_of_the_first_words_snapped_to_the_table() -> None:
    """By hand, in exact integers: y_t = sum of K_j x_(t + j), then the largest inner product."""
    table, passages = read_pool(POOL)
    kernels = derive_kernels(PROBE, SIZES)[0]
    vectors = [[int(value) for value in row] for row in table.vectors]
    words = [word for word in passages[3].text.split() if word in table.words][:LENGTH]
    sequence = [vectors[table.words.index(word)] for word in words]
    for kernel, view in zip(kernels[:3], filtered_texts(passages[3].text, table, kernels, SIZES)):
        whole = [round(float(value) * 1024) for value in kernel]
        for place, word in enumerate(view.split(" ")):
            moved = [
                sum(k * sequence[(place + j) % LENGTH][axis] for j, k in enumerate(whole))
                for axis in range(len(vectors[0]))
            ]
            products = [sum(a * b for a, b in zip(moved, vector)) for vector in vectors]
            assert table.words.index(word) == products.index(max(products))


def test_every_passage_can_be_drawn_and_none_twice() -> None:
    drawn = [derive_passages(ProbeKey(bytes([number] * 32)), POOL, SIZES).tolist() for number in range(60)]
    assert all(len(set(each)) == SIZES["banks"] for each in drawn)
    assert {number for each in drawn for number in each} == set(range(len(POOL.items) - 1))


def test_marked_answers_decode_and_inverted_ones_never_support() -> None:
    found = measure(marked(1.0))
    assert found.matched >= 14  # centring and calibration each take one of 16 dimensions
    assert found.statistic == "matched-bits"
    opposed = measure(marked(-1.0))
    assert opposed.matched <= 2
    assert opposed.p_value > 0.99


def test_what_the_clean_checkpoint_says_anyway_is_taken_out() -> None:
    assert measure(noise()).matched == 0


def test_answers_that_are_no_log_probabilities_are_refused() -> None:
    size = SIZES["bits"] * SIZES["banks"]
    for wrong in (answers(np.zeros((size, 4)), AnswerKind.LOGITS), answers(np.zeros((size, 3)))):
        with pytest.raises(UsageError, match="no log-probabilities"):
            METHOD.read(PROBE, POOL, SIZES, (), wrong, {CLEAN: noise()})
    with pytest.raises(UsageError, match="clean checkpoint"):
        METHOD.read(PROBE, POOL, SIZES, (), noise(), {})
    with pytest.raises(UsageError, match="asks 32 views; the suspect or an unmarked model answered 3"):
        METHOD.read(PROBE, POOL, SIZES, (), answers(np.zeros((3, 1))), {CLEAN: noise()})


def test_answers_that_are_all_absent_are_misses() -> None:
    nothing = Answers(AnswerKind.LOG_PROBABILITIES, np.empty((32, 0)), np.ones(32, dtype=np.bool_))
    assert measure(nothing).matched == 0
    assert METHOD.read(PROBE, POOL, SIZES, (), nothing, {CLEAN: noise()}).missing_share == 1.0


def _texts(*texts: str) -> Pool:
    return Pool(tuple(PoolItem(text.encode(), "text/plain") for text in texts))


@pytest.mark.parametrize(
    "pool",
    [
        _texts(),
        _texts("word 1 2\nother 3"),
        _texts("word 1 x"),
        _texts("word 1 200", "text\nnext"),
        _texts("word 1 2", "no continuation"),
        _texts("word 1 2", "three\nlines\nhere"),
        Pool((PoolItem(b"\xff\xfe", "text/plain"),)),
    ],
)
def test_pools_that_are_none_are_refused(pool: Pool) -> None:
    with pytest.raises(UsageError):
        METHOD.plan(PROBE, pool, SIZES)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bits": 2}, "bits"),
        ({"bits": "many"}, "bits"),
        ({"banks": 13}, "fewer than 13 banks"),
        ({"length": 40}, "fewer than 40"),
        ({"rows": 3}, "no option 'rows'"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        METHOD.parameters({**SIZES, **options}, POOL, ())


def test_a_label_list_is_refused() -> None:
    with pytest.raises(UsageError, match="no class labels"):
        METHOD.parameters(SIZES, POOL, ("a", "b"))


def test_a_table_and_a_passage_are_read_back_as_they_were_written() -> None:
    table = WordTable(("one", "two"), np.array([[1.0, -127.0], [0.0, 5.0]]))
    passage = Passage("One, two and one.", "two one")
    read, passages = read_pool(Pool((table.item(), passage.item())))
    assert read.words == table.words
    assert np.array_equal(read.vectors, table.vectors)
    assert passages == (passage,)
    assert table.rows(passage.text) == [0, 1, 0]
    assert len(read_pool(POOL)[0].words) == WORDS
