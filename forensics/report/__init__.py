"""The report: a case as a PDF that people can read, sign and file, and that anybody can check."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from forensics.canonical import now, sha256
from forensics.errors import UsageError
from forensics.evidence.case import CaseFolder
from forensics.evidence.longterm import USUAL, SignatureOptions, plan_signature
from forensics.evidence.storage import storage_error
from forensics.keys.timestamp import TimestampAuthority
from forensics.report.details import Details, load_details
from forensics.report.language import LANGUAGES, load_language

if TYPE_CHECKING:
    from pyhanko.sign.signers import Signer

__all__ = ["LANGUAGES", "Details", "ReportResult", "load_details", "write_report"]


@dataclass(frozen=True)
class ReportResult:
    """A written report.

    Attributes:
        path: of the PDF.
        sha256: of the file.
        unsigned_sha256: of the bytes before the signature, which the same case and details give again.
        pages: how many.
        missing: required keys of case.toml that were not supplied; not empty means that it is a draft.
        twin: the HTML page made beside it, or None.
        twin_sha256: of that page; empty without one.
        level: PAdES level of the signature, such as `B-LT`; empty without one.
        below: why the signature is less than the court profile: a sentence, or empty.
    """

    path: Path
    sha256: str
    unsigned_sha256: str
    pages: int
    missing: tuple[str, ...]
    twin: Path | None = None
    twin_sha256: str = ""
    level: str = ""
    below: str = ""


def write_report(
    case: Path,
    out: Path,
    *,
    details: Path | None = None,
    signer: "Signer | None" = None,
    authority: TimestampAuthority | None = None,
    signing: SignatureOptions = USUAL,
    stamp: bool = True,
    language: str | None = None,
    overwrite: bool = False,
    summary: bool = False,
    redacted: bool = False,
    twin: Path | None = None,
) -> ReportResult:
    """Writes a case's report as PDF/A-3a with `evidence.json` attached, signed where a signer is given.

    Args:
        case: the case folder.
        out: the PDF; appears whole or not at all.
        details: `case.toml`; None makes a draft.
        signer: from `evidence.signer.load_signer` or `evidence.pkcs11.open_token`; None leaves the report unsigned, and
            it says so.
        authority: of a time stamp over the signature.
        signing: the signature's profile, and what it needs.
        stamp: whether page 1 shows the signature.
        language: one of `LANGUAGES`; by default the one that the details name.
        overwrite: replace existing files.
        summary: write two pages instead of the whole report.
        redacted: withhold what would give the mark away, and attach a redacted copy of the evidence instead of it.
        twin: a file for the same report as one HTML page, which names the PDF by its digest.

    Raises:
        UsageError: a file exists, the details or the certificate are not right, or a twin of a summary is asked for.
        CaseError: there is no intact case, or what people supplied names what a redacted report withholds.
        MissingExtraError: the Pango libraries are not installed.
        AuthorityError: the time stamp authority failed; nothing is written.
        StorageError: the file cannot be written; what was there before is unchanged.
    """
    if summary and twin is not None:
        raise UsageError("The HTML page is a twin of the whole report, not of the summary.", "Leave out one of them.")
    if twin is not None and os.path.realpath(twin) == os.path.realpath(out):
        raise UsageError("The PDF and its HTML twin cannot be the same file.", "Give them two names.")
    for path in (out, twin):
        if path is not None and not overwrite and os.path.lexists(path):
            raise _exists(path)
    supplied = load_details(details)
    say = load_language(language or supplied.language)
    folder = CaseFolder.load(case)

    from forensics.evidence.signer import require_signing, signer_certificate, signer_chain
    from forensics.report.redaction import make_redacted, require_silence
    from forensics.report.render import render_html, render_pdf
    from forensics.report.sign import describe_signature, sign_pdf
    from forensics.report.summary import render_summary
    from forensics.report.twin import render_twin
    from forensics.report.view import make_report

    facts = plan = None
    if signer is not None:
        certificate = signer_certificate(signer)
        require_signing(certificate, now())
        plan = plan_signature(signer_chain(signer), authority, signing, at=now())
        facts = describe_signature(certificate, plan, visible=stamp)
    if redacted:
        made = make_redacted(folder, supplied, signature=facts, language=say)
        report, attached = made.report, made.evidence
        require_silence(render_html(report), made.secrets)
    else:
        attached = folder.evidence.core
        report = make_report(
            folder.evidence,
            supplied,
            manifest_sha256=folder.manifest_sha256,
            signature=facts,
            files=folder.content,
            language=say,
        )
    rendered = render_summary(report, attached) if summary else render_pdf(report, attached)
    pdf = rendered.pdf
    if signer is not None and facts is not None and plan is not None:
        pdf = sign_pdf(pdf, signer, facts, plan, at=now(), language=say)
    files = {out: pdf}
    if twin is not None:
        files[twin] = render_twin(report, attached, document=out.name, document_sha256=sha256(pdf))
    write_files(files, overwrite=overwrite)
    return ReportResult(
        path=out,
        sha256=sha256(pdf),
        unsigned_sha256=sha256(rendered.pdf),
        pages=rendered.pages,
        missing=report.missing,
        twin=twin,
        twin_sha256="" if twin is None else sha256(files[twin]),
        level="" if plan is None else plan.level,
        below="" if plan is None else plan.missing,
    )


def write_file(path: Path, content: bytes, *, overwrite: bool) -> None:
    """Writes a file so that it appears whole or not at all.

    Raises:
        UsageError: it exists and must not be replaced.
        StorageError: it cannot be written; what was there before is unchanged.
    """
    write_files({path: content}, overwrite=overwrite)


def write_files(files: Mapping[Path, bytes], *, overwrite: bool) -> None:
    """Writes files so that each appears whole or not at all, and none before all of them are on the disk.

    Raises:
        UsageError: one exists and must not be replaced.
        StorageError: one cannot be written; what was there before is unchanged.
    """
    drafts: dict[Path, Path] = {}
    path = next(iter(files))
    try:
        for path, content in files.items():
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            drafts[path] = Path(name)
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fchmod(handle, 0o644)
                os.fsync(handle)
        for path in files:
            if not overwrite and os.path.lexists(path):
                raise _exists(path)
        for path, draft in drafts.items():
            draft.replace(path)
            _sync(path.parent)
    except OSError as error:
        raise storage_error(error, path) from error
    finally:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _exists(path: Path) -> UsageError:
    return UsageError(f"{path} exists already.", "Choose another name, or add --overwrite.")
