"""The independent check of a case: intact, complete, signed by whom, dated, and reproduced from its answers."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509

from forensics import __version__
from forensics.canonical import now, sha256, utc
from forensics.errors import CaseError, ForensicsError
from forensics.evidence.bag import MANIFEST, SIGNATURE, TAGMANIFEST, find_damage, find_odd_tags
from forensics.evidence.bodies import TOOL_VERSION, read_bodies
from forensics.evidence.case import ASSET, ASSET_TOKEN, CLAIM, INSTRUCTIONS, RECOMPUTE, TRANSCRIPT_TOKEN
from forensics.evidence.certificates import (
    is_demonstration,
    parse_fingerprint,
    printable,
    read_certificates,
    subject_name,
)
from forensics.evidence.consistency import MALFORMED, Parts, find_contradictions, verify_dating
from forensics.evidence.custody import EVIDENCE
from forensics.evidence.instructions import render_instructions
from forensics.evidence.recompute import render_recompute
from forensics.evidence.reproduce import reproduce, verify_figures
from forensics.evidence.schema import Evidence
from forensics.evidence.storage import read_folder, recover_folder
from forensics.evidence.weaknesses import find_weaknesses
from forensics.keys.chain import trusted_by
from forensics.keys.claim import Claim
from forensics.keys.cms import read_cms
from forensics.keys.opening import verify_opening
from forensics.keys.signed import SignedData, TimestampToken
from forensics.keys.timestamp import verify_token
from forensics.records import Plan

REPRODUCED = "reproduced: the numbers follow from the recorded answers; this does not show that the suspect gave them."
_SHOWN = 20


@dataclass(frozen=True)
class CheckResult:
    """The outcome of a check; never raised, whatever the bytes.

    Attributes:
        ok: everything that had to hold does.
        intact: every byte is as the manifests and the signature say.
        complete: nothing is missing, superfluous or contradicts another part.
        signed_by: subject of the certificate that signed, where a signature is valid.
        trusted: whether that is the expected signer; None when nobody said whom to expect.
        timestamped: whether the claim's timestamps verify, and their authorities are under the given roots, where
            roots are given; False for a self-dated claim.
        reproduced: whether every number follows from the answers; None when no share is opened.
        reasons: plain sentences.
        details: for experts; JSON values.
    """

    ok: bool
    intact: bool
    complete: bool
    signed_by: str | None
    trusted: bool | None
    timestamped: bool | None
    reproduced: bool | None
    reasons: tuple[str, ...]
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def headline(self) -> str:
        """The first line of what is printed."""
        signer = {True: "signer identified", False: "signer NOT trusted", None: "signer NOT identified"}[self.trusted]
        if not self.signed_by:
            signer = f"not signed, {signer}"
        elif self.details.get("signature_demonstration"):
            signer = "DEMONSTRATION signature" if self.trusted else f"DEMONSTRATION signature, {signer}"
        unverified = self.reproduced is None and self.details.get("verdict") is not None
        numbers = " - NUMBERS NOT VERIFIED" if unverified else ""
        if self.details.get("named_models") and not self.details.get("named_models_asked"):
            numbers += " - NAMED MODELS NOT ASKED AGAIN"
        return f"{'PASSED' if self.ok else 'FAILED'} - {signer}{numbers}"


def check_case(path: Path, *, trust: Path | None = None, expect_fingerprint: str | None = None) -> CheckResult:
    """Checks a case folder; reads it only.

    Args:
        path: the folder.
        trust: certificates of roots to trust, PEM or DER.
        expect_fingerprint: SHA-256 of the signer's certificate, from another channel.

    Raises:
        UsageError: `trust` or `expect_fingerprint` cannot be read.
        CaseError: there is nothing at `path`.
    """
    roots = read_certificates(trust) if trust is not None else None
    expected = parse_fingerprint(expect_fingerprint) if expect_fingerprint is not None else None
    if not path.exists():
        recover_folder(path)
    if not os.path.lexists(path):
        raise CaseError(f"There is nothing at {path}.", "Check the name.")
    findings = _Findings()
    try:
        files = read_folder(path)
    except ForensicsError as error:
        findings.damage.append(error.cause)
        return findings.result(roots is not None or expected is not None)
    findings.damage += find_damage(files)
    findings.note("manifest_sha256", sha256(files.get(MANIFEST, b"")))
    findings.note("evidence_sha256", sha256(files.get(EVIDENCE, b"")))
    _check_signature(findings, files, roots, expected)
    parts = _parse(findings, files)
    if parts is not None:
        _check_content(findings, parts, roots)
    return findings.result(roots is not None or expected is not None)


class _Findings:
    """What a check has found so far."""

    def __init__(self) -> None:
        self.damage: list[str] = []
        self.gaps: list[str] = []
        self.differences: list[str] = []
        self.remarks: list[str] = []
        self.details: dict[str, Any] = {}
        self.signed_by: str | None = None
        self.trusted: bool | None = None
        self.dated: bool | None = None
        self.must_be_dated = True
        self.reproduced: bool | None = None

    def note(self, name: str, value: Any) -> None:
        """Keeps a fact for experts."""
        self.details[name] = printable(value) if isinstance(value, str) else value

    def result(self, must_be_trusted: bool) -> CheckResult:
        """Draws the conclusion."""
        if must_be_trusted and self.trusted is None:
            self.trusted = False
            self.remarks.insert(0, "There is no valid signature, so the signer is not the one you expect.")
        ok = (
            not self.damage
            and not self.gaps
            and not self.differences
            and self.reproduced is not False
            and self.trusted is not False
            and (self.dated is True or not self.must_be_dated)
        )
        reasons = [*_cut(self.damage), *_cut(self.gaps), *_cut(self.differences), *self.remarks]
        return CheckResult(
            ok=ok,
            intact=not self.damage,
            complete=not self.gaps,
            signed_by=self.signed_by,
            trusted=self.trusted,
            timestamped=self.dated,
            reproduced=self.reproduced,
            reasons=tuple(printable(reason) for reason in reasons),
            details=self.details,
        )


def _parse(findings: _Findings, files: Mapping[str, bytes]) -> Parts | None:
    for name in (EVIDENCE, CLAIM):
        if name not in files:
            findings.gaps.append(f"{name} is missing.")
    if findings.gaps:
        return None
    try:
        return Parts(files, Evidence.parse(files[EVIDENCE]), Claim.parse(files[CLAIM]))
    except ForensicsError as error:
        findings.gaps.append(error.cause)
    except MALFORMED as error:
        findings.gaps.append(f"The evidence or the claim cannot be read ({type(error).__name__}).")
    return None


def _check_content(findings: _Findings, parts: Parts, roots: Sequence[x509.Certificate] | None) -> None:
    evidence, claim = parts.evidence, parts.claim
    findings.must_be_dated = claim.binding != "self-dated"
    findings.gaps += find_contradictions(parts)
    try:
        findings.damage += find_odd_tags(parts.files, evidence)
        _check_dating(findings, parts, roots)
        _check_texts(findings, parts)
        findings.remarks += find_weaknesses(parts)
        plan: Plan | None = None
        if evidence.share is None:
            findings.remarks.append("No share is opened, so the numbers cannot be recomputed from this case.")
            findings.differences += verify_figures(claim, evidence)
        elif findings.damage:
            findings.remarks.append("The numbers were not recomputed, since files of the case were changed.")
        else:
            plan = _check_numbers(findings, parts)
        _check_bodies(findings, parts, plan)
    except MALFORMED as error:
        cause = error.cause if isinstance(error, ForensicsError) else f"({type(error).__name__})"
        findings.gaps.append(f"A part of the case cannot be read: {cause}")
    findings.note("case", evidence.case)
    findings.note("claim_digest", claim.digest)
    findings.note("binding", claim.binding)
    findings.note("transcript_head", evidence.transcript_head)
    if evidence.score is not None:
        findings.note("verdict", evidence.score.verdict.outcome)
        findings.note("named_models", [reference.role for reference in evidence.references])
        findings.note("p_value", evidence.score.measurement.p_value)


def _check_dating(findings: _Findings, parts: Parts, roots: Sequence[x509.Certificate] | None) -> None:
    try:
        tokens = verify_dating(parts)
    except MALFORMED as error:
        findings.dated = False
        cause = error.cause if isinstance(error, ForensicsError) else "The claim's timestamps cannot be read."
        findings.gaps.append(cause)
        return
    findings.dated = bool(tokens)
    findings.note("claim_dated", [utc(token.gen_time) for token in tokens])
    if not tokens:
        findings.remarks.append("The claim bears no timestamp: the key does not bind its owner.")
    if any(token.demonstration for token in tokens):
        findings.remarks.append("This is a demonstration: its timestamp comes from no independent authority.")
    known = [_identified(findings, token.token, roots) for token in tokens]
    if roots is not None:
        findings.note("authorities_trusted", known)
        if not all(known):
            findings.dated, findings.must_be_dated = False, True
            findings.remarks.insert(
                0,
                "The claim's timestamp comes from an authority that is not among your roots: add the authority's "
                "root to the PEM file that you give with --trust.",
            )
    if parts.evidence.transcript_token is not None:
        head = bytes.fromhex(parts.evidence.transcript_head)
        _identified(findings, verify_token(parts.files[TRANSCRIPT_TOKEN], head).token, roots)
    if parts.evidence.asset is not None and parts.evidence.asset.token is not None:
        record = bytes.fromhex(sha256(parts.files[ASSET]))
        _identified(findings, verify_token(parts.files[ASSET_TOKEN], record).token, roots)


def _identified(findings: _Findings, token: TimestampToken, roots: Sequence[x509.Certificate] | None) -> bool:
    """Whether a token's authority is under the given roots; where it is not, a remark names it."""
    known = roots is not None and trusted_by(token.signed, roots, at=token.gen_time, purpose="timestamp")
    remark = unidentified(token)
    if not known and remark not in findings.remarks:
        findings.remarks.append(remark)
    return known


def unidentified(token: TimestampToken) -> str:
    """Returns the remark about an authority that nobody vouched for."""
    return f"The timestamp authority is NOT identified: {subject_name(token.signed.signer)}"


def _check_texts(findings: _Findings, parts: Parts) -> None:
    """Whether script and instructions, which people run and follow, are those that this tool writes."""
    evidence, files = parts.evidence, parts.files
    ours = evidence.tool.get(TOOL_VERSION) == __version__
    wanted = {INSTRUCTIONS: (render_instructions(evidence), "VERIFY.txt is not this tool's text: do not follow it.")}
    if evidence.share is not None:
        script = render_recompute(parts.claim.method)
        wanted[RECOMPUTE] = (script, "recompute.py is not this tool's script: do not run it.")
        findings.note("script_is_ours", files.get(RECOMPUTE) == script)
    for name, (content, sentence) in wanted.items():
        if name not in files or files[name] == content:
            continue
        if ours:
            findings.gaps.append(sentence)
        else:
            findings.remarks.append(
                f"{name} differs from what this version of the tool ({__version__}) writes; the case names another "
                f"version ({evidence.tool.get(TOOL_VERSION, 'none')}): read it before you use it."
            )


def _check_bodies(findings: _Findings, parts: Parts, plan: Plan | None) -> None:
    """Whether the rows that were scored follow from what a remote suspect sent."""
    found = read_bodies(parts.claim, parts.evidence, parts.transcript, parts.files, plan)
    if found is not None:
        findings.gaps += found.problems
        findings.remarks += found.remarks
        findings.note("bodies", {"read": found.read, "not_readable": found.not_readable})


def _check_numbers(findings: _Findings, parts: Parts) -> Plan | None:
    """Recomputes the numbers; returns the plan where it was rebuilt."""
    evidence, share = parts.evidence, parts.evidence.share
    findings.reproduced = False
    try:
        opened = verify_opening(parts.claim, parts.tokens, share.model_dump() if share is not None else {})
        found = reproduce(parts.claim, evidence, opened, parts.files)
    except MALFORMED as error:
        cause = error.cause if isinstance(error, ForensicsError) else f"({type(error).__name__})"
        findings.differences.append(f"The numbers cannot be recomputed: {cause}")
        return None
    findings.note("values_compared", found.compared)
    findings.note("probes_rebuilt", found.rebuilt)
    findings.differences += found.differences
    if found.agrees and evidence.score is None:
        findings.reproduced = None
        findings.remarks.append("The share opens the claim; the case holds no score that could be recomputed.")
    elif found.agrees:
        findings.reproduced = True
        findings.remarks.append(REPRODUCED)
    return found.plan


def _check_signature(
    findings: _Findings,
    files: Mapping[str, bytes],
    roots: Sequence[x509.Certificate] | None,
    expected: str | None,
) -> None:
    der, content = files.get(SIGNATURE), files.get(TAGMANIFEST, b"")
    if der is None:
        findings.remarks.append("The case is not signed: whoever holds it could have written it anew.")
        return
    try:
        signed = read_cms(der, detached_digest=lambda name: hashlib.new(name, content).digest())
        findings.signed_by = subject_name(signed.signer)
        _describe(findings, signed, roots)
        findings.trusted = _trusted(findings, signed, roots, expected)
    except MALFORMED as error:
        findings.signed_by = None
        cause = error.cause if isinstance(error, ForensicsError) else "The signature cannot be read."
        findings.damage.append(cause)


def _describe(findings: _Findings, signed: SignedData, roots: Sequence[x509.Certificate] | None) -> None:
    findings.note("signer_fingerprint", signed.fingerprint)
    findings.note("signature_demonstration", is_demonstration(signed.signer))
    findings.note("signing_time", utc(signed.signing_time) if signed.signing_time else None)
    findings.note("signature_timestamp", utc(signed.timestamp.gen_time) if signed.timestamp else None)
    if signed.timestamp is not None:
        _identified(findings, signed.timestamp, roots)
    if is_demonstration(signed.signer):
        findings.remarks.append("This is a DEMONSTRATION SIGNATURE or a self-signed one: it identifies nobody.")


def _trusted(
    findings: _Findings, signed: SignedData, roots: Sequence[x509.Certificate] | None, expected: str | None
) -> bool | None:
    """Whether the signer is the expected one; both ways of saying whom to expect must agree."""
    trusted: bool | None = None
    if expected is not None:
        trusted = signed.fingerprint == expected
        if not trusted:
            findings.remarks.insert(0, "The signer's certificate is not the one with the fingerprint you expect.")
    if roots is not None:
        stamp = signed.timestamp
        dated = stamp is not None and trusted_by(stamp.signed, roots, at=stamp.gen_time, purpose="timestamp")
        # Without a timestamp that can be trusted, only a certificate that is valid now is worth anything.
        moment = stamp.gen_time if stamp is not None and dated else now()
        rooted = trusted_by(signed, roots, at=moment, purpose="signature")
        trusted = rooted and trusted is not False
        if not rooted:
            findings.remarks.insert(
                0, "The signer's certificate does not lead to a root that you trust, or is not valid."
            )
    return trusted


def _cut(sentences: list[str]) -> list[str]:
    """The first sentences, and how many there are beyond."""
    unique = list(dict.fromkeys(sentences))
    more = len(unique) - _SHOWN
    return unique if more <= 0 else [*unique[:_SHOWN], f"There are {more} more of this kind."]
