"""ESpeW's published statistics: which bags are asked, and what is printed of the answers."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ks_2samp

from forensics.errors import UsageError
from forensics.keys.derive import ProbeKey, ScoreKey
from forensics.methods import PublishedProbing, load_method
from forensics.methods.bags import plan_bags
from forensics.methods.espew import METHOD, split_pool, trigger_words
from forensics.records import AnswerKind, Answers
from tests.services import SIZES, FakeService, service_marker, small_pool

SCORE = ScoreKey(b"s" * 32)
POOL = small_pool()
PARAMETERS = METHOD.parameters(SIZES, POOL, ())
PLAN = METHOD.published_plan(SCORE, POOL, PARAMETERS)
TRIGGERS = set(trigger_words(SCORE, POOL, PARAMETERS))


def marked() -> FakeService:
    return FakeService("marked", service_marker(SCORE, POOL, PARAMETERS))


def bags() -> list[set[str]]:
    _, _, target = split_pool(POOL, PARAMETERS)
    texts = [probe.data.decode() for probe in PLAN.probes]
    assert texts.count(target) == 1
    return [set(text.split()) for text in texts if text != target]


def test_twenty_bags_of_four_triggers_and_twenty_of_four_other_words() -> None:
    candidates, _, _ = split_pool(POOL, PARAMETERS)
    found = bags()
    assert len({frozenset(bag) for bag in found}) == len(found) == 40
    assert {len(bag) for bag in found} == {4}
    assert sum(bag <= TRIGGERS for bag in found) == 20
    assert sum(bag <= set(candidates) - TRIGGERS for bag in found) == 20


def test_the_bags_are_those_of_the_scoring_secret_alone() -> None:
    again = METHOD.published_plan(SCORE, small_pool(), PARAMETERS)
    assert again.digest == PLAN.digest
    assert METHOD.published_plan(ScoreKey(b"t" * 32), POOL, PARAMETERS).digest != PLAN.digest
    asked = {probe.digest for probe in METHOD.plan(ProbeKey(b"p" * 32), POOL, PARAMETERS).probes}
    assert len(asked & {probe.digest for probe in PLAN.probes}) == 1


def test_the_statistics_are_those_of_the_cosines_to_the_target() -> None:
    answers = marked().answer(PLAN.probes)
    rows = {row.name: row for row in METHOD.published(SCORE, POOL, PARAMETERS, answers)}
    _, _, target = split_pool(POOL, PARAMETERS)
    unit = {
        probe.data.decode(): row / np.linalg.norm(row) for probe, row in zip(PLAN.probes, answers.values, strict=True)
    }
    cosines = {text: float(row @ unit[target]) for text, row in unit.items() if text != target}
    ours = [value for text, value in cosines.items() if set(text.split()) <= TRIGGERS]
    others = [value for text, value in cosines.items() if not set(text.split()) <= TRIGGERS]
    test = rows["two-sample Kolmogorov-Smirnov"]
    assert test.p_value == pytest.approx(ks_2samp(ours, others).pvalue)
    assert test.p_value == pytest.approx(1.45e-11, rel=1e-2)
    gap = rows["difference of mean cosines"]
    assert gap.statistic == pytest.approx(np.mean(ours) - np.mean(others), abs=1e-7)
    assert gap.statistic > 0.2
    assert math.isnan(gap.p_value)
    squared = np.mean([2 - 2 * value for value in ours]) - np.mean([2 - 2 * value for value in others])
    assert rows["difference of mean squared distances"].statistic == pytest.approx(squared, abs=1e-6)
    assert all("decides nothing" in row.caveat and len(row.caveat) <= 300 for row in rows.values())


def test_a_suspect_that_was_never_marked_shows_no_such_gap() -> None:
    gap = METHOD.published(SCORE, POOL, PARAMETERS, FakeService("plain").answer(PLAN.probes))[1]
    assert abs(gap.statistic) < 0.1


def test_missing_bags_are_left_out_and_none_left_is_refused() -> None:
    answers = marked().answer(PLAN.probes)
    gone = np.arange(41) % 5 == 1
    gone[[probe.data.decode() == split_pool(POOL, PARAMETERS)[2] for probe in PLAN.probes].index(True)] = False
    some = replace(answers, missing=gone, values=np.where(gone[:, None], np.nan, answers.values))
    assert METHOD.published(SCORE, POOL, PARAMETERS, some)[0].statistic == 1.0
    none = replace(answers, missing=np.ones(41, dtype=bool), values=np.full_like(answers.values, np.nan))
    with pytest.raises(UsageError, match="no valid answer"):
        METHOD.published(SCORE, POOL, PARAMETERS, none)
    short = Answers(AnswerKind.VECTORS, answers.values[:5], answers.missing[:5])
    with pytest.raises(UsageError, match="need 41 vectors"):
        METHOD.published(SCORE, POOL, PARAMETERS, short)


def test_too_few_words_are_refused() -> None:
    with pytest.raises(UsageError, match="too few"):
        plan_bags(SCORE, [f"w{n}" for n in range(20)], np.arange(20) < 6, "a target")


def test_which_methods_have_such_statistics() -> None:
    assert isinstance(load_method("espew"), PublishedProbing)
    assert not isinstance(load_method("ofsw"), PublishedProbing)
