import dataclasses

import pytest

from forensics.errors import CaseError, UsageError
from forensics.evidence import comparison
from forensics.evidence import reproduce as module
from forensics.evidence.case import TOKENS, CaseFolder
from forensics.evidence.reproduce import (
    Reproduction,
    judge,
    measure_evidence,
    read_answers,
    read_pool,
    reproduce,
)
from forensics.evidence.results import decode_measurement
from forensics.evidence.schema import AnswersRecord, Evidence
from forensics.keys.claim import Claim
from forensics.keys.opening import Opened, verify_opening
from tests.evidence.conftest import Line


def parts(line: Line) -> tuple[Claim, Evidence, Opened, dict[str, bytes]]:
    case = CaseFolder.load(line.opened)
    files, evidence = case.files(), case.evidence
    claim = Claim.parse(files["data/claim/claim.json"])
    assert evidence.share is not None
    tokens = [files[name] for name in TOKENS if name in files]
    return claim, evidence, verify_opening(claim, tokens, evidence.share.model_dump()), files


def rerun(line: Line, **changes) -> Reproduction:
    claim, evidence, opened, files = parts(line)
    return reproduce(claim, evidence.model_copy(update=changes), opened, files)


def test_an_honest_case_is_reproduced_with_its_probes(line: Line) -> None:
    found = rerun(line)
    assert found.agrees
    assert found.differences == ()
    assert found.rebuilt
    assert found.compared > 100
    assert found.verdict is not None
    assert found.measurement.n == 32


def test_without_the_pool_files_the_numbers_are_still_reproduced(line: Line) -> None:
    claim, evidence, opened, files = parts(line)
    found = reproduce(claim, evidence, opened, {name: raw for name, raw in files.items() if "/pool/" not in name})
    assert found.agrees
    assert not found.rebuilt


def test_a_case_without_score_is_measured_only(line: Line) -> None:
    found = rerun(line, score=None)
    assert found.agrees
    assert found.verdict is None


def test_measuring_evidence_is_what_scoring_did(line: Line) -> None:
    _, evidence, opened, files = parts(line)
    assert evidence.share is not None
    assert evidence.score is not None
    pool, complete = read_pool(evidence.share, files)
    assert complete
    measured = measure_evidence(evidence, pool, opened.probe_key, opened.score_key)
    assert measured == decode_measurement(evidence.score.measurement)


def measurement(line: Line, **changes) -> dict:
    score = parts(line)[1].score
    assert score is not None
    return {"score": score.model_copy(update={"measurement": score.measurement.model_copy(update=changes)})}


@pytest.mark.parametrize("factor", [1 + 1e-6, 1 - 1e-6, 2.0, 0.0])
@pytest.mark.parametrize("field", ["p_value", "log10_p", "power"])
def test_reals_are_compared_to_a_billionth(line: Line, field: str, factor: float) -> None:
    score = parts(line)[1].score
    assert score is not None
    value = float(getattr(score.measurement, field))
    assert not rerun(line, **measurement(line, **{field: repr(value * factor)})).agrees
    assert rerun(line, **measurement(line, **{field: repr(value * (1 + 1e-12))})).agrees


def test_items_are_compared_on_the_scale_of_their_list(line: Line) -> None:
    score = parts(line)[1].score
    assert score is not None
    assert score.measurement.items is not None
    items = [float(text) for text in score.measurement.items]
    scale = max(map(abs, items))
    for step, agrees in ((1e-12, True), (1e-7, False)):
        moved = [repr(items[0] + step * scale), *score.measurement.items[1:]]
        assert rerun(line, **measurement(line, items=moved)).agrees is agrees


@pytest.mark.parametrize(("field", "value"), [("matched", 3), ("n", 17), ("statistic", "x"), ("target", [1])])
def test_whole_numbers_and_words_are_compared_exactly(line: Line, field: str, value: object) -> None:
    found = rerun(line, **measurement(line, **{field: value}))
    assert not found.agrees
    assert any(field in difference for difference in found.differences)


def test_large_whole_numbers_are_not_rounded(line: Line) -> None:
    score = parts(line)[1].score
    assert score is not None
    verdict = score.verdict.model_copy(update={"n_star": str(10**30 + 1)})
    assert not rerun(line, score=score.model_copy(update={"verdict": verdict})).agrees
    assert not comparison._close(str(10**30), str(10**30 + 1), 0.0)


def test_words_that_are_no_numbers_are_never_close() -> None:
    for text in ("nan", "inf", "1_0", " 1.0", "0x1", "", "1e999"):
        assert not comparison._close(text, "1.0", 0.0)
        assert not comparison._close("1.0", text, 0.0)


def test_probes_of_another_pool_are_noticed(line: Line) -> None:
    claim, evidence, opened, files = parts(line)
    other = dataclasses.replace(opened, probe_key=opened.score_key)
    found = reproduce(claim, evidence, other, files)
    assert not found.agrees
    assert any("plan digest" in difference for difference in found.differences)


def test_an_unopened_case_cannot_be_reproduced(line: Line) -> None:
    with pytest.raises(CaseError, match="No share"):
        rerun(line, share=None)


def test_a_pool_file_must_be_the_committed_one(line: Line) -> None:
    _, evidence, _, files = parts(line)
    assert evidence.share is not None
    name = "data/opened/share-0/pool/0003.png"
    with pytest.raises(CaseError, match="not the one"):
        read_pool(evidence.share, {**files, name: files[name] + b"x"})
    del files[name]
    pool, complete = read_pool(evidence.share, files)
    assert not complete
    assert [item.label for item in pool.items] == [item.label for item in line.key.pool().items]


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"media_type": "image/gif", "sha256": "", "label": 1},
        {"media_type": "image/png", "sha256": "", "label": True},
    ],
)
def test_odd_pool_entries_are_refused(line: Line, entry: dict) -> None:
    share = parts(line)[1].share
    assert share is not None
    with pytest.raises(CaseError, match="malformed"):
        read_pool(share.model_copy(update={"pool": [entry]}), {})


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "guesses", "labels": [], "resolution": "0.0", "values": [["1.0"]]},
        {"kind": "logits", "labels": ["a"], "resolution": "0.0", "values": [["x"]]},
        {"kind": "logits", "labels": ["a"], "resolution": "fine", "values": [["1.0"]]},
        {"kind": "logits", "labels": ["a"], "resolution": "0.0", "values": [3]},
        {"kind": "labels", "labels": ["a"], "resolution": "0.0", "values": [["1.0"]]},
        {"kind": "labels", "labels": ["a"], "resolution": "0.0", "values": [2**70]},
    ],
)
def test_odd_answers_are_refused_in_words(body: dict) -> None:
    with pytest.raises(CaseError, match="cannot be read"):
        read_answers(AnswersRecord.model_validate(body))


def test_an_absurd_table_is_refused_before_it_is_allocated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CELL_LIMIT", 99)
    body = {"kind": "logits", "labels": ["a"] * 10, "resolution": "0.0", "values": [None] * 10}
    with pytest.raises(CaseError, match="too large"):
        read_answers(AnswersRecord.model_validate(body))


def test_a_label_is_one_number_however_many_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CELL_LIMIT", 99)
    body = {"kind": "labels", "labels": ["a"] * 10, "resolution": "0.0", "values": [3] * 99}
    assert read_answers(AnswersRecord.model_validate(body)).values.tolist() == [3] * 99
    with pytest.raises(CaseError, match="too large"):
        read_answers(AnswersRecord.model_validate({**body, "values": [3] * 100}))


def test_answers_of_another_task_are_refused(line: Line) -> None:
    answers = parts(line)[1].answers
    with pytest.raises(UsageError):
        rerun(line, answers=answers.model_copy(update={"labels": [*answers.labels, "five"]}))


def test_controls_enter_the_verdict(line: Line) -> None:
    claim, evidence, _, _ = parts(line)
    assert evidence.score is not None
    found = decode_measurement(evidence.score.measurement)
    control = evidence.score.controls[0]
    assert control.role == "reference"
    harmless = control.model_copy(update={"role": "predecessor"})
    responding = control.model_copy(update={"role": "reference", "p_value": "1e-9", "effect": "1.0"})
    outcomes = [
        judge(
            claim,
            evidence.dates,
            found,
            controls,
            evidence,
            opened=True,
            replayed=True,
            examinations=1,
            owner_undisputed=False,
        ).gates["G3"]
        for controls in ([harmless], [responding])
    ]
    assert outcomes == [None, False]


@pytest.mark.parametrize(
    "change",
    [{"alpha": "1e-999999999"}, {"minimum_effect": "1e999999999"}, {"missing_allowed": "0" * 50}, {"n": 1 << 40}],
)
def test_numbers_that_no_rule_would_hold_are_refused_at_once(line: Line, change: dict) -> None:
    claim, evidence, opened, files = parts(line)
    absurd = claim.model_copy(update={"rule": claim.rule.model_copy(update=change)})
    with pytest.raises(CaseError, match="no rule would"):
        reproduce(absurd, evidence, opened, files)
