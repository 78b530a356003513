"""The PDF: what a reader sees, what is inside, and the same bytes for the same evidence."""

import hashlib
import os
import re
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pyhanko.pdf_utils.reader import PdfFileReader

from forensics.errors import CaseError, MissingExtraError
from forensics.report.render import STAMP, finish, layout, load_weasyprint, render_html, render_pdf
from forensics.report.view import Report, make_report
from tests.report.cases import make_details, make_evidence
from tests.report.conftest import MANIFEST, Page, read_pages
from tests.report.test_view import HEADINGS

ROOT = Path(__file__).parents[2]


def test_final_report_shows_its_content(final: Page) -> None:
    first, second = final.pages[0], final.pages[1]
    assert "EXPERT REPORT" in first
    assert "FINAL" in first
    assert "Supported" in first
    assert "121 of 128 bits agree with the key" in " ".join(first.split())
    assert "Landgericht München I" in first
    assert "Verify this report in three steps" in first
    assert "What this report does not say" in second
    text = " ".join(final.text.split())
    for heading in HEADINGS:
        assert heading in text
    for caption in ("Figure 1.", "Figure 2.", "Figure 3.", "Figure 4."):
        assert text.count(caption) == 1
    assert "observed: 121" in text
    assert "needed: 98" in text


def test_summary_is_one_page_and_sections_start_after_it(final: Page, hostile: Page) -> None:
    for page in (final, hostile):
        assert "Summary for the court" in page.pages[1]
        assert "Instructions and questions" in page.pages[2]
        assert "Why this verdict" in page.pages[1]
        assert "What this report does not say" in page.pages[1]


def test_every_page_has_number_evidence_digest_and_binding(final: Page, hostile: Page) -> None:
    for page in (final, hostile):
        total = len(page.pages)
        assert 12 <= total <= 24
        for number, text in enumerate(page.pages, 1):
            assert f"Page {number} of {total}" in text
            assert all(group in text for group in page.report.evidence_groups)
            assert page.report.binding_label in text
    assert all("DRAFT" in text for text in hostile.pages)
    assert "DRAFT" not in final.text


def test_hostile_text_is_printed_as_text(hostile: Page) -> None:
    text = " ".join(hostile.text.split())
    assert "<script>alert(1)</script>" in text
    assert "{{ 7*7 }}" in text
    assert "⟨U+6A21⟩" in text
    assert "\u202e" not in text
    for action in (b"/JavaScript", b"/URI", b"/Launch", b"/GoToR", b"/OpenAction", b"/AA "):
        assert action not in hostile.pdf


def test_evidence_is_attached_and_declared_three_times(final: Page) -> None:
    root = PdfFileReader(BytesIO(final.pdf)).root
    names = root["/Names"]["/EmbeddedFiles"]["/Names"]
    specification = names[1]
    assert [str(names[0]), len(names), len(root["/AF"])] == ["evidence.json", 2, 1]
    assert str(specification["/AFRelationship"]) == "/Data"
    assert specification["/EF"]["/F"].data == final.evidence.core
    sha256 = hashlib.sha256(final.evidence.core).hexdigest()
    assert str(specification["/Desc"]).endswith(sha256)
    keywords = str(PdfFileReader(BytesIO(final.pdf)).trailer_view["/Info"]["/Keywords"])
    assert keywords == f"evidence-sha256:{sha256}, manifest-sha256:{MANIFEST}, signature-level:B-B"


def test_document_is_tagged_pdf_a_with_dates_of_the_evidence(final: Page) -> None:
    reader = PdfFileReader(BytesIO(final.pdf))
    info, metadata = reader.trailer_view["/Info"], reader.root["/Metadata"].data.decode()
    assert 'pdfaid:part="3"' in metadata
    assert 'pdfaid:conformance="A"' in metadata
    assert bool(reader.root["/MarkInfo"]["/Marked"])
    assert "/StructTreeRoot" in reader.root
    assert str(reader.root["/Lang"]) == "en"
    for key in ("/CreationDate", "/ModDate"):
        assert str(info.raw_get(key)) == "D:20260411162009Z"
    parameters = reader.root["/Names"]["/EmbeddedFiles"]["/Names"][1]["/EF"]["/F"]["/Params"]
    assert str(parameters.raw_get("/CreationDate")) == "D:20260411162009Z"


def test_only_our_own_fonts_are_embedded(final: Page, hostile: Page) -> None:
    for page in (final, hostile):
        fonts = set(re.findall(rb"/FontName /[A-Z]{6}\+([A-Za-z-]+)", page.pdf))
        assert fonts
        assert all(name.startswith(b"Report-") for name in fonts), fonts


def test_figures_have_text_alternatives(final: Page) -> None:
    html = render_html(final.report)
    alternatives = re.findall(r'<img src="figure:[^"]+" alt="([^"]*)"', html)
    assert len(alternatives) == 4
    assert all(len(text) > 40 for text in alternatives)
    assert final.pdf.count(b"/Alt") >= 4


def test_no_object_streams_are_written(final: Page) -> None:
    assert b"/ObjStm" not in final.pdf
    assert b"/FlateDecode" in final.pdf


def test_same_evidence_gives_the_same_bytes_in_another_process(final: Page, tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from tests.report.cases import digest, make_details, make_evidence\n"
        "from forensics.report.render import render_pdf\n"
        "from forensics.report.view import SignatureFacts, make_report\n"
        "evidence = make_evidence('SUPPORTED', binding='timestamped')\n"
        f"facts = {final.report.signature!r}\n"
        "report = make_report(evidence, make_details(), manifest_sha256=digest('manifest'), signature=facts)\n"
        "sys.stdout.buffer.write(render_pdf(report, evidence.core).pdf)\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "TZ": "Pacific/Auckland", "SOURCE_DATE_EPOCH": "0"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], cwd=ROOT, env=environment, capture_output=True, check=True
    )
    assert hashlib.sha256(done.stdout).hexdigest() == hashlib.sha256(final.pdf).hexdigest()


def test_cover_never_overlaps_whatever_its_length() -> None:
    wide = "WMQ" * 200
    details = make_details(
        report={"number": wide, "version": wide, "supersedes": wide, "confidentiality": wide},
        court={"name": wide, "caption": wide, "jurisdiction": wide},
        parties={"instructing": wide},
        examiner={"name": wide, "role": wide},
    )
    evidence = make_evidence("INCONCLUSIVE", suspect=wide, owner=wide, bits=16, opened=False)
    assert evidence.score is not None
    verdict = evidence.score.verdict.model_copy(update={"reasons": [wide] * 12, "gates": {}})
    evidence = evidence.revised(score=evidence.score.model_copy(update={"verdict": verdict}))
    boxes = _boxes(_cover(make_report(evidence, details, manifest_sha256=MANIFEST)))
    hashes, steps, signature = boxes["hashbox"], boxes["steps"], boxes["signature"]
    bottom = hashes.position_y + hashes.margin_height()
    assert bottom <= steps.position_y
    assert bottom <= signature.position_y


def test_signature_area_lies_where_the_stamp_goes(final: Page) -> None:
    area = _boxes(_cover(final.report))["area"]
    millimetre = 96 / 25.4
    assert area.border_box_x() / millimetre == pytest.approx(STAMP.left, abs=0.1)
    assert area.border_width() / millimetre == pytest.approx(STAMP.width, abs=0.1)
    assert area.border_height() / millimetre == pytest.approx(STAMP.height, abs=0.1)
    below = 297 - (area.border_box_y() + area.border_height()) / millimetre
    assert below == pytest.approx(STAMP.bottom, abs=0.1)


def test_nothing_is_fetched_but_fonts_and_figures() -> None:
    for url in ("https://example.org/x.png", "file:///etc/hostname", "figure:other.svg", "font:other", "x.png"):
        with pytest.raises(CaseError, match="foreign file"):
            layout(f'<img src="{url}" alt="">', {}, {})


def test_rendering_says_nothing_on_the_way(final: Page, hostile: Page) -> None:
    assert final.warnings == []
    assert hostile.warnings == []


def test_evidence_of_another_case_is_not_attached(final: Page) -> None:
    with pytest.raises(CaseError, match="not the one the report prints"):
        render_pdf(final.report, make_evidence("NOT_SUPPORTED").core)


def test_evidence_without_a_time_is_refused() -> None:
    evidence = make_evidence(None, bits=16).revised(created="yesterday")
    with pytest.raises(CaseError, match="no valid time"):
        render_pdf(make_report(evidence, make_details(), manifest_sha256=MANIFEST), evidence.core)


def test_missing_pango_is_one_sentence_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
            if name == "weasyprint":
                raise OSError("cannot load library 'libpango-1.0-0'")

    monkeypatch.delitem(sys.modules, "weasyprint", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(MissingExtraError, match=r"apt-get install .* libpango-1.0-0 libpangoft2-1.0-0"):
        load_weasyprint()


def test_canary_weasyprint_still_lists_attachments_twice() -> None:
    """When this fails, WeasyPrint mended the catalogue's /AF and `render.finish` can lose that line."""
    weasyprint = load_weasyprint()
    attached = weasyprint.Attachment(string=b"{}", name="a.json", relationship="Data")
    seen = []
    weasyprint.HTML(string="<p>x").write_pdf(
        pdf_variant="pdf/a-3a",
        attachments=[attached],
        finisher=lambda document, pdf: seen.append(list(pdf.catalog["AF"])),
    )
    assert len(seen[0]) == 2 * len(set(map(str, seen[0])))


def test_canary_weasyprint_still_uses_object_streams() -> None:
    """When this fails, `render.finish` need not turn object streams off any more."""
    weasyprint = load_weasyprint()
    html = weasyprint.HTML(string="<p>x")
    assert b"/ObjStm" in html.write_pdf(pdf_variant="pdf/a-3a")
    assert b"/ObjStm" not in html.write_pdf(pdf_variant="pdf/a-3a", finisher=finish)


def test_reader_of_pages_sees_the_draft_mark_in_the_background(hostile: Page) -> None:
    assert read_pages(hostile.pdf)[3].count("DRAFT") >= 2


def _boxes(document: Any) -> dict[str, Any]:
    """Boxes of page 1 by class; absolutely positioned ones hide their children from the page's own listing."""
    found: dict[str, Any] = {}
    queue = [document.pages[0]._page_box]
    while queue:
        box = queue.pop()
        queue.extend(getattr(box, "children", ()))
        if box.element is not None and box.element.get("class"):
            found.setdefault(box.element.get("class"), box)
    return found


def _cover(report: Report) -> Any:
    """Lays out the cover alone, which is quick."""
    html = render_html(report)
    end = html.index("</section>") + len("</section>")
    draft = {"figure:draft.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>"}
    document = layout(f"{html[:end]}</body></html>", draft, {})
    assert len(document.pages) == 1
    return document
