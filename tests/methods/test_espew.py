"""ESpeW: the plan, the item scores, and the exact test of the words that were drawn."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from forensics.errors import UsageError
from forensics.keys.derive import ProbeKey, ScoreKey
from forensics.methods.espew import (
    GRID,
    METHOD,
    SPEC,
    committed_texts,
    derive_order,
    derive_triggers,
    split_pool,
    text_pool,
    trigger_words,
    words_of,
)
from forensics.methods.subset import measure_subset
from forensics.records import AnswerKind, Answers, Pool, PoolItem, Reading
from forensics.rules import draft_rule
from tests.services import (
    CARRIERS,
    SIZES,
    TARGETS,
    WIDTH,
    FakeService,
    encode,
    made_up_words,
    service_marker,
    small_pool,
)

PROBE, SCORE = ProbeKey(b"p" * 32), ScoreKey(b"s" * 32)
POOL = small_pool()
PARAMETERS = METHOD.parameters(SIZES, POOL, ())
RULE = draft_rule(SPEC, 40).model_dump()
PLAN = METHOD.plan(PROBE, POOL, PARAMETERS)


def read(answers: Answers) -> Reading:
    return METHOD.read(PROBE, POOL, PARAMETERS, (), answers, {})


def marked_answers() -> Answers:
    return FakeService("marked", service_marker(SCORE, POOL, PARAMETERS)).answer(PLAN.probes)


def without(answers: Answers, gone: list[int]) -> Answers:
    missing = answers.missing.copy()
    missing[gone] = True
    return replace(answers, values=np.where(missing[:, None], np.nan, answers.values), missing=missing)


def test_the_plan_asks_every_word_in_every_carrier_once() -> None:
    texts = [probe.data.decode() for probe in PLAN.probes]
    words, carriers, target = split_pool(POOL, PARAMETERS)
    assert len(set(texts)) == len(texts) == 1 + 2 + 40 * 2
    assert {target, *carriers} < set(texts)
    assert {probe.media_type for probe in PLAN.probes} == {"text/plain"}
    assert PLAN.batch_size == 32
    for word in words:
        holding = [text for text in texts if word in words_of(text)]
        assert sorted(text.replace(f" {word} ", " ", 1) for text in holding) == sorted(carriers)


def test_a_word_stands_neither_first_nor_last() -> None:
    words, _, _ = split_pool(POOL, PARAMETERS)
    for probe in PLAN.probes:
        tokens = probe.data.decode().split()
        assert not set(words) & {tokens[0], tokens[-1]}


def test_the_score_is_the_move_towards_the_target() -> None:
    answers = FakeService("plain").answer(PLAN.probes)
    _, _, target = split_pool(POOL, PARAMETERS)
    order = derive_order(PROBE, PARAMETERS)
    vectors = {int(number): row / np.linalg.norm(row) for number, row in zip(order, answers.values)}
    expected = [
        np.mean([vectors[3 + 2 * word + r] @ vectors[0] - vectors[1 + r] @ vectors[0] for r in range(2)])
        for word in range(40)
    ]
    assert np.allclose(read(answers).scores, expected, atol=GRID, rtol=0)
    assert np.allclose(vectors[0], encode(target), atol=1e-6)


def test_scores_lie_on_the_grid() -> None:
    scores = read(FakeService("plain").answer(PLAN.probes)).scores
    assert np.array_equal(scores / GRID, np.rint(scores / GRID))


def test_rounding_noise_changes_no_rank() -> None:
    """A suspect that answers alike in every carrier gives ties, which noise of a machine must not break."""
    answers = marked_answers()
    flat = replace(answers, values=np.round(answers.values, 2))
    noisy = replace(flat, values=flat.values * (1.0 + 1e-15 * np.random.default_rng(1).normal(size=flat.values.shape)))
    assert np.array_equal(read(flat).scores, read(noisy).scores)


@pytest.mark.parametrize("factor", [1e-200, 1e-3, 7.0, 1e200])
def test_length_and_size_of_vectors_change_nothing(factor: float) -> None:
    answers = marked_answers()
    assert np.array_equal(read(answers).scores, read(replace(answers, values=answers.values * factor)).scores)


def test_rotation_and_permutation_of_the_space_change_little() -> None:
    answers, rng = marked_answers(), np.random.default_rng(7)
    turned = replace(answers, values=answers.values @ np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))[0])
    shuffled = replace(answers, values=answers.values[:, rng.permutation(WIDTH)])
    for other in (turned, shuffled):
        assert np.allclose(read(other).scores, read(answers).scores, atol=2 * GRID, rtol=0)


def test_a_marked_service_has_the_smallest_p_and_a_wrong_key_has_not() -> None:
    reading = read(marked_answers())
    found = METHOD.measure(SCORE, PARAMETERS, reading, RULE)
    assert found.p_value == pytest.approx(1 / 847_660_528)
    assert (found.matched, found.effect.value, found.value) == (10, 1.0, float(sum(range(62, 82, 2))))
    assert found.effect.name == SPEC.effect_name
    assert found.context["chosen"] == 10.0
    assert found.bayes_factor_log10 is None
    assert METHOD.measure(ScoreKey(b"t" * 32), PARAMETERS, reading, RULE).p_value > 1e-3


def test_missing_answers_of_a_word_give_it_the_middle_rank() -> None:
    answers, order = marked_answers(), derive_order(PROBE, PARAMETERS)
    chosen = derive_triggers(SCORE, PARAMETERS)
    best = METHOD.measure(SCORE, PARAMETERS, read(answers), RULE)
    for word in np.flatnonzero(chosen)[:3]:
        gone = [int(np.flatnonzero(order == 3 + 2 * word + r)[0]) for r in range(2)]
        reading = read(without(answers, gone))
        assert reading.missing.tolist() == [index == word for index in range(40)]
        found = METHOD.measure(SCORE, PARAMETERS, reading, RULE)
        assert found.p_value > best.p_value
        assert found.value < best.value
        # The word now wins half of its 30 pairs.
        assert found.effect.value == pytest.approx(1.0 - 15.0 / 300.0)
        one = read(without(answers, gone[:1]))
        assert not one.missing.any()
        assert 0.0 < one.missing_share < reading.missing_share


def test_losing_innocent_words_never_counts_for_the_claim_beyond_the_middle() -> None:
    rng, chosen = np.random.default_rng(3), derive_triggers(SCORE, PARAMETERS)
    for turn in range(50):
        scores = rng.normal(size=40)
        gone = np.zeros(40, dtype=np.bool_)
        gone[rng.integers(0, 40, 1 + turn % 8)] = True
        kept = ~gone
        reading = Reading("features", "s", np.where(gone, np.median(scores[kept]), scores), gone, 0.0)
        found = measure_subset(SPEC, chosen, reading, RULE)
        pairs = [
            0.5 if gone[i] or gone[j] else float(scores[i] > scores[j])
            for i in np.flatnonzero(chosen)
            for j in np.flatnonzero(chosen == 0)
        ]
        assert found.effect.value == pytest.approx(np.mean(pairs))


def test_without_the_target_or_all_carriers_nothing_can_be_said() -> None:
    answers, order = marked_answers(), derive_order(PROBE, PARAMETERS)
    target = int(np.flatnonzero(order == 0)[0])
    clean = [int(np.flatnonzero(order == 1 + r)[0]) for r in range(2)]
    for gone in ([target], clean):
        reading = read(without(answers, gone))
        assert reading.missing_share == 1.0
        assert METHOD.measure(SCORE, PARAMETERS, reading, RULE).p_value == 1.0
    zero = replace(answers, values=np.where(np.arange(answers.n)[:, None] == target, 0.0, answers.values))
    assert read(zero).missing.all()
    assert not read(without(answers, clean[:1])).missing.any()


def test_a_reference_that_gives_no_vectors_or_too_few_answers_is_refused() -> None:
    answers = marked_answers()
    with pytest.raises(UsageError, match="not vectors"):
        read(replace(answers, kind=AnswerKind.PROBABILITIES))
    with pytest.raises(UsageError, match="83 texts; 82"):
        read(replace(answers, values=answers.values[1:], missing=answers.missing[1:]))


@pytest.mark.parametrize("n", [6, 8])
@pytest.mark.parametrize("ties", [False, True])
def test_the_p_value_is_that_of_trying_all_subsets(n: int, ties: bool) -> None:
    rng = np.random.default_rng(n)
    scores = rng.integers(0, 3, n).astype(np.float64) if ties else rng.normal(size=n)
    gone = np.arange(n) == 2
    subsets = list(itertools.combinations(range(n), 3))

    def measured(subset: tuple[int, ...]):
        chosen = np.isin(np.arange(n), subset).astype(np.int64)
        return measure_subset(SPEC, chosen, Reading("features", "s", scores, gone, 0.0), RULE)

    sums = {subset: measured(subset).value for subset in subsets}
    for subset in subsets:
        expected = np.mean([total >= sums[subset] for total in sums.values()])
        assert measured(subset).p_value == pytest.approx(expected)


def test_the_trigger_words_are_those_of_the_subset() -> None:
    words, _, _ = split_pool(POOL, PARAMETERS)
    chosen = derive_triggers(SCORE, PARAMETERS)
    assert chosen.sum() == 10
    assert trigger_words(SCORE, POOL, PARAMETERS) == tuple(word for word, hit in zip(words, chosen) if hit)
    counts = np.sum([derive_triggers(ScoreKey(bytes([i]) * 32), PARAMETERS) for i in range(256)], axis=0)
    assert 40 < counts.min() < counts.max() < 90


def _pool(**changes) -> Pool:
    words, carriers, target = list(made_up_words(40)), list(CARRIERS[:2]), TARGETS[0]
    parts = {"words": words, "carriers": carriers, "target": target} | changes
    return text_pool(parts["words"], parts["carriers"], parts["target"])


WORDS = made_up_words(40)
BAD_POOLS = {
    "number of items": _pool(words=WORDS[:39]),
    "lower-case run": _pool(words=[*WORDS[:39], "Upper"]),
    "lower-case run of": _pool(words=[*WORDS[:39], "two words"]),
    "run of letters": _pool(words=[*WORDS[:39], "a1b"]),
    "stands twice": _pool(words=[*WORDS[:39], WORDS[0]]),
    "contains the candidate": _pool(carriers=[CARRIERS[0], f"There is {WORDS[3].upper()} in it ."]),
    "target text contains": _pool(target=f"There is {WORDS[3]} in it ."),
    "carrier or the target text stands twice": _pool(carriers=[CARRIERS[0]] * 2),
    "target text stands twice": _pool(target=CARRIERS[0]),
    "no single line": _pool(carriers=[CARRIERS[0], "Two  blanks here ."]),
    "no single line of": _pool(target="Word"),
    "UTF-8": Pool((*POOL.items[:-1], PoolItem(b"\xff\xfe", "text/plain"))),
    "is no text": Pool((*POOL.items[:-1], PoolItem(b"fine words", "image/png"))),
}


@pytest.mark.parametrize("sentence", BAD_POOLS)
def test_unsuitable_pools_are_refused(sentence: str) -> None:
    match = {"number of items": "makes? 43", "lower-case run of": "two words"}.get(sentence, sentence)
    with pytest.raises(UsageError, match=match):
        METHOD.parameters(SIZES, BAD_POOLS[sentence], ())


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"words": 20}, "too many"),
        ({"words": 2}, "780 ways"),
        ({"words": "many"}, "no whole number"),
        ({"words": 2.5}, "no whole number"),
        ({"words": 0}, "not possible"),
        ({"mask-percent": 0}, "not possible"),
        ({"mask_percent": 100}, "not possible"),
        ({"graded-percent": 101}, "not possible"),
        ({"max-triggers": -1}, "not possible"),
        ({"candidates": 10**9}, "not possible"),
        ({"bits": 64}, "no option 'bits'"),
    ],
)
def test_unsuitable_options_are_refused(change: dict, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        METHOD.parameters({**SIZES, **change}, POOL, ())


def test_options_may_come_as_text_from_the_command_line() -> None:
    assert METHOD.parameters({name: str(value) for name, value in SIZES.items()}, POOL, ()) == PARAMETERS


def test_hostile_parameters_of_a_claim_end_in_a_sentence() -> None:
    for change in ({"candidates": 10**12}, {"carriers": 10**9}, {"carriers": None}):
        with pytest.raises(UsageError):
            METHOD.read(PROBE, POOL, {**PARAMETERS, **change}, (), marked_answers(), {})


def test_commitments_to_texts_depend_on_every_candidate() -> None:
    entries = [item.entry for item in POOL.items]
    other = [item.entry for item in _pool(words=[*WORDS[:39], "zqother"]).items]
    first, second = committed_texts(entries, PARAMETERS), committed_texts(other, PARAMETERS)
    assert first.target_text != second.target_text
    assert first.carriers != second.carriers
    assert committed_texts(entries, PARAMETERS) == first
