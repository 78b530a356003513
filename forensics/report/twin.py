"""The report as one HTML page for a screen: fonts, figures and evidence inside, no script, nothing fetched."""

import re
from base64 import b64encode
from hashlib import sha256 as hasher
from html import escape

from markupsafe import Markup

from forensics.evidence.redaction import REDACTED
from forensics.report.assets import FONTS, environment, read_asset
from forensics.report.language import Language
from forensics.report.render import ATTACHMENT, render_html
from forensics.report.tables import Row, digest_row
from forensics.report.text import integer
from forensics.report.view import Report

TEMPLATE = "twin.html.j2"
LARGEST_DOWNLOAD = 4 << 20
"""Evidence of more bytes than this is named by its digest and not carried."""

FOLDING, FOLDED = 15, 40
"""Rows from which on a table can be folded, and from which on it is folded when the page opens."""

FACES = (
    ("serif", "Report Serif", "normal", "normal"),
    ("serif-bold", "Report Serif", "bold", "normal"),
    ("serif-italic", "Report Serif", "normal", "italic"),
    ("sans", "Report Sans", "normal", "normal"),
    ("sans-bold", "Report Sans", "bold", "normal"),
    ("sans-italic", "Report Sans", "normal", "italic"),
    ("mono", "Report Mono", "normal", "normal"),
)

# Safe on our own pages alone: everything foreign in them is escaped, so that no "<" in them is another's.
_FIGURE = re.compile(r'<img src="figure:([a-z]+\.svg)" alt="([^"]*)">')
_WIDTHS = re.compile(r"<colgroup>.*?</colgroup>\s*", re.DOTALL)
_TABLE = re.compile(r"<table\b.*?</table>", re.DOTALL)


def render_twin(report: Report, evidence: bytes, *, document: str, document_sha256: str) -> bytes:
    """Returns the page, UTF-8.

    Args:
        report: the view model.
        evidence: what is attached to the PDF.
        document: file name of the PDF.
        document_sha256: of the PDF as it was written, signature included.
    """
    say = report.language
    style = _style(report)
    name = REDACTED if report.redaction else ATTACHMENT
    origin = (
        Row(say("Document"), say.clean(document, 120)),
        digest_row(say("SHA-256 of the document"), document_sha256),
        digest_row(say("SHA-256 of the evidence"), report.evidence_sha256),
        *([digest_row(say("SHA-256 of the redacted copy"), report.redaction.sha256)] if report.redaction else []),
    )
    html = render_html(
        report,
        TEMPLATE,
        style=Markup(style),  # noqa: S704 - our own style sheet
        style_hash="sha256-" + b64encode(hasher(style.encode()).digest()).decode(),
        origin=origin,
        attachment=name,
        size=f"{integer(-(-len(evidence) // 1000))} kB",
        download=_data(evidence, "application/json") if len(evidence) <= LARGEST_DOWNLOAD else "",
    )
    figures = {figure.name: figure.svg for figure in report.figures.values()}
    html = _FIGURE.sub(lambda found: _inline(figures[found[1]], found[2]), _WIDTHS.sub("", html))
    return _TABLE.sub(lambda found: _fold(found[0], say), html).encode()


def _style(report: Report) -> str:
    pages = environment(report.language)
    draft = pages.get_template("figures/draft.svg.j2").render().encode()
    faces = [
        (family, weight, style, _data(read_asset(f"fonts/{FONTS[key]}"), "font/ttf"))
        for key, family, weight, style in FACES
    ]
    return pages.get_template("twin.css.j2").render(
        faces=faces, draft=_data(draft, "image/svg+xml"), caption=report.language("Figure")
    )


def _inline(svg: str, alt: str) -> str:
    """Returns a figure as part of the page, so that it is set in the page's fonts.

    Args:
        svg: of our own templates.
        alt: escaped for an attribute.
    """
    return f'<div class="picture">{svg.replace("<svg ", f"""<svg role="img" aria-label="{alt}" """, 1)}</div>'


def _fold(table: str, say: Language) -> str:
    """Lets a wide table scroll, and a long one be folded away."""
    rows = table.count("<tr")
    body = f'<div class="scroll">{table}</div>'
    if rows < FOLDING:
        return body
    label = escape(say("Table of %(count)s lines", count=integer(rows)))
    return f"<details{'' if rows >= FOLDED else ' open'}><summary>{label}</summary>{body}</details>"


def _data(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{b64encode(content).decode()}"
