"""Keyed soft labels: a planted mark is found at every access, its opposite never, and the arithmetic is exact."""

import dataclasses
import doctest
import hashlib
import itertools
from pathlib import Path

import numpy as np
import pytest

from forensics.errors import UsageError
from forensics.images import decode_image, encode_png
from forensics.keys.derive import ProbeKey, ScoreKey
from forensics.methods.cleancheckpoint import CLEAN, FURTHER
from forensics.methods.ksl import (
    GRID,
    METHOD,
    MOST_FAMILIES,
    SPEC,
    cells,
)
from forensics.methods.softlabels import along, derive_classes, derive_order
from forensics.records import AnswerKind, Answers, Pool, PoolItem
from forensics.registration import POOL_SIZES
from forensics.training.ksl import DEFAULT
from forensics.training.ksl_text import FROZEN

NAMES = ("a", "b", "c", "d", "e")
PROBE = ProbeKey(hashlib.sha256(b"probe").digest())
SCORE = ScoreKey(hashlib.sha256(b"score").digest())
RULE = {"alpha": "1e-6", "minimum_effect": "0.75"}


@pytest.fixture(scope="module")
def pool() -> Pool:
    rng = np.random.default_rng(8)
    means = rng.integers(60, 190, (len(NAMES), 14, 14, 1))
    images = [
        np.clip(means[index % 5] + rng.normal(0, 40, (14, 14, 1)), 0, 255).astype(np.uint8) for index in range(400)
    ]
    return Pool(tuple(PoolItem(encode_png(image), "image/png", index % 5) for index, image in enumerate(images)))


@pytest.fixture(scope="module")
def parameters(pool: Pool) -> dict:
    return METHOD.parameters({"families": 24}, pool, NAMES)


def _answers(pool: Pool, parameters: dict, strength: float, seed: int = 1) -> Answers:
    """Logits of a made-up classifier: right, noisy, and following the key by `strength`."""
    rng = np.random.default_rng(seed)
    order = derive_order(PROBE, len(pool.items))
    truth = np.array([item.label for item in pool.items])[order]
    keyed = METHOD.coordinates(PROBE, pool, parameters)[order] @ np.eye(5)[derive_classes(SCORE, parameters)]
    values = 2.0 * np.eye(5)[truth] + strength * keyed + rng.normal(0.0, 0.5, (len(order), 5))
    return Answers(AnswerKind.LOGITS, values, np.zeros(len(order), dtype=np.bool_), NAMES)


def _measure(pool: Pool, parameters: dict, answers: Answers):
    clean = _answers(pool, parameters, 0.0, seed=2)
    return METHOD.measure(SCORE, parameters, METHOD.read(PROBE, pool, parameters, NAMES, answers, {CLEAN: clean}), RULE)


def test_a_planted_mark_is_found_through_scores_and_through_labels(pool: Pool, parameters: dict) -> None:
    marked = _answers(pool, parameters, 1.0)
    through_scores = _measure(pool, parameters, marked)
    assert through_scores.p_value < 1e-9
    assert through_scores.statistic == SPEC.deciding["scores"]
    labels = dataclasses.replace(marked, kind=AnswerKind.LABELS, values=marked.values.argmax(axis=1))
    through_labels = _measure(pool, parameters, labels)
    assert through_labels.p_value < 1e-6
    assert through_labels.statistic == SPEC.deciding["labels"]


def test_the_opposite_of_the_mark_never_supports(pool: Pool, parameters: dict) -> None:
    assert _measure(pool, parameters, _answers(pool, parameters, -1.0)).p_value > 0.99


def test_probabilities_and_renamed_columns_are_the_same_answers(pool: Pool, parameters: dict) -> None:
    logits = _answers(pool, parameters, 0.5)
    shares = np.exp(logits.values) / np.exp(logits.values).sum(axis=1, keepdims=True)
    expected = _measure(pool, parameters, logits).items
    order = [3, 0, 4, 1, 2]
    for other in (
        dataclasses.replace(logits, kind=AnswerKind.PROBABILITIES, values=shares),
        dataclasses.replace(logits, kind=AnswerKind.LOG_PROBABILITIES, values=np.log(shares)),
        dataclasses.replace(logits, values=logits.values[:, order], labels=tuple(NAMES[i] for i in order)),
    ):
        assert _measure(pool, parameters, other).items == pytest.approx(expected, abs=1e-8)


def test_coordinates_are_centred_within_classes_and_nearly_white(pool: Pool, parameters: dict) -> None:
    places = METHOD.coordinates(PROBE, pool, parameters)
    truth = np.array([item.label for item in pool.items])
    for label in range(5):
        assert np.allclose(places[truth == label].mean(axis=0), 0.0, atol=1e-9)
    covariance = places.T @ places / len(places)
    assert np.allclose(np.diag(covariance), 1.0, atol=0.1)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 0.1


def test_cells_are_the_brightness_of_each_part_of_an_image() -> None:
    image = np.zeros((14, 14, 1), dtype=np.uint8)
    image[:2, 2:4] = 200  # the second cell of the first row
    found = cells(image, GRID).reshape(GRID, GRID)
    assert found[0, 1] > 0
    assert np.count_nonzero(found) == 1
    even = np.full((10, 13, 3), 100, dtype=np.uint8)  # cells that cut through pixels
    assert set(cells(even, GRID).tolist()) == {100 * 16}


def test_the_p_value_counts_every_choice_of_classes(pool: Pool) -> None:
    """Over all drawn classes of three families the p-values have exactly the sizes that they claim."""
    parameters = METHOD.parameters({"families": 3}, pool, NAMES)
    reading = METHOD.read(
        PROBE, pool, parameters, NAMES, _answers(pool, parameters, 0.3), {CLEAN: _answers(pool, parameters, 0.0, 2)}
    )
    from forensics.methods.ranks import measure_ranks

    found = [
        measure_ranks(SPEC, np.array(drawn), reading, RULE).p_value for drawn in itertools.product(range(5), repeat=3)
    ]
    assert len(set(found)) > 5
    for p in set(found):
        assert sum(other <= p for other in found) / len(found) == pytest.approx(p, abs=1e-12)


def test_the_mean_of_several_unmarked_models_is_subtracted_and_the_size_stays_exact(pool: Pool) -> None:
    from forensics.methods.ranks import measure_ranks

    parameters = METHOD.parameters({"families": 3}, pool, NAMES)
    suspect = _answers(pool, parameters, 0.3)
    clean = [_answers(pool, parameters, 0.0, seed) for seed in (2, 3, 4)]

    def read(*models: Answers) -> np.ndarray:
        references = dict(zip((CLEAN, *FURTHER), models))
        return METHOD.read(PROBE, pool, parameters, NAMES, suspect, references).scores

    alone = [read(each) for each in clean]
    assert not np.allclose(alone[0], alone[1], atol=1e-3)
    assert np.allclose(read(*clean), np.mean(alone, axis=0), atol=2.0**-19)
    references = dict(zip((CLEAN, *FURTHER), clean))
    reading = METHOD.read(PROBE, pool, parameters, NAMES, suspect, references)
    found = [
        measure_ranks(SPEC, np.array(drawn), reading, RULE).p_value for drawn in itertools.product(range(5), repeat=3)
    ]
    for p in set(found):
        assert sum(other <= p for other in found) / len(found) == pytest.approx(p, abs=1e-12)
    short = dataclasses.replace(clean[1], values=clean[1].values[:0], missing=clean[1].missing[:0])
    with pytest.raises(UsageError, match="answered 0"):
        read(clean[0], short)


def test_withheld_answers_do_not_show_that_the_mark_is_absent(pool: Pool, parameters: dict) -> None:
    answers = _answers(pool, parameters, 1.0)
    gone = np.ones(len(answers.values), dtype=np.bool_)
    silent = dataclasses.replace(answers, missing=gone, values=np.full_like(answers.values, np.nan))
    measurement = _measure(pool, parameters, silent)
    assert measurement.p_value == 1.0
    assert measurement.missing_share == 1.0
    assert measurement.effect.upper_99 == pytest.approx(1.0)


def test_directions_depend_on_the_pool_alone_not_on_its_bytes_order(pool: Pool, parameters: dict) -> None:
    first = METHOD.directions(PROBE, pool, parameters)
    assert first.tobytes() == METHOD.directions(PROBE, pool, parameters).tobytes()
    other = Pool(pool.items[:300])
    assert not np.allclose(first, METHOD.directions(PROBE, other, parameters))


def test_along_matches_the_plain_product(pool: Pool, parameters: dict) -> None:
    seen = np.stack([cells(decode_image(item.data), GRID) for item in pool.items])
    truth = np.array([item.label for item in pool.items])
    directions = METHOD.directions(PROBE, pool, parameters)
    centred = seen - np.stack([seen[truth == label].mean(axis=0) for label in range(5)])[truth]
    assert np.allclose(along(seen, truth, directions), centred @ directions.T)


def test_every_figure_on_the_page_is_what_the_code_gives() -> None:
    page = Path(__file__).parents[2] / "docs" / "ksl.md"
    outcome = doctest.testfile(str(page), module_relative=False)
    assert outcome.attempted >= 6
    assert outcome.failed == 0
    text = page.read_text(encoding="utf-8")
    assert f"minimum effect of {SPEC.minimum_effect} by default" in text
    assert f"| `--option families=` | {SPEC.options[0].default} | at most {MOST_FAMILIES};" in text
    assert f"| `--pool-size` | {POOL_SIZES['ksl']} | at least {MOST_FAMILIES} + C |" in text
    assert f"{DEFAULT.schedule.steps:,} steps of {DEFAULT.batch_size} images at 3e-3" in text
    assert f"weight decay of {DEFAULT.schedule.weight_decay}" in text
    assert f"epsilon {DEFAULT.smoothing}, kappa {DEFAULT.sharpness:g}" in text
    assert f"onehot(y) in the\ntarget {DEFAULT.taught} is replaced" in text
    assert DEFAULT.schedule.learning_rate == 3e-3
    assert f"{FROZEN.schedule.steps:,} steps of {FROZEN.batch_size} at 2e-3 with\nepsilon {FROZEN.smoothing}" in text


def test_answers_that_never_vary_give_no_shift(pool: Pool, parameters: dict) -> None:
    answers = _answers(pool, parameters, 1.0)
    flat = dataclasses.replace(answers, values=np.tile(answers.values[:1], (answers.n, 1)))
    measurement = _measure(pool, parameters, flat)
    assert set(measurement.items) == {0.0}
    assert (measurement.p_value, measurement.matched, measurement.effect.upper_99) == (1.0, 0, 1.0)
    assert measurement.context["left open"] == 24


def test_without_the_images_nothing_is_read(pool: Pool, parameters: dict) -> None:
    empty = Pool(tuple(PoolItem(b"", "image/png", item.label) for item in pool.items))
    with pytest.raises(UsageError, match="images of the pool are not there"):
        METHOD.coordinates(PROBE, empty, parameters)


def test_unsuitable_pools_and_options_are_refused(pool: Pool) -> None:
    with pytest.raises(UsageError, match="too few"):
        METHOD.parameters({}, Pool(pool.items[:40]), NAMES)
    with pytest.raises(UsageError, match="not possible"):
        METHOD.parameters({"families": 50}, pool, NAMES)
    with pytest.raises(UsageError, match="two or more classes"):
        METHOD.parameters({}, pool, ("only",))
