"""What an expert of the other side reads for: no safeguard, number, date or rate is said to be more than it is."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import pytest

from forensics.evidence.chain import append
from forensics.evidence.custody import CUSTODY
from forensics.evidence.schema import Dated, Evidence
from forensics.report.fixation import describe_hands, stamped_before_scoring
from forensics.report.language import LANGUAGES, load_language
from forensics.report.registration import make_events
from forensics.report.render import lay_out, render_html
from forensics.report.reservations import Alternative
from forensics.report.view import Redaction, Report, make_report
from tests.report.cases import digest, make_details, make_evidence, token
from tests.report.conftest import MANIFEST
from tests.report.test_completeness import sections
from tests.report.test_languages import PLACE, entries
from tests.report.test_view import digest_of, make_claim

BEFORE, AFTER = "2026-04-11T15:02:35Z", "2026-04-11T16:20:10Z"
"""Times of a token before and after the scoring of the fixtures."""


def make(evidence: Evidence, code: str = "en", **given: Any) -> Report:
    details = given.pop("details", make_details())
    return make_report(evidence, details, manifest_sha256=MANIFEST, language=load_language(code), **given)


def stamped(moment: str, *, demonstration: bool = False, outcome: str | None = "SUPPORTED") -> Evidence:
    over = token(demonstration).model_copy(update={"gen_time": moment})
    return make_evidence(outcome, binding="timestamped", bits=16).revised(transcript_token=over)


def row(report: Report, explanation: str) -> Alternative:
    wanted = report.language(explanation)
    return next(one for one in report.alternatives if one.explanation == wanted)


def flat(text: str) -> str:
    """Text as `sections` gives it, with plain spaces."""
    return " ".join(text.split())


# Section 10


FIXED = (
    "The transcript’s head was time-stamped before the answers were scored: from then on they were fixed. Whoever "
    "scored held the secret all along."
)


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_live_repeat_speaks_to_invented_answers_and_not_to_a_leaked_key(code: str) -> None:
    report, say = make(stamped(BEFORE), code), load_language(code)
    invented, leaked = row(report, "Invented answers"), row(report, "A leaked key, or a planted mark")
    repeat = say(
        "Whoever held the scoring secret could have written answers that the suspect never gave. A live repeat by the "
        "other side tests it."
    )
    assert invented.safeguard == f"{repeat} {say(FIXED)}"
    assert invented.result == say("Not tested: the record holds no repeat by the other side.")
    assert leaked.result == say("Not tested: the finding would look the same.")
    assert say(FIXED) not in leaked.safeguard
    english = row(make(stamped(BEFORE)), "A leaked key, or a planted mark")
    assert "gives the same answers in a live repeat" in english.safeguard


@pytest.mark.parametrize("code", LANGUAGES)
def test_answers_are_called_fixed_only_by_a_time_stamp_before_the_scoring(code: str) -> None:
    say = load_language(code)
    cases = {
        "none": stamped(BEFORE).revised(transcript_token=None),
        "after": stamped(AFTER),
        "same second": stamped("2026-04-11T16:20:09Z"),
        "unreadable": stamped("yesterday"),
        "without a zone": stamped("2026-04-11T15:02:35"),
        "not scored": stamped(BEFORE, outcome=None),
    }
    for name, evidence in cases.items():
        assert not stamped_before_scoring(evidence), name
        assert say(FIXED) not in row(make(evidence, code), "Invented answers").safeguard, name
    shown = row(make(stamped(BEFORE, demonstration=True), code), "Invented answers").safeguard
    assert shown.endswith(f"{say(FIXED)} {say('The time stamp is a demonstration.')}")


# How often was examined


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_number_of_examinations_charged_is_printed_everywhere(code: str) -> None:
    evidence, say = make_evidence("SUPPORTED", binding="timestamped", bits=16), load_language(code)
    assert evidence.score is not None
    claim = make_claim("timestamped", 16)
    claim = claim.model_copy(update={"rule": claim.rule.model_copy(update={"examinations": 5})})
    verdict = evidence.score.verdict.model_copy(update={"examinations": 7})
    evidence = evidence.revised(
        claim=claim.model_dump(mode="json"),
        claim_digest=digest_of(claim),
        score=evidence.score.model_copy(update={"examinations": 7, "verdict": verdict}),
    )
    text = sections(make(evidence, code))
    charge = say(
        "%(charged)s charged: the larger of the %(allowed)s that the claim allows and the %(logged)s in the owner’s "
        "log, which the owner keeps",
        charged=7,
        allowed=5,
        logged=7,
    )
    assert charge.count("7") == 2
    for name in ("results", "robustness", "limitations"):
        assert flat(charge) in text[name], name
    times = {"en": "times 7 and 2²⁰", "de": "mal 7 und 2²⁰", "fr": "multiplié par 7 et 2²⁰"}
    assert times[code] in text["results"]
    assert "M = " not in text["robustness"]


def test_no_examination_beyond_the_log_is_said_to_be_counted() -> None:
    text = sections(make(make_evidence("SUPPORTED", bits=16)))["results"]
    assert "1 charged: the larger of the 1 that the claim allows and the 1 in the owner’s log" in text
    assert "one that the owner did not log is not in it" in text
    assert "every examination" not in text


# Dates


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_marked_model_is_recorded_and_not_released_before(code: str) -> None:
    evidence, say = make_evidence("SUPPORTED", binding="timestamped", bits=16), load_language(code)
    assert evidence.asset is not None
    asset = evidence.asset.model_copy(update={"token": token(False)})
    release = evidence.dates.release.model_copy(update={"value": "2026-02-10T11:00:00Z"})
    evidence = evidence.revised(asset=asset, dates=evidence.dates.model_copy(update={"release": release}))
    label = say("Marked %(marked)s recorded; released not before", marked=say.noun("model"))
    figure = make(evidence, code).figures["timeline"]
    labels = [one[0] for one in figure.table.rows]
    assert labels.count(label) == 1
    assert len(labels) == len(set(labels)) == 6
    authority = next(one[2] for one in figure.table.rows if one[0] == label)
    assert authority.endswith(say("token of %(authority)s", authority="Trusted Time Services AG"))
    tree = ElementTree.fromstring(figure.svg)
    drawn = " ".join(node.text or "" for node in tree.iter() if node.tag.endswith("text"))
    flat = " ".join(drawn.split())
    for name in labels:
        assert " ".join(name.split()) in flat, name
        assert name in figure.alt
    heights = [float(node.attrib["y"]) for node in tree.iter() if node.tag.endswith("text")]
    assert 9 < min(heights) < max(heights) < figure.height - 2
    full = {"en": "released", "de": "Freigabe", "fr": "diffus"}[code]
    assert [name for name in labels if full in name] == [label]


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_source_of_the_suspects_date_is_the_examiners_word(code: str) -> None:
    evidence, say = make_evidence("SUPPORTED", binding="timestamped", bits=16), load_language(code)
    text = "Exhibit K 9, as everybody knows"
    dates = evidence.dates.model_copy(update={"suspect": Dated(value="2026-03-18", source=text)})
    shown = say("as stated by the examiner: %(source)s", source=text)
    assert flat(shown) in sections(make(evidence.revised(dates=dates), code))["registration"]
    others = [one.source for one in make_events(evidence, say) if one.label != say("Earliest evidence of suspect")]
    assert not [source for source in others if source.startswith(shown.partition(text)[0])]
    unknown = evidence.dates.model_copy(update={"suspect": Dated(value=None, source="not stated")})
    assert flat(shown.partition(text)[0]) not in sections(make(evidence.revised(dates=unknown), code))["registration"]


# What can be repeated, and what a rate of error is


@pytest.mark.parametrize("opened", [True, False])
@pytest.mark.parametrize("redacted", [True, False])
def test_the_form_promises_a_repetition_only_where_one_is_possible(opened: bool, redacted: bool) -> None:
    american = make_details(court={"jurisdiction": "US, N.D. Cal."})
    report = make(make_evidence("SUPPORTED", bits=16, opened=opened), details=american)
    if redacted:
        report = replace(report, redaction=Redaction(sha256=digest("copy"), exhibits=()))
    text = sections(report)["certifications"]
    assert ("Anyone can repeat the computation from the record" in text) is (opened and not redacted)
    assert ("Others cannot repeat the computation yet: no share is opened" in text) is not opened
    assert ("from the complete record alone" in text) is (opened and redacted)
    assert ("lacks the recorded answers as well" in text) is (redacted and not opened)


@pytest.mark.parametrize("code", LANGUAGES)
def test_only_an_opened_share_lets_anyone_recompute(code: str) -> None:
    say = load_language(code)
    said = {
        opened: sections(make(make_evidence("SUPPORTED", bits=16, opened=opened), code))["method"]
        for opened in (True, False)
    }
    open_one = say(
        "Yes. The test’s law under H₀ is known exactly and can be recomputed by anyone from the opened share. Controls "
        "of this case: section 9."
    )
    closed = say(
        "Yes. The test’s law under H₀ is known exactly. No share is opened, so that only whoever holds the secret can "
        "recompute the result. Controls of this case: section 9."
    )
    for opened, text in said.items():
        assert (flat(open_one) in text) is opened
        assert (flat(closed) in text) is not opened


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_rate_of_error_is_by_chance_alone(code: str) -> None:
    text = sections(make(make_evidence("SUPPORTED", bits=16), code))
    words = {
        "en": "by chance alone, if no information from the key reached the answers; errors, leaks and plants are not",
        "de": "allein durch Zufall, wenn keine Information aus dem Schlüssel in die Antworten gelangte; Fehler,",
        "fr": "par le seul hasard, si aucune information issue de la clé n’est parvenue aux réponses",
    }[code]
    assert words in text["method"]
    assert words in text["errors"]


def test_a_negative_shows_no_independence() -> None:
    for outcome in ("SUPPORTED", "NOT_SUPPORTED", "INCONCLUSIVE", None):
        text = sections(make(make_evidence(outcome, bits=16)))["limitations"]
        assert "its absence does not show that they do not" in text
        assert "shows whether the answers depend" not in text


# Section 11: who could have shaped the answers


@pytest.mark.parametrize("code", LANGUAGES)
def test_what_no_time_stamp_fixed_is_a_limitation(code: str) -> None:
    say = load_language(code)
    none = say(
        "No time stamp over the transcript is recorded: nothing from outside shows when the answers were recorded, or "
        "that they were the same before they were scored."
    )
    shown = say(
        "The time stamp over the transcript is a demonstration: nothing from outside shows when the answers were "
        "recorded, or that they were the same before they were scored."
    )
    late = say(
        "The time stamp over the transcript does not lie before the scoring: nothing from outside shows that the "
        "answers were the same before they were scored."
    )
    cases = (
        (stamped(BEFORE).revised(transcript_token=None), none),
        (stamped(BEFORE, outcome=None).revised(transcript_token=None), none),
        (stamped(BEFORE, demonstration=True), shown),
        (stamped(AFTER), late),
        (stamped(BEFORE), ""),
        (stamped(BEFORE, outcome=None), ""),
    )
    for evidence, wanted in cases:
        found = make(evidence, code).limitations
        assert [one for one in (none, shown, late) if one in found] == [wanted][: bool(wanted)]


@pytest.mark.parametrize("code", LANGUAGES)
def test_controls_are_asked_by_whoever_scores(code: str) -> None:
    say = load_language(code)
    loose = say("The controls were asked by whoever scored, and nothing fixed their answers beforehand.")
    partly = say(
        "The controls were asked by whoever scored, and nothing fixed their answers beforehand, except for the models "
        "named in the claim, whose answers are in the transcript."
    )
    whole = make_evidence("SUPPORTED", bits=16)
    assert whole.score is not None
    named = [one for one in whole.score.controls if one.role == "predecessor"]
    only = whole.revised(score=whole.score.model_copy(update={"controls": named}))
    cases = (
        (whole, partly),
        (whole.revised(references=[]), loose),
        (only, ""),
        (make_evidence("SUPPORTED", bits=16, controls=False), ""),
        (make_evidence(None, bits=16), ""),
    )
    for evidence, wanted in cases:
        found = make(evidence, code).limitations
        assert [one for one in (loose, partly) if one in found] == [wanted][: bool(wanted)]


def custody(*entries: tuple[str, str]) -> dict[str, bytes]:
    raw = b""
    for action, actor in entries:
        body = {"actor": actor, "action": action, "item": "data/evidence.json", "sha256": digest("x"), "tool": "t"}
        raw = append(raw, body, datetime(2026, 4, 11, 15, 0, tzinfo=UTC))
    return {CUSTODY: raw}


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        (
            (("acquire", "Aster"), ("score", " ASTER ")),
            "Acquired and scored by the same hand, by the custody log: %(actor)s.",
        ),
        (
            (("acquire", "Aster"), ("score", "lab"), ("score", "Aster"), ("open", "lab")),
            "Acquired and scored by the same hand, by the custody log: %(actor)s.",
        ),
        (
            (("acquire", "Aster"), ("score", "Aster"), ("open", "Aster")),
            "Acquired, scored and opened by the same hand, by the custody log: %(actor)s.",
        ),
    ],
)
def test_one_hand_is_a_limitation_and_stands_beside_the_log(
    code: str, entries: tuple[tuple[str, str], ...], sentence: str
) -> None:
    report = make(stamped(BEFORE), code, files=custody(*entries))
    wanted = report.language(sentence, actor="Aster")
    assert wanted in report.limitations
    assert flat(wanted) in sections(report)["items"]


@pytest.mark.parametrize("code", LANGUAGES)
def test_two_hands_are_named_and_limit_nothing(code: str) -> None:
    files = custody(("acquire", "Institute"), ("score", "Aster"), ("open", "Institute"))
    report = make(stamped(BEFORE), code, files=files)
    wanted = report.language(
        "Acquired by %(first)s, scored by %(second)s, by the custody log; the names are as each gave them.",
        first="Institute",
        second="Aster",
    )
    assert flat(wanted) in sections(report)["items"]
    assert not [one for one in report.limitations if "Institute" in one or "Aster" in one]
    assert describe_hands({}, report.language) == ""
    assert describe_hands(custody(("acquire", "Aster")), report.language) == ""


# Words and pages


@pytest.mark.parametrize(
    ("code", "prejudicial"),
    [("de", r"[Vv]erdächt|[Vv]erdacht|[Bb]eschuldigt|Täter"), ("fr", r"[Ss]uspecte?s?\b|[Ss]oupçon|coupable")],
)
def test_what_is_examined_is_called_examined(code: str, prejudicial: str) -> None:
    """The usual terms of experts in German and French accuse nobody."""
    for _, found, _ in entries(code):
        for text in found:
            plain = re.sub(r"<code[^>]*>.*?</code>|" + PLACE.pattern, " ", text)
            assert not re.search(prejudicial, plain), text


@pytest.mark.parametrize("above", [10, 130, 150])
def test_section_8_does_not_leave_its_first_page_empty(above: int) -> None:
    """The section begins at different heights of a page; its numbers and its figure fill that page in each case."""
    report = make(make_evidence("SUPPORTED", bits=16))
    html = render_html(report)
    head = html[: html.index('<section class="cover')]
    body = html[html.index('<h2 id="results"') : html.index('<h2 id="errors"')]
    page = lay_out(report, f'{head}<div style="height: {above}mm"></div>{body}</body></html>').pages[0]
    content, lowest = [page._page_box.children[0]], 0.0
    while content:
        box = content.pop()
        content.extend(getattr(box, "children", ()))
        if type(box).__name__ in {"LineBox", "BlockReplacedBox", "TableCellBox"}:
            lowest = max(lowest, box.position_y + box.margin_height())
    millimetre = 96 / 25.4
    assert lowest / millimetre > 297 - 25 - 30
