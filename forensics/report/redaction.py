"""The redacted report: made from the redacted copy of the evidence alone, so that it cannot print what that lacks."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from html import unescape

from forensics.canonical import sha256
from forensics.errors import CaseError
from forensics.evidence.case import CaseFolder, share_folder
from forensics.evidence.redaction import redact
from forensics.report.details import Details
from forensics.report.language import ENGLISH, Language
from forensics.report.tables import digest_row
from forensics.report.text import clean, groups, integer
from forensics.report.view import Redaction, Report, SignatureFacts, make_report
from forensics.wording import noted

_WITHHELD = noted(
    "The item scores and what the key drew are withheld from this copy. The complete evidence holds them, and the case "
    "is recomputed from it."
)
_NO_FIGURE = noted(
    "Item scores and what the key drew are withheld from this copy, so that no figure of single ones is printed."
)
_LONG = 24
"""Characters from which a text of the pool is looked for in the pages: a single word may stand there for itself."""

_EXCERPT = 10000
OPENED = "data/opened/"
"""Where a case keeps what was opened."""


@dataclass(frozen=True)
class Redacted:
    """A redacted report and what is attached to it.

    Attributes:
        evidence: canonical bytes of the redacted copy of the evidence.
        secrets: texts that must not occur in the pages.
    """

    report: Report
    evidence: bytes
    secrets: tuple[str, ...]


def make_redacted(
    case: CaseFolder, details: Details, *, signature: SignatureFacts | None = None, language: Language = ENGLISH
) -> Redacted:
    """Returns the redacted report of a case.

    Args:
        case: the case folder; of its files, those of the opened share are not read.
        details: what people supplied; printed as they wrote it.
        signature: the certificate that will sign, or None for an unsigned report.
        language: in which the report is written.

    Raises:
        CaseError: as `view.make_report`.
    """
    evidence, copy = case.evidence, redact(case.evidence)
    files = {name: content for name, content in case.content.items() if not name.startswith(OPENED)}
    made = make_report(
        copy.evidence,
        details,
        manifest_sha256=case.manifest_sha256,
        signature=signature,
        files=files,
        language=language,
    )
    whole = sha256(evidence.core)
    opened = evidence.share is not None
    report = replace(
        made,
        evidence_sha256=whole,
        evidence_groups=groups(whole),
        results=replace(made.results, sealed=language(_WITHHELD)) if made.results and opened else made.results,
        annex=replace(
            made.annex,
            digests=(digest_row(language("evidence.json (complete; not attached)"), whole), *made.annex.digests[1:]),
            items_note=language(_WITHHELD) if opened else made.annex.items_note,
        ),
        figure_notes={**made.figure_notes, "single": language(_NO_FIGURE)} if opened else made.figure_notes,
        redaction=Redaction(
            sha256=sha256(copy.core),
            exhibits=tuple(
                digest_row(language("Exhibit %(path)s", path=f"pool/{place:04d}"), digest)
                for place, digest in enumerate(copy.exhibits)
            ),
        ),
    )
    return Redacted(report, copy.core, tuple(_secrets(case)))


def require_silence(html: str, secrets: Iterable[str]) -> None:
    """Refuses pages that hold a secret, which a suspect's name or a field of case.toml can bring in.

    Raises:
        CaseError: a secret occurs in the pages.
    """
    text = " ".join(unescape(html).split())
    for place, secret in enumerate(secrets):
        if secret in text:
            raise CaseError(
                f"The redacted report would print withheld text number {integer(place + 1)} of the opened share.",
                "Take it out of case.toml, or out of the name given to the suspect.",
            )


def _secrets(case: CaseFolder) -> Iterable[str]:
    share = case.evidence.share
    if share is None:
        return
    yield from (share.seed, share.salt)
    folder = f"{share_folder(share.index)}pool/"
    for name, content in sorted(case.content.items()):
        if name.startswith(folder) and name.endswith(".txt"):
            text = clean(content.decode("utf-8", errors="replace"), _EXCERPT)
            if len(text) >= _LONG:
                yield text
