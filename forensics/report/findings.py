"""Results, gates, error rates, alternatives and limitations: sections 8 to 12, every number from the evidence."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from forensics.evidence.schema import Evidence, MeasurementRecord, ScoreRecord
from forensics.keys.claim import Claim
from forensics.report.conclusion import UNITS
from forensics.report.details import Details
from forensics.report.exhibits import CONTROL_ROLES
from forensics.report.tables import Row, Table
from forensics.report.text import chance_in_words, clean, integer, number, power_of_two, sentence, share

COUNT_TESTS = frozenset({"bits", "labels", "blocks"})
"""Tests whose null is a binomial count, so that the figure of the null can be drawn."""

LEDGER = Decimal("0.001")
"""What gate G2 demands of p after the charges for examinations and undisclosed attempts."""

GATE_TEXTS = {
    "G1": "The commitment opens, and the dates are in order: key, release of the marked model, earliest evidence of the "
    "suspect.",
    "G2": "The agreement is beyond chance: p is at most α, and at most one in a thousand after all charges.",
    "G3": "Independent reference models do not respond, and the suspect exceeds them by the declared margin.",
    "G4": "The effect is at least the minimum that the claim fixed.",
    "G5": "The recorded transcript replays to the same numbers.",
}

CONTEXT_LABELS = {"raw_matched": "Units that agree without calibration"}
"""What methods report beside the deciding statistic, in words; other keys are printed as they are."""

GATE_STATES = {True: "passed", False: "failed", None: "not run"}


@dataclass(frozen=True)
class Gate:
    """One gate with its state in words."""

    name: str
    text: str
    state: str


@dataclass(frozen=True)
class Results:
    """Section 8; absent where nothing was scored."""

    agreed: str
    total: str
    units: str
    rows: tuple[Row, ...]
    null: str
    gates: tuple[Gate, ...]
    published: Table | None
    caveats: tuple[str, ...]
    context: tuple[Row, ...]
    sealed: str


@dataclass(frozen=True)
class ErrorRates:
    """Section 9."""

    rows: tuple[Row, ...]
    controls: Table | None
    controls_note: str
    words_note: str


@dataclass(frozen=True)
class Alternative:
    """Another explanation, what speaks to it, and what the case shows."""

    explanation: str
    safeguard: str
    result: str


def passing_limit(claim: Claim) -> Fraction:
    """Returns the largest p-value that passes gate G2: alpha, and the ledger after the claim's charges."""
    charged = Fraction(LEDGER) / (2**claim.rule.grinding * claim.rule.examinations)
    return min(Fraction(claim.rule.alpha), charged)


def make_results(evidence: Evidence, claim: Claim) -> Results | None:
    """Returns section 8, or None where the case was not scored."""
    if evidence.score is None:
        return None
    measurement, verdict = evidence.score.measurement, evidence.score.verdict
    effect = measurement.effect
    rows = [
        Row("Deciding statistic", f"{clean(measurement.statistic, 60)} (access: {clean(measurement.access, 40)})"),
        Row("Units tested, n", integer(measurement.n)),
        Row("Units that agree", integer(measurement.matched)),
        Row("Missing answers", share(measurement.missing_share)),
        Row("Effect", f"{share(effect.value)} ({clean(effect.name, 80)})"),
        Row("95 % interval of the effect", f"{share(effect.low)} to {share(effect.high)}"),
        Row("One-sided 99 % upper limit", share(effect.upper_99)),
        Row("By chance", share(effect.chance)),
        Row("Exact p-value, one-sided", number(measurement.p_value)),
        Row("p after all charges", f"{number(verdict.adjusted_p)} (times M and {power_of_two(claim.rule.grinding)})"),
        Row("Undisclosed attempts the finding survives, N*", number(verdict.n_star)),
        Row("Examinations charged", integer(verdict.examinations)),
        Row("Power at the minimum effect", share(measurement.power)),
    ]
    if measurement.bayes_factor_log10 is not None:
        rows.append(Row("log₁₀ of the Bayes factor", number(measurement.bayes_factor_log10)))
    published = tuple(
        (clean(one.name, 60), number(one.statistic), number(one.p_value), clean(one.source, 120))
        for one in measurement.published
    )
    sealed = (
        ""
        if measurement.items is not None
        else (
            "The item scores and the payload are sealed until a share is opened. Until then these figures are the word of "
            "whoever held the scoring secret."
        )
    )
    return Results(
        agreed=integer(measurement.matched),
        total=integer(measurement.n),
        units=UNITS.get(measurement.test, "units"),
        rows=tuple(rows),
        null=clean(measurement.null, 400),
        gates=tuple(Gate(name, text, GATE_STATES[verdict.gates.get(name)]) for name, text in GATE_TEXTS.items()),
        published=Table(("Statistic", "Value", "p as published", "Source"), published) if published else None,
        caveats=tuple(f"{clean(one.name, 60)}: {clean(one.caveat, 300).rstrip('.')}." for one in measurement.published),
        context=tuple(
            Row(CONTEXT_LABELS.get(key, clean(key, 60)), number(value))
            for key, value in sorted(measurement.context.items())
        ),
        sealed=sealed,
    )


def make_error_rates(evidence: Evidence, claim: Claim, details: Details) -> ErrorRates:
    """Returns section 9."""
    controls = evidence.score.controls if evidence.score else []
    rows = tuple(
        (
            clean(one.identity.name, 80),
            CONTROL_ROLES[one.role],
            f"{integer(one.matched)} of {integer(one.n)}",
            share(one.effect),
            number(one.p_value),
        )
        for one in controls
    )
    references = sum(one.role == "reference" for one in controls)
    wanted = claim.rule.references.minimum
    note = f"{integer(references)} independent reference models were scored; the claim asks for at least {integer(wanted)}."
    study = clean(details.validation.reference or "", 400)
    return ErrorRates(
        rows=(
            Row(
                "False positive rate by design",
                f"At most α = {number(claim.rule.alpha)} for each key, whatever the model",
            ),
            Row("Largest p that passes gate G2", number(str(_as_decimal(passing_limit(claim))), 2)),
            Row(
                "Power at the minimum effect",
                share(evidence.score.measurement.power) if evidence.score else "not scored",
            ),
            Row("Validation study of the laboratory", study or "No validation study was named."),
        ),
        controls=Table(("Model", "Role", "Agreement", "Effect", "p"), rows) if rows else None,
        controls_note=note if controls else "No control or reference model was scored in this case.",
        words_note="No verbal scale of evidential strength is applied: words would need a validation of the whole "
        "procedure on many keys, and none is recorded in the evidence.",
    )


def make_alternatives(evidence: Evidence, claim: Claim) -> tuple[Alternative, ...]:
    """Returns section 10: each alternative of section 6 with what the case shows of it."""
    score = evidence.score
    measurement = score.measurement if score else None
    gates = score.verdict.gates if score else {}
    scored = "Not scored."
    return (
        Alternative(
            "Chance",
            "The payload was drawn at random; the exact test gives the probability of so much agreement by chance.",
            f"{chance_in_words(measurement.p_value).capitalize()}." if measurement else scored,
        ),
        Alternative(
            "A peculiarity of the suspect",
            "The answers are held fixed and only the payload is redrawn, so that bias or dependence in the model cannot "
            "create agreement. References and controls test the same in practice.",
            _controls_result(score) if score else scored,
        ),
        Alternative(
            "Many attempts by the owner",
            f"p is multiplied by M = {integer(claim.rule.examinations)} and {power_of_two(claim.rule.grinding)}; N* says how many more "
            "attempts the finding survives.",
            f"N* = {number(score.verdict.n_star)}." if score else scored,
        ),
        Alternative(
            "A key made after the suspect was known",
            "The claim is time-stamped before the marked model is released, and the release precedes the suspect (G1).",
            f"G1: {GATE_STATES[gates.get('G1')]}. {_binding_result(evidence)}",
        ),
        Alternative(
            "A licence, or a marked model upstream of both",
            "Not a question of measurement: contracts and provenance decide it.",
            "Not examined. The finding would look the same.",
        ),
        Alternative(
            "Training on answers of the marked model",
            "Not distinguished: marked answers can carry the payload into another model.",
            "Not examined. The finding would look the same.",
        ),
        Alternative(
            "A leaked key, or a planted mark",
            "Whoever held the scoring secret could have shaped the suspect or its answers. The transcript’s head is fixed "
            "before the secret is opened.",
            "Replay cannot exclude it; a repeated live query by the other side can.",
        ),
        Alternative(
            "An error of the examiner",
            "Positive and negative controls, the replay of the transcript (G5), technical review.",
            f"G5: {GATE_STATES[gates.get('G5')]}." if score else scored,
        ),
        Alternative(
            "Another model than the one asserted",
            "The suspect is pinned by the digest of what was read or of the end point’s description.",
            f"Digest begins {clean(evidence.suspect.digest, 64)[:16]}; compare it with the party’s own copy.",
        ),
    )


def make_limitations(evidence: Evidence, claim: Claim, details: Details) -> tuple[str, ...]:
    """Returns section 11: only what applies to this case."""
    score = evidence.score
    found = [
        "The examination shows whether the answers depend on the owner’s secret. It does not show how the information "
        "reached the suspect, who put it there, or whether that was permitted.",
        "Replaying the record shows that the numbers follow from the recorded answers. It does not show that the suspect "
        "gave those answers; asking the suspect again does.",
    ]
    if evidence.binding == "demonstration":
        found.append(
            "The key is a demonstration key: its time stamp comes from an authority whose private key is public."
        )
    if evidence.binding == "self-dated":
        found.append("The key is self-dated: nobody but the owner vouches for when it was made.")
    if evidence.share is None:
        found.append(
            "No share is opened: the payload is sealed, so that the other side cannot yet recompute the result."
        )
    unknown = [name for name, dated in _dates(evidence) if dated is None]
    if unknown:
        found.append(f"Not known: {', '.join(unknown)}.")
    if score is None:
        return (*found, "The answers were recorded but not scored, so that this report has no finding.")
    measurement, verdict = score.measurement, score.verdict
    if Decimal(measurement.missing_share) > 0:
        found.append(f"{share(measurement.missing_share)} of the answers are missing and count against the claim.")
    references = sum(one.role == "reference" for one in score.controls)
    if references < max(claim.rule.references.minimum, 1):
        found.append(f"Only {references} independent reference models were scored, fewer than the claim asks for.")
    if not {"positive", "predecessor"} <= {one.role for one in score.controls}:
        found.append(
            "The positive and negative control (marked model and unmarked predecessor) are not both in the case."
        )
    if Decimal(measurement.power) < Decimal("0.8"):
        found.append(
            f"The power at the minimum effect is {share(measurement.power)}: a weak mark could have been missed, so that "
            "an absence of agreement is no evidence of independence."
        )
    if verdict.examinations > 1:
        found.append(f"{integer(verdict.examinations)} examinations under this claim are charged.")
    not_run = [name for name in GATE_TEXTS if verdict.gates.get(name) is None]
    if not_run:
        found.append(f"Not run: {', '.join(not_run)}. A gate that was not run is neither passed nor failed.")
    if not details.validation.reference:
        found.append(
            "No validation study of this laboratory is named, so that its own rate of error is not quantified."
        )
    if "http" in evidence.suspect.kind or "+" in evidence.suspect.kind:
        found.append("The suspect was reached over a network; its operator can change it at any time.")
    found.append("A mark can be removed; a verdict of NOT_SUPPORTED is no evidence that the models are independent.")
    return tuple(found)


def _dates(evidence: Evidence) -> tuple[tuple[str, str | None], ...]:
    dates = evidence.dates
    return (
        ("the time of the key’s commitment", dates.token.value),
        ("the release of the marked model", dates.release.value),
        ("the earliest evidence of the suspect", dates.suspect.value),
    )


def _controls_result(score: ScoreRecord) -> str:
    state = f"G3: {GATE_STATES[score.verdict.gates.get('G3')]}."
    if not score.controls:
        return f"{state} No control was scored."
    texts = [
        f"{CONTROL_ROLES[one.role]}: {one.matched} of {one.n}" for one in score.controls if one.role != "reference"
    ]
    references = [one.matched for one in score.controls if one.role == "reference"]
    if references:
        texts.append(f"{len(references)} references: {min(references)} to {max(references)} of {score.measurement.n}")
    return f"{state} {'; '.join(texts).capitalize()}."


def _binding_result(evidence: Evidence) -> str:
    return {
        "timestamped": "The key is time-stamped.",
        "demonstration": "The time stamp is a demonstration.",
        "self-dated": "The key is self-dated.",
    }[evidence.binding]


def _as_decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)
