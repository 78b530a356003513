"""The conclusion in words a judge can read, and the warnings that stand beside it; no number is computed."""

from dataclasses import replace

from forensics.conclusion import conclusion
from forensics.evidence.results import decode_measurement, decode_verdict
from forensics.evidence.schema import Evidence
from forensics.keys.claim import Claim
from forensics.nouns import nouns_of
from forensics.report.text import clean

WARNINGS = {
    "timestamped": "",
    "demonstration": "DEMONSTRATION: the key’s time stamp comes from the tool’s own demonstration authority and proves "
    "no date. This is not a finding for use in court.",
    "self-dated": "SELF-DATED KEY: no authority vouches for when the key was made.",
}


def conclude(evidence: Evidence, claim: Claim) -> str:
    """Returns the conclusion as `conclusion.conclusion` words it, in the method's nouns, or that there is none yet."""
    if evidence.score is None:
        suspect = f"“{clean(evidence.suspect.name, 80)}”"
        return f"No conclusion: the answers of {suspect} were recorded and sealed; they have not been scored."
    verdict, measurement = decode_verdict(evidence.score.verdict), decode_measurement(evidence.score.measurement)
    short = replace(verdict, reasons=tuple(clean(reason, 120).rstrip(".") for reason in verdict.reasons[:1]))
    return clean(conclusion(short, measurement, clean(claim.owner, 60), evidence.binding, nouns_of(claim)), 900)
