"""Results, gates and error rates: sections 8 and 9, every number from the evidence."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import partial

from forensics.conclusion import SUBSET, UNITS, chosen_items
from forensics.evidence.schema import Evidence, MeasurementRecord, ScoreRecord
from forensics.keys.claim import Claim
from forensics.nouns import MEASURED, Nouns, nouns_of
from forensics.report.details import Details
from forensics.report.exhibits import CONTROL_ROLES
from forensics.report.figures import ratio
from forensics.report.registration import marked
from forensics.report.remote import noun
from forensics.report.tables import Row, Table
from forensics.report.text import clean, integer, number, power_of_two, sentence, share

COUNT_TESTS = frozenset({"bits", "labels", "blocks"})
"""Tests whose null is a binomial count, so that the figure of the null can be drawn."""

LEDGER = Decimal("0.001")
"""What gate G2 demands of p after the charges for examinations and undisclosed attempts."""

GATE_TEXTS = {
    "G1": "The commitment opens, and no known date contradicts the order: key, release of what is marked, earliest "
    "evidence of the suspect.",
    "G2": "The agreement is beyond chance: p is at most α, and at most one in a thousand after all charges.",
    "G3": "Independent reference models do not respond, and the suspect exceeds them by the declared margin.",
    "G4": "The effect is at least the minimum that the claim fixed.",
    "G5": "The recorded transcript replays to the same numbers.",
}

CONTEXT_LABELS = {
    "raw_matched": "Units that agree without calibration",
    "chosen": "{Many} that the key chose",
    "missing": "{Many} without an answer",
    "uncalibrated AUC": "AUC of the suspect’s answers alone, without the unmarked encoder’s",
}
"""What methods report beside the deciding statistic; other keys are printed as they are, and {Many} is the noun."""

_MORE = " or a little more, since the direction is chosen by the answers"
"""Said of the chance value of an effect that counts in either direction."""

_UNDECIDED = "the dates do not show"
"""Beginning of the reasons by which a verdict says that two known dates overlap."""

GATE_STATES = {True: "passed", False: "failed", None: "not run"}


@dataclass(frozen=True)
class Gate:
    """One gate with its state in words."""

    name: str
    text: str
    state: str


@dataclass(frozen=True)
class Results:
    """Section 8; absent where nothing was scored.

    Attributes:
        found: what was counted, as a sentence.
        plain: the same for somebody who has read nothing else; empty where the conclusion says it all.
        published_note: how the published statistics came about, where the suspect was asked for them.
    """

    found: str
    plain: str
    rows: tuple[Row, ...]
    null: str
    gates: tuple[Gate, ...]
    published: Table | None
    published_note: str
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


def _published_p(text: str) -> str:
    return "none" if text == "nan" else number(text)


def make_results(evidence: Evidence, claim: Claim) -> Results | None:
    """Returns section 8, or None where the case was not scored."""
    if evidence.score is None:
        return None
    measurement, verdict = evidence.score.measurement, evidence.score.verdict
    effect, size, nouns = measurement.effect, partial(effect_size, measurement.test), nouns_of(claim)
    rows = [
        Row("Deciding statistic", f"{clean(measurement.statistic, 60)} (access: {clean(measurement.access, 40)})"),
        *_counted(measurement, nouns),
        Row("Missing answers", share(measurement.missing_share)),
        Row("Effect", f"{size(effect.value)} ({clean(effect.name, 80)})"),
        Row("95 % interval of the effect", f"{size(effect.low)} to {size(effect.high)}"),
        Row("One-sided 99 % upper limit", size(effect.upper_99)),
        Row("By chance", f"{size(effect.chance)}{_MORE if nouns.two_sided else ''}"),
        Row(f"Exact p-value, {'two' if nouns.two_sided else 'one'}-sided", number(measurement.p_value)),
        Row("p after all charges", f"{number(verdict.adjusted_p)} (times M and {power_of_two(claim.rule.grinding)})"),
        Row("Undisclosed attempts the finding survives, N*", number(verdict.n_star)),
        Row("Examinations charged", integer(verdict.examinations)),
        Row("Power at the minimum effect", share(measurement.power)),
    ]
    if measurement.bayes_factor_log10 is not None:
        rows.append(Row("log₁₀ of the Bayes factor", number(measurement.bayes_factor_log10)))
    published = tuple(
        (clean(one.name, 60), number(one.statistic), _published_p(one.p_value), clean(one.source, 120))
        for one in measurement.published
    )
    sealed = (
        ""
        if measurement.items is not None
        else (
            f"The item scores and the {nouns.many if measurement.test == SUBSET else 'payload'} are sealed until a "
            "share is opened. Until then these figures are the word of whoever held the scoring secret."
        )
    )
    return Results(
        found=_found(measurement, nouns),
        plain=_plain(measurement, noun(evidence.suspect), nouns),
        rows=tuple(rows),
        null=clean(measurement.null, 400),
        gates=tuple(_gate(name, evidence, evidence.score) for name in GATE_TEXTS),
        published=Table(("Statistic", "Value", "p" if nouns.clusters else "p as published", "Source"), published)
        if published
        else None,
        published_note=_asked_afterwards(evidence.score),
        caveats=_caveats(measurement),
        context=tuple(
            Row(_context_label(key, nouns), number(value))
            for key, value in sorted(measurement.context.items())
            if key != "chosen" or measurement.test != SUBSET
        ),
        sealed=sealed,
    )


def make_error_rates(evidence: Evidence, claim: Claim, details: Details) -> ErrorRates:
    """Returns section 9."""
    controls = evidence.score.controls if evidence.score else []
    measurement = evidence.score.measurement if evidence.score else None
    rows = tuple(
        (
            clean(one.identity.name, 80),
            CONTROL_ROLES[one.role],
            f"{integer(one.matched)} of {integer(counted(one.n, measurement))}",
            effect_size(measurement.test, one.effect) if measurement else share(one.effect),
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
                f"At most α = {number(claim.rule.alpha)} for each key, whatever the suspect",
            ),
            Row("Largest p that passes gate G2", number(str(_as_decimal(passing_limit(claim, charged))), 2)),
            Row(
                "Power at the minimum effect",
                share(evidence.score.measurement.power) if evidence.score else "not scored",
            ),
            Row("Validation study of the laboratory", study or "No validation study was named."),
        ),
        controls=Table(("Name", "Role", "Agreement", "Effect", "p"), rows) if rows else None,
        controls_note=note if controls else "No control or reference model was scored in this case.",
        words_note="No verbal scale of evidential strength is applied: words would need a validation of the whole "
        "procedure on many keys, and none is recorded in the evidence.",
    )


def counted(n: int, measurement: MeasurementRecord | None) -> int:
    """Returns out of how many the matches are counted: the chosen words in a test of a subset, else all units."""
    chosen = chosen_items(measurement.test, measurement.context) if measurement else None
    return n if chosen is None else chosen


def order_not_shown(evidence: Evidence, score: ScoreRecord) -> str:
    """Returns what keeps gate G1 from showing the order of the dates; empty where it failed, was not run, or shows it.

    G1 passes where no known date contradicts the order: an unknown date is no contradiction, and proves nothing.
    """
    if score.verdict.gates.get("G1") is not True:
        return ""
    unknown = [f"the date of {name} is unknown" for name, dated in dated_facts(evidence) if dated is None]
    open_ends = [clean(one, 200).rstrip(".") for one in score.verdict.reasons if one.startswith(_UNDECIDED)]
    if not unknown and not open_ends:
        return ""
    return f"Not shown: {'; '.join([*unknown, *open_ends])}; G1 says only that no known date contradicts it."


def dated_facts(evidence: Evidence) -> tuple[tuple[str, str | None], ...]:
    """Returns the three dates that gate G1 compares, each with its name; None where unknown."""
    dates = evidence.dates
    return (
        ("the key’s commitment", dates.token.value),
        (f"the release of the marked {marked(evidence)}", dates.release.value),
        ("the earliest evidence of the suspect", dates.suspect.value),
    )


def effect_size(test: str, value: str) -> str:
    """Returns an effect as a percentage where it is a share of units, else as a number."""
    return share(value) if test in COUNT_TESTS else number(value)


def _gate(name: str, evidence: Evidence, score: ScoreRecord) -> Gate:
    note = order_not_shown(evidence, score) if name == "G1" else ""
    return Gate(name, f"{GATE_TEXTS[name]} {note}".strip(), GATE_STATES[score.verdict.gates.get(name)])


def _counted(measurement: MeasurementRecord, nouns: Nouns) -> tuple[Row, ...]:
    chosen = chosen_items(measurement.test, measurement.context)
    if chosen is None:
        return (
            Row("Units tested, n", integer(measurement.n)),
            Row("Units that agree", integer(measurement.matched)),
        )
    return (
        Row(f"Candidate {nouns.many}, n", integer(measurement.n)),
        Row(f"{nouns.many.capitalize()} that the key chose", integer(chosen)),
        Row(f"Chosen {nouns.many} among the {integer(chosen)} {nouns.top}", integer(measurement.matched)),
        Row("Sum of their ranks, T", f"{number(measurement.value)} (each rank doubled, so that ties stay whole)"),
    )


def _found(measurement: MeasurementRecord, nouns: Nouns) -> str:
    matched, n = integer(measurement.matched), integer(measurement.n)
    chosen = chosen_items(measurement.test, measurement.context)
    if chosen is not None:
        return (
            f"Of the {integer(chosen)} {nouns.many} that the key chose out of {n} candidates, {matched} are among the "
            f"{integer(chosen)} {'at one end of the ranking' if nouns.two_sided else 'highest-scoring'}."
        )
    units = UNITS.get(measurement.test)
    if units is not None:
        return f"Of {n} {units} that the key drew at random, the answers reproduce {matched}."
    return f"The {clean(measurement.effect.name, 80)} is {effect_size(measurement.test, measurement.effect.value)}."


def _plain(measurement: MeasurementRecord, suspect: str, nouns: Nouns) -> str:
    matched, n = integer(measurement.matched), integer(measurement.n)
    if measurement.test == "bits":
        return (
            f"Each secret bit is a coin toss that only the key records. The answers reproduce {matched} of {n}. "
            f"A {suspect} that has nothing to do with the key reproduces about half of them."
        )
    chosen = chosen_items(measurement.test, measurement.context)
    if chosen is not None and nouns.clusters:
        ranking = MEASURED.get(measurement.access, "how they move its answers")
        return (
            f"The key picked {integer(chosen)} of {n} {nouns.plain} at random. All {n} were put to the {suspect} in "
            f"the same {nouns.carriers} and ranked, without knowledge of the pick, by {ranking}. For a {suspect} that "
            f"has nothing to do with the key the picked {nouns.many} lie anywhere in the ranking, about as many in one "
            "half of it as in the other."
        )
    if chosen is not None:
        return (
            f"The key picked {integer(chosen)} of {n} {nouns.plain} at random. Every {nouns.one} was scored without "
            f"knowledge of the pick: how far it draws the {suspect}’s answers towards a secret text. For a {suspect} "
            f"that has nothing to do with the key the picked {nouns.many} lie anywhere among the {n}; about "
            f"{_expected(chosen, measurement.n)} would be among the {integer(chosen)} highest."
        )
    return ""


def _caveats(measurement: MeasurementRecord) -> tuple[str, ...]:
    """Returns what is wrong with each published statistic; those with the same fault share a sentence."""
    names: dict[str, list[str]] = {}
    for one in measurement.published:
        names.setdefault(clean(one.caveat, 300).rstrip("."), []).append(clean(one.name, 60))
    return tuple(sentence(f"{'; '.join(who)}: {caveat}") for caveat, who in names.items())


def _context_label(key: str, nouns: Nouns) -> str:
    return CONTEXT_LABELS.get(key, clean(key, 60)).replace("{Many}", nouns.many.capitalize())


def _asked_afterwards(score: ScoreRecord) -> str:
    if score.published_answers is None:
        return ""
    return (
        f"For them the suspect was asked {integer(len(score.published_answers.values))} further texts, after "
        "everything that decides had been recorded. These texts depend on the key’s secret, so that whoever operates "
        "the suspect could learn some of its words."
    )


def _expected(chosen: int, n: int) -> str:
    return number(repr(chosen * chosen / n), 1)


def _as_decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)
