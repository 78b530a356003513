"""The report: a case as a PDF that people can read, sign and file, and that anybody can check."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from forensics.canonical import now, sha256
from forensics.errors import UsageError
from forensics.evidence.case import CaseFolder
from forensics.evidence.storage import storage_error
from forensics.keys.timestamp import TimestampAuthority
from forensics.report.details import Details, load_details

if TYPE_CHECKING:
    from pyhanko.sign.signers import SimpleSigner

__all__ = ["Details", "ReportResult", "load_details", "write_report"]


@dataclass(frozen=True)
class ReportResult:
    """A written report.

    Attributes:
        path: of the PDF.
        sha256: of the file.
        unsigned_sha256: of the bytes before the signature, which the same case and details give again.
        pages: how many.
        missing: required keys of case.toml that were not supplied; not empty means that it is a draft.
    """

    path: Path
    sha256: str
    unsigned_sha256: str
    pages: int
    missing: tuple[str, ...]


def write_report(
    case: Path,
    out: Path,
    *,
    details: Path | None = None,
    signer: "SimpleSigner | None" = None,
    authority: TimestampAuthority | None = None,
    stamp: bool = True,
    overwrite: bool = False,
) -> ReportResult:
    """Writes a case's report as PDF/A-3a with `evidence.json` attached, signed where a signer is given.

    Args:
        case: the case folder.
        out: the PDF; appears whole or not at all.
        details: `case.toml`; None makes a draft.
        signer: from `evidence.signer.load_signer`; None leaves the report unsigned, and it says so.
        authority: of a time stamp over the signature.
        stamp: whether page 1 shows the signature.
        overwrite: replace an existing file.

    Raises:
        UsageError: the file exists, or the details or the certificate are not right.
        CaseError: there is no intact case.
        MissingExtraError: the Pango libraries are not installed.
        AuthorityError: the time stamp authority failed; nothing is written.
        StorageError: the file cannot be written; what was there before is unchanged.
    """
    if not overwrite and os.path.lexists(out):
        raise _exists(out)
    supplied = load_details(details)
    folder = CaseFolder.load(case)

    from forensics.evidence.signer import signer_certificate
    from forensics.report.render import render_pdf
    from forensics.report.sign import describe_signature, sign_pdf
    from forensics.report.view import make_report

    facts = None if signer is None else describe_signature(signer_certificate(signer), authority, visible=stamp)
    report = make_report(
        folder.evidence, supplied, manifest_sha256=folder.manifest_sha256, signature=facts, files=folder.content
    )
    rendered = render_pdf(report, folder.evidence.core)
    pdf = rendered.pdf
    if signer is not None and facts is not None:
        pdf = sign_pdf(pdf, signer, facts, authority=authority, at=now())
    write_file(out, pdf, overwrite=overwrite)
    return ReportResult(out, sha256(pdf), sha256(rendered.pdf), rendered.pages, report.missing)


def write_file(path: Path, content: bytes, *, overwrite: bool) -> None:
    """Writes a file so that it appears whole or not at all.

    Raises:
        UsageError: it exists and must not be replaced.
        StorageError: it cannot be written; what was there before is unchanged.
    """
    draft = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        draft = Path(name)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fchmod(handle, 0o644)
            os.fsync(handle)
        if not overwrite and os.path.lexists(path):
            raise _exists(path)
        draft.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise storage_error(error, path) from error
    finally:
        if draft is not None:
            draft.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _exists(path: Path) -> UsageError:
    return UsageError(f"{path} exists already.", "Choose another name, or add --overwrite.")
