"""The conclusion in words a judge can read, and the warnings that stand beside it; no number is computed."""

from dataclasses import replace

from forensics.conclusion import conclusion
from forensics.evidence.results import decode_measurement, decode_verdict
from forensics.evidence.schema import Evidence
from forensics.keys.claim import Claim
from forensics.nouns import nouns_of
from forensics.report.language import ENGLISH, Language
from forensics.report.recorded import recorded
from forensics.wording import noted

WARNINGS = {
    "timestamped": "",
    "demonstration": noted(
        "DEMONSTRATION: the key’s time stamp comes from the tool’s own demonstration authority and proves no date. "
        "This is not a finding for use in court."
    ),
    "self-dated": noted("SELF-DATED KEY: no authority vouches for when the key was made."),
}


def conclude(evidence: Evidence, claim: Claim, say: Language = ENGLISH) -> str:
    """Returns the conclusion as `conclusion.conclusion` words it, in the method's nouns, or that there is none yet."""
    if evidence.score is None:
        return say(
            "No conclusion: the answers of %(suspect)s were recorded and sealed; they have not been scored.",
            suspect=say.quoted(say.clean(evidence.suspect.name, 80)),
        )
    verdict, measurement = decode_verdict(evidence.score.verdict), decode_measurement(evidence.score.measurement)
    reasons = tuple(recorded(reason.rstrip("."), say, 120) for reason in verdict.reasons[:1])
    return conclusion(
        replace(verdict, reasons=reasons),
        replace(measurement, effect=replace(measurement.effect, name=recorded(measurement.effect.name, say, 80))),
        say.clean(claim.owner, 60),
        evidence.binding,
        nouns_of(claim, say),
        say,
        controls={control.role for control in evidence.score.controls},
    )
