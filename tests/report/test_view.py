"""The view model and its pages as HTML: every section, every absence a sentence, no claim beyond the evidence."""

import re
from typing import Any

import pytest

from forensics.errors import CaseError
from forensics.evidence.schema import Dated, Evidence
from forensics.keys.claim import Claim
from forensics.report.conclusion import conclude
from forensics.report.details import Details
from forensics.report.findings import passing_limit
from forensics.report.render import render_html
from forensics.report.view import Report, SignatureFacts, make_report
from tests.report.cases import HOSTILE, digest, make_claim, make_details, make_evidence

MANIFEST = digest("manifest")

HEADINGS = (
    "Summary for the court",
    "Instructions and questions",
    "Examiner and declaration",
    "Items and chain of custody",
    "Proof of prior registration",
    "Propositions",
    "Method",
    "Results",
    "Error rates and calibration",
    "Robustness and alternative explanations",
    "Limitations",
    "Conclusion and scale",
    "Reproduce and verify",
    "Tools, environment and signature",
    "Certifications",
    "Glossary",
    "Annexes",
)

OUTCOMES = ("SUPPORTED", "NOT_SUPPORTED", "INCONCLUSIVE", "INVALID_CLAIM", None)

BANNED = re.compile(r"\b(identical to|certainly|zero error|proves theft|stolen|stole|thief|guilty)\b", re.IGNORECASE)


def make(evidence: Evidence, details: Details | None = None, **given: Any) -> Report:
    return make_report(evidence, details or make_details(), manifest_sha256=MANIFEST, **given)


def digest_of(claim: Claim) -> str:
    return Claim.model_validate(claim.model_dump(mode="json")).digest


def visible(html: str) -> str:
    """The text of a page without style, tags and doubled spaces."""
    body = html[html.index("<body") :]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("binding", ["timestamped", "demonstration", "self-dated"])
@pytest.mark.parametrize("opened", [True, False])
def test_every_variant_has_every_section_in_order(outcome: str | None, binding: str, opened: bool) -> None:
    html = render_html(make(make_evidence(outcome, binding=binding, opened=opened, bits=32)))
    found = re.findall(r'<h2[^>]*><span class="no">(\d+)</span>([^<]+)</h2>', html)
    assert [(int(number), title) for number, title in found] == list(enumerate(HEADINGS, 1))
    assert not BANNED.search(visible(html))
    assert "{{" not in html
    assert "None" not in visible(html)


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (
            "SUPPORTED",
            "support the claim that information from the key of Aster Analytics GmbH reached the suspect model: 121 of",
        ),
        ("NOT_SUPPORTED", "do not support the claim"),
        ("INCONCLUSIVE", "the answers leave open the claim"),
        ("INVALID_CLAIM", "The claim is not valid, because the marked model was released before"),
        (None, "they have not been scored"),
    ],
)
def test_conclusions_say_what_the_verdict_says(outcome: str | None, words: str) -> None:
    report = make(make_evidence(outcome))
    assert words.casefold() in report.conclusion.casefold()
    html = visible(render_html(report))
    # Cover, summary and section 12 carry the same sentence.
    assert html.casefold().count(words.casefold()) >= 3


def test_not_supported_is_no_evidence_of_independence() -> None:
    assert "no evidence of independence" in make(make_evidence("NOT_SUPPORTED")).conclusion


def test_gates_that_were_not_run_are_in_the_conclusion() -> None:
    report = make(make_evidence("INCONCLUSIVE"))
    assert "not run: G3 (independent reference models)" in report.conclusion


def test_undisputed_owner_is_repeated_for_a_self_dated_key() -> None:
    evidence = make_evidence("SUPPORTED", binding="self-dated")
    assert evidence.score is not None
    agreed = evidence.revised(score=evidence.score.model_copy(update={"owner_undisputed": True}))
    claim = make_claim("self-dated")
    assert "not in dispute" in conclude(agreed, claim)


def test_cover_and_summary_never_go_below_one_in_a_million() -> None:
    html = render_html(make(make_evidence("SUPPORTED")))
    front = visible(html[: html.index('id="instructions"')])
    assert "fewer than one in a million" in front
    assert "10⁻" not in front
    assert "×" not in front


def test_no_words_of_strength_without_a_validation() -> None:
    html = visible(render_html(make(make_evidence("SUPPORTED"))))
    assert "No verbal scale of evidential strength is applied" in html
    assert not re.search(r"(very|extremely|moderately) strong", html)


@pytest.mark.parametrize(
    ("binding", "flag"),
    [("timestamped", "Time-stamped key"), ("demonstration", "DEMONSTRATION"), ("self-dated", "SELF-DATED KEY")],
)
def test_binding_stands_on_the_cover_and_in_the_running_header(binding: str, flag: str) -> None:
    html = render_html(make(make_evidence("SUPPORTED", binding=binding)))
    header = html[html.index('<header class="running">') : html.index("</header>")]
    cover = html[html.index('<section class="cover') : html.index("</section>")]
    assert flag in header
    assert flag in cover
    if binding != "timestamped":
        assert f'<p class="mark">{flag.split()[0].split(":")[0]}' in cover


def test_draft_names_what_is_missing_and_final_does_not(facts: SignatureFacts) -> None:
    draft = make(make_evidence("SUPPORTED"), Details())
    html = render_html(draft)
    assert draft.draft
    assert draft.flags.startswith("DRAFT")
    assert "figure:draft.svg" in html
    assert "<code>examiner.name</code>" in html
    assert "No examiner declaration was supplied." in html
    final = make(make_evidence("SUPPORTED"), signature=facts)
    html = render_html(final)
    assert not final.draft
    assert "figure:draft.svg" not in html
    assert "DRAFT" not in visible(html)
    assert "FINAL" in html


def test_absent_details_are_sentences() -> None:
    html = visible(render_html(make(make_evidence(None, opened=False, controls=False), Details())))
    for sentence in (
        "No court was named.",
        "No questions were supplied.",
        "No qualifications were supplied.",
        "No technical reviewer was named.",
        "No statement on AI assistance was supplied.",
        "No statement on storage was supplied.",
        "Nothing was scored",
        "No control or reference model was scored in this case.",
        "No share has been opened",
        "No validation study was named.",
        "This document is not signed.",
    ):
        assert sentence in html, sentence


def test_signature_facts_are_printed_and_a_demonstration_is_loud(facts: SignatureFacts) -> None:
    html = render_html(make(make_evidence("SUPPORTED"), signature=facts))
    assert facts.subject in html
    assert facts.fingerprint[:16] in html
    assert "NOT TRUSTED" not in html
    from dataclasses import replace

    html = render_html(make(make_evidence("SUPPORTED"), signature=replace(facts, demonstration=True)))
    cover = html[html.index('<section class="cover') : html.index("</section>")]
    header = html[html.index('<header class="running">') : html.index("</header>")]
    assert "DEMONSTRATION SIGNATURE: NOT TRUSTED" in cover
    assert "DEMONSTRATION SIGNATURE: NOT TRUSTED" in header


def test_sealed_case_has_no_figure_of_bits_and_says_why() -> None:
    report = make(make_evidence("SUPPORTED", opened=False))
    assert set(report.figures) == {"timeline", "null"}
    html = visible(render_html(report))
    assert "sealed until a share is opened" in html
    assert "no figure of single bits is printed" in html
    assert "No share is opened" in report.limitations[1]


def test_items_that_contradict_the_count_are_not_drawn() -> None:
    evidence = make_evidence("SUPPORTED")
    assert evidence.score is not None
    wrong = evidence.score.measurement.model_copy(update={"matched": 120})
    report = make(evidence.revised(score=evidence.score.model_copy(update={"measurement": wrong})))
    assert "bits" not in report.figures
    assert "do not give the recorded count" in report.figure_notes["single"]


def test_other_tests_than_counts_are_not_drawn_as_counts() -> None:
    evidence = make_evidence("SUPPORTED")
    assert evidence.score is not None
    subset = evidence.score.measurement.model_copy(update={"test": "subset"})
    report = make(evidence.revised(score=evidence.score.model_copy(update={"measurement": subset})))
    assert set(report.figures) == {"timeline"}
    assert "coin toss that only" not in render_html(report)


def test_limitations_are_those_of_the_case() -> None:
    bare = make(make_evidence("SUPPORTED", binding="self-dated", controls=False, released=None, missing="0.05"))
    text = " ".join(bare.limitations)
    assert bare.limitations[0].startswith("The key is self-dated")
    assert "Not known: the date of the key’s commitment, of the release of the marked model." in text
    assert "5.0\u202f% of the answers are missing" in text
    assert "No independent reference model was scored." in text
    full = " ".join(make(make_evidence("SUPPORTED", binding="timestamped")).limitations)
    assert "self-dated" not in full
    assert "Not known" not in full
    assert "missing" not in full


def _order(report: Report) -> tuple[str, str]:
    assert report.results is not None
    row = next(one.result for one in report.alternatives if one.explanation.startswith("A key made after"))
    return row, next(gate.text for gate in report.results.gates if gate.name == "G1")


def test_an_unknown_date_is_not_taken_for_an_order_that_was_shown() -> None:
    whole = make_evidence("SUPPORTED", binding="timestamped")
    shown, gate = _order(make(whole))
    assert shown == "G1: passed. The key is time-stamped."
    assert "Not shown" not in gate
    unknown = whole.dates.model_copy(update={"suspect": Dated(value=None, source="unknown")})
    wanted = (
        "Not shown: the date of the earliest evidence of the suspect is unknown; G1 says only that no known date "
        "contradicts it."
    )
    shown, gate = _order(make(whole.revised(dates=unknown)))
    assert shown.startswith(wanted)
    assert "passed" not in shown
    assert gate.endswith(wanted)
    shown, _ = _order(make(make_evidence("SUPPORTED", binding="timestamped", released=None)))
    assert shown.startswith("Not shown: the date of the release of the marked model is unknown;")


def test_dates_that_overlap_show_no_order() -> None:
    whole = make_evidence("SUPPORTED", binding="timestamped")
    assert whole.score is not None
    said = [*whole.score.verdict.reasons, "the dates do not show whether the release lies before the suspect"]
    verdict = whole.score.verdict.model_copy(update={"reasons": said})
    shown, _ = _order(make(whole.revised(score=whole.score.model_copy(update={"verdict": verdict}))))
    assert shown.startswith("Not shown: the dates do not show whether the release lies before the suspect; G1 says")


def test_a_gate_that_failed_or_was_not_run_is_said_to_have() -> None:
    evidence = make_evidence("SUPPORTED", binding="self-dated", released=None)
    assert evidence.score is not None
    for state, said in ((False, "G1: failed."), (None, "G1: not run.")):
        gates = {**evidence.score.verdict.gates, "G1": state}
        verdict = evidence.score.verdict.model_copy(update={"gates": gates})
        shown, gate = _order(make(evidence.revised(score=evidence.score.model_copy(update={"verdict": verdict}))))
        assert shown.startswith(said)
        assert "Not shown" not in gate


def test_the_glossary_explains_what_the_case_uses() -> None:
    html = render_html(make(make_evidence("SUPPORTED")))
    assert '<th scope="row">Bayes factor</th>' in html
    assert '<th scope="row">AUC</th>' not in html
    assert '<th scope="row">Gate, G1 to G5</th>' in html


def test_hostile_text_is_escaped_everywhere() -> None:
    evidence = make_evidence(
        "SUPPORTED", suspect=HOSTILE, owner=HOSTILE, facts={HOSTILE: HOSTILE}, labels=[HOSTILE] * 5, bits=32
    )
    html = render_html(make(evidence, make_details(report={"number": HOSTILE}, examiner={"name": HOSTILE})))
    assert "<script" not in html
    assert '<img src="file' not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "\u202e" not in html
    assert "\u0000" not in html
    assert "49" not in re.findall(r"\{\{ 7\*7 \}\}|>49<", html)


def test_long_lists_are_cut_and_said_to_be() -> None:
    evidence = make_evidence("SUPPORTED", files=93, labels=[f"label {index}" for index in range(1000)], bits=32)
    html = visible(render_html(make(evidence)))
    assert "53 more files are listed in evidence.json." in html
    assert "and 970 more" in html


def test_american_forms_only_where_they_apply() -> None:
    assert "902(14)" not in render_html(make(make_evidence("SUPPORTED")))
    html = render_html(make(make_evidence("SUPPORTED"), make_details(court={"jurisdiction": "US, N.D. Cal."})))
    assert "902(14)" in html
    assert "902(13)" in html
    assert "28 U.S.C. § 1746" in html


def test_gate_two_takes_the_stricter_of_its_two_limits() -> None:
    claim = make_claim()
    assert float(passing_limit(claim, 1)) == pytest.approx(1e-3 / 2**20)
    assert float(passing_limit(claim, 4)) == pytest.approx(1e-3 / 2**22)
    generous = claim.model_copy(update={"rule": claim.rule.model_copy(update={"grinding": 0})})
    assert float(passing_limit(generous, 1)) == pytest.approx(1e-6)


def test_evidence_without_a_valid_claim_is_refused() -> None:
    evidence = make_evidence("SUPPORTED").revised(claim={"format": "other"})
    with pytest.raises(CaseError, match="no valid claim"):
        make(evidence)


def test_a_method_without_a_description_says_so() -> None:
    evidence = make_evidence("SUPPORTED")
    claim = make_claim().model_copy(update={"method": "../report"})
    other = evidence.revised(claim=claim.model_dump(mode="json"), claim_digest=digest_of(claim))
    assert "No description of this method" in render_html(make(other))


def test_evidence_that_contradicts_its_claim_is_refused() -> None:
    evidence = make_evidence("SUPPORTED", binding="self-dated")
    with pytest.raises(CaseError, match="contradicts its own claim"):
        make(evidence.revised(binding="timestamped"))
    with pytest.raises(CaseError, match="contradicts its own claim"):
        make(evidence.revised(claim_digest=digest("other")))
    stamped = make_evidence("SUPPORTED", binding="timestamped")
    demonstration = [stamped.tokens[0].model_copy(update={"demonstration": True})]
    with pytest.raises(CaseError, match="demonstration time stamp"):
        make(stamped.revised(tokens=demonstration))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("items", ["x"] * 128),
        ("missing_share", "many"),
        ("power", "1e999999999"),
        ("power", "high"),
        ("p_value", "1e-99"),
    ],
)
def test_numbers_that_are_none_are_an_error_and_huge_ones_are_bounded(field: str, value: Any) -> None:
    evidence = make_evidence("SUPPORTED")
    assert evidence.score is not None
    odd = evidence.score.measurement.model_copy(update={field: value})
    changed = evidence.revised(score=evidence.score.model_copy(update={"measurement": odd}))
    if value in ("1e999999999", "1e-99"):
        assert len(render_html(make(changed))) < 300_000
    else:
        with pytest.raises(CaseError, match="number that cannot be read"):
            make(changed)


def test_digests_are_cleaned_and_cut_like_any_text() -> None:
    evidence = make_evidence("SUPPORTED", bits=16).revised(transcript_head="<b>\u202e" + "9" * 10_000)
    html = render_html(make(evidence))
    assert "<b>" not in html.replace("<body", "")
    assert "9" * 100 not in html


def test_invalid_claim_has_no_statement_of_strength() -> None:
    html = visible(render_html(make(make_evidence("INVALID_CLAIM"))))
    summary = html[html.index("How strong is it") : html.index("Why this verdict")]
    assert "No statement of strength is made" in summary
    assert "million" not in summary
    inconclusive = visible(render_html(make(make_evidence("INCONCLUSIVE"))))
    assert "inconclusive all the same" in inconclusive


def test_very_many_units_are_not_drawn() -> None:
    evidence = make_evidence("SUPPORTED", opened=False)
    assert evidence.score is not None
    odd = evidence.score.measurement.model_copy(update={"n": 10**9, "matched": 6 * 10**8})
    report = make(evidence.revised(score=evidence.score.model_copy(update={"measurement": odd})))
    assert set(report.figures) == {"timeline"}
    assert "too many units" in render_html(report)
