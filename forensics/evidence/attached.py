"""What a report's attachment shows without the case: whether it contradicts itself, and the figures that follow.

The timestamps of the claim and the pool are not attached. So the secrets of a dated claim cannot be derived here, and
its number cannot be recomputed from the answers; only that of a self-dated claim can (ours).
"""

from dataclasses import dataclass

from forensics.errors import ForensicsError
from forensics.evidence.consistency import MALFORMED, Parts, attempt
from forensics.evidence.models import find_odd_identities, find_odd_models
from forensics.evidence.reproduce import reproduce, verify_figures
from forensics.evidence.schema import Evidence
from forensics.keys.claim import Claim
from forensics.keys.opening import verify_opening


@dataclass(frozen=True)
class AttachmentCheck:
    """What became of it.

    Attributes:
        problems: a sentence for each contradiction.
        reproduced: whether the numbers follow from the attached answers; None where they could not be recomputed.
    """

    problems: tuple[str, ...]
    reproduced: bool | None


def check_attached(evidence: Evidence, *, redacted: bool) -> AttachmentCheck:
    """Checks evidence that came without its case.

    Args:
        evidence: as attached, or what is left of it in a redacted copy.
        redacted: whether it is such a copy: its answers are blanks, so that only figures are compared.
    """
    try:
        claim = Claim.model_validate(evidence.claim)
        problems = _contradictions(evidence, claim, redacted=redacted)
        problems += verify_figures(claim, evidence)
        reproduced = None if redacted or problems else _reproduce(claim, evidence, problems)
    except MALFORMED as error:
        cause = error.cause if isinstance(error, ForensicsError) else f"({type(error).__name__})"
        return AttachmentCheck((f"The attached evidence cannot be checked: {cause}",), None)
    return AttachmentCheck(tuple(f"The attached evidence contradicts itself: {each}" for each in problems), reproduced)


def _contradictions(evidence: Evidence, claim: Claim, *, redacted: bool) -> list[str]:
    problems = []
    if evidence.claim_digest != claim.digest or evidence.binding != claim.binding:
        problems.append("its digest or its binding of the claim is not that of its claim.")
    for check in (find_odd_identities,) if redacted else (find_odd_identities, find_odd_models):
        problems += attempt(check, Parts({}, evidence, claim))
    return problems


def _reproduce(claim: Claim, evidence: Evidence, problems: list[str]) -> bool | None:
    """Recomputes the numbers of a self-dated claim with an opened share; what differs is added to the problems."""
    if claim.authorities or evidence.share is None or evidence.score is None:
        return None
    opened = verify_opening(claim, (), evidence.share.model_dump())
    problems += reproduce(claim, evidence, opened, {}).differences
    return not problems
