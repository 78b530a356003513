"""The check of a signed report: unchanged to the last bit, complete, by whom, and the same as its case."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from cryptography import x509

from forensics.canonical import now, sha256, utc
from forensics.conclusion import chosen_items
from forensics.errors import CaseError, CheckFailed, UsageError
from forensics.evidence.case import CaseFolder
from forensics.evidence.certificates import is_demonstration, parse_fingerprint, read_certificates, subject_name
from forensics.evidence.check import CheckResult, check_case, unidentified
from forensics.evidence.consistency import MALFORMED
from forensics.evidence.schema import Evidence
from forensics.evidence.signed_pdf import LARGEST, PdfFault, SignedPdf, read_signed_pdf
from forensics.keys.chain import trusted_by

ATTACHMENT = "evidence.json"

_KEYWORD = re.compile(r"(evidence|manifest)-sha256:([0-9a-f]{64})")
_DESCRIPTION = re.compile(r"SHA-256 ([0-9a-f]{64})$")
_LEVEL = re.compile(r"signature-level:(B-B|B-T)\b")
_NO_CHANGES = 1


@dataclass(frozen=True)
class ReportContent:
    """What a report declares, read from the signed revision.

    Attributes:
        evidence: the attached bytes.
        declared: SHA-256 that the document's metadata and the attachment's description give for it.
        manifest_sha256: of the case that the report was made from.
    """

    evidence: bytes
    declared: str
    manifest_sha256: str


def check_pdf(
    path: Path,
    *,
    case: Path | None = None,
    trust: Path | None = None,
    expect_fingerprint: str | None = None,
) -> CheckResult:
    """Checks a signed report.

    Args:
        path: the PDF.
        case: the case folder that it reports on; checked as well, and recomputed where a share is opened.
        trust: certificates that are trusted, PEM or DER, for the report as for the case.
        expect_fingerprint: SHA-256 of the signer's certificate, from another channel.

    Returns:
        `ok` is False for any change of the file, however small; `trusted` is None where neither `trust` nor
        `expect_fingerprint` is given.

    Raises:
        UsageError: the PDF or the trusted certificates cannot be read, or the fingerprint is none.
        CaseError: there is no case at `case`.
    """
    roots = None if trust is None else read_certificates(trust)
    expected = None if expect_fingerprint is None else parse_fingerprint(expect_fingerprint)
    if case is not None and not case.exists():
        raise CaseError(f"There is no case at {case}.", "Check the name.")
    raw = _read(path)
    try:
        signed = read_signed_pdf(raw)
        content = read_content(raw, signed)
    except CheckFailed as error:
        return _refused(error.cause, must_be_trusted=roots is not None or expected is not None)
    reasons: list[str] = []
    trusted = _trusted(signed, roots, expected, reasons)
    complete, evidence = _attached(content, reasons)
    inside = None if case is None else check_case(case, trust=trust)
    if case is None or inside is None:
        reasons.append("The case was not given, so nothing was recomputed: give its folder with --case.")
    else:
        reasons.extend(inside.reasons)
        complete = complete and inside.complete and (not inside.ok or _same_case(case, content, reasons))
        if trusted is not None and inside.trusted is not None:
            trusted = trusted and inside.trusted
    reasons.append(_pages_sentence(evidence))
    reasons.append(_signature_sentence(signed))
    reasons.append(f"SHA-256 of the signer's certificate: {signed.signature.fingerprint}")
    reasons.append(f"SHA-256 of the attached evidence.json: {sha256(content.evidence)}")
    intact = inside is None or inside.intact
    return CheckResult(
        ok=intact and complete and trusted is not False and (inside is None or inside.ok),
        intact=intact,
        complete=complete,
        signed_by=subject_name(signed.signature.signer),
        trusted=trusted,
        timestamped=None if inside is None else inside.timestamped,
        reproduced=None if inside is None else inside.reproduced,
        reasons=tuple(reasons),
        details=_details(signed, content, evidence),
    )


def read_content(raw: bytes, signed: SignedPdf) -> ReportContent:
    """Reads what a report declares, after its signature was found to cover the whole file.

    Raises:
        PdfFault: pyHanko sees another signature, coverage or revision than the bytes show, the signature permits
            changes, or the attachment or a declared digest is missing or doubled.
    """
    from pyhanko.pdf_utils.misc import PdfError

    try:
        return _read_content(raw, signed)
    except PdfFault:
        raise
    except (PdfError, AssertionError, NotImplementedError, *MALFORMED) as error:
        raise PdfFault(f"The structure of the PDF cannot be read ({type(error).__name__}).") from error


def _read_content(raw: bytes, signed: SignedPdf) -> ReportContent:
    from pyhanko.pdf_utils.reader import PdfFileReader
    from pyhanko.sign.validation.status import SignatureCoverageLevel

    reader = PdfFileReader(BytesIO(raw))
    if len(reader.embedded_signatures) != 1 or len(reader.embedded_regular_signatures) != 1:
        raise PdfFault("The file does not carry exactly one signature.")
    embedded = reader.embedded_regular_signatures[0]
    if tuple(int(part) for part in embedded.byte_range) != signed.byte_range:
        raise PdfFault("The signature that a reader sees is not the one that covers the file.")
    if not embedded.pkcs7_content.startswith(signed.contents):
        raise PdfFault("The signature that a reader sees is not the one that covers the file.")
    embedded.compute_integrity_info()
    last = reader.total_revisions == embedded.signed_revision + 1
    if embedded.coverage != SignatureCoverageLevel.ENTIRE_FILE or not last:
        raise PdfFault("The file was changed after it was signed.")
    if embedded.docmdp_level is None or embedded.docmdp_level.value != _NO_CHANGES:
        raise PdfFault("The signature is no certification that forbids changes.")
    if str(embedded.sig_object["/SubFilter"]) != "/ETSI.CAdES.detached":
        raise PdfFault("The signature is no PAdES signature.")

    resolver = reader.get_historical_resolver(embedded.signed_revision)
    name, specification = _only_attachment(resolver.root)
    description = _DESCRIPTION.search(str(specification["/Desc"]))
    declared = str(resolver.trailer_view["/Info"]["/Keywords"])
    keywords, level = dict(_KEYWORD.findall(declared)), _LEVEL.search(declared)
    if name != ATTACHMENT or str(specification["/UF"]) != ATTACHMENT:
        raise PdfFault("The attachment is not evidence.json.")
    if description is None or keywords.keys() != {"evidence", "manifest"}:
        raise PdfFault("The document does not declare the SHA-256 of its evidence and of its case.")
    if description[1] != keywords["evidence"]:
        raise PdfFault("The document declares two different digests of its evidence.")
    if level is None or (level[1] == "B-T") != (signed.signature.timestamp is not None):
        raise PdfFault("The signature has not the level that the document declares: its time stamp was taken away.")
    evidence = bytes(specification["/EF"]["/F"].data)
    return ReportContent(evidence, keywords["evidence"], keywords["manifest"])


def _only_attachment(root: Any) -> tuple[str, Any]:
    names = root["/Names"]["/EmbeddedFiles"]["/Names"]
    associated = root["/AF"]
    if len(names) != 2 or len(associated) != 1:
        raise PdfFault("The file does not carry exactly one attachment.")
    if names.raw_get(1).reference != associated.raw_get(0).reference:
        raise PdfFault("The attachment that the document names is not the one that it carries.")
    return str(names[0]), names[1]


def _pages_sentence(evidence: Evidence | None) -> str:
    """What the pages should say: a signer may have put other words on them than the evidence has."""
    score = evidence.score if evidence else None
    records = "no score"
    if score is not None:
        found = score.measurement
        chosen = chosen_items(found.test, found.context)
        records = f"{score.verdict.outcome}, {found.matched} of {found.n if chosen is None else chosen}"
    return f"The text on the pages was not compared with the evidence; what the evidence records is: {records}."


def _signature_sentence(signed: SignedPdf) -> str:
    signature = signed.signature
    text = "The signature covers the whole file and permits no change"
    if signature.timestamp is not None:
        authority = subject_name(signature.timestamp.signed.signer)
        text += f"; it was time-stamped {utc(signature.timestamp.gen_time)} by {authority}"
    if is_demonstration(signature.signer):
        text += ". This is a DEMONSTRATION SIGNATURE or a self-signed one: it identifies nobody"
    return f"{text}."


def _trusted(
    signed: SignedPdf, roots: Sequence[x509.Certificate] | None, expected: str | None, reasons: list[str]
) -> bool | None:
    """Whether the signer is the expected one; both ways of saying whom to expect must agree."""
    signature, stamp = signed.signature, signed.signature.timestamp
    answers: list[bool] = []
    if stamp is not None and not (roots and trusted_by(stamp.signed, roots, at=stamp.gen_time, purpose="timestamp")):
        reasons.append(unidentified(stamp))
    if expected is not None:
        answers.append(signature.fingerprint == expected)
        if not answers[-1]:
            reasons.append("The signer's certificate is not the one with the fingerprint you expect.")
    if roots is not None:
        dated = stamp is not None and trusted_by(stamp.signed, roots, at=stamp.gen_time, purpose="timestamp")
        # Without a time stamp that can be trusted, only a certificate that is valid now is worth anything.
        moment = stamp.gen_time if stamp is not None and dated else now()
        answers.append(trusted_by(signature, roots, at=moment, purpose="signature"))
        if not answers[-1]:
            reasons.append("The signer's certificate does not lead to a root that you trust, or is not valid.")
    return all(answers) if answers else None


def _attached(content: ReportContent, reasons: list[str]) -> tuple[bool, Evidence | None]:
    if sha256(content.evidence) != content.declared:
        reasons.append("The attached evidence.json does not have the SHA-256 that the document declares.")
        return False, None
    try:
        return True, Evidence.parse(content.evidence)
    except CaseError as error:
        reasons.append(f"The attachment is no evidence: {error.cause}")
        return False, None


def _same_case(case: Path, content: ReportContent, reasons: list[str]) -> bool:
    folder = CaseFolder.load(case)
    same_evidence = folder.evidence.core == content.evidence
    same_manifest = folder.manifest_sha256 == content.manifest_sha256
    if not same_evidence:
        reasons.append("The attached evidence.json is not the one of the case.")
    if not same_manifest:
        reasons.append("The report was made from another state of the case: its manifest differs.")
    return same_evidence and same_manifest


def _details(signed: SignedPdf, content: ReportContent, evidence: Evidence | None) -> dict[str, Any]:
    signature = signed.signature
    score = evidence.score if evidence else None
    return {
        "signer_fingerprint": signature.fingerprint,
        "signature_demonstration": is_demonstration(signature.signer),
        "signature_timestamp": utc(signature.timestamp.gen_time) if signature.timestamp else None,
        "evidence_sha256": sha256(content.evidence),
        "manifest_sha256": content.manifest_sha256,
        "binding": evidence.binding if evidence else None,
        "verdict": score.verdict.outcome if score else None,
        "named_models": [reference.role for reference in evidence.references] if evidence else [],
    }


def _refused(cause: str, *, must_be_trusted: bool) -> CheckResult:
    return CheckResult(
        ok=False,
        intact=False,
        complete=False,
        signed_by=None,
        trusted=False if must_be_trusted else None,
        timestamped=None,
        reproduced=None,
        reasons=(cause,),
    )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.", "Check the name and the permissions.") from error
