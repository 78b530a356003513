"""The check of a signed report: unchanged to the last bit, complete, by whom, and the same as its case."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509

from forensics.canonical import now, sha256, utc
from forensics.conclusion import chosen_items
from forensics.errors import CaseError, CheckFailed, UsageError
from forensics.evidence.archive import read_report_file
from forensics.evidence.attached import AttachmentCheck, check_attached
from forensics.evidence.case import CaseFolder
from forensics.evidence.certificates import is_demonstration, parse_fingerprint, read_certificates, subject_name
from forensics.evidence.check import check_case, unidentified
from forensics.evidence.consistency import MALFORMED
from forensics.evidence.facts import case_facts
from forensics.evidence.findings import CheckResult
from forensics.evidence.longterm import LEVELS, verify_embedded
from forensics.evidence.redaction import REDACTED, RedactedEvidence, redact
from forensics.evidence.revocation import RevocationFault
from forensics.evidence.schema import Evidence
from forensics.evidence.signed_pdf import LARGEST, PdfFault, SignedPdf
from forensics.evidence.structure import read_structure
from forensics.keys.chain import trusted_by
from forensics.keys.claim import Claim

ATTACHMENT = "evidence.json"

_UNVERIFIED = (
    "The case was not given: give its folder with --case. The numbers were not recomputed: they are the owner's word."
)
_RECOMPUTED = (
    "The case was not given: give its folder with --case. The numbers follow from the answers that are attached; "
    "nothing else of the case was there to be compared."
)

_KEYWORD = re.compile(r"(evidence|manifest|redacted)-sha256:([0-9a-f]{64})")
_DESCRIPTION = re.compile(r"SHA-256 ([0-9a-f]{64})$")
_STAMPER = re.compile(r"timestamp-authority:([0-9a-f]{64})")
_LEVEL = re.compile(r"signature-level:(B-LTA|B-LT|B-T|B-B)\b")


@dataclass(frozen=True)
class ReportContent:
    """What a report declares, read from the signed revision.

    Attributes:
        evidence: the attached bytes: evidence, or a redacted copy of it.
        declared: SHA-256 that the document's metadata and the attachment's description give for them.
        evidence_sha256: of the complete evidence, which is what is attached where nothing is redacted.
        manifest_sha256: of the case that the report was made from.
        level: PAdES level that it declares and reaches.
        redacted: whether a redacted copy is attached, and the complete evidence only named.
    """

    evidence: bytes
    declared: str
    evidence_sha256: str
    manifest_sha256: str
    level: str
    redacted: bool

    @property
    def name(self) -> str:
        """What the attachment is called."""
        return REDACTED if self.redacted else ATTACHMENT


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
        case: the case folder that it reports on; checked as well, and recomputed where a share is opened. Without it
            only the attached evidence is checked, for contradictions within itself; see `attached`.
        trust: certificates that are trusted, PEM or DER, for the report as for the case.
        expect_fingerprint: SHA-256 of the signer's certificate, from another channel.

    Returns:
        `ok` is False for any change of the file, however small; `trusted` is None where neither `trust` nor
        `expect_fingerprint` is given. Without a case `complete` is None at best, and what the evidence records stands
        in the details under `recorded`, since nobody checked it.

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
        signed = read_report_file(raw)
        content = read_content(raw, signed)
    except CheckFailed as error:
        return _refused(error.cause, must_be_trusted=roots is not None or expected is not None)
    reasons: list[str] = []
    trusted = _trusted(signed, roots, expected, reasons)
    opinion = _opinion(raw, signed, roots, reasons)
    if opinion is not None and opinion["indication"] == "FAILED":
        trusted = False
    sound, evidence = _attached(content, reasons)
    inside = None if case is None else check_case(case, trust=trust)
    complete: bool | None = sound
    if case is None or inside is None:
        alone = AttachmentCheck((), None) if evidence is None else check_attached(evidence, redacted=content.redacted)
        problems, reproduced = alone.problems, alone.reproduced
        # What is attached is a part of the case: that it does not contradict itself does not make it complete.
        complete = None if sound and not problems else False
        reasons = [*problems, *reasons, _RECOMPUTED if reproduced else _UNVERIFIED]
    else:
        problems, reproduced = inside.problems, inside.reproduced
        reasons.extend(inside.reasons)
        complete = sound and inside.complete is True and (not inside.ok or _same_case(case, content, reasons))
        if trusted is not None and inside.trusted is not None:
            trusted = trusted and inside.trusted
    reasons.append(_pages_sentence(evidence))
    reasons.append(_signature_sentence(signed, content.level))
    reasons.append(f"SHA-256 of the signer's certificate: {signed.signature.fingerprint}")
    reasons.append(f"SHA-256 of the attached {content.name}: {sha256(content.evidence)}")
    if content.redacted:
        reasons.append(f"SHA-256 of the complete evidence.json, which is not attached: {content.evidence_sha256}")
    intact = inside is None or inside.intact
    return CheckResult(
        ok=intact and complete is not False and trusted is not False and (inside is None or inside.ok),
        intact=intact,
        complete=complete,
        signed_by=subject_name(signed.signature.signer),
        trusted=trusted,
        timestamped=None if inside is None else inside.timestamped,
        reproduced=reproduced,
        reasons=tuple(reasons),
        details={
            **({"recorded": _facts(evidence)} if inside is None else _facts(evidence)),
            **_details(signed, content, evidence, told=_is_told(signed, roots)),
            "ades": opinion,
            "case_check": None if inside is None else dict(inside.details),
        },
        problems=problems,
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
    except RevocationFault as fault:
        raise PdfFault(f"The signature does not stand: {fault.cause}.") from fault
    except (PdfError, AssertionError, NotImplementedError, *MALFORMED) as error:
        raise PdfFault(f"The structure of the PDF cannot be read ({type(error).__name__}).") from error


def _read_content(raw: bytes, signed: SignedPdf) -> ReportContent:
    structure = read_structure(raw, signed)
    name, specification = _only_attachment(structure.root)
    description = _DESCRIPTION.search(str(specification["/Desc"]))
    declared = str(structure.info["/Keywords"])
    keywords, level = dict(_KEYWORD.findall(declared)), _LEVEL.search(declared)
    redacted = "redacted" in keywords
    wanted, digest = (REDACTED, keywords["redacted"]) if redacted else (ATTACHMENT, keywords.get("evidence"))
    if name != wanted or str(specification["/UF"]) != wanted:
        raise PdfFault(f"The attachment is not {wanted}.")
    if description is None or digest is None or keywords.keys() - {"redacted"} != {"evidence", "manifest"}:
        raise PdfFault("The document does not declare the SHA-256 of its evidence and of its case.")
    if description[1] != digest:
        raise PdfFault("The document declares two different digests of its evidence.")
    if level is None or level[1] != structure.level(signed):
        raise PdfFault(
            "The signature has not the level that the document declares: a time stamp was taken away, or more."
        )
    stamp, stamper = signed.signature.timestamp, _STAMPER.search(declared)
    if stamper is not None and (stamp is None or stamp.signed.fingerprint != stamper[1]):
        raise PdfFault("The time stamp comes from another authority than the document declares.")
    if structure.embedded is not None:
        verify_embedded(signed.signature, structure.embedded, signed.archive)
    evidence = bytes(specification["/EF"]["/F"].data)
    return ReportContent(evidence, digest, keywords["evidence"], keywords["manifest"], level[1], redacted)


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


def _signature_sentence(signed: SignedPdf, level: str) -> str:
    signature, archive = signed.signature, signed.archive
    text = "The signature covers the whole file and permits no change"
    if archive is not None:
        text = "The signature covers the whole file but the time stamp behind it, and nothing else follows"
    if signature.timestamp is not None:
        authority = subject_name(signature.timestamp.signed.signer)
        text += f"; it was time-stamped {utc(signature.timestamp.gen_time)} by {authority}"
    if level in LEVELS.values():
        text += "; the revocation lists in the document show that none of its certificates was revoked then"
    if archive is not None:
        text += f"; the whole file was time-stamped {utc(archive.gen_time)} by {subject_name(archive.signed.signer)}"
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


def _opinion(
    raw: bytes, signed: SignedPdf, roots: Sequence[x509.Certificate] | None, reasons: list[str]
) -> dict[str, str | None] | None:
    """What the standard's procedure says of an archived report under the given roots; None where it is not asked."""
    if roots is None or signed.archive is None:
        return None
    from forensics.evidence.ades import validate_archived

    try:
        found = validate_archived(raw, roots)
    except MALFORMED as error:
        reasons.append(f"The signature could not be validated by EN 319 102-1 ({type(error).__name__}).")
        return {"indication": "FAILED", "reason": type(error).__name__, "best_time": None}
    if found.indication != "PASSED":
        reasons.append(f"By EN 319 102-1 the signature is {found.indication} under your roots ({found.reason}).")
    best = None if found.best_time is None else utc(found.best_time)
    return {"indication": found.indication, "reason": found.reason, "best_time": best}


def _attached(content: ReportContent, reasons: list[str]) -> tuple[bool, Evidence | None]:
    if sha256(content.evidence) != content.declared:
        reasons.append(f"The attached {content.name} does not have the SHA-256 that the document declares.")
        return False, None
    try:
        if not content.redacted:
            return True, Evidence.parse(content.evidence)
        copy = RedactedEvidence.parse(content.evidence)
    except CaseError as error:
        reasons.append(f"The attachment is no evidence: {error.cause}")
        return False, None
    if copy.evidence_sha256 != content.evidence_sha256:
        reasons.append("The attached copy is one of other evidence than the document names.")
        return False, None
    reasons.append(
        "This report is redacted: answers, item scores, what the key drew and the opened share are withheld and stand "
        "as digests. They can be compared only with the case."
    )
    return True, copy.evidence


def _same_case(case: Path, content: ReportContent, reasons: list[str]) -> bool:
    folder = CaseFolder.load(case)
    expected = redact(folder.evidence).core if content.redacted else folder.evidence.core
    same_evidence = expected == content.evidence
    same_manifest = folder.manifest_sha256 == content.manifest_sha256
    if not same_evidence:
        reasons.append(f"The attached {content.name} is not the one of the case.")
    if not same_manifest:
        reasons.append("The report was made from another state of the case: its manifest differs.")
    return same_evidence and same_manifest


def _facts(evidence: Evidence | None) -> dict[str, Any]:
    """What the attached evidence records; nothing where it cannot be read or its claim is not in it."""
    try:
        return {} if evidence is None else case_facts(evidence, Claim.model_validate(evidence.claim))
    except MALFORMED:
        return {}


def _is_told(signed: SignedPdf, roots: Sequence[x509.Certificate] | None) -> bool:
    """Whether the time stamp's date is repeated: whoever says whom to trust is told none by anybody else."""
    stamp = signed.signature.timestamp
    return stamp is not None and (
        roots is None or trusted_by(stamp.signed, roots, at=stamp.gen_time, purpose="timestamp")
    )


def _details(signed: SignedPdf, content: ReportContent, evidence: Evidence | None, *, told: bool) -> dict[str, Any]:
    signature = signed.signature
    stamp = signature.timestamp if told else None
    score = evidence.score if evidence else None
    return {
        "signer_fingerprint": signature.fingerprint,
        "signature_demonstration": is_demonstration(signature.signer),
        "signature_level": content.level,
        "archive_timestamp": utc(signed.archive.gen_time) if signed.archive else None,
        "signature_timestamp": utc(stamp.gen_time) if stamp else None,
        "evidence_sha256": content.evidence_sha256 if content.redacted else sha256(content.evidence),
        "redacted": content.redacted,
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
        problems=(cause,),
    )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.", "Check the name and the permissions.") from error
