"""The contents that a report to a court must have: each is printed, or must be supplied, or is said to be absent."""

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
from pydantic import BaseModel

from forensics.evidence.schema import Dated, Evidence
from forensics.report.details import REQUIRED, Details
from forensics.report.render import render_html
from forensics.report.view import Report, SignatureFacts, make_report
from tests.report.cases import make_details, make_evidence, make_word_evidence
from tests.report.conftest import MANIFEST

MUST: dict[str, dict[str, tuple[str, ...]]] = {
    "cover": {
        "report number, version, supersedes": ("FR-2026-0017", "version 1.0", "supersedes none"),
        "court and case caption": ("Landgericht München I, 21. Zivilkammer", "21 O 1234/26"),
        "party instructing": ("Instructed by Landgericht München I",),
        "subject": ("Model under examination downloads/vision-lite-v2",),
        "examiner": ("Examiner Dr. Ilse Wagner, Court-appointed expert",),
        "date of the report, time in UTC": ("20 April 2026", "11 April 2026, 15:02:31 UTC"),
        "status": ("FINAL",),
        "conclusion in one paragraph": ("The answers support the claim",),
        "confidentiality": ("Confidential: protective order",),
        "digest of the evidence": ("SHA‑256 of the evidence",),
        "place of the signature": ("Signature of the examiner",),
        "verify in three steps": ("Verify this report in three steps",),
    },
    "summary": {
        "question": ("The question", "Do the model’s answers show information that depends on that key?"),
        "what was examined": ("What was examined", "1 024 questions"),
        "what was found": ("What was found", "121 of 128"),
        "strength": ("How strong is it", "not the probability that anything was copied"),
        "main limitation": ("The main limitation",),
        "what it does not say": ("who owns the model in law", "with what intent", "any right was infringed"),
    },
    "instructions": {
        "who instructed": ("Instructed by",),
        "date of instruction": ("2 April 2026",),
        "precise questions": ("Questions put to the examiner", "With what probability would the observed agreement"),
        "assumptions": ("Assumptions given", "The files in Exhibit K 7 are those"),
        "material supplied": ("Material supplied", "Claim and time stamp (Exhibit K 2)"),
        "material not supplied": ("Not supplied", "Training records of the respondent"),
        "authority to query": ("Authority to query",),
    },
    "examiner": {
        "name, role, employer": ("Dr. Ilse Wagner", "Court-appointed expert", "Institut für digitale Forensik"),
        "qualifications": ("Qualifications", "Doctorate in computer science"),
        "training": ("Training", "ISO/IEC 27037"),
        "publications of ten years": ("Publications of the last ten years", "DuD 2024"),
        "testimony of four years": (
            "Testimony of the last four years",
            "No testimony of the last four years was listed.",
        ),
        "compensation": ("Compensation", "Paid by the hour"),
        "independence": ("Independence", "No business or personal relation"),
        "duty to the court": ("Duty to the court", "I understand my duty"),
        "statement of truth": ("Declaration", "to the best of my knowledge and belief"),
        "technical review with name and date": ("Technical review", "Prof. Jan Novák", "18 April 2026"),
        "use of AI": ("Use of AI assistance", "No generative AI was used"),
    },
    "items": {
        "numbered items with name and digest": ("Item 1.", "downloads/vision-lite-v2", "SHA-256"),
        "files with sizes and digests": ("model.safetensors", "Bytes"),
        "source of what it is compared with": ("trained in the laboratory, training log on file",),
        "acquired when and how": ("Answers acquired", "clock of the examiner"),
        "transfers": ("Transfers", "seal 88213 intact"),
        "storage": ("Storage", "evidence locker"),
        "deviations": ("Deviations", "No deviation from procedure was reported."),
        "custody log": ("custody log", "data/custody.jsonl"),
        "head of the transcript and its time stamp": ("Head of the transcript", "Transcript time-stamped"),
        "the owner’s reference and the controls": ("positive control", "negative control", "named in the claim as"),
    },
    "registration": {
        "commitment": ("Digest C of the claim",),
        "authority, time, policy, certificate": ("Authority", "Time", "Policy", "Certificate, SHA-256"),
        "timeline with releases": ("Marked model recorded; released not before", "Earliest evidence of suspect"),
        "what was opened": ("What was opened", "Share 0 was opened"),
        "decision rule as registered": ("Decision rule as registered", "Stopping", "Examinations allowed, M"),
        "deviation from the rule": ("No deviation from this rule is possible",),
    },
    "propositions": {
        "both propositions": ("H₁, the owner’s proposition", "H₀, the alternative tested"),
        "level": ("Level", "Not how it came there"),
        "conditions": ("Conditions", "drawn at random"),
        "why not exhaustive, and what else": ("do not exhaust every story", "section 10"),
    },
    "method": {
        "plain language, then technical": ("In plain language", "Technically"),
        "statistic": ("number of bits that agree",),
        "blinding and order": ("Blindness and order",),
        "controls, positive and negative": ("The positive control is", "the negative controls are"),
        "sham keys": ("Sham keys were not scored one by one",),
        "standards": ("RFC 3161", "RFC 8785"),
        "reliability, five questions": (
            "Can it be tested",
            "Peer review",
            "Known error rate",
            "Standards controlling operation",
            "General acceptance",
        ),
    },
    "results": {
        "raw counts": ("Of 128 bits", "the answers reproduce 121"),
        "figure and table": ("Bars: probability", "Bits that agree"),
        "statistic, null, p": ("Deciding statistic", "The hypothesis tested:", "Exact p-value"),
        "interval": ("95 % interval of the effect",),
        "all runs": ("counts those in the owner’s own log", "the larger of the 1 that the claim allows"),
        "what was left out": ("No recorded answer was left out of the score",),
        "significant figures": ("three significant digits",),
        "missing answers": ("Missing answers",),
        "gates with their state": ("G1", "G5", "passed"),
    },
    "errors": {
        "null population": ("5 independent reference models were scored",),
        "false positives": ("False positive rate by design", "not estimated from the reference models"),
        "false negatives under attack": ("not measured in this case",),
        "power": ("Power at the minimum effect",),
        "calibration of likelihood ratios": ("No likelihood ratio", "no Cllr, no Tippett plot"),
        "cap of words": ("No verbal scale of evidential strength is applied",),
        "errors of the laboratory": ("Errors of the laboratory",),
        "validation": ("Validation study of the laboratory", "No validation study was named."),
    },
    "robustness": {
        "threshold": ("Threshold", "not varied"),
        "seed": ("Random seed",),
        "leaving out items": ("Leaving out single items", "Not tested"),
        "sham keys": ("Sham keys", "Not tested one by one"),
    },
    "limitations": {
        "how it got there is not shown": ("Neither shows how information reached the suspect",),
        "removal": ("A mark can be removed",),
        "replay": ("does not show that the suspect gave those answers",),
    },
    "conclusion": {
        "scale": ("The scale", "Supported", "Not supported", "Inconclusive", "Invalid claim"),
        "prior and ultimate issue": ("are for the court",),
    },
    "verification": {
        "commands": ("forensics check CASE", "sha256sum -c manifest-sha256.txt", "python3 -I data/recompute.py"),
        "container": ("Container image", "The case holds none"),
        "seeds": ("Random seeds",),
        "expected digests": (MANIFEST[:16],),
        "time it takes": ("Time it takes",),
        "what the other side needs": ("The other side needs this document",),
        "access to what is closed": ("Access to what is not disclosed",),
    },
    "tools": {
        "tool and versions": ("model-forensics", "0.1.0", "numpy", "2.4.6"),
        "Python and system": ("3.11.7", "Linux-6.1.0-x86_64"),
        "time source": ("Time source",),
        "not recorded": ("Not recorded", "the graphics card"),
        "self-test": ("Self‑test",),
        "known faults": ("Known faults",),
        "validation of this version": ("Validation of this version",),
        "signature": ("Signer", "Issuer", "Serial number", "PAdES"),
    },
    "certifications": {"jurisdiction without forms": ("No certification form is included",)},
    "glossary": {
        term: (term,)
        for term in (
            "Model",
            "Weights",
            "Fine-tuning",
            "distillation",
            "Watermark",
            "trigger",
            "Hash",
            "Digital signature",
            "Time stamp",
            "p-value",
            "Likelihood ratio",
            "False positive",
            "null model",
            "prior registration",
        )
    },
    "annexes": {
        "digests of exhibits": ("Digests of the exhibits", "manifest-sha256.txt of the case folder"),
        "items": ("Number of the bit, payload bit, item score",),
        "changes": ("This is the first version.",),
        "curriculum vitae and literature": ("Curriculum vitae", "Literature of the method"),
    },
}

CASES = [
    pytest.param(section, words, id=f"{section}: {item}")
    for section, items in MUST.items()
    for item, words in items.items()
]


def visible(html: str) -> str:
    alternatives = re.sub(r'<img [^>]*alt="([^"]*)">', r" \1 ", html)
    text = unescape(re.sub(r"<[^>]+>", " ", alternatives))
    return re.sub(r"\s+", " ", text)


def sections(report: Report) -> dict[str, str]:
    """The text of each section by its anchor, the cover included."""
    html = render_html(report)
    html = html[html.index('<section class="cover') :]
    parts = re.split(r'<h2 id="([a-z]+)"[^>]*>', html)
    return {"cover": visible(parts[0]), **{name: visible(text) for name, text in zip(parts[1::2], parts[2::2])}}


@pytest.fixture(scope="module")
def whole(facts: SignatureFacts) -> dict[str, str]:
    evidence = make_evidence("SUPPORTED", binding="timestamped")
    return sections(make_report(evidence, make_details(), manifest_sha256=MANIFEST, signature=facts))


@pytest.fixture(scope="module")
def bare() -> dict[str, str]:
    """A case of which nothing is known and for which nobody supplied anything."""
    evidence = make_evidence(None, binding="self-dated", opened=False, controls=False, released=None, bits=16)
    evidence = evidence.revised(references=[], tool={}, asset=None)
    return sections(make_report(evidence, Details(), manifest_sha256=MANIFEST))


@pytest.mark.parametrize(("section", "words"), CASES)
def test_every_item_is_printed(whole: dict[str, str], section: str, words: tuple[str, ...]) -> None:
    for text in words:
        assert text.casefold() in whole[section].casefold()


ABSENT = {
    "cover": (
        "No court was named.",
        "No case caption was supplied.",
        "No instructing party was named.",
        "No examiner was named.",
        "Not marked as confidential",
        "This document is not signed.",
    ),
    "summary": ("No statement of strength can be made",),
    "instructions": (
        "No date of instruction was supplied.",
        "No questions were supplied.",
        "No assumptions were given.",
        "No list of the material supplied was given.",
        "Nothing was named as requested and not supplied.",
        "No authority to query the suspect was stated.",
    ),
    "examiner": (
        "No examiner was named.",
        "No role was supplied.",
        "No employer was supplied.",
        "No qualifications were supplied.",
        "No training record was supplied.",
        "No publications of the last ten years were listed.",
        "No testimony of the last four years was listed.",
        "No statement on compensation was supplied.",
        "No statement on independence was supplied.",
        "No statement on AI assistance was supplied.",
        "duty to the court was supplied.",
        "No examiner declaration was supplied.",
        "No technical reviewer was named.",
    ),
    "items": (
        "No reference or control model was examined.",
        "No time stamp over the transcript is recorded.",
        "No statement on storage was supplied.",
        "No transfer was reported.",
        "No deviation from procedure was reported.",
    ),
    "registration": ("No time stamp accompanies the claim.", "No share has been opened", "unknown"),
    "results": ("Nothing was scored",),
    "errors": ("No control or reference model was scored", "No validation study was named."),
    "tools": ("The evidence records no environment.", "This document is not signed."),
    "certifications": ("the jurisdiction of this report is not stated",),
    "method": ("No statement on peer review was supplied.", "No statement on acceptance was supplied."),
}


@pytest.mark.parametrize("section", ABSENT)
def test_what_is_absent_is_said_to_be_absent(bare: dict[str, str], section: str) -> None:
    for sentence in ABSENT[section]:
        assert sentence in bare[section]


def fields(model: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in model:
        if isinstance(value, BaseModel):
            yield from fields(value, f"{name}.")
        elif prefix:
            yield prefix + name, value


NAMES = [name for name, _ in fields(Details())]


@pytest.mark.parametrize("name", NAMES)
def test_every_field_of_case_toml_is_printed(name: str) -> None:
    table, key = name.split(".")
    old = getattr(getattr(make_details(), table), key)
    if key == "date":
        value, shown = "2031-07-09", "9 July 2031"
    else:
        value, shown = ("Zq8 marked",) if isinstance(old, tuple) else "Zq8 marked", "Zq8 marked"
    body = make_details().model_dump(mode="json")
    body[table][key] = value
    report = make_report(make_evidence("SUPPORTED", bits=16), Details.model_validate(body), manifest_sha256=MANIFEST)
    assert sum(shown in text for text in sections(report).values()) >= 1


@pytest.mark.parametrize("name", REQUIRED)
def test_each_required_field_alone_makes_a_draft(name: str) -> None:
    table, key = name.split(".")
    body = make_details().model_dump(mode="json")
    body[table][key] = [] if isinstance(body[table][key], list) else None
    report = make_report(make_evidence("SUPPORTED", bits=16), Details.model_validate(body), manifest_sha256=MANIFEST)
    assert report.missing == (name,)
    assert report.flags.startswith("DRAFT")


@pytest.mark.parametrize("remote", [False, True])
@pytest.mark.parametrize("outcome", ["SUPPORTED", "INCONCLUSIVE", None])
def test_each_alternative_has_its_test_or_says_that_there_is_none(outcome: str | None, remote: bool) -> None:
    evidence = make_word_evidence(outcome)[0] if remote else make_evidence(outcome)
    report = make_report(evidence, make_details(), manifest_sha256=MANIFEST)
    assert len(report.alternatives) >= 12
    decided = re.compile(
        r"Not tested|Tested as chance is|(G[135]: (passed|failed|not run))|N\* = |Not shown: "
        r"|one in (a million|[0-9,]+|ten)|Does not apply"
    )
    for one in report.alternatives:
        assert decided.search(one.result), one
    named = " ".join(one.explanation for one in report.alternatives)
    for story in ("Chance", "upstream", "Training on answers", "have in common", "same public material", "references"):
        assert story in named
    for story in ("leaked key", "passes questions on", "error of the examiner", "made after", "Many attempts"):
        assert story in named


def test_every_date_is_printed_with_its_source(whole: dict[str, str]) -> None:
    evidence = make_evidence("SUPPORTED", binding="timestamped")
    report = make_report(evidence, make_details(), manifest_sha256=MANIFEST)
    rows = report.figures["timeline"].table.rows
    assert len(rows) >= 6
    for label, value, source in rows:
        assert source
        assert f"{label} {' '.join(value.split())} {source}" in whole["registration"]
    assert "first upload according to the hub, Exhibit K 7" in whole["registration"]


def test_an_unknown_date_is_unknown_with_its_reason() -> None:
    evidence = make_evidence("INCONCLUSIVE")
    dates = evidence.dates.model_copy(update={"suspect": Dated(value=None, source="nobody stated one")})
    report = make_report(evidence.revised(dates=dates), make_details(), manifest_sha256=MANIFEST)
    assert "Earliest evidence of suspect unknown nobody stated one" in sections(report)["registration"]


def american() -> dict[str, str]:
    details = make_details(court={"jurisdiction": "US, N.D. Cal."})
    return sections(make_report(make_evidence("SUPPORTED", bits=16), details, manifest_sha256=MANIFEST))


@pytest.mark.parametrize(
    "words",
    [
        "902(13)",
        "902(14)",
        "I am qualified by knowledge, training and experience to identify electronic files",
        "I am qualified by knowledge, training and experience to operate and to explain the process",
        "The hash value of the original was",
        "Anyone can repeat the computation",
        "28 U.S.C. § 1746",
        "reasonable written notice",
        "Rule 702",
        "(d) reliable application",
    ],
)
def test_american_forms_have_what_the_rules_ask_for(words: str) -> None:
    assert words in american()["certifications"]


def test_every_figure_has_a_text_alternative_a_caption_and_a_table() -> None:
    for evidence in (make_evidence("SUPPORTED"), *_others()):
        report = make_report(evidence, make_details(), manifest_sha256=MANIFEST)
        assert len(report.figures) >= 2
        for figure in report.figures.values():
            assert len(figure.alt) > 40
            assert len(figure.caption) > 40
            assert figure.table.rows
            assert all(len(row) == len(figure.table.head) for row in figure.table.rows)


def _others() -> Iterator[Evidence]:
    yield make_word_evidence("SUPPORTED")[0]
    yield make_evidence("NOT_SUPPORTED", opened=False)
