"""From the view model to PDF/A-3a: HTML by Jinja, pages by WeasyPrint, our own fonts and figures and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any

from forensics.canonical import sha256, utc
from forensics.errors import CaseError, MissingExtraError
from forensics.evidence.redaction import REDACTED
from forensics.report.assets import FONTS, environment, read_asset
from forensics.report.view import Report

if TYPE_CHECKING:
    from weasyprint import Document

VARIANT = "pdf/a-3a"
REPORT = "report.html.j2"
ATTACHMENT = "evidence.json"
EVIDENCE_KEYWORD = "evidence-sha256:"
MANIFEST_KEYWORD = "manifest-sha256:"

_BASE = "https://report.invalid/"
_LIBRARIES = "apt-get install -y --no-install-recommends libpango-1.0-0 libpangoft2-1.0-0"


@dataclass(frozen=True)
class StampBox:
    """Where the visible stamp stands on page 1, in millimetres from the left and the bottom edge."""

    left: float = 22.0
    bottom: float = 27.0
    width: float = 80.0
    height: float = 26.0


STAMP = StampBox()


@dataclass(frozen=True)
class Rendered:
    """An unsigned PDF and how many pages it has."""

    pdf: bytes
    pages: int


def render_html(report: Report, template: str = REPORT, **values: Any) -> str:
    """Returns the report as one HTML page with its style; figures and fonts are links that only `render_pdf` serves.

    Args:
        report: the view model.
        template: of the form.
        values: what the form prints besides.
    """
    pages = environment(report.language).get_template(template)
    return pages.render(report=report, stamp=STAMP, created=_created(report), **values)


def render_pdf(report: Report, evidence: bytes) -> Rendered:
    """Returns the unsigned report as PDF/A-3a with its evidence attached.

    The bytes depend on the report and the evidence alone: not on the clock, the process or the machine, as long as
    WeasyPrint, Pango and HarfBuzz have the same versions.

    Args:
        report: the view model.
        evidence: the canonical bytes of the evidence, or of its redacted copy, whose SHA-256 the report prints.

    Raises:
        MissingExtraError: the Pango libraries are not installed.
        CaseError: the evidence is not the one that the report was made from, or its time is no time.
    """
    return write_document(report, lay_out(report, render_html(report)), evidence)


def lay_out(report: Report, html: str) -> "Document":
    """Lays out the pages of a report.

    Raises:
        MissingExtraError: the Pango libraries are not installed.
    """
    served = {f"figure:{figure.name}": figure.svg.encode() for figure in report.figures.values()}
    served["figure:draft.svg"] = environment(report.language).get_template("figures/draft.svg.j2").render().encode()
    return layout(html, served, _options(report))


def write_document(report: Report, document: "Document", evidence: bytes) -> Rendered:
    """Returns laid-out pages as PDF/A-3a with the evidence attached.

    Raises:
        CaseError: the evidence is not the one that the report was made from, or its time is no time.
    """
    if sha256(evidence) != report.attached_sha256:
        raise CaseError("The evidence to attach is not the one the report prints.", "Build the report from one case.")
    created = datetime.fromisoformat(_created(report))
    attachment = load_weasyprint().Attachment(
        string=evidence,
        name=REDACTED if report.redaction else ATTACHMENT,
        description=f"Machine-readable evidence, SHA-256 {report.attached_sha256}",
        created=created,
        modified=created,
        relationship="Data",
    )
    output = BytesIO()
    document.write_pdf(output, attachments=[attachment], finisher=finish, **_options(report))
    return Rendered(output.getvalue(), len(document.pages))


def _options(report: Report) -> dict[str, Any]:
    return {"pdf_variant": VARIANT, "full_fonts": True, "pdf_identifier": report.attached_sha256[:32].encode()}


def layout(html: str, served: Mapping[str, bytes], options: Mapping[str, Any]) -> "Document":
    """Lays out HTML with our fonts; a link to anything else than `served` or a font fails the rendering.

    Args:
        served: bytes of SVG by URL, such as `figure:bits.svg`.
    """
    weasyprint = load_weasyprint()
    from weasyprint.text.fonts import FontConfiguration
    from weasyprint.urls import FatalURLFetchingError, URLFetcher, URLFetcherResponse

    class Fetcher(URLFetcher):  # type: ignore[misc, unused-ignore]
        def fetch(self, url: str, headers: object = None) -> Any:
            """Serves our own bytes; everything else is refused, and the refusal ends the rendering."""
            if url in served:
                return URLFetcherResponse(url, served[url], {"Content-Type": "image/svg+xml"})
            scheme, _, name = url.partition(":")
            if scheme == "font" and name in FONTS:
                return URLFetcherResponse(url, read_asset(f"fonts/{FONTS[name]}"), {"Content-Type": "font/ttf"})
            raise ValueError("the report fetches nothing but its own fonts and figures")

    source = weasyprint.HTML(string=html, base_url=_BASE, url_fetcher=Fetcher(fail_on_errors=True))
    try:
        return source.render(font_config=FontConfiguration(), **options)
    except FatalURLFetchingError as error:
        raise CaseError("The report's pages ask for a foreign file.", "This is a fault in the templates.") from error


def finish(document: Any, pdf: Any) -> None:
    """Writes plain objects instead of object streams, and lists each attachment once.

    pyHanko parses an object stream's header again for each of its objects, which takes ten seconds a report; and
    WeasyPrint 70 enters every attachment twice in the catalogue's /AF.
    """
    import pydyf

    if "AF" in pdf.catalog:
        pdf.catalog["AF"] = pydyf.Array(dict.fromkeys(pdf.catalog["AF"]))
    write = pdf.write

    def plain(output: Any, version: Any, identifier: Any, compress: bool) -> None:
        write(output, version, identifier, False)

    pdf.write = plain


def load_weasyprint() -> Any:
    """Imports WeasyPrint, which loads the Pango libraries.

    Raises:
        MissingExtraError: they are not installed.
    """
    try:
        import weasyprint
    except OSError as error:
        raise MissingExtraError(
            "The Pango libraries that lay out the report are missing.", f"Run: {_LIBRARIES}"
        ) from error
    return weasyprint


def _created(report: Report) -> str:
    try:
        return utc(datetime.fromisoformat(report.created))
    except ValueError as error:
        raise CaseError(
            "The evidence has no valid time of creation.", "Check the case with `forensics check`."
        ) from error
