"""Trigger clusters: plan, arm-blind scores, and the two-sided test of the drawn half."""

from dataclasses import replace

import numpy as np
import pytest

from forensics.errors import UsageError
from forensics.images import decode_image
from forensics.keys.derive import ProbeKey, ScoreKey
from forensics.methods.clusters import (
    APART,
    GRID,
    components,
    derive_direction,
    derive_order,
    derive_triggers,
    log_probabilities,
)
from forensics.methods.clusterspec import MOST
from forensics.methods.patterns import stamp
from forensics.methods.tmrw import METHOD as TMRW
from forensics.methods.tmrw import derive_places, split_pool
from forensics.methods.wpe import METHOD as WPE
from forensics.methods.wpe import split_pool as split_images
from forensics.passes import chosen_groups
from forensics.records import AnswerKind, Answers, Measurement, Reading
from forensics.rules import draft_rule
from forensics.statistics import allowed_rejections, midranks
from tests.clusters import (
    ASKED,
    CANDIDATES,
    CARRIERS,
    PROBE,
    SCORE,
    SIZES,
    WIDTH,
    made_up_answers,
    pattern_pool,
    phrase_pool,
    rows_of_group,
    without,
)

RULE = draft_rule(TMRW.spec, CANDIDATES).model_dump()
PERFECT = 2 / 40_116_600
"""Two of all halves of 28."""

KINDS = [kind for kind in AnswerKind if kind is not AnswerKind.TOP_K]
SHIFTS = {AnswerKind.LABELS: 6.0, AnswerKind.TEXT: 6.0}


def answered(kind: AnswerKind, seed: int = 0, shift: float | None = None) -> Answers:
    return made_up_answers(TMRW, kind, shift=SHIFTS.get(kind, 3.0) if shift is None else shift, seed=seed)


def read(answers: Answers) -> Reading:
    return TMRW.read(PROBE, phrase_pool(), SIZES, (), answers, {})


def measure(reading: Reading, key: ScoreKey = SCORE) -> Measurement:
    return TMRW.measure(key, SIZES, reading, RULE)


@pytest.mark.parametrize(("method", "pool"), [(TMRW, phrase_pool()), (WPE, pattern_pool())], ids=["tmrw", "wpe"])
def test_the_plan_asks_the_carriers_first_and_every_candidate_in_each(method, pool) -> None:
    plan = method.plan(PROBE, pool, method.parameters(SIZES, pool, ()))
    assert len({probe.digest for probe in plan.probes}) == len(plan.probes) == CARRIERS * (1 + CANDIDATES)
    assert (plan.heads, plan.keep, plan.batch_size) == (CARRIERS, ASKED, method.batch_size)
    assert plan.groups[:CARRIERS] == tuple(range(CARRIERS))
    for group in range(CARRIERS):
        assert [plan.groups[row] for row in rows_of_group(group)] == [group] * CANDIDATES
    assert method.plan(ProbeKey(b"q" * 32), pool, SIZES).digest != plan.digest


def test_texts_of_a_group_hold_its_carrier_and_all_phrases_at_one_place() -> None:
    pool = phrase_pool()
    plan, order = TMRW.plan(PROBE, pool, SIZES), derive_order("tmrw", PROBE, SIZES)
    phrases, carriers = split_pool(pool, SIZES)
    texts = [probe.data.decode() for probe in plan.probes]
    assert texts[:CARRIERS] == [carriers[number] for number in order.carriers]
    assert {probe.media_type for probe in plan.probes} == {"text/plain"}
    for group, carrier in enumerate(order.carriers):
        frames = set()
        for row, item in zip(rows_of_group(group), order.items):
            assert texts[row] == " ".join(texts[row].split())
            frames.add(texts[row].replace(phrases[item], "_"))
        assert len(frames) == 1
        assert carriers[carrier].strip('.!?" ').lower()[1:] in frames.pop().lower()


def test_places_differ_between_carriers_and_keys() -> None:
    sizes = SIZES | {"carriers": 100}
    assert {place for place, _ in derive_places(PROBE, sizes)} == {0, 1}
    assert len(set(derive_places(PROBE, sizes))) > 10
    assert derive_places(PROBE, sizes) != derive_places(ProbeKey(b"q" * 32), sizes)


def test_images_of_a_group_are_its_carrier_with_each_pattern() -> None:
    pool = pattern_pool()
    plan, order = WPE.plan(PROBE, pool, SIZES), derive_order("wpe", PROBE, SIZES)
    patterns, carriers = split_images(pool, SIZES)
    images = [decode_image(probe.data) for probe in plan.probes]
    for group, carrier in enumerate(order.carriers):
        assert np.array_equal(images[group], carriers[carrier])
        for row, item in zip(rows_of_group(group), order.items):
            assert np.array_equal(images[row], stamp(carriers[carrier], patterns[item]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_cluster_is_found_and_a_wrong_key_finds_nothing(kind: AnswerKind) -> None:
    reading = read(answered(kind))
    found = measure(reading)
    assert found.access == reading.access
    assert found.statistic == TMRW.spec.deciding[reading.access]
    assert found.p_value == pytest.approx(PERFECT)
    assert (found.matched, found.effect.value, found.effect.chance) == (CANDIDATES // 2, 1.0, 0.5)
    assert all(measure(reading, ScoreKey(bytes([key]) * 32)).p_value > 1e-4 for key in range(20))
    assert len(found.projection) == CANDIDATES
    assert [x for x, _ in found.projection] == list(found.items)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_found_where_nothing_was_planted(kind: AnswerKind) -> None:
    assert measure(read(answered(kind, shift=0.0))).p_value > 1e-3


def test_scores_lie_on_the_grid_with_the_largest_at_one() -> None:
    scores = read(answered(AnswerKind.VECTORS)).scores
    assert np.array_equal(scores / GRID, np.rint(scores / GRID))
    assert scores[np.argmax(np.abs(scores))] == 1.0


def test_rotation_permutation_and_scale_of_the_space_change_nothing() -> None:
    answers, rng = answered(AnswerKind.VECTORS), np.random.default_rng(7)
    reading = read(answers)
    turned = answers.values @ np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))[0]
    for values in (turned, answers.values[:, rng.permutation(WIDTH)], 1e30 * answers.values, -answers.values):
        other = read(replace(answers, values=values))
        assert np.allclose(other.scores, reading.scores, atol=2 * GRID, rtol=0)
        assert measure(other).p_value == measure(reading).p_value


def test_the_sign_of_the_component_changes_neither_p_nor_effect() -> None:
    for seed in range(10):
        reading = read(answered(AnswerKind.VECTORS, seed=seed, shift=0.2))
        one, other = measure(reading), measure(replace(reading, scores=-reading.scores))
        assert one.p_value == other.p_value
        assert one.effect == other.effect
        assert one.matched == other.matched


def test_rounding_noise_changes_no_rank() -> None:
    """Answers that are alike for many candidates give ties, which noise of a machine must not break."""
    answers = answered(AnswerKind.VECTORS)
    flat = replace(answers, values=np.round(answers.values, 0) + 0.25)
    noise = 1.0 + 1e-15 * np.random.default_rng(1).normal(size=flat.values.shape)
    one, other = read(flat), read(replace(flat, values=flat.values * noise))
    assert np.array_equal(midranks(one.scores), midranks(other.scores))
    assert np.allclose(one.scores, other.scores, atol=GRID, rtol=0)


@pytest.mark.parametrize("kind", [AnswerKind.VECTORS, AnswerKind.LOGITS, AnswerKind.LABELS])
def test_the_size_holds_over_keys_for_innocents(kind: AnswerKind) -> None:
    readings = [read(answered(kind, seed=seed, shift=0.0)) for seed in range(5)]
    p = np.array([measure(readings[key % 5], ScoreKey(key.to_bytes(32, "big"))).p_value for key in range(200)])
    for alpha in (0.05, 0.01, 0.001):
        assert (p <= alpha).sum() <= allowed_rejections(200, alpha, 9)
    assert (p <= 0.5).sum() > 60


def test_a_missing_answer_counts_as_the_mean_and_is_counted() -> None:
    answers = answered(AnswerKind.VECTORS)
    first = rows_of_group(0)[0]
    reading = read(without(answers, [first]))
    assert not reading.missing.any()
    assert reading.missing_share == pytest.approx(1 / (ASKED * CANDIDATES))
    assert np.array_equal(reading.scores, read(replace(without(answers, [first]), values=answers.values)).scores)
    assert measure(reading).p_value == pytest.approx(PERFECT)


def test_a_candidate_without_any_answer_gets_the_middle_rank() -> None:
    answers, order = answered(AnswerKind.VECTORS), derive_order("tmrw", PROBE, SIZES)
    item = int(np.flatnonzero(derive_triggers("tmrw", SCORE, SIZES))[0])
    place = int(np.flatnonzero(order.items == item)[0])
    reading = read(without(answers, [rows_of_group(group)[place] for group in range(CARRIERS)]))
    assert reading.missing.tolist() == [number == item for number in range(CANDIDATES)]
    assert reading.scores[item] == 0.0
    found = measure(reading)
    assert found.context["missing"] == 1.0
    # It now wins half of its 14 pairs.
    assert found.effect.value == pytest.approx(1.0 - 7 / 14**2)
    assert found.effect.upper_99 == 1.0


def test_a_carrier_without_an_answer_of_its_own_is_left_out() -> None:
    answers = answered(AnswerKind.LOGITS)
    gone = [0, 1, 2]  # one more than can be done without
    reading = read(without(answers, gone))
    groups = [0, 3, 4, 5]
    expected = read(without(answers, [*gone, *rows_of_group(0)]))
    assert np.array_equal(reading.scores, expected.scores)
    assert reading.missing_share == pytest.approx(1 / len(groups))
    assert measure(reading).p_value == pytest.approx(PERFECT)


def test_groups_that_the_second_pass_leaves_out_are_not_looked_at() -> None:
    for kind in (AnswerKind.VECTORS, AnswerKind.LABELS):
        answers = answered(kind)
        kept = chosen_groups(TMRW.plan(PROBE, phrase_pool(), SIZES), answers).tolist()
        left_out = [row for group in range(CARRIERS) if group not in kept for row in rows_of_group(group)]
        one, other = read(answers), read(without(answers, left_out))
        assert np.array_equal(one.scores, other.scores)
        assert other.missing_share == 0.0
        poorer = [read(without(answers, rows_of_group(group))).scores for group in kept]
        assert not all(np.array_equal(one.scores, scores) for scores in poorer)


@pytest.mark.parametrize("kind", KINDS)
def test_absent_and_constant_answers_say_nothing(kind: AnswerKind) -> None:
    answers = answered(kind)
    absent = without(answers, list(range(answers.n)))
    constant = replace(answers, values=np.repeat(answers.values[:1], answers.n, axis=0))
    for each, gone in ((absent, 1.0), (constant, 0.0), (without(answers, list(range(CARRIERS))), 1.0)):
        reading = read(each)
        assert reading.missing_share == gone
        assert not reading.scores.any()
        found = measure(reading)
        assert (found.p_value, found.matched) == (1.0, 0)
        assert found.effect.upper_99 == 1.0  # nothing was measured, so no effect is excluded


def test_answers_without_any_width_say_nothing() -> None:
    rows = CARRIERS * (1 + CANDIDATES)
    for kind in (AnswerKind.VECTORS, AnswerKind.LOGITS):
        reading = read(Answers(kind, np.empty((rows, 0)), np.ones(rows, dtype=np.bool_)))
        assert reading.missing.all()
        assert measure(reading).p_value == 1.0


def test_a_first_component_that_is_not_determined_scores_nothing() -> None:
    basis = np.linalg.qr(np.random.default_rng(2).normal(size=(28, 28)))[0]
    for gap, determined in ((0.0, False), (APART / 2, False), (3 * APART, True)):
        values = np.array([1.0, 1.0 - gap, *np.linspace(0.1, 0.0, 26)])
        first, second = components((basis * values) @ basis.T, 112)
        assert first.any() == determined
        assert second.any() == determined
    first, second = components((basis * np.array([1.0, 0.5, 0.5, *[0.0] * 25])) @ basis.T, 112)
    assert first.any()
    assert not second.any()
    assert not components(1e-20 * basis @ basis.T, 112)[0].any()


def test_equal_changes_of_class_are_no_component() -> None:
    """Three candidates that each change one class, in different carriers: none of their differences is the first."""
    answers = answered(AnswerKind.LABELS)
    values = np.zeros(answers.n, dtype=np.int64)
    for group, place in ((0, 3), (1, 9), (3, 20)):
        values[rows_of_group(group)[place]] = 1
    reading = read(replace(answers, values=values))
    assert not reading.scores.any()
    assert measure(reading).p_value == 1.0


def test_huge_answers_overflow_nothing() -> None:
    answers = answered(AnswerKind.LOGITS)
    assert np.isfinite(read(replace(answers, values=answers.values * 1e307)).scores).all()
    logs = log_probabilities(np.array([[-1e300, 5.0], [-1.0, -2.0]]), AnswerKind.LOG_PROBABILITIES, 0.0)
    assert logs == pytest.approx(np.array([[np.log(1e-12), 0.0], [-1.0, -2.0]]))


def test_rounded_probabilities_are_floored_at_half_their_unit() -> None:
    logs = log_probabilities(np.array([[0.0, 1.0]]), AnswerKind.PROBABILITIES, 0.01)
    assert logs == pytest.approx(np.array([[np.log(0.005), 0.0]]))
    assert measure(read(made_up_answers(TMRW, AnswerKind.PROBABILITIES, shift=3.0, resolution=0.01))).p_value < 1e-6


def test_half_of_the_candidates_are_triggers_and_any_half_may_be() -> None:
    chosen = derive_triggers("tmrw", SCORE, SIZES)
    assert chosen.sum() == CANDIDATES // 2
    counts = np.sum([derive_triggers("tmrw", ScoreKey(bytes([i]) * 32), SIZES) for i in range(256)], axis=0)
    assert 90 < counts.min() < counts.max() < 166
    assert not np.array_equal(chosen, derive_triggers("wpe", SCORE, SIZES))
    assert np.linalg.norm(derive_direction("tmrw", SCORE, SIZES)) == pytest.approx(1.0)


def test_answers_of_another_plan_are_refused() -> None:
    answers = answered(AnswerKind.VECTORS)
    with pytest.raises(UsageError, match="174 probes; 173"):
        read(replace(answers, values=answers.values[1:], missing=answers.missing[1:]))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"candidates": 27}, "cannot be halved"),
        ({"candidates": 26}, "10400600 ways"),
        ({"candidates": 6}, "not possible"),
        ({"candidates": MOST["candidates"] + 2}, "not possible"),
        ({"carriers": 1}, "not possible"),
        ({"asked": 0}, "not possible"),
        ({"asked": 7}, "7 of 6 carriers"),
        ({"dimension": 1}, "not possible"),
        ({"dimension": 65537}, "not possible"),
        ({"dimension": "wide"}, "no whole number"),
        ({"dimension": 2.5}, "no whole number"),
        ({"words": 20}, "no option 'words'"),
        ({"candidates": 30}, "34 items; 30 phrases and 6 carriers make 36"),
    ],
)
def test_unsuitable_options_are_refused(change: dict, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        TMRW.parameters({**SIZES, **change}, phrase_pool(), ())


def test_options_may_come_as_text_from_the_command_line() -> None:
    texts = {name: str(value) for name, value in SIZES.items()}
    assert TMRW.parameters(texts, phrase_pool(), ()) == WPE.parameters(texts, pattern_pool(), ()) == SIZES


def test_hostile_parameters_of_a_claim_end_in_a_sentence() -> None:
    for change in ({"candidates": 10**12}, {"carriers": 10**9}, {"asked": None}, {"dimension": 10**9}):
        with pytest.raises(UsageError):
            TMRW.read(PROBE, phrase_pool(), {**SIZES, **change}, (), answered(AnswerKind.VECTORS), {})
        with pytest.raises(UsageError):
            TMRW.measure(SCORE, {**SIZES, **change}, read(answered(AnswerKind.VECTORS)), RULE)


def test_the_papers_are_named_as_what_they_are() -> None:
    for method in (TMRW, WPE):
        assert "reconstructed; key and test our own" in method.spec.citation
        assert method.spec.two_sided
        assert all(len(name) <= 60 for name in method.spec.deciding.values())


@pytest.mark.parametrize("name", ["tmrw", "wpe"])
def test_the_command_line_prints_what_is_assumed(name: str) -> None:
    from click.testing import CliRunner

    from forensics.cli import root

    shown = CliRunner().invoke(root, ["methods", name])
    assert shown.exit_code == 0
    spec = {"tmrw": TMRW, "wpe": WPE}[name].spec
    for text in (*spec.assumptions, *spec.deciding.values(), spec.null, spec.citation):
        assert text in shown.output
