"""One contract for every method, ours or a plug-in's."""

import dataclasses
import hashlib

import numpy as np
import pytest

from forensics.errors import UsageError
from forensics.images import encode_png
from forensics.keys.derive import ProbeKey, ScoreKey
from forensics.methods import load_method, method_names
from forensics.passes import asked_probes
from forensics.records import AnswerKind, Answers, Pool, PoolItem
from forensics.rules import draft_rule
from tests.clusters import SIZES as CLUSTERS
from tests.clusters import pattern_pool, phrase_pool
from tests.languagemodels import SIZES as LANGUAGE
from tests.languagemodels import passage_pool
from tests.services import SIZES, small_pool
from tests.textclassifiers import text_pool

OPTIONS = {
    "ofsw": {"bits": 16, "banks": 2},
    "ofsw-text": LANGUAGE,
    "espew": SIZES,
    "ksl": {"families": 16},
    "ksl-text": {"families": 16},
    "t2s": {"carriers": 4},
    "tmrw": CLUSTERS,
    "wpe": CLUSTERS,
}
POOLS = {"words": small_pool, "phrases": phrase_pool, "patterns": pattern_pool, "passages": passage_pool}
"""Pools of the methods whose items have no labels."""


def labelled_pool() -> Pool:
    """Eighty 8 x 8 grey images with labels 0 to 3, for methods that need more than a few."""
    images = np.random.default_rng(4).integers(0, 256, (80, 8, 8, 1), dtype=np.uint8)
    return Pool(tuple(PoolItem(encode_png(image), "image/png", index % 4) for index, image in enumerate(images)))


LABELLED = {"ksl": labelled_pool, "ksl-text": lambda: text_pool(60), "t2s": labelled_pool}

KINDS = {
    "labelled images": AnswerKind.LOGITS,
    "labelled texts": AnswerKind.LOGITS,
    "passages": AnswerKind.LOG_PROBABILITIES,
}
"""What a method reads, by what its pools are made of; vectors where nothing is said."""


def _probe_key(number: int) -> ProbeKey:
    return ProbeKey(hashlib.sha256(b"probe %d" % number).digest())


def _score_key(number: int) -> ScoreKey:
    return ScoreKey(hashlib.sha256(b"score %d" % number).digest())


class Setup:
    """A method with a small pool, and answers of the kind that it reads."""

    def __init__(self, name: str, digits_pool: Pool) -> None:
        self.method = load_method(name)
        make = POOLS.get(self.method.spec.pool)
        self.pool = make() if make else LABELLED.get(name, lambda: digits_pool)()
        self.labels = () if make else ("a", "b", "c", "d")
        self.kind = KINDS.get(self.method.spec.pool, AnswerKind.VECTORS)
        self.width = 1 if self.kind is AnswerKind.LOG_PROBABILITIES else len(self.labels) or 8
        self.parameters = self.method.parameters(OPTIONS.get(name, {}), self.pool, self.labels)
        self.rule = draft_rule(self.method.spec, self.method.items(self.parameters)).model_dump()
        self.plan = self.method.plan(_probe_key(1), self.pool, self.parameters)
        self.size = len(self.plan.probes)

    def values(self, seed: int) -> np.ndarray:
        return np.random.default_rng(seed).normal(size=(self.size, self.width))

    def answers(self, values: np.ndarray, missing: np.ndarray | None = None) -> Answers:
        gone = np.zeros(self.size, dtype=np.bool_) if missing is None else missing
        return Answers(self.kind, np.where(gone[:, None], np.nan, values), gone, self.labels)

    def read(self, answers: Answers, key: int = 1):
        references = {role: self.answers(self.values(1)) for role in self.method.spec.references}
        return self.method.read(_probe_key(key), self.pool, self.parameters, self.labels, answers, references)

    def measure(self, reading, key: int = 1):
        return self.method.measure(_score_key(key), self.parameters, reading, self.rule)


@pytest.fixture(params=method_names())
def setup(request: pytest.FixtureRequest, digits_pool: Pool) -> Setup:
    return Setup(request.param, digits_pool)


def test_plan_depends_on_the_probe_secret_alone(setup: Setup) -> None:
    method = setup.method
    first, second = (method.plan(_probe_key(1), setup.pool, setup.parameters) for _ in range(2))
    assert first.digest == second.digest
    assert first.batch_size == second.batch_size
    assert [probe.data for probe in first.probes] == [probe.data for probe in second.probes]
    assert method.plan(_probe_key(2), setup.pool, setup.parameters).digest != first.digest
    assert "score_key" not in method.plan.__annotations__
    assert "score_key" not in method.read.__annotations__


def test_two_scoring_secrets_share_one_plan(setup: Setup) -> None:
    """Using one scoring secret or another in between leaves no trace in what is asked and read."""
    plans, readings = [], []
    for key in (1, 2):
        reading = setup.read(setup.answers(setup.values(3)))
        setup.measure(reading, key)
        plans.append(setup.method.plan(_probe_key(1), setup.pool, setup.parameters))
        readings.append(reading.scores.tolist())
    assert plans[0] == plans[1]
    assert readings[0] == readings[1]
    targets = {setup.measure(setup.read(setup.answers(setup.values(3))), key).target for key in range(4)}
    assert len(targets) == 4


def test_parameters_are_canonical(setup: Setup) -> None:
    from forensics.canonical import canonical_json

    assert canonical_json(setup.parameters)


def test_every_access_level_has_one_deciding_statistic(setup: Setup) -> None:
    spec = setup.method.spec
    assert spec.deciding
    assert len(set(spec.deciding.values())) == len(spec.deciding)
    assert spec.null
    assert spec.assumptions
    assert spec.ties
    assert spec.missing


@pytest.mark.parametrize("fill", [0.0, 5.0, np.nan, np.inf])
def test_constant_or_absent_answers_never_match_by_themselves(setup: Setup, fill: float) -> None:
    values = np.full(setup.values(1).shape, fill)
    reading = setup.read(Answers(setup.kind, values, np.full(setup.size, not np.isfinite(fill)), setup.labels))
    measurement = setup.measure(reading)
    assert np.isfinite(reading.scores).all()
    assert measurement.p_value == 1.0
    assert measurement.matched == 0
    assert measurement.effect.upper_99 >= float(setup.rule["minimum_effect"])  # inconclusive, not "not supported"


def test_a_reading_opposed_to_the_key_never_supports(setup: Setup) -> None:
    reading = setup.read(setup.answers(setup.values(2)))
    target = np.array(setup.measure(reading).target)
    # A family's scores are those of its classes; elsewhere a unit has one score, whose sign is drawn or which is.
    drawn = np.eye(len(setup.labels))[target] if reading.scores.ndim == 2 else 2.0 * target - 1.0
    for sign in (1.0, -1.0):
        pushed = type(reading)(reading.access, reading.statistic, sign * drawn, reading.missing, reading.missing_share)
        # A score whose sign is arbitrary is opposed by none that separates the arms.
        for_the_claim = sign > 0 or setup.method.spec.two_sided
        assert (setup.measure(pushed).p_value < 1e-4) is for_the_claim
        assert (setup.measure(pushed).p_value > 0.99) is not for_the_claim


def test_reading_is_deterministic_and_sized(setup: Setup) -> None:
    once, twice = (setup.read(setup.answers(setup.values(2))) for _ in range(2))
    assert np.array_equal(once.scores, twice.scores)
    assert len(once.scores) == len(once.missing) == setup.method.items(setup.parameters)


@pytest.mark.parametrize("count", [0, 1])
def test_answers_to_another_plan_are_refused(setup: Setup, count: int) -> None:
    given = setup.answers(setup.values(2))
    short = dataclasses.replace(given, values=given.values[:count], missing=given.missing[:count])
    with pytest.raises(UsageError):
        setup.read(short)


def test_missing_answers_are_counted(setup: Setup) -> None:
    gone = np.zeros(setup.size, dtype=np.bool_)
    gone[:: max(1, setup.size // 10)] = True
    answers = setup.answers(setup.values(2), gone)
    reading = setup.read(answers)
    assert np.isfinite(reading.scores).all()
    assert reading.missing_share >= gone[asked_probes(setup.plan, answers)].mean() - 1e-12 > 0.0


def test_size_over_fresh_scoring_secrets(setup: Setup) -> None:
    from forensics.statistics import allowed_rejections

    readings = [setup.read(setup.answers(setup.values(2)), key) for key in range(10)]
    p = np.array([setup.measure(readings[key % 10], key).p_value for key in range(1000)])
    for alpha in (0.05, 0.01, 0.001):
        assert (p <= alpha).sum() <= allowed_rejections(1000, alpha, 3)
