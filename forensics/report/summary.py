"""The report on two pages: the first for the finding and the signature, the second for its grounds and limits."""

from dataclasses import dataclass

from forensics.errors import CaseError
from forensics.report.render import Rendered, lay_out, render_html, write_document
from forensics.report.tables import Table
from forensics.report.view import Report

TEMPLATE = "summary.html.j2"
PAGES = 2


@dataclass(frozen=True)
class Setting:
    """How a summary is set; how many more reasons and limitations there are is said.

    Attributes:
        density: style class of the size of type.
        reasons: how many are printed.
        limits: how many limitations are printed.
    """

    density: str
    reasons: int
    limits: int


SETTINGS = (
    Setting("plain", 6, 10),
    Setting("dense", 6, 10),
    Setting("denser", 6, 8),
    Setting("densest", 4, 6),
    Setting("densest", 2, 4),
)
"""From large to small type, and only then with fewer sentences; the first that fits is taken."""


def render_summary(report: Report, evidence: bytes) -> Rendered:
    """Returns the summary as PDF/A-3a with the same attachment, digests and marks as the whole report.

    Args:
        report: the view model.
        evidence: as for `render.render_pdf`.

    Raises:
        MissingExtraError: the Pango libraries are not installed.
        CaseError: as `render.render_pdf`, or no setting brings the texts onto two pages.
    """
    null = report.figures.get("null")
    # The probabilities, its last column, are beyond what a summary may say of the strength.
    counts = Table(null.table.head[:2], tuple(row[:2] for row in null.table.rows)) if null else None
    for setting in SETTINGS:
        html = render_html(report, TEMPLATE, setting=setting, counts=counts)
        document = lay_out(report, html)
        if len(document.pages) == PAGES:
            return write_document(report, document, evidence)
    raise CaseError("The texts of this case are too long for two pages.", "Write the whole report instead.")
