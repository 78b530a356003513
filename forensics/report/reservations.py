"""What else could explain the answers, and what the examination cannot show: sections 10 and 11."""

from dataclasses import dataclass
from decimal import Decimal

from forensics.conclusion import chance_in_words
from forensics.evidence.schema import Evidence, ScoreRecord
from forensics.keys.claim import Claim
from forensics.nouns import Nouns, nouns_of
from forensics.report.details import Details
from forensics.report.exhibits import CONTROL_ROLES
from forensics.report.findings import GATE_STATES, GATE_TEXTS, counted, dated_facts, order_not_shown
from forensics.report.registration import marked
from forensics.report.remote import LIMITATIONS, is_remote, noun
from forensics.report.text import clean, integer, number, power_of_two, share

GENERAL = (
    "The examination shows whether the answers depend on the owner’s secret. It does not show how the information "
    "reached the suspect, who put it there, or whether that was permitted.",
    "Replaying the record shows that the numbers follow from the recorded answers. It does not show that the suspect "
    "gave those answers; asking the suspect again does.",
    "A mark can be removed: a verdict of “not supported” is no evidence that the suspect is independent.",
)
"""What limits every examination of this kind; what applies to one case alone is printed before it."""


_UNSEEN = {"scores": "probabilities of its classes", "labels": "the names of its classes alone"}


@dataclass(frozen=True)
class Alternative:
    """Another explanation, what speaks to it, and what the case shows."""

    explanation: str
    safeguard: str
    result: str


def make_alternatives(evidence: Evidence, claim: Claim) -> tuple[Alternative, ...]:
    """Returns section 10: each alternative of section 6 with what the case shows of it."""
    score = evidence.score
    measurement = score.measurement if score else None
    gates = score.verdict.gates if score else {}
    scored, suspect, source = "Not scored.", noun(evidence.suspect), marked(evidence)
    return (
        Alternative(
            "Chance",
            "The payload was drawn at random; the exact test gives the probability of so much agreement by chance.",
            f"{chance_in_words(float(measurement.p_value)).capitalize()}." if measurement else scored,
        ),
        Alternative(
            "A peculiarity of the suspect",
            f"The answers are held fixed and only the payload is redrawn, so that bias or dependence in the {suspect} "
            f"cannot create agreement.{_decoys(nouns_of(claim))} References and controls test the same in practice.",
            _controls_result(score) if score else scored,
        ),
        Alternative(
            "Many attempts by the owner",
            f"p is multiplied by M = {integer(claim.rule.examinations)} and {power_of_two(claim.rule.grinding)}; N* "
            "says how many more attempts the finding survives.",
            f"N* = {number(score.verdict.n_star)}." if score else scored,
        ),
        Alternative(
            "A key made after the suspect was known",
            f"The claim is to be time-stamped before the marked {source} is released, and the release is to precede "
            "the suspect (G1).",
            f"{_order_result(evidence)} {_binding_result(evidence)}",
        ),
        Alternative(
            f"A licence, or a marked {source} upstream of both",
            "Not a question of measurement: contracts and provenance decide it.",
            "Not examined. The finding would look the same.",
        ),
        Alternative(
            f"Training on answers of the marked {source}",
            "Not distinguished: marked answers can carry the payload into another model.",
            "Not examined. The finding would look the same.",
        ),
        Alternative(
            "A leaked key, or a planted mark",
            "Whoever held the scoring secret could have shaped the suspect or its answers. The transcript’s head is "
            "fixed before the secret is opened.",
            "Replay cannot exclude it; a repeated live query by the other side can.",
        ),
        Alternative(
            "An error of the examiner",
            "Positive and negative controls, the replay of the transcript (G5), technical review.",
            f"G5: {GATE_STATES[gates.get('G5')]}." if score else scored,
        ),
        Alternative(
            f"Another {suspect} than the one asserted",
            "The suspect is pinned by the digest of what was read or of the endpoint’s description.",
            "The digest covers the endpoint’s description alone; which weights answered is not shown."
            if is_remote(evidence.suspect)
            else f"Digest begins {clean(evidence.suspect.digest, 64)[:16]}; compare it with the party’s own copy.",
        ),
    )


def make_limitations(evidence: Evidence, claim: Claim, details: Details) -> tuple[str, ...]:
    """Returns section 11: only what applies to this case."""
    score = evidence.score
    found = []
    if evidence.binding == "demonstration":
        found.append("The key is a demonstration key: its time stamp comes from no independent authority.")
    if evidence.binding == "self-dated":
        found.append("The key is self-dated: nobody but the owner vouches for when it was made.")
    if evidence.share is None:
        found.append(
            "No share is opened: the payload is sealed, so that the other side cannot yet recompute the result."
        )
    unknown = [name for name, dated in dated_facts(evidence) if dated is None]
    if unknown:
        found.append(f"Not known: the date of {', of '.join(unknown)}.")
    if score is None:
        found += LIMITATIONS if is_remote(evidence.suspect) else ()
        return ("The answers were recorded but not scored, so that this report has no finding.", *found, *GENERAL)
    measurement, verdict = score.measurement, score.verdict
    if Decimal(measurement.missing_share) > 0:
        found.append(f"{share(measurement.missing_share)} of the answers are missing and count against the claim.")
    unseen = _UNSEEN.get(measurement.access) if nouns_of(claim).clusters else None
    if unseen is not None:
        found.append(f"The suspect gave {unseen}, not vectors: a mark that does not reach its own task stays unseen.")
    references = sum(one.role == "reference" for one in score.controls)
    if references < max(claim.rule.references.minimum, 1):
        found.append(f"Only {references} independent reference models were scored, fewer than the claim asks for.")
    if "positive" not in {one.role for one in score.controls}:
        found.append(f"The positive control (the owner’s own marked {marked(evidence)}) is not in the case.")
    if Decimal(measurement.power) < Decimal("0.8"):
        found.append(
            f"The power at the minimum effect is {share(measurement.power)}: a weak mark could have been missed, so "
            "that an absence of agreement is no evidence of independence."
        )
    if verdict.examinations > 1:
        found.append(f"{integer(verdict.examinations)} examinations under this claim are charged.")
    not_run = [name for name in GATE_TEXTS if verdict.gates.get(name) is None]
    if not_run:
        found.append(f"Not run: {', '.join(not_run)}. A gate that was not run is neither passed nor failed.")
    if is_remote(evidence.suspect):
        found += LIMITATIONS
    if details.validation.reference:
        return (*found, *GENERAL)
    return (
        *found,
        *GENERAL,
        "No validation study of this laboratory is named: its own rate of error is not quantified.",
    )


def _decoys(nouns: Nouns) -> str:
    if not nouns.clusters:
        return ""
    return f" Decoys, made like the drawn {nouns.many}, were asked in the same {nouns.carriers}."


def _order_result(evidence: Evidence) -> str:
    if evidence.score is None:
        return "Not scored."
    note = order_not_shown(evidence, evidence.score)
    return note or f"G1: {GATE_STATES[evidence.score.verdict.gates.get('G1')]}."


def _controls_result(score: ScoreRecord) -> str:
    state = f"G3: {GATE_STATES[score.verdict.gates.get('G3')]}."
    if not score.controls:
        return f"{state} No control was scored."
    texts = [
        f"{CONTROL_ROLES[one.role]}: {one.matched} of {counted(one.n, score.measurement)}"
        for one in score.controls
        if one.role != "reference"
    ]
    references = [one.matched for one in score.controls if one.role == "reference"]
    if references:
        total = counted(score.measurement.n, score.measurement)
        texts.append(f"{len(references)} references: {min(references)} to {max(references)} of {total}")
    return f"{state} {'; '.join(texts).capitalize()}."


def _binding_result(evidence: Evidence) -> str:
    return {
        "timestamped": "The key is time-stamped.",
        "demonstration": "The time stamp is a demonstration.",
        "self-dated": "The key is self-dated.",
    }[evidence.binding]
