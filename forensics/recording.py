"""Building the records of a case: who made what, when, with which tool."""

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from forensics import __version__
from forensics.acquisition import ask
from forensics.canonical import now, sha256, utc
from forensics.codec import encode_answers, encode_identity
from forensics.errors import CaseError, UsageError
from forensics.evidence.afterwards import is_complete, plan_published
from forensics.evidence.case import TRANSCRIPT, CaseFolder
from forensics.evidence.chain import head, verify_chain
from forensics.evidence.consistency import EXAMINERS_CLOCK, claim_date, token_record
from forensics.evidence.exchanges import ordered_rows
from forensics.evidence.kit import Kit, expected_labels
from forensics.evidence.models import FILE_KINDS
from forensics.evidence.schema import (
    NOT_STATED,
    AnswersRecord,
    AssetRecord,
    Dated,
    Dates,
    Evidence,
    IdentityRecord,
    PlanRecord,
    ReferenceRecord,
    TokenRecord,
)
from forensics.keys.asset import Asset
from forensics.keys.claim import Claim
from forensics.keys.folder import KeyFolder, UnlockedKey
from forensics.keys.timestamp import verify_token
from forensics.progress import Progress
from forensics.records import Answers, Identity, Plan

if TYPE_CHECKING:
    from forensics.suspects import Suspect

_PACKAGES = ("numpy", "scipy", "torch", "transformers", "tokenizers", "onnxruntime")


def tool_record() -> dict[str, str]:
    """Returns what was used: tool, Python, system, and the libraries that can change a number."""
    found = {
        "name": "model-forensics",
        "version": __version__,
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
    }
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def stamped(der: bytes, digest: str) -> TokenRecord:
    """Returns a token as a record, after verifying it.

    Args:
        digest: what it is over, 64 hexadecimal digits.
    """
    return token_record(verify_token(der, bytes.fromhex(digest)))


def acquired_evidence(
    kit: Kit,
    identity: Identity,
    name: str,
    answers: AnswersRecord,
    references: list[ReferenceRecord],
    transcript: bytes,
    token: bytes | None,
    suspect_date: Dated,
) -> Evidence:
    """Returns the evidence of a case that was acquired and not scored: answers and digests, no secret."""
    stamps = [stamped(der, kit.claim.digest) for der in kit.tokens]
    moment, newest = utc(now()), head(transcript)
    latest = max((stamp.gen_time for stamp in stamps), default=None)
    claimed = claim_date(latest)
    return Evidence(
        schema_version="forensics-evidence/1",
        case=name,
        created=moment,
        tool=tool_record(),
        claim=kit.claim.model_dump(mode="json"),
        claim_digest=kit.claim.digest,
        binding=kit.claim.binding,
        tokens=stamps,
        asset=None,
        dates=Dates(token=claimed, release=NOT_STATED, suspect=suspect_date),
        suspect=IdentityRecord.model_validate(encode_identity(identity)),
        plan=PlanRecord(
            digest=kit.plan.digest,
            share=kit.share,
            batch_size=kit.plan.batch_size,
            probes=[probe.digest for probe in kit.plan.probes],
            groups=list(kit.plan.groups) or None,
            keep=kit.plan.keep if kit.plan.groups else None,
        ),
        acquired=Dated(value=moment, source=EXAMINERS_CLOCK),
        transcript_head=newest,
        transcript_token=stamped(token, newest) if token else None,
        answers=answers,
        references=references,
        score=None,
        share=None,
    )


def named_references(
    claim: Claim, plan: Plan, models: Sequence["Suspect"], progress: Progress
) -> list[ReferenceRecord]:
    """Asks the models that the claim names, found by their digests, and returns their answers.

    Raises:
        UsageError: one is not among the models given.
    """
    records: list[ReferenceRecord] = []
    for commitment in claim.references:
        model = next((each for each in models if each.identity.digest == commitment.digest), None)
        if model is None:
            raise UsageError(
                f"The claim's {commitment.role} ({commitment.digest[:16]}…) is not among the models given.",
                "Name its folder with --reference-checkpoint.",
            )
        if model.identity.kind not in FILE_KINDS:
            raise UsageError(
                f"The claim's {commitment.role} must be asked itself, from its files: what a recorded case or an "
                "address answers could have been made to fit.",
                "Name its folder with --reference-checkpoint.",
            )
        answers = ask(model, plan, progress, f"Asking the {commitment.role}", expected_labels(claim))
        records.append(
            ReferenceRecord(
                role=commitment.role,
                identity=IdentityRecord.model_validate(encode_identity(model.identity)),
                answers=AnswersRecord.model_validate(encode_answers(answers)),
            )
        )
    return records


def ask_published(key: UnlockedKey, case: CaseFolder, suspect: "Suspect", progress: Progress) -> tuple[Plan, Answers]:
    """Asks a case's suspect for the method's published statistics, once all that decides has been answered.

    Raises:
        CaseError: the case was not acquired to its end.
        UsageError: another suspect, or a method without such statistics.
    """
    from forensics.acquisition import ask

    evidence, share = case.evidence, case.evidence.plan.share
    plan = plan_published(key.claim, key.secrets(share)[1], key.pool(share))
    transcript = case.content[TRANSCRIPT]
    if not is_complete(evidence, transcript) or not replays(case, transcript):
        raise CaseError(
            "The case was not acquired to its end, so the published statistics cannot be asked for yet.",
            "Finish the acquisition with --resume first.",
        )
    if evidence.transcript_token is None:
        raise CaseError(
            "The transcript was not timestamped before scoring, so nothing shows that what decides came first.",
            "Acquire with --tsa URL, or leave --published out.",
        )
    if suspect.identity.digest != evidence.suspect.digest:
        raise UsageError("The suspect named is not the one of the case.", "Name the model that the case examined.")
    return plan, ask(suspect, plan, progress, "Asking for the published statistics")


def asset_record(folder: KeyFolder) -> AssetRecord | None:
    """Returns what the owner recorded of the marked model, with its verified token."""
    raw, token = folder.asset, folder.asset_token
    if raw is None:
        return None
    asset = Asset.parse(raw)
    dated = stamped(token, sha256(raw)) if token is not None else None
    return AssetRecord(digest=asset.digest, created=asset.created, token=dated, predecessor=asset.predecessor)


def replays(case: CaseFolder, transcript: bytes) -> bool:
    """Tells whether the transcript is whole and its answers are those of the evidence."""
    entries = verify_chain(transcript)
    _, rows = ordered_rows(entries)
    return rows == case.evidence.answers.values and head(transcript) == case.evidence.transcript_head


def require_claim(evidence: Evidence, folder: KeyFolder) -> None:
    """Refuses a case of another claim.

    Raises:
        CaseError: the case's claim is not the key's.
    """
    if evidence.claim_digest != folder.claim.digest:
        theirs, ours = evidence.claim.get("method"), folder.claim.method
        other = "belongs to another key"
        if theirs != ours:
            other = f"was made with a key for '{theirs}', this key is for '{ours}'"
        raise CaseError(f"The case {other}.", "Use the key whose kit the examiner used.")
