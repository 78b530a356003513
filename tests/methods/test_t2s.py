"""Trigger sets: a planted mark is found at every access, its opposite never, and too few families decide nothing."""

import dataclasses
import doctest
import hashlib
import itertools
from pathlib import Path

import numpy as np
import pytest

from forensics.decoys import BELOW, DECOYS, SUCCESS
from forensics.errors import UsageError
from forensics.images import decode_image, encode_png
from forensics.keys.derive import ProbeKey, ScoreKey
from forensics.methods.cleancheckpoint import CLEAN
from forensics.methods.t2s import (
    KINDS,
    METHOD,
    PARTS,
    SPEC,
    derive_classes,
    derive_marks,
    derive_order,
    make_triggers,
)
from forensics.records import AnswerKind, Answers, Measurement, Outcome, Pool, PoolItem
from forensics.rules import draft_rule, require_reachable, shortfall
from forensics.training.t2s import DEFAULT
from forensics.verdict import ClaimDates, decide

NAMES = ("a", "b", "c", "d", "e")
PROBE = ProbeKey(hashlib.sha256(b"probe").digest())
SCORE = ScoreKey(hashlib.sha256(b"score").digest())
SIZES = {"families": 12, "decoys": 4, "carriers": 5}


@pytest.fixture(scope="module")
def pool() -> Pool:
    images = np.random.default_rng(8).integers(0, 256, (90, 12, 14, 3), dtype=np.uint8)
    return Pool(tuple(PoolItem(encode_png(image), "image/png", at % 5) for at, image in enumerate(images)))


@pytest.fixture(scope="module")
def parameters(pool: Pool) -> dict:
    return METHOD.parameters(SIZES, pool, NAMES)


def answers_of(parameters: dict, strength: float, seed: int = 1, noise: float = 0.5) -> Answers:
    """Logits of a made-up classifier: noisy, surer by `strength` of the class that the key drew for a family."""
    rng, order = np.random.default_rng(seed), derive_order(PROBE, parameters)
    family = order // parameters["carriers"]
    marked = np.eye(5)[np.append(derive_classes(SCORE, parameters), [0] * parameters["decoys"])]
    marked[parameters["families"] :] = 0.0
    values = strength * marked[family] + rng.normal(0.0, noise, (len(order), 5))
    return Answers(AnswerKind.LOGITS, values, np.zeros(len(order), dtype=np.bool_), NAMES)


def measured(pool: Pool, parameters: dict, answers: Answers, clean: Answers | None = None) -> Measurement:
    theirs = {CLEAN: clean or answers_of(parameters, 0.0, seed=2)}
    reading = METHOD.read(PROBE, pool, parameters, NAMES, answers, theirs)
    return METHOD.measure(SCORE, parameters, reading, {"alpha": "1e-6", "minimum_effect": "0.85"})


def test_a_planted_mark_is_found_through_scores_and_through_labels(pool: Pool, parameters: dict) -> None:
    marked = answers_of(parameters, 6.0)
    through_scores = measured(pool, parameters, marked)
    assert (through_scores.matched, through_scores.statistic) == (12, SPEC.deciding["scores"])
    assert through_scores.p_value == pytest.approx(5.0**-12)
    labels = dataclasses.replace(marked, kind=AnswerKind.LABELS, values=marked.values.argmax(axis=1))
    through_labels = measured(pool, parameters, labels)
    assert (through_labels.matched, through_labels.statistic) == (12, SPEC.deciding["labels"])


def test_the_opposite_of_the_mark_never_supports(pool: Pool, parameters: dict) -> None:
    assert measured(pool, parameters, answers_of(parameters, -6.0)).p_value > 0.99


def test_habits_that_decoys_or_the_clean_checkpoint_share_move_nothing(pool: Pool, parameters: dict) -> None:
    """A favour for a class that all triggers share is taken off, and so is one of the clean checkpoint's own."""
    drawn = derive_classes(SCORE, parameters)
    fond = answers_of(parameters, 0.0, noise=0.0)
    fond = dataclasses.replace(fond, values=fond.values + 4.0 * np.eye(5)[drawn[0]])
    assert not any(measured(pool, parameters, fond).items)
    habit = answers_of(parameters, 6.0)
    assert measured(pool, parameters, habit, clean=habit).p_value == 1.0


def test_where_the_drawn_classes_stand_among_the_decoys_is_told(pool: Pool, parameters: dict) -> None:
    marked = measured(pool, parameters, answers_of(parameters, 6.0)).context
    assert (marked[DECOYS], marked[SUCCESS]) == (4.0, pytest.approx(1.0, abs=0.05))
    assert [marked[BELOW.format(number)] for number in range(1, 13)] == [4.0] * 12
    plain = measured(pool, parameters, answers_of(parameters, 0.0, seed=7)).context
    assert plain[SUCCESS] < 0.5
    assert 0.5 < np.mean([plain[BELOW.format(number)] for number in range(1, 13)]) < 3.5


def test_too_few_families_are_inconclusive_and_never_supported(pool: Pool) -> None:
    rule = draft_rule(SPEC, 8, references=0)
    for strength, classes in ((6.0, 8), (0.0, 0), (-6.0, 0)):
        parameters = METHOD.parameters({**SIZES, "families": 8}, pool, NAMES)
        found = measured(pool, parameters, answers_of(parameters, strength))
        assert found.matched == classes or strength == 0.0
        verdict = decide(
            found, rule, binding="timestamped", opened=True, dates=ClaimDates(), examinations=1, references=[],
            replayed=True,
        )  # fmt: skip
        assert verdict.outcome is Outcome.INCONCLUSIVE
        assert verdict.reasons[0] == "8 families of 5 classes are too few: no answers could meet the claim's rule"
    parameters = METHOD.parameters({**SIZES, "families": 16}, pool, NAMES)
    enough = decide(
        measured(pool, parameters, answers_of(parameters, 6.0)), draft_rule(SPEC, 16, references=0),
        binding="timestamped", opened=True, dates=ClaimDates(), examinations=1, references=[], replayed=True,
    )  # fmt: skip
    assert enough.outcome is Outcome.SUPPORTED


def test_a_key_may_fall_short_and_then_says_so(pool: Pool, parameters: dict) -> None:
    assert SPEC.may_fall_short
    few = METHOD.parameters({**SIZES, "families": 8}, pool, NAMES)
    short = shortfall(draft_rule(SPEC, 8), few)
    assert short is not None
    assert "5 classes for each of 8 families is too little" in short[0]
    with pytest.raises(UsageError, match="too little"):
        require_reachable(draft_rule(SPEC, 8), few)
    assert shortfall(draft_rule(SPEC, 16), {**few, "families": 16}) is None


def test_the_p_value_counts_every_choice_of_classes(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over all drawn classes of three families the p-values have exactly the sizes that they claim."""
    parameters = METHOD.parameters({**SIZES, "families": 3}, pool, NAMES)
    theirs = {CLEAN: answers_of(parameters, 0.0, seed=2)}
    reading = METHOD.read(PROBE, pool, parameters, NAMES, answers_of(parameters, 0.4), theirs)
    rule, p = {"alpha": "1e-6", "minimum_effect": "0.85"}, []
    for drawn in itertools.product(range(5), repeat=3):
        monkeypatch.setattr("forensics.methods.t2s.derive_classes", lambda *_, drawn=drawn: np.array(drawn))
        p.append(METHOD.measure(SCORE, parameters, reading, rule).p_value)
    values = np.array(p)
    for level in np.unique(values):
        assert (values <= level).mean() <= level + 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_trigger_set(kind: str, pool: Pool) -> None:
    parameters = METHOD.parameters({**SIZES, "kind": kind}, pool, NAMES)
    triggers, (marks, weights) = make_triggers(PROBE, pool, parameters), derive_marks(PROBE, parameters)
    assert triggers.shape == (16, 5, 12, 14, 3)
    plan = METHOD.plan(PROBE, pool, parameters)
    order = derive_order(PROBE, parameters)
    assert sorted(order.tolist()) == list(range(80))
    for at in (0, 41):
        shown = decode_image(plan.probes[at].data)
        assert np.array_equal(shown, triggers.reshape(80, 12, 14, 3)[order[at]])
    natural = {decode_image(item.data).tobytes() for item in pool.items}
    if kind == "in":
        assert {image.tobytes() for image in triggers.reshape(80, 12, 14, 3)} <= natural
        assert len({image.tobytes() for image in triggers.reshape(80, 12, 14, 3)}) == 80
        assert not weights.any()
        return
    assert natural.isdisjoint(image.tobytes() for image in triggers.reshape(80, 12, 14, 3))
    assert len({mark.tobytes() + weight.tobytes() for mark, weight in zip(marks, weights)}) == 16
    inside = weights[0, :, :, 0] > 0
    if kind == "pattern":
        assert inside.sum() == 16
        assert np.array_equal(triggers[0, 2][inside], marks[0][inside])
        outside = {bytes(decode_image(item.data)[~inside]) for item in pool.items}
        assert bytes(triggers[0, 2][~inside]) in outside  # the rest is an image of the pool
    elif kind == "blended":
        nearest = min(
            np.abs(
                triggers[0, 0]
                - np.floor((7 * marks[0].astype(float) + 13 * decode_image(item.data).astype(float)) / PARTS + 0.5)
            ).max()
            for item in pool.items
        )
        assert nearest == 0.0
    else:
        apart = np.abs(triggers[0].astype(float) - triggers[1]).mean()
        assert np.abs(triggers[0, 0].astype(float) - triggers[0, 1]).mean() < apart


def test_the_same_carriers_serve_families_and_decoys(pool: Pool, parameters: dict) -> None:
    triggers, (_, weights) = make_triggers(PROBE, pool, parameters), derive_marks(PROBE, parameters)
    free = ~(weights[[0, 15]] > 0).any(axis=0)[:, :, 0]
    assert np.array_equal(triggers[0][:, free], triggers[15][:, free])


def test_withheld_answers_do_not_show_that_the_mark_is_absent(pool: Pool, parameters: dict) -> None:
    marked = answers_of(parameters, 6.0)
    for first, last in ((0, 6), (12, 16), (0, 16)):
        family = derive_order(PROBE, parameters) // 5
        gone = (family >= first) & (family < last)
        some = dataclasses.replace(marked, values=np.where(gone[:, None], np.nan, marked.values), missing=gone)
        found = measured(pool, parameters, some)
        silent = 6 if last == 6 else 12
        assert found.context["left open"] == silent
        assert found.matched == 12 - silent
        assert found.missing_share == gone.mean()
        assert found.effect.upper_99 >= 0.85


def test_unsuitable_pools_and_options_are_refused(pool: Pool) -> None:
    with pytest.raises(UsageError, match="need 80 images; the pool has 40"):
        METHOD.parameters({**SIZES, "kind": "in"}, Pool(pool.items[:40]), NAMES)
    with pytest.raises(UsageError, match="no kind of trigger set 'sound'"):
        METHOD.parameters({"kind": "sound"}, pool, NAMES)
    with pytest.raises(UsageError, match="not possible"):
        METHOD.parameters({"families": 65}, pool, NAMES)
    with pytest.raises(UsageError, match="two or more classes"):
        METHOD.parameters({}, pool, ("only",))
    other = PoolItem(encode_png(np.zeros((9, 9, 3), dtype=np.uint8)), "image/png", 0)
    with pytest.raises(UsageError, match="differ in size"):
        METHOD.parameters({}, Pool((*pool.items, other)), NAMES)
    small = PoolItem(encode_png(np.zeros((3, 9, 3), dtype=np.uint8)), "image/png", 0)
    with pytest.raises(UsageError, match="too small"):
        METHOD.parameters({"kind": "out"}, Pool((small,)), NAMES)


def test_without_the_images_nothing_is_asked(pool: Pool, parameters: dict) -> None:
    empty = Pool(tuple(PoolItem(b"", "image/png", item.label) for item in pool.items))
    with pytest.raises(UsageError, match="images of the pool are not there"):
        METHOD.plan(PROBE, empty, parameters)
    wrong = Pool(tuple(PoolItem(encode_png(np.zeros((9, 9, 3), dtype=np.uint8))) for _ in pool.items))
    with pytest.raises(UsageError, match="not of the claim's size"):
        METHOD.plan(PROBE, wrong, {**parameters, "kind": "out"})


def test_every_figure_on_the_page_is_what_the_code_gives() -> None:
    page = Path(__file__).parents[2] / "docs" / "t2s.md"
    assert doctest.testfile(str(page), module_relative=False) == (0, 4)
    text = page.read_text(encoding="utf-8")
    for option in SPEC.options:
        assert f"| `--option {option.name}=` | {option.default} |".replace("pattern |", "`pattern` |") in text
    assert (
        f"to {100 * (DEFAULT.rehearsal_from + DEFAULT.ramp):.0f} % of the steps, to {DEFAULT.rehearsal_weight}" in text
    )
    assert f"for {DEFAULT.ages[0]} to {DEFAULT.ages[1]} ordinary steps" in text
    assert (DEFAULT.unrolled, DEFAULT.tuning, DEFAULT.hard, DEFAULT.rehearse_every) == (4, 1, 0.25, 4)
