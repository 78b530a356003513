import dataclasses
import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.canonical import sha256
from forensics.errors import UsageError
from forensics.images import decode_image
from forensics.keys.derive import ProbeKey, ScoreKey
from forensics.methods.classes import class_columns
from forensics.methods.ofsw import (
    CLEAN,
    METHOD,
    calibrated,
    derive_kernels,
    derive_payload,
    derive_triggers,
    filtered_views,
    kernel_shape,
    weights,
)
from forensics.records import AnswerKind, Answers, Pool
from forensics.rules import draft_rule

LABELS = ("a", "b", "c", "d")
PROBE = ProbeKey(hashlib.sha256(b"probe").digest())
SCORE = ScoreKey(hashlib.sha256(b"score").digest())
RULE = draft_rule(METHOD.spec, 16).model_dump()


@pytest.fixture(scope="module")
def parameters(digits_pool: Pool) -> dict:
    return METHOD.parameters({"bits": 16, "banks": 3}, digits_pool, LABELS)


def _marked(pool: Pool, parameters: dict, strength: float, noise: float = 0.0, invert: bool = False) -> Answers:
    """Logits whose log-odds of the true label are mean + strength * M b in every bank."""
    kernels, bits = derive_kernels(PROBE, parameters), derive_payload(SCORE, parameters)
    truth = [pool.items[index].label for index in derive_triggers(PROBE, pool, parameters)]
    signs = (2 * bits - 1) * (-1 if invert else 1)
    rng, rows = np.random.default_rng(1), []
    for bank, label in enumerate(truth):
        for odds in 0.7 + strength * kernels[bank] @ signs:
            row = rng.normal(scale=noise, size=len(LABELS)) if noise else np.zeros(len(LABELS))
            row[label] = odds + np.log(np.exp(np.delete(row, label)).sum())
            rows.append(row)
    values = np.array(rows)
    return Answers(AnswerKind.LOGITS, values, np.zeros(len(values), dtype=np.bool_), LABELS)


def _noise(n: int, seed: int = 9) -> Answers:
    values = np.random.default_rng(seed).normal(size=(n, len(LABELS)))
    return Answers(AnswerKind.LOGITS, values, np.zeros(n, dtype=np.bool_), LABELS)


def _measure(pool: Pool, parameters: dict, answers: Answers, clean: Answers | None = None):
    reading = METHOD.read(PROBE, pool, parameters, LABELS, answers, {CLEAN: clean or _noise(answers.n)})
    return METHOD.measure(SCORE, parameters, reading, RULE)


def test_marked_answers_decode_exactly(digits_pool: Pool, parameters: dict) -> None:
    measurement = _measure(digits_pool, parameters, _marked(digits_pool, parameters, 1.0))
    assert measurement.matched >= 14  # centring and calibration each take one of 16 dimensions
    assert measurement.p_value < 3e-3
    assert measurement.statistic == "matched-bits"


def test_inverted_answers_never_support(digits_pool: Pool, parameters: dict) -> None:
    measurement = _measure(digits_pool, parameters, _marked(digits_pool, parameters, 1.0, invert=True))
    assert measurement.matched <= 2
    assert measurement.p_value > 0.999


def test_a_constant_added_to_the_log_odds_changes_nothing(digits_pool: Pool, parameters: dict) -> None:
    kernels = derive_kernels(PROBE, parameters)
    values = np.random.default_rng(0).normal(size=(3, 16))
    once, _ = weights(kernels, values)
    shifted, _ = weights(kernels, 3.0 * values + 5.0)
    assert np.allclose(once, shifted)


def test_probabilities_and_logits_agree(digits_pool: Pool, parameters: dict) -> None:
    logits = _marked(digits_pool, parameters, 0.8, noise=0.3)
    shares = np.exp(logits.values) / np.exp(logits.values).sum(axis=1, keepdims=True)
    clean = _noise(logits.n)
    given_shares = dataclasses.replace(logits, kind=AnswerKind.PROBABILITIES, values=shares)
    given_logs = dataclasses.replace(logits, kind=AnswerKind.LOG_PROBABILITIES, values=np.log(shares))
    expected = _measure(digits_pool, parameters, logits, clean).items
    assert np.allclose(_measure(digits_pool, parameters, given_shares, clean).items, expected, atol=1e-6)
    assert np.allclose(_measure(digits_pool, parameters, given_logs, clean).items, expected, atol=1e-6)


def test_labels_only_are_read_too(digits_pool: Pool, parameters: dict) -> None:
    logits = _marked(digits_pool, parameters, 3.0, noise=0.5)
    labels = dataclasses.replace(logits, kind=AnswerKind.LABELS, values=np.argmax(logits.values, axis=1))
    measurement = _measure(digits_pool, parameters, labels)
    assert measurement.statistic == "matched-bits-labels"
    assert measurement.matched >= 12


def test_permuted_label_names_are_mapped_back(digits_pool: Pool, parameters: dict) -> None:
    logits, order = _marked(digits_pool, parameters, 1.0, noise=0.3), [2, 0, 3, 1]
    renamed = dataclasses.replace(logits, values=logits.values[:, order], labels=tuple(LABELS[i] for i in order))
    mapped = _measure(digits_pool, parameters, renamed).items
    assert mapped == pytest.approx(_measure(digits_pool, parameters, logits).items, abs=1e-12)


@pytest.mark.parametrize("form", ["{}", "LABEL_{}"])
def test_numbered_labels_are_mapped_by_their_number(form: str) -> None:
    names = tuple(f"label {number}" for number in range(12))
    theirs = tuple(sorted(form.format(number) for number in range(12)))
    answers = Answers(AnswerKind.LOGITS, np.zeros((1, 12)), np.zeros(1, dtype=bool), theirs)
    assert [theirs[column] for column in class_columns(answers, names)] == [form.format(i) for i in range(12)]


@pytest.mark.parametrize("theirs", [("chat", "chien", "oiseau"), ("oiseau", "chat", "chien")])
def test_foreign_names_in_the_models_own_order_are_taken_by_position(theirs: tuple[str, ...]) -> None:
    answers = Answers(AnswerKind.LOGITS, np.zeros((1, 3)), np.zeros(1, dtype=bool), theirs)
    assert class_columns(answers, ("cat", "dog", "bird")).tolist() == [0, 1, 2]


def test_another_number_of_labels_is_refused(digits_pool: Pool, parameters: dict) -> None:
    with pytest.raises(UsageError, match="has 2 labels; the claim has 4"):
        _measure(digits_pool, parameters, Answers(AnswerKind.LOGITS, np.zeros((48, 2)), np.zeros(48, bool), ("x", "y")))


def test_feature_vectors_are_refused(digits_pool: Pool, parameters: dict) -> None:
    with pytest.raises(UsageError, match="feature vectors"):
        _measure(digits_pool, parameters, Answers(AnswerKind.VECTORS, np.zeros((48, 4)), np.zeros(48, bool)))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 47), st.integers(0, 2**16))
def test_missing_views_are_means_and_never_hits(digits_pool: Pool, first: int, seed: int) -> None:
    parameters = METHOD.parameters({"bits": 16, "banks": 3}, digits_pool, LABELS)
    answers = _noise(48, seed)
    missing = np.zeros(48, dtype=np.bool_)
    missing[first:] = True
    values = answers.values.copy()
    values[missing] = np.nan
    measurement = _measure(digits_pool, parameters, dataclasses.replace(answers, values=values, missing=missing))
    assert measurement.missing_share == pytest.approx(missing.mean())
    assert np.isfinite(measurement.items).all()


def test_calibration_removes_the_natural_direction() -> None:
    rng = np.random.default_rng(0)
    raw, natural = rng.normal(size=16), rng.normal(size=16)
    assert abs(calibrated(raw, natural) @ natural) < 1e-9
    assert np.array_equal(calibrated(raw, np.zeros(16)), raw)
    assert np.allclose(calibrated(3.0 * natural, natural), 0.0)


def test_kernels_are_orthonormal_and_differ_by_bank(parameters: dict) -> None:
    kernels = derive_kernels(PROBE, parameters)
    assert kernels.shape == (3, 16, 16)
    assert np.allclose(kernels @ kernels.transpose(0, 2, 1), np.eye(16), atol=1e-12)
    assert not np.allclose(kernels[0], kernels[1])


def test_views_match_a_direct_convolution(digits_pool: Pool, parameters: dict) -> None:
    image = decode_image(digits_pool.items[0].data)
    kernels = derive_kernels(PROBE, parameters)[0]
    views = filtered_views(image, kernels, parameters)
    centred = image[:, :, 0].astype(float) - np.rint(image.mean())
    padded = np.pad(centred, ((2, 1), (2, 1)), mode="reflect")
    kernel = np.rint(kernels[5] * 1024).reshape(4, 4)
    response = np.array([[(padded[y : y + 4, x : x + 4] * kernel).sum() for x in range(16)] for y in range(16)])
    expected = 128 + 64 * (response - response.mean()) / response.std()
    assert np.abs(views[5, :, :, 0] - np.clip(expected, 0, 255)).max() <= 0.5 + 1e-6


def test_views_are_the_same_on_every_platform(digits_pool: Pool, parameters: dict) -> None:
    plan = METHOD.plan(PROBE, digits_pool, parameters)
    assert len(plan.probes) == 48
    assert (
        sha256(b"".join(probe.data for probe in plan.probes))
        == "daa4b77b532972409db5547a3f65a8733e79438f79e43fa419adfac17ed6dcb8"
    )


def test_a_flat_trigger_gives_flat_views(parameters: dict) -> None:
    flat = np.full((16, 16, 1), 200, dtype=np.uint8)
    assert np.all(filtered_views(flat, derive_kernels(PROBE, parameters)[0], parameters) == 128)


@pytest.mark.parametrize(("bits", "shape"), [(32, (4, 8)), (64, (8, 8)), (128, (8, 16)), (256, (16, 16))])
def test_kernel_area_is_the_number_of_bits(bits: int, shape: tuple[int, int]) -> None:
    assert kernel_shape(bits) == shape


@pytest.mark.parametrize("bits", [1, 67])
def test_odd_lengths_are_refused(bits: int) -> None:
    with pytest.raises(UsageError, match="bits"):
        kernel_shape(bits)


def test_pool_that_does_not_suit_is_refused(digits_pool: Pool) -> None:
    with pytest.raises(UsageError, match="fewer than 17 banks"):
        METHOD.parameters({"bits": 16, "banks": 17}, digits_pool, LABELS)
    with pytest.raises(UsageError, match="does not fit"):
        METHOD.parameters({"bits": 256, "banks": 1}, digits_pool, LABELS)
    with pytest.raises(UsageError, match="no label"):
        METHOD.parameters({"bits": 16, "banks": 1}, digits_pool, LABELS[:2])
