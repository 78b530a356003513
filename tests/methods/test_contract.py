"""One contract for every method, ours or a plug-in's."""

import hashlib

import numpy as np
import pytest

from forensics.keys.derive import ProbeKey, ScoreKey
from forensics.methods import load_method, method_names
from forensics.records import AnswerKind, Answers, Pool
from forensics.rules import draft_rule

LABELS = ("a", "b", "c", "d")
OPTIONS = {"ofsw": {"bits": 16, "banks": 2}}


def _probe_key(number: int) -> ProbeKey:
    return ProbeKey(hashlib.sha256(b"probe %d" % number).digest())


def _score_key(number: int) -> ScoreKey:
    return ScoreKey(hashlib.sha256(b"score %d" % number).digest())


def _answers(n: int, seed: int) -> Answers:
    values = np.random.default_rng(seed).normal(size=(n, len(LABELS)))
    return Answers(AnswerKind.LOGITS, values, np.zeros(n, dtype=np.bool_), LABELS)


@pytest.fixture(params=method_names())
def setup(request: pytest.FixtureRequest, digits_pool: Pool):
    method = load_method(request.param)
    parameters = method.parameters(OPTIONS.get(request.param, {}), digits_pool, LABELS)
    rule = draft_rule(method.spec, method.items(parameters)).model_dump()
    return method, parameters, digits_pool, rule


def test_plan_depends_on_the_probe_secret_alone(setup) -> None:
    method, parameters, pool, _ = setup
    first, second = (method.plan(_probe_key(1), pool, parameters) for _ in range(2))
    assert first.digest == second.digest
    assert [probe.data for probe in first.probes] == [probe.data for probe in second.probes]
    assert method.plan(_probe_key(2), pool, parameters).digest != first.digest
    assert "score_key" not in method.plan.__annotations__
    assert "score_key" not in method.read.__annotations__


def test_parameters_are_canonical(setup) -> None:
    from forensics.canonical import canonical_json

    assert canonical_json(setup[1])


def test_every_access_level_has_one_deciding_statistic(setup) -> None:
    spec = setup[0].spec
    assert spec.deciding
    assert len(set(spec.deciding.values())) == len(spec.deciding)
    assert spec.null
    assert spec.assumptions
    assert spec.ties
    assert spec.missing


@pytest.mark.parametrize("fill", [0.0, 5.0, np.nan, np.inf])
def test_constant_or_absent_answers_never_match_by_themselves(setup, fill: float) -> None:
    method, parameters, pool, rule = setup
    n = len(method.plan(_probe_key(1), pool, parameters).probes)
    values = np.full((n, len(LABELS)), fill)
    missing = np.full(n, not np.isfinite(fill))
    answers = Answers(AnswerKind.LOGITS, values, missing, LABELS)
    references = {role: _answers(n, 1) for role in method.spec.references}
    reading = method.read(_probe_key(1), pool, parameters, LABELS, answers, references)
    measurement = method.measure(_score_key(1), parameters, reading, rule)
    assert np.isfinite(reading.scores).all()
    assert measurement.p_value == 1.0
    assert measurement.matched == 0


def test_reading_is_deterministic_and_sized(setup) -> None:
    method, parameters, pool, _ = setup
    n = len(method.plan(_probe_key(1), pool, parameters).probes)
    references = {role: _answers(n, 1) for role in method.spec.references}
    once, twice = (method.read(_probe_key(1), pool, parameters, LABELS, _answers(n, 2), references) for _ in range(2))
    assert np.array_equal(once.scores, twice.scores)
    assert len(once.scores) == method.items(parameters)


def test_size_over_fresh_scoring_secrets(setup) -> None:
    from forensics.statistics import allowed_rejections

    method, parameters, pool, rule = setup
    n = len(method.plan(_probe_key(1), pool, parameters).probes)
    references = {role: _answers(n, 1) for role in method.spec.references}
    readings = [method.read(_probe_key(key), pool, parameters, LABELS, _answers(n, 2), references) for key in range(10)]
    p = np.array([method.measure(_score_key(key), parameters, readings[key % 10], rule).p_value for key in range(1000)])
    for alpha in (0.05, 0.01, 0.001):
        assert (p <= alpha).sum() <= allowed_rejections(1000, alpha, 3)
