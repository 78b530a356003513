"""The independent check of a case: intact, complete, signed by whom, dated, and reproduced from its answers."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cryptography import x509

from forensics import __version__
from forensics.canonical import now, sha256, utc
from forensics.errors import CaseError, ForensicsError
from forensics.evidence.bag import MANIFEST, SIGNATURE, TAGMANIFEST, find_damage, find_odd_tags
from forensics.evidence.bodies import TOOL_VERSION, read_bodies
from forensics.evidence.case import ASSET, ASSET_TOKEN, CLAIM, INSTRUCTIONS, RECOMPUTE, TRANSCRIPT_TOKEN, CaseFolder
from forensics.evidence.certificates import (
    is_demonstration,
    parse_fingerprint,
    read_certificates,
    subject_name,
)
from forensics.evidence.chain import verify_chain
from forensics.evidence.consistency import MALFORMED, Parts, attempt, find_contradictions, verify_dating
from forensics.evidence.custody import CUSTODY, EVIDENCE, TOOL, signed_entries
from forensics.evidence.entries import check_entries, is_stamped_as_named, read_last
from forensics.evidence.facts import case_facts
from forensics.evidence.findings import CheckResult, Findings
from forensics.evidence.instructions import render_instructions
from forensics.evidence.recompute import render_recompute
from forensics.evidence.replayed import find_odd_replay
from forensics.evidence.reproduce import reproduce, verify_figures
from forensics.evidence.schema import Evidence
from forensics.evidence.stages import find_changes, find_rewritten
from forensics.evidence.storage import read_folder, recover_folder
from forensics.evidence.supersede import find_differences, read_superseded
from forensics.evidence.weaknesses import find_weaknesses
from forensics.keys.chain import trusted_by
from forensics.keys.claim import Claim
from forensics.keys.cms import read_cms
from forensics.keys.opening import verify_opening
from forensics.keys.signed import SignedData, TimestampToken
from forensics.keys.timestamp import verify_token
from forensics.records import Plan

_TOOL = TOOL.rpartition(" ")[0]
"""How the logs name this tool, without its version."""

REPRODUCED = "reproduced: the numbers follow from the recorded answers; this does not show that the suspect gave them."


def check_case(
    path: Path,
    *,
    trust: Path | None = None,
    expect_fingerprint: str | None = None,
    supersedes: Path | None = None,
) -> CheckResult:
    """Checks a case folder; reads it only.

    Args:
        path: the folder.
        trust: certificates of roots to trust, PEM or DER.
        expect_fingerprint: SHA-256 of the signer's certificate, from another channel.
        supersedes: the sealed case that this one says that it supersedes; it is checked as well.

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
    findings = Findings()
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
        _check_custody(findings, parts, roots, supersedes)
    return findings.result(roots is not None or expected is not None)


def _parse(findings: Findings, files: Mapping[str, bytes]) -> Parts | None:
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


def _check_content(findings: Findings, parts: Parts, roots: Sequence[x509.Certificate] | None) -> None:
    evidence, claim = parts.evidence, parts.claim
    findings.must_be_dated = claim.binding != "self-dated"
    findings.gaps += [*find_contradictions(parts), *attempt(find_odd_replay, parts)]
    try:
        findings.damage += find_odd_tags(parts.files, evidence)
        _check_dating(findings, parts, roots)
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
        _check_texts(findings, parts)
    except MALFORMED as error:
        cause = error.cause if isinstance(error, ForensicsError) else f"({type(error).__name__})"
        findings.gaps.append(f"A part of the case cannot be read: {cause}")
    try:
        findings.details.update(case_facts(evidence, claim))
    except MALFORMED as error:
        findings.gaps.append(f"A part of the evidence cannot be read ({type(error).__name__}).")


def _check_custody(
    findings: Findings, parts: Parts, roots: Sequence[x509.Certificate] | None, supersedes: Path | None
) -> None:
    """Who signed which entry of the custody log, and which sealed case this one goes on from."""
    try:
        found, earlier = check_entries(parts.files, roots), read_superseded(parts.files)
    except MALFORMED as error:
        cause = error.cause if isinstance(error, ForensicsError) else f"({type(error).__name__})"
        findings.gaps.append(f"The custody log cannot be followed: {cause}")
        return
    findings.damage += found.problems
    findings.remarks += found.remarks
    for stamp in found.stamps:
        _identified(findings, stamp, roots)
    findings.gaps += attempt(find_rewritten, parts)
    for each in earlier:
        findings.gaps += [
            f"Superseded case {each.number + 1}: it was sealed with another {field} in evidence.json."
            for field in find_changes(each.evidence, parts.evidence)
        ]
    findings.note("custody", found.rows)
    findings.note("supersedes", [each.row for each in earlier])
    findings.remarks += [each.sentence for each in earlier]
    if supersedes is not None:
        old = check_case(supersedes)
        findings.gaps += [f"The superseded case does not pass: {reason}" for reason in old.problems]
        if old.intact:
            findings.gaps += find_differences(earlier, CaseFolder.load(supersedes))
        findings.note("superseded_case", {"ok": old.ok, "reasons": list(old.reasons)})
    elif earlier:
        findings.remarks.append("The superseded case itself was not given: give its folder with --supersedes.")


def _check_dating(findings: Findings, parts: Parts, roots: Sequence[x509.Certificate] | None) -> None:
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
    strangers = [] if all(known) else ["the claim"]
    for what, token in _other_tokens(parts):
        if not _identified(findings, token, roots):
            strangers.append(what)
    if roots is not None:
        findings.note("authorities_trusted", known)
        if strangers:
            findings.dated, findings.must_be_dated = False, True
            findings.press(
                f"The timestamp of {', of '.join(strangers)} comes from an authority that is not among your roots: add "
                "the authority's root to the PEM file that you give with --trust."
            )


def _other_tokens(parts: Parts) -> Iterator[tuple[str, TimestampToken]]:
    """The timestamps beside the claim's, each with what it dates."""
    evidence, files = parts.evidence, parts.files
    if evidence.asset is not None and evidence.asset.token is not None:
        yield "the marked model", verify_token(files[ASSET_TOKEN], bytes.fromhex(sha256(files[ASSET]))).token
    if evidence.transcript_token is not None:
        head = bytes.fromhex(evidence.transcript_head)
        yield "the transcript", verify_token(files[TRANSCRIPT_TOKEN], head).token


def _identified(findings: Findings, token: TimestampToken, roots: Sequence[x509.Certificate] | None) -> bool:
    """Whether a token's authority is under the given roots; where it is not, a remark names it."""
    known = roots is not None and trusted_by(token.signed, roots, at=token.gen_time, purpose="timestamp")
    remark = unidentified(token)
    if not known and remark not in findings.remarks:
        findings.remarks.append(remark)
    return known


def unidentified(token: TimestampToken) -> str:
    """Returns the remark about an authority that nobody vouched for."""
    return f"The timestamp authority is NOT identified: {subject_name(token.signed.signer)}"


def _check_texts(findings: Findings, parts: Parts) -> None:
    """Whether script and instructions, which people run and follow, are those that this tool writes."""
    evidence, files = parts.evidence, parts.files
    stated = f"{_TOOL} {evidence.tool.get(TOOL_VERSION, '')}"
    custody = verify_chain(files[CUSTODY])
    named = [stated, str(parts.transcript[0].get("tool")), *(str(entry.get("tool")) for entry in custody)]
    # Whoever goes on with a case may have another version; who acquired it wrote these three.
    if len(set(named[:3])) != 1:
        findings.gaps.append("evidence.json names another version of the tool than the transcript or the custody log.")
    text = render_instructions(evidence, signed_entries=bool(signed_entries(files[CUSTODY])))
    wanted = {INSTRUCTIONS: (text, "VERIFY.txt is not this tool's text: do not follow it.")}
    if evidence.share is not None:
        script = render_recompute(parts.claim.method)
        wanted[RECOMPUTE] = (script, "recompute.py is not this tool's script: do not run it.")
        findings.note("script_is_ours", files.get(RECOMPUTE) == script)
    unknown = [name for name, (content, _) in wanted.items() if name in files and files[name] != content]
    if f"{_TOOL} {__version__}" in named:
        findings.gaps += [wanted[name][1] for name in unknown]
        return
    findings.note("unknown_texts", [name.rpartition("/")[2] for name in unknown])
    findings.remarks += [
        f"{name} differs from what this version of the tool ({__version__}) writes; the case names another version "
        f"({evidence.tool.get(TOOL_VERSION, 'none')}): read it before you use it."
        for name in unknown
    ]


def _check_bodies(findings: Findings, parts: Parts, plan: Plan | None) -> None:
    """Whether the rows that were scored follow from what a remote suspect sent."""
    found = read_bodies(parts.claim, parts.evidence, parts.transcript, parts.files, plan)
    if found is not None:
        findings.gaps += found.problems
        findings.remarks += found.remarks
        findings.note("bodies", {"read": found.read, "not_readable": found.not_readable})


def _check_numbers(findings: Findings, parts: Parts) -> Plan | None:
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
    findings: Findings,
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
        if not is_stamped_as_named(read_last(files.get(CUSTODY, b"")), signed):
            findings.damage.append("The seal has not the timestamp that the custody log names: it was taken away.")
        _describe(findings, signed, roots)
        findings.trusted = _trusted(findings, signed, roots, expected)
    except MALFORMED as error:
        findings.signed_by = None
        cause = error.cause if isinstance(error, ForensicsError) else "The signature cannot be read."
        findings.damage.append(cause)


def _describe(findings: Findings, signed: SignedData, roots: Sequence[x509.Certificate] | None) -> None:
    findings.note("signer_fingerprint", signed.fingerprint)
    findings.note("signature_demonstration", is_demonstration(signed.signer))
    findings.note("signing_time", utc(signed.signing_time) if signed.signing_time else None)
    stamp = signed.timestamp
    # Whoever says whom to trust is told no date by anybody else.
    told = stamp is not None and (_identified(findings, stamp, roots) or roots is None)
    findings.note("signature_timestamp", utc(stamp.gen_time) if stamp is not None and told else None)
    if is_demonstration(signed.signer):
        findings.remarks.append("This is a DEMONSTRATION SIGNATURE or a self-signed one: it identifies nobody.")


def _trusted(
    findings: Findings, signed: SignedData, roots: Sequence[x509.Certificate] | None, expected: str | None
) -> bool | None:
    """Whether the signer is the expected one; both ways of saying whom to expect must agree."""
    trusted: bool | None = None
    if expected is not None:
        trusted = signed.fingerprint == expected
        if not trusted:
            findings.press("The signer's certificate is not the one with the fingerprint you expect.")
    if roots is not None:
        stamp = signed.timestamp
        dated = stamp is not None and trusted_by(stamp.signed, roots, at=stamp.gen_time, purpose="timestamp")
        # Without a timestamp that can be trusted, only a certificate that is valid now is worth anything.
        moment = stamp.gen_time if stamp is not None and dated else now()
        rooted = trusted_by(signed, roots, at=moment, purpose="signature")
        trusted = rooted and trusted is not False
        if not rooted:
            findings.press("The signer's certificate does not lead to a root that you trust, or is not valid.")
    return trusted
