"""What evidence records in English is put into the language of a report, or quoted as English."""

import ast
import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from forensics import verdict
from forensics.keys.claim import ReferenceRule, Rule
from forensics.methods.protocol import load_method
from forensics.records import Effect, Measurement
from forensics.report.conclusion import conclude
from forensics.report.language import load_language
from forensics.report.recorded import REASONS, forms, known, recorded, sourced
from tests.report.cases import HOSTILE, make_claim, make_evidence
from tests.report.test_languages import FOREIGN, METHODS, make


def measurement(**changes: Any) -> Measurement:
    effect = Effect(name="AUC", value=0.8, low=0.7, high=0.9, upper_99=0.92, chance=0.5)
    base: dict[str, Any] = {
        "test": "bits",
        "statistic": "matched-bits",
        "access": "scores",
        "null": "n",
        "n": 128,
        "matched": 100,
        "value": 100.0,
        "p_value": 1e-20,
        "log10_p": -20.0,
        "effect": effect,
        "bayes_factor_log10": None,
        "power": 0.9,
        "missing_share": 0.0,
        "items": (),
        "target": (),
    }
    return Measurement(**{**base, **changes})


def rule(**changes: Any) -> Rule:
    return make_claim().rule.model_copy(update=changes)


def moment(day: int) -> verdict.Period:
    return verdict.parse_moment(f"2026-03-{day:02d}")


def every_reason() -> Iterator[str]:
    """Reasons of verdicts over a grid of what decides."""
    low = Effect(name="AUC", value=0.51, low=0.4, high=0.6, upper_99=0.62, chance=0.5)
    wide = replace(low, upper_99=0.9)
    measured = [
        measurement(),
        measurement(effect=low, p_value=0.4),
        measurement(effect=wide, p_value=2e-5, missing_share=0.2),
        measurement(p_value=1e-8),
        measurement(missing_share=float("nan")),
        measurement(test="ranks", n=8, p_value=1e-8, context={"classes": 10.0}),
    ]
    dates = [
        verdict.ClaimDates(),
        verdict.ClaimDates(token=moment(9), release=moment(5), suspect=moment(5)),
        verdict.ClaimDates(token=moment(2), release=moment(2), suspect=moment(1)),
        verdict.ClaimDates(token=moment(2), release=moment(9), suspect=moment(9), answers=moment(5)),
    ]
    good, bad = (0.5, 0.5), (1e-9, 0.79)
    for found, when in itertools.product(measured, dates):
        for step, binding in enumerate(("timestamped", "demonstration", "self-dated", "self-dated")):
            yield from verdict.decide(
                found,
                rule(grinding=(20, 10)[step % 2], references=ReferenceRule(minimum=3, margin="0.1")),
                binding=binding,
                opened=(True, False, None)[step % 3],
                dates=when,
                examinations=1 + step,
                references=([], [good], [bad] * 3, [good] * 3)[step],
                uncounted=([good], [], [], [])[step],
                replayed=(None, False, True)[step % 3],
                owner_undisputed=step == 3,
                positive=(None, 0.5)[step % 2],
                predecessor=(None, 1e-20)[step % 2],
            ).reasons
    for references, chosen in (
        ([], rule()),
        ([good], rule()),
        ([], rule(alpha="1e-3", missing_allowed="0.25", references=ReferenceRule(minimum=1, margin="0.1"))),
    ):
        yield from verdict.decide(
            measurement(),
            chosen,
            binding="timestamped",
            opened=True,
            dates=dates[0],
            examinations=1,
            references=references,
            replayed=True,
        ).reasons


@pytest.mark.parametrize("code", FOREIGN)
def test_every_reason_of_a_verdict_is_translated(code: str) -> None:
    say = load_language(code)
    reasons = set(every_reason())
    assert not [reason for reason in reasons if known(reason, say) is None]
    assert not [reason for reason in reasons if "lang=" in str(known(reason, say))]
    # A gate that was not run is named behind its reason.
    reasons |= {re.sub(r" \(gate G\d was not run\)$", "", reason) for reason in reasons}
    patterns = {message: pattern for message, pattern in forms() if message in REASONS}
    assert not [message for message, pattern in patterns.items() if not any(map(pattern.fullmatch, reasons))]


def test_no_reason_in_the_code_is_unknown_to_the_table() -> None:
    """Every fixed text of the functions that give reasons occurs in a form, also where the grid does not lead."""
    source = ast.parse(Path(verdict.__file__).read_text(encoding="utf-8"))
    whole = " | ".join(message for message, _ in forms()).replace("%%", "%")
    ignored = {id(part) for node in ast.walk(source) if isinstance(node, ast.Raise) for part in ast.walk(node)}
    for node in ast.walk(source):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and ast.get_docstring(node):
            ignored.add(id(node.body[0].value))  # type: ignore[attr-defined]
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            ignored.add(id(node.value))
    texts = [
        node.value
        for node in ast.walk(source)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in ignored
    ]
    gave = [text for text in texts if re.search(r"[a-z]{3,} [a-z]{2,}", text) and not text.startswith("Write it")]
    assert len(gave) > 25
    for text in gave:
        for part in re.split(r"\{\}|marked (?:model|service)|[A-Z]?\d+", text):
            assert part.strip(" ,.()%") in whole, text


@pytest.mark.parametrize("code", FOREIGN)
@pytest.mark.parametrize("method", METHODS)
def test_what_a_described_method_states_is_translated(code: str, method: str) -> None:
    spec, say = load_method(method).spec, load_language(code)
    stated = [spec.null, spec.ties, spec.missing, spec.effect_name, *spec.deciding, *spec.deciding.values()]
    assert not [text for text in stated if known(text, say) is None]


def test_an_unknown_sentence_is_quoted_and_marked_as_english() -> None:
    say = load_language("de")
    assert recorded("the moon is <b>full</b>", say) == '<span lang="en">„the moon is &lt;b&gt;full&lt;/b&gt;“</span>'
    assert recorded("the moon is full", load_language("en")) == "the moon is full"
    assert sourced("release page, Exhibit <K 4>", say) == "release page, Exhibit <K 4>"
    assert sourced("clock of the examining machine", say) == "Uhr des untersuchenden Rechners"


@pytest.mark.parametrize("code", FOREIGN)
def test_hostile_records_stay_text(code: str) -> None:
    evidence = make_evidence("INCONCLUSIVE", bits=32, suspect=HOSTILE, owner=HOSTILE)
    assert evidence.score is not None
    score = evidence.score
    found = score.measurement.model_copy(
        update={
            "null": HOSTILE,
            "statistic": HOSTILE,
            "effect": score.measurement.effect.model_copy(update={"name": HOSTILE}),
        }
    )
    said = score.verdict.model_copy(update={"reasons": [HOSTILE, f"{HOSTILE} is unknown"]})
    evidence = evidence.revised(score=score.model_copy(update={"measurement": found, "verdict": said}))
    report, html = make(evidence, code)
    assert "<script>" not in html
    assert '<img src="file' not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "&lt;span" not in html
    assert "{{ 7*7 }}" in unescape(html)
    assert 'lang="en">' in report.conclusion
    head = html[: html.index("</head>")]
    assert "<span" not in head


def test_the_reason_in_the_conclusion_is_translated_and_its_numbers_too() -> None:
    evidence = make_evidence("INCONCLUSIVE", bits=32)
    assert evidence.score is not None
    charge = "after the charge for 1 examination and 1,048,576 undisclosed attempts"
    reason = f"{charge} the chance is 0.0123, above one in a thousand"
    said = evidence.score.verdict.model_copy(update={"reasons": [reason]})
    evidence = evidence.revised(score=evidence.score.model_copy(update={"verdict": said}))
    german = conclude(evidence, make_claim(), load_language("de"))
    assert "1\u202f048\u202f576 verschwiegene Versuche beträgt die Wahrscheinlichkeit 0,0123" in german
    assert reason in conclude(evidence, make_claim())
