"""The two pages for a judge: two of them whatever the case, with everything that makes the whole report checkable."""

import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.signers import SimpleSigner

from forensics.errors import CaseError
from forensics.evidence.bag import render_bag
from forensics.evidence.check_pdf import check_pdf
from forensics.evidence.schema import Evidence
from forensics.evidence.storage import create_folder
from forensics.report import write_report
from forensics.report.details import Details
from forensics.report.language import LANGUAGES, load_language
from forensics.report.render import STAMP, Rendered, lay_out, render_html
from forensics.report.summary import PAGES, SETTINGS, TEMPLATE, render_summary
from forensics.report.view import Report, SignatureFacts, make_report
from tests.report.cases import HOSTILE, make_details, make_evidence, make_word_evidence
from tests.report.conftest import MANIFEST, read_pages

OUTCOMES = ("SUPPORTED", "NOT_SUPPORTED", "INCONCLUSIVE", "INVALID_CLAIM", None)
WIDE = "WMQ" * 200


def make(evidence: Evidence, details: Details | None = None, **given: Any) -> Report:
    return make_report(evidence, details or make_details(), manifest_sha256=MANIFEST, **given)


def texts(rendered: Rendered) -> list[str]:
    return [" ".join(page.split()) for page in read_pages(rendered.pdf)]


def widest(outcome: str | None) -> tuple[Evidence, Details]:
    """A case in which every text is as long as a text may be."""
    details = make_details(
        report={"number": WIDE, "version": WIDE, "supersedes": WIDE, "confidentiality": WIDE},
        court={"name": WIDE, "caption": WIDE, "jurisdiction": WIDE},
        parties={"instructing": WIDE},
        examiner={"name": WIDE, "role": WIDE},
    )
    evidence = make_evidence(
        outcome,
        binding="self-dated",
        opened=False,
        controls=False,
        bits=16,
        suspect=WIDE,
        owner=WIDE,
        missing="0.05",
        released=None,
    )
    if evidence.score is not None:
        verdict = evidence.score.verdict.model_copy(update={"reasons": [WIDE] * 12, "gates": {}})
        evidence = evidence.revised(score=evidence.score.model_copy(update={"verdict": verdict}))
    return evidence, details


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_verdict_takes_two_pages(outcome: str | None) -> None:
    evidence = make_evidence(outcome)
    report = make(evidence)
    rendered = render_summary(report, evidence.core)
    first, second = texts(rendered)
    assert report.outcome_label in first
    for part in ("The question", "What was examined", "How strong is it", "Verify this report in three steps"):
        assert part in first
    for part in ("Why this verdict", "Limits of this examination", "What this report does not say", "The case"):
        assert part in second


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_the_longest_texts_take_two_pages_and_what_is_left_out_is_counted(
    outcome: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence, details = widest(outcome)
    if outcome not in ("SUPPORTED", None):  # one walk through all settings is enough, and slow
        monkeypatch.setattr("forensics.report.summary.SETTINGS", SETTINGS[-1:])
    report = make(evidence, details)
    rendered = render_summary(report, evidence.core)
    assert rendered.pages == PAGES
    second = texts(rendered)[1]
    assert ("more are in section 11 of the whole report" in second) is (outcome is not None)
    if outcome is not None:
        more = re.search(r"(\d+) more are in the whole report", second)
        assert more is not None
        assert second.count("(200 more characters).") == 12 - int(more[1])


def test_texts_that_fit_on_no_two_pages_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    evidence, details = widest("SUPPORTED")
    monkeypatch.setattr("forensics.report.summary.SETTINGS", SETTINGS[:1])
    with pytest.raises(CaseError, match="too long for two pages"):
        render_summary(make(evidence, details), evidence.core)


@pytest.mark.parametrize("words", [False, True])
def test_no_strength_beyond_one_in_a_million(words: bool) -> None:
    evidence = make_word_evidence("SUPPORTED")[0] if words else make_evidence("SUPPORTED", bits=256)
    shown = " ".join(texts(render_summary(make(evidence), evidence.core)))
    assert "fewer than one in a million" in shown
    assert "Figure 1." in shown
    assert "The figure in numbers" in shown
    assert "10⁻" not in shown
    assert "×" not in shown


def test_both_pages_carry_flags_digest_and_draft_mark(facts: SignatureFacts) -> None:
    evidence = make_evidence("SUPPORTED")
    draft = make(evidence, Details())
    for number, page in enumerate(texts(render_summary(draft, evidence.core)), 1):
        assert f"Page {number} of 2" in page
        assert all(group in page for group in draft.evidence_groups)
        assert page.count("DRAFT") >= 2
        assert "DEMONSTRATION" in page
    final = make(evidence, signature=facts)
    assert all("DRAFT" not in page for page in texts(render_summary(final, evidence.core)))


def test_hostile_text_is_printed_as_text() -> None:
    evidence = make_evidence("SUPPORTED", suspect=HOSTILE * 3, owner=HOSTILE)
    rendered = render_summary(make(evidence), evidence.core)
    assert "<script>alert(1)</script>" in texts(rendered)[0]
    assert b"/JavaScript" not in rendered.pdf
    assert b"/URI" not in rendered.pdf


def test_the_stamp_has_its_place_and_nothing_reaches_into_it() -> None:
    plain = (make_evidence("INCONCLUSIVE"), make_details())
    for (evidence, details), setting in ((plain, SETTINGS[0]), (widest("SUPPORTED"), SETTINGS[-1])):
        report = make(evidence, details)
        document = lay_out(report, render_html(report, TEMPLATE, setting=setting, counts=None))
        assert len(document.pages) == PAGES
        boxes: dict[str, Any] = {}
        for box in _walk(document.pages[0]._page_box):
            if box.element is not None:
                boxes.setdefault(box.element.get("class"), box)
        area, millimetre = boxes["area"], 96 / 25.4
        assert area.border_box_x() / millimetre == pytest.approx(STAMP.left, abs=0.1)
        assert area.border_height() / millimetre == pytest.approx(STAMP.height, abs=0.1)
        below = 297 - (area.border_box_y() + area.border_height()) / millimetre
        assert below == pytest.approx(STAMP.bottom, abs=0.1)
        bottom = boxes["hashbox"].position_y + boxes["hashbox"].margin_height()
        assert bottom <= min(boxes["signature"].position_y, boxes["steps"].position_y)


def test_a_signed_summary_checks_like_the_whole_report(signer: SimpleSigner, tmp_path: Path) -> None:
    evidence = make_evidence("SUPPORTED", bits=16, controls=False)
    create_folder(tmp_path / "CASE", render_bag({"data/evidence.json": evidence.core}, evidence))
    result = write_report(tmp_path / "CASE", tmp_path / "summary.pdf", signer=signer, summary=True)
    assert result.pages == PAGES
    checked = check_pdf(tmp_path / "summary.pdf")
    assert checked.intact, checked.reasons
    root = PdfFileReader(BytesIO((tmp_path / "summary.pdf").read_bytes())).root
    assert root["/Names"]["/EmbeddedFiles"]["/Names"][1]["/EF"]["/F"].data == evidence.core


def _walk(box: Any) -> Iterator[Any]:
    yield box
    for child in getattr(box, "children", ()):
        yield from _walk(child)


@pytest.mark.parametrize("code", [code for code in LANGUAGES if code != "en"])
def test_other_languages_take_two_pages_as_well(code: str) -> None:
    evidence = make_evidence("INCONCLUSIVE", bits=16)
    report = make(evidence, language=load_language(code))
    first, _ = texts(render_summary(report, evidence.core))
    assert report.outcome_label in first
    assert "What was examined" not in first
