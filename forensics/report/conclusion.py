"""The conclusion in words a judge can read, and the warnings that stand beside it; no number is computed."""

from forensics.evidence.schema import Evidence, VerdictRecord
from forensics.keys.claim import Claim
from forensics.report.text import chance_in_words, clean, integer

GATE_NAMES = {
    "G1": "the opening of the commitment and the order of dates (G1)",
    "G2": "the test against chance (G2)",
    "G3": "the comparison with independent reference models (G3)",
    "G4": "the minimum effect (G4)",
    "G5": "the replay of the record (G5)",
}

WARNINGS = {
    "timestamped": "",
    "demonstration": "DEMONSTRATION: the key’s time stamp comes from the tool’s own demonstration authority and proves "
    "no date. This is not a finding for use in court.",
    "self-dated": "SELF-DATED KEY: no authority vouches for when the key was made.",
}


def conclude(evidence: Evidence, claim: Claim) -> str:
    """Returns the conclusion: what the answers support, never what anybody did, with every gate that was not run."""
    suspect = f"“{clean(evidence.suspect.name, 48)}”"
    if evidence.score is None:
        return f"No conclusion: the answers of {suspect} were recorded and sealed; they have not been scored."
    measurement, verdict = evidence.score.measurement, evidence.score.verdict
    units = UNITS.get(measurement.test, "units")
    count = f"{integer(measurement.matched)} of {integer(measurement.n)} secret {units} agree"
    by_chance = f"chance alone would give so much agreement in {chance_in_words(measurement.p_value)} cases"
    key = f"the secret key of {clean(claim.owner, 48)}"
    if verdict.outcome == "SUPPORTED":
        sentences = [
            f"The answers of {suspect} support the claim that information from {key} reached it: {count}, "
            f"and {by_chance}."
        ]
        if evidence.binding == "self-dated" and evidence.score.owner_undisputed:
            sentences.append("By the instructions, the owner of the key is not in dispute.")
    elif verdict.outcome == "NOT_SUPPORTED":
        sentences = [
            f"The answers of {suspect} do not support the claim that information from {key} reached it: {count}, and "
            f"{by_chance}. This is no evidence of independence, since a mark can be removed."
        ]
    elif verdict.outcome == "INVALID_CLAIM":
        sentences = [f"The claim is invalid: {_reasons(verdict)}. Nothing is found about {suspect}."]
    else:
        sentences = [f"The examination of {suspect} is inconclusive: {_reasons(verdict)}."]
    not_run = [name for gate, name in GATE_NAMES.items() if verdict.gates.get(gate) is None]
    if not_run:
        sentences.append(f"Not run: {'; '.join(not_run)}.")
    return " ".join(["Demonstration.", *sentences] if evidence.binding == "demonstration" else sentences)


UNITS = {"bits": "bits", "labels": "labels", "blocks": "blocks"}
"""What the key randomised, in words, by family of test."""


def _reasons(verdict: VerdictRecord) -> str:
    reasons = [clean(reason, 120).rstrip(".") for reason in verdict.reasons[:2]]
    return "; ".join(reasons) or "no reason is recorded"
