"""Results, gates and error rates: sections 8 and 9, every number from the evidence."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import partial

from forensics.conclusion import RANKS, SUBSET, UNITS, chosen_items
from forensics.evidence.schema import ControlRecord, Evidence, MeasurementRecord, ScoreRecord
from forensics.keys.claim import Claim
from forensics.nouns import MEASURED, Nouns, nouns_of
from forensics.report.details import Details
from forensics.report.exhibits import CONTROL_ROLES
from forensics.report.families import families_in_plain_words, family_rows, found_in_families, told_as_families
from forensics.report.figures import ratio
from forensics.report.gates import Gate, make_gates
from forensics.report.language import Language
from forensics.report.recorded import recorded, sourced
from forensics.report.remote import noun
from forensics.report.tables import Row, Table
from forensics.report.text import integer, power_of_two
from forensics.wording import Noun, capital, noted

COUNT_TESTS = frozenset({"bits", "labels", "blocks"})
"""Tests whose null is a binomial count, so that the figure of the null can be drawn."""

LEDGER = Decimal("0.001")
"""What gate G2 demands of p after the charges for examinations and undisclosed attempts."""

CONTEXT_LABELS = {
    "raw_matched": noted("Units that agree without calibration"),
    "chosen": noted("%(many)s that the key chose"),
    "missing": noted("%(many)s without an answer"),
    "classes": noted("Classes"),
    "left open": noted("Units without a usable answer"),
    "uncalibrated AUC": noted("AUC of the suspect’s answers alone, without the unmarked encoder’s"),
}
"""What methods report beside the deciding statistic; other keys are printed as they are."""


_MOVED = noted("how they move its answers")
"""What the ranking is about at a level of access that has no words of its own."""


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


def make_results(evidence: Evidence, claim: Claim, say: Language) -> Results | None:
    """Returns section 8, or None where the case was not scored."""
    if evidence.score is None:
        return None
    measurement, nouns = evidence.score.measurement, nouns_of(claim, say)
    published = tuple(
        (
            recorded(one.name, say, 60),
            say.number(one.statistic),
            say("none") if one.p_value == "nan" else say.number(one.p_value),
            sourced(one.source, say, 120),
        )
        for one in measurement.published
    )
    heads = (say("Statistic"), say("Value"), "p" if nouns.clusters else say("p as published"), say("Source"))
    return Results(
        found=_found(measurement, nouns, say),
        plain=_plain(measurement, noun(evidence.suspect, say), nouns, say),
        rows=_rows(evidence.score, claim, nouns, say),
        null=recorded(measurement.null, say, 400),
        gates=make_gates(evidence, evidence.score, say),
        published=Table(heads, published) if published else None,
        published_note=_asked_afterwards(evidence.score, say),
        caveats=_caveats(measurement, say),
        context=tuple(
            Row(_context_label(key, nouns, say), say.number(value))
            for key, value in sorted(measurement.context.items())
            if not ((key == "chosen" and measurement.test == SUBSET) or told_as_families(key))
        ),
        sealed="" if measurement.items is not None else _sealed(measurement, nouns, say),
    )


def make_error_rates(evidence: Evidence, claim: Claim, details: Details, say: Language) -> ErrorRates:
    """Returns section 9."""
    controls = evidence.score.controls if evidence.score else []
    measurement = evidence.score.measurement if evidence.score else None
    test = measurement.test if measurement else ""
    rows = tuple(
        (
            say.clean(one.identity.name, 80),
            say(CONTROL_ROLES[one.role]),
            say("%(matched)s of %(n)s", matched=integer(one.matched), n=integer(counted(one.n, measurement))),
            effect_size(test, one.effect, say) if measurement else say.share(one.effect),
            say.number(one.p_value),
        )
        for one in controls
    )
    charged = evidence.score.verdict.examinations if evidence.score else claim.rule.examinations
    study = say.clean(details.validation.reference or "", 400)
    return ErrorRates(
        rows=(
            Row(
                say("False positive rate by design"),
                say(
                    "At most α = %(alpha)s for each key, whatever the suspect: by chance alone, if no information "
                    "from the key reached the answers; errors, leaks and plants are not in it",
                    alpha=say.number(claim.rule.alpha),
                ),
            ),
            Row(say("Largest p that passes gate G2"), say.number(str(_as_decimal(passing_limit(claim, charged))), 2)),
            Row(say("Power at the minimum effect"), say.share(measurement.power) if measurement else say("not scored")),
            Row(say("Validation study of the laboratory"), study or say("No validation study was named.")),
        ),
        controls=Table((say("Name"), say("Role"), say("Agreement"), say("Effect"), "p"), rows) if rows else None,
        controls_note=_references(controls, claim, say),
        words_note=say(
            "No verbal scale of evidential strength is applied: words would need a validation of the whole procedure "
            "on many keys, and none is recorded in the evidence."
        ),
    )


def _references(controls: Sequence[ControlRecord], claim: Claim, say: Language) -> str:
    if not controls:
        return say("No control or reference model was scored in this case.")
    number = sum(one.role == "reference" for one in controls)
    if not number:
        return say("No independent reference model was scored.")
    return say(
        "%(number)s independent reference models were scored; the claim asks for at least %(wanted)s.",
        number=number,
        wanted=claim.rule.references.minimum,
    )


def counted(n: int, measurement: MeasurementRecord | None) -> int:
    """Returns out of how many the matches are counted: the chosen words in a test of a subset, else all units."""
    chosen = chosen_items(measurement.test, measurement.context) if measurement else None
    return n if chosen is None else chosen


def charged_in_words(score: ScoreRecord, claim: Claim, say: Language) -> str:
    """Returns how many examinations p is charged for, and where that number comes from; without a full stop."""
    return say(
        "%(charged)s charged: the larger of the %(allowed)s that the claim allows and the %(logged)s in the owner’s "
        "log, which the owner keeps",
        charged=integer(score.verdict.examinations),
        allowed=integer(claim.rule.examinations),
        logged=integer(score.examinations),
    )


def effect_size(test: str, value: str, say: Language) -> str:
    """Returns an effect as a percentage where it is a share of units, else as a number."""
    return say.share(value) if test in COUNT_TESTS else say.number(value)


def _rows(score: ScoreRecord, claim: Claim, nouns: Nouns, say: Language) -> tuple[Row, ...]:
    """Returns the measurement's numbers, one a row."""
    measurement, verdict = score.measurement, score.verdict
    effect, size = measurement.effect, partial(effect_size, measurement.test, say=say)
    chance = size(effect.chance)
    if nouns.two_sided:
        chance = say("%(value)s or a little more, since the direction is chosen by the answers", value=chance)
    rows = [
        Row(
            say("Deciding statistic"),
            say(
                "%(statistic)s (access: %(access)s)",
                statistic=recorded(measurement.statistic, say, 60),
                access=recorded(measurement.access, say, 40),
            ),
        ),
        *_counted(measurement, nouns, say),
        Row(say("Missing answers"), say.share(measurement.missing_share)),
        Row(
            say("Effect"),
            say("%(value)s (%(name)s)", value=size(effect.value), name=recorded(effect.name, say, 80)),
        ),
        Row(
            say("95 %% interval of the effect"),
            say("%(low)s to %(high)s", low=size(effect.low), high=size(effect.high)),
        ),
        Row(say("One-sided 99 %% upper limit"), size(effect.upper_99)),
        Row(say("By chance"), chance),
        Row(
            say("Exact p-value, two-sided") if nouns.two_sided else say("Exact p-value, one-sided"),
            say.number(measurement.p_value),
        ),
        Row(
            say("p after all charges"),
            say(
                "%(p)s (times %(charged)s and %(power)s)",
                p=say.number(verdict.adjusted_p),
                charged=integer(verdict.examinations),
                power=power_of_two(claim.rule.grinding),
            ),
        ),
        Row(say("Undisclosed attempts the finding survives, N*"), say.number(verdict.n_star)),
        Row(say("Examinations charged"), charged_in_words(score, claim, say)),
        Row(say("Power at the minimum effect"), say.share(measurement.power)),
    ]
    if measurement.bayes_factor_log10 is not None:
        rows.append(Row(say("log₁₀ of the Bayes factor"), say.number(measurement.bayes_factor_log10)))
    return tuple(rows)


def _sealed(measurement: MeasurementRecord, nouns: Nouns, say: Language) -> str:
    if measurement.test == SUBSET:
        return say(
            "The item scores and the %(many)s are sealed until a share is opened. Until then these figures are the "
            "word of whoever held the scoring secret.",
            many=nouns.many,
        )
    return say(
        "The item scores and the payload are sealed until a share is opened. Until then these figures are the word of "
        "whoever held the scoring secret."
    )


def _counted(measurement: MeasurementRecord, nouns: Nouns, say: Language) -> tuple[Row, ...]:
    if measurement.test == RANKS:
        return family_rows(measurement, say)
    chosen = chosen_items(measurement.test, measurement.context)
    if chosen is None:
        return (
            Row(say("Units tested, n"), integer(measurement.n)),
            Row(say("Units that agree"), integer(measurement.matched)),
        )
    among = (
        say("Chosen %(many)s among the %(chosen)s at one end", many=nouns.many, chosen=integer(chosen))
        if nouns.two_sided
        else say("Chosen %(many)s among the %(chosen)s highest", many=nouns.many, chosen=integer(chosen))
    )
    return (
        Row(say("Candidate %(many)s, n", many=nouns.many), integer(measurement.n)),
        Row(capital(say("%(many)s that the key chose", many=nouns.many)), integer(chosen)),
        Row(among, integer(measurement.matched)),
        Row(
            say("Sum of their ranks, T"),
            say("%(sum)s (each rank doubled, so that ties stay whole)", sum=say.number(measurement.value)),
        ),
    )


def _found(measurement: MeasurementRecord, nouns: Nouns, say: Language) -> str:
    matched, n = integer(measurement.matched), integer(measurement.n)
    chosen = chosen_items(measurement.test, measurement.context)
    if chosen is not None:
        places = {"chosen": integer(chosen), "many": nouns.many, "n": n, "matched": matched}
        if nouns.two_sided:
            return say(
                "Of the %(chosen)s %(many)s that the key chose out of %(n)s candidates, %(matched)s are among the "
                "%(chosen)s at one end of the ranking.",
                **places,
            )
        return say(
            "Of the %(chosen)s %(many)s that the key chose out of %(n)s candidates, %(matched)s are among the "
            "%(chosen)s highest-scoring.",
            **places,
        )
    if measurement.test == RANKS:
        return found_in_families(measurement, say)
    units = UNITS.get(measurement.test)
    if units is not None:
        return say(
            "Of %(n)s %(units)s that the key drew at random, the answers reproduce %(matched)s.",
            n=n,
            units=say.noun(units),
            matched=matched,
        )
    return say(
        "The %(effect)s is %(value)s.",
        effect=recorded(measurement.effect.name, say, 80),
        value=effect_size(measurement.test, measurement.effect.value, say),
    )


def _plain(measurement: MeasurementRecord, suspect: Noun, nouns: Nouns, say: Language) -> str:
    matched, n = integer(measurement.matched), integer(measurement.n)
    if measurement.test == "bits":
        return say(
            "Each secret bit is a coin toss that only the key records. The answers reproduce %(matched)s of %(n)s. A "
            "%(suspect)s that has nothing to do with the key reproduces about half of them.",
            matched=matched,
            n=n,
            suspect=suspect,
        )
    if measurement.test == RANKS:
        return families_in_plain_words(measurement, suspect, say)
    chosen = chosen_items(measurement.test, measurement.context)
    if chosen is None:
        return ""
    if nouns.clusters:
        return say(
            "The key picked %(chosen)s of %(n)s %(plain)s at random. All %(n)s were put to the %(suspect)s in the same "
            "%(carriers)s and ranked, without knowledge of the pick, by %(ranking)s. For a %(suspect)s that has "
            "nothing to do with the key the picked %(many)s lie anywhere in the ranking, about as many in one half of "
            "it as in the other.",
            chosen=integer(chosen),
            n=n,
            plain=nouns.plain,
            suspect=suspect,
            carriers=nouns.carriers,
            ranking=say(MEASURED.get(measurement.access, _MOVED)),
            many=nouns.many,
        )
    return say(
        "The key picked %(chosen)s of %(n)s %(plain)s at random. Every %(one)s was scored without knowledge of the "
        "pick: how far it draws the %(suspect)s’s answers towards a secret text. For a %(suspect)s that has nothing to "
        "do with the key the picked %(many)s lie anywhere among the %(n)s; about %(expected)s would be among the "
        "%(chosen)s highest.",
        chosen=integer(chosen),
        n=n,
        plain=nouns.plain,
        one=nouns.one,
        suspect=suspect,
        many=nouns.many,
        expected=say.number(repr(chosen * chosen / measurement.n), 1),
    )


def _caveats(measurement: MeasurementRecord, say: Language) -> tuple[str, ...]:
    """Returns what is wrong with each published statistic; those with the same fault share a sentence."""
    names: dict[str, list[str]] = {}
    for one in measurement.published:
        names.setdefault(one.caveat.rstrip("."), []).append(recorded(one.name, say, 60))
    return tuple(
        capital(say("%(names)s: %(caveat)s.", names=say.clauses(who), caveat=recorded(caveat, say, 300)))
        for caveat, who in names.items()
    )


def _context_label(key: str, nouns: Nouns, say: Language) -> str:
    return capital(say(CONTEXT_LABELS[key], many=nouns.many)) if key in CONTEXT_LABELS else say.clean(key, 60)


def _asked_afterwards(score: ScoreRecord, say: Language) -> str:
    if score.published_answers is None:
        return ""
    return say(
        "For them the suspect was asked %(number)s further texts, after everything that decides had been recorded. "
        "These texts depend on the key’s secret, so that whoever operates the suspect could learn some of its words.",
        number=integer(len(score.published_answers.values)),
    )


def _as_decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)
