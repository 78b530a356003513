"""Results, gates and error rates: sections 8 and 9, every number from the evidence."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from forensics.conclusion import UNITS
from forensics.evidence.schema import Evidence
from forensics.keys.claim import Claim
from forensics.report.details import Details
from forensics.report.exhibits import CONTROL_ROLES
from forensics.report.figures import ratio
from forensics.report.tables import Row, Table
from forensics.report.text import clean, integer, number, power_of_two, share

COUNT_TESTS = frozenset({"bits", "labels", "blocks"})
"""Tests whose null is a binomial count, so that the figure of the null can be drawn."""

LEDGER = Decimal("0.001")
"""What gate G2 demands of p after the charges for examinations and undisclosed attempts."""

GATE_TEXTS = {
    "G1": "The commitment opens, and the dates are in order: key, release of the marked model, earliest evidence "
    "of the suspect.",
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


def passing_limit(claim: Claim, examinations: int) -> Fraction:
    """Returns the largest p-value that passes gate G2: alpha, and the ledger after all charges.

    Args:
        examinations: that are charged, as the verdict records them.
    """
    charged = Fraction(LEDGER) / int(2**claim.rule.grinding * examinations)
    return min(ratio(claim.rule.alpha), charged)


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
            "The item scores and the payload are sealed until a share is opened. Until then these figures are the "
            "word of whoever held the scoring secret."
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
    note = f"{references} independent reference models were scored; the claim asks for at least {wanted}."
    charged = evidence.score.verdict.examinations if evidence.score else claim.rule.examinations
    study = clean(details.validation.reference or "", 400)
    return ErrorRates(
        rows=(
            Row(
                "False positive rate by design",
                f"At most α = {number(claim.rule.alpha)} for each key, whatever the model",
            ),
            Row("Largest p that passes gate G2", number(str(_as_decimal(passing_limit(claim, charged))), 2)),
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


def _as_decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)
