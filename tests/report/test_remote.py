"""The report of a suspect behind an API: what was recorded of it, and what that cannot show."""

from typing import Any

import pytest

from forensics.report.render import render_html
from forensics.report.view import make_report
from tests.report.cases import (
    HOSTILE,
    REMOTE_FACTS,
    digest,
    identity,
    make_details,
    make_evidence,
    make_transcript,
    make_word_evidence,
)
from tests.report.test_view import visible

EVENTS: list[dict[str, Any]] = [
    {"event": "start"},
    *({"event": "sent", "first": place} for place in range(15)),
    *({"event": "received", "first": place} for place in range(14)),
    {"event": "failure", "first": 3, "reason": "status 503"},
    {"event": "resume", "answered": 64},
    {"event": "constancy", "first": 0, "count": 64, "differing": 2, "tolerance": "0.0001"},
    {"event": "token", "head": "0", "attempts": 15, "token": ""},
    {"event": "end"},
]


def shown(**choices: Any) -> tuple[Any, str]:
    evidence, files = make_word_evidence(n=60, chosen=10, **choices)
    report = make_report(evidence, make_details(), manifest_sha256=digest("manifest"), files=files)
    return report, visible(render_html(report))


def test_endpoint_window_certificate_and_attempts_are_printed() -> None:
    report, text = shown(transcript=make_transcript(EVENTS))
    rows = {row.label: row.value for row in report.exhibits.suspect.rows}
    assert rows["Protocol"] == "openai"
    assert rows["Endpoint"] == "https://api.example.net/v1"
    assert rows["Model asked for"] == "boreal-embed-2"
    assert rows["Option dimensions"] == "256"
    assert rows["First request sent"] == "11\u00a0April 2026, 14:58:02\u00a0UTC"
    assert rows["Certificate shown, SHA-256"] == REMOTE_FACTS["certificate SHA-256"]
    assert rows["Model named in the answers"] == "boreal-embed-2-2026-03"
    assert rows["Attempts that gave no answer"] == "1"
    assert "over the description of the endpoint, not over the model" in text


def test_an_answer_under_another_name_is_remarked_once() -> None:
    _, text = shown()
    assert text.count("The answers name another model than the one asked for.") == 1
    for facts in ({**REMOTE_FACTS, "model stated": "boreal-embed-2"}, {"url": REMOTE_FACTS["url"]}):
        _, text = shown(facts=facts)
        assert "name another model" not in text


def test_the_transcript_is_counted() -> None:
    report, _ = shown(transcript=make_transcript(EVENTS))
    rows = {row.label: row.value for row in report.exhibits.acquisition}
    assert rows["Requests sent, repeats included"] == "15"
    assert rows["Answers received"] == "14"
    assert rows["Attempts that gave no answer"] == "1"
    assert rows["Interruptions"] == "1"
    assert rows["Time stamps within the transcript"] == "1"
    assert rows["First questions asked again"] == "2 of 64 answers differed by more than 0.0001."
    assert rows["Kind of answer"] == "vectors, 256 numbers each"


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"event": "constancy", "count": 64, "differing": None, "reason": "status 500"}, "Not answered: status 500."),
        ({"event": "constancy"}, "Not answered: no reason is recorded."),
        ({"event": "end"}, "No; whether the suspect stayed the same is not known."),
    ],
)
def test_a_suspect_that_was_not_asked_again_is_said_so(event: dict[str, Any], said: str) -> None:
    report, _ = shown(transcript=make_transcript([{"event": "start"}, event]))
    rows = {row.label: row.value for row in report.exhibits.acquisition}
    assert rows["First questions asked again"] == said


def test_a_transcript_that_is_not_the_recorded_one_is_not_counted() -> None:
    evidence, files = make_word_evidence(n=60, chosen=10, transcript=make_transcript(EVENTS))
    forged = {**files, "data/transcript.jsonl": make_transcript(EVENTS[:4])}
    report = make_report(evidence, make_details(), manifest_sha256=digest("manifest"), files=forged)
    rows = {row.label: row.value for row in report.exhibits.acquisition}
    assert "nothing of it is counted" in rows["Transcript"]
    assert "Requests sent, repeats included" not in rows
    broken = make_transcript(EVENTS).replace(b"status 503", b"status 200")
    assert b"status 200" in broken
    report = make_report(
        evidence, make_details(), manifest_sha256=digest("manifest"), files={**files, "data/transcript.jsonl": broken}
    )
    rows = {row.label: row.value for row in report.exhibits.acquisition}
    assert rows["Transcript"].startswith("It cannot be counted")


@pytest.mark.parametrize("outcome", ["SUPPORTED", None])
def test_what_a_remote_examination_cannot_show_is_a_limitation(outcome: str | None) -> None:
    report, text = shown(outcome=outcome)
    limits = " ".join(report.limitations)
    assert "who operates the endpoint, which weights answered" in limits
    assert "HTTP messages" in limits
    assert "which weights answered is not shown" in text
    assert "the endpoint must still serve the same model" in text


@pytest.mark.parametrize("kind", ["folder", "onnx", "replay"])
def test_local_suspects_carry_none_of_it(kind: str) -> None:
    evidence = make_evidence("SUPPORTED").revised(suspect=identity("model", kind=kind))
    report = make_report(evidence, make_details(), manifest_sha256=digest("manifest"))
    text = visible(render_html(report))
    assert not report.exhibits.suspect.remote
    assert "endpoint" not in " ".join(report.limitations)
    assert "facts come from the model’s own files" in text


def test_a_replay_of_a_remote_suspect_keeps_its_limits() -> None:
    report, _ = shown(kind="replay", facts={**REMOTE_FACTS, "replayed from": "openai"})
    assert report.exhibits.suspect.remote
    assert "who operates the endpoint" in " ".join(report.limitations)


def test_hostile_facts_stay_text() -> None:
    facts = {HOSTILE: HOSTILE * 9, "url": HOSTILE, "model stated": HOSTILE * 40, "asked from": HOSTILE}
    evidence, files = make_word_evidence(n=60, chosen=10, facts=facts, suspect=HOSTILE, kind=HOSTILE)
    html = render_html(make_report(evidence, make_details(), manifest_sha256=digest("manifest"), files=files))
    assert "<script" not in html
    assert "\u202e" not in html
    assert len(html) < 400_000
