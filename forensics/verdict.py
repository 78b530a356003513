"""From a measurement to a verdict: the gates G1 to G5, the outcome, and the reasons in words."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from forensics.conclusion import REMOVED, chance_in_words
from forensics.errors import UsageError
from forensics.keys.claim import Binding, Rule
from forensics.records import Measurement, Outcome, Verdict
from forensics.statistics import LIMIT, adjusted_p, floored, n_star

Period = tuple[datetime, datetime]
"""Earliest and latest possible time, UTC-aware, both included."""

Control = tuple[float, float]
"""p-value and effect of a reference model."""

_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2}))?")
USUAL_GRINDING = 20
"""The g that claims have by default: allowance for keys that were tried in silence, as a power of two."""

USUAL_ALPHA, USUAL_REFERENCES, USUAL_MISSING = "1e-6", 5, "0.1"
"""What claims have by default: largest p-value, reference models, share of missing answers."""

_TOKEN, _RELEASE, _SUSPECT, _ANSWERS = (
    "the date of the claim's timestamp",
    "the release date of the marked model",
    "the date of the earliest evidence of the suspect",
    "the date of the suspect's answers",
)


@dataclass(frozen=True)
class ClaimDates:
    """The dates of gate G1; None where unknown.

    Attributes:
        token: when the claim was timestamped.
        release: when the marked model was released.
        suspect: the earliest evidence of the suspect, as it was stated.
        answers: when the suspect answered; it was there by then, whatever was stated.
    """

    token: Period | None = None
    release: Period | None = None
    suspect: Period | None = None
    answers: Period | None = None

    def __post_init__(self) -> None:
        for period in (self.token, self.release, self.suspect, self.answers):
            if period and (any(moment.utcoffset() is None for moment in period) or period[0] > period[1]):
                raise ValueError("invalid dates: a period needs two times with a time zone, the earlier one first")


@dataclass(frozen=True)
class _Gate:
    """A gate's value, why it did not pass, and what else must be said."""

    passed: bool | None
    because: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def parse_moment(text: str) -> Period:
    """Reads `2026-11-22` (the whole day, UTC) or `2026-11-22T10:00:00Z` (one second; other offsets too).

    Raises:
        UsageError: another form, or no date of the calendar.
    """
    try:
        if not _MOMENT.fullmatch(text):
            raise ValueError(text)
        moment = datetime.fromisoformat(text)
        if "T" in text:
            return (second := _second(moment)), second
        start = moment.replace(tzinfo=UTC)
        return start, start + timedelta(hours=23, minutes=59, seconds=59)
    except (ValueError, OverflowError) as error:
        next_step = "Write it as 2026-11-22 or, in UTC, as 2026-11-22T10:00:00Z."
        raise UsageError(f"'{text}' is not a date.", next_step) from error


def decide(
    measurement: Measurement,
    rule: Rule,
    *,
    binding: Binding,
    opened: bool | None,
    dates: ClaimDates,
    examinations: int,
    references: Sequence[Control],
    replayed: bool | None,
    owner_undisputed: bool = False,
    uncounted: Sequence[Control] = (),
    positive: float | None = None,
    predecessor: float | None = None,
) -> Verdict:
    """Applies the claim's rule to a measurement (ours).

    Args:
        measurement: the deciding test.
        rule: as committed.
        binding: how the key is bound to its owner.
        opened: whether the key opens the commitment; None if that was not checked.
        dates: of gate G1.
        examinations: made so far under the claim, this one included; at least the rule's number is charged.
        references: (p-value, effect) of each independent model of documented provenance that was seen as the suspect
            was, by the deciding statistic.
        replayed: whether the numbers follow from the recorded answers; None if that was not checked.
        owner_undisputed: whether the instructions say that the owner of the key is not in dispute.
        uncounted: likewise of the other models: they can contradict a finding and do not count among those that the
            claim asks for.
        positive: p-value of the owner's marked model, where it was examined as a control.
        predecessor: p-value of its unmarked predecessor, likewise.

    Raises:
        ValueError: a number of examinations that is no whole number.
    """
    charged = max(rule.examinations, examinations)
    gates = {
        "G1": _commitment(opened, dates),
        "G2": _rarity(measurement, rule, charged),
        "G3": _comparison(measurement, rule, charged, references, uncounted, positive, predecessor),
        "G4": _size(measurement, rule),
        "G5": _replay(replayed),
    }
    missing = _missing(measurement, rule)
    beyond = _beyond_reach(measurement, rule, charged)
    bound = binding != "self-dated" or owner_undisputed
    outcome = _outcome(gates, enough=not (missing or beyond), bound=bound, excluded=_excluded(measurement, rule))
    # What settles the outcome comes first: the conclusion quotes the first reason.
    reasons = [
        *_because(gates, False, "G1"),
        *missing,
        *beyond,
        *_because(gates, False, "G2", "G3", "G4", "G5"),
        *([] if bound else ["the key does not bind its owner"]),
        *_because(gates, None, "G1", "G5"),
        *([REMOVED] if outcome is Outcome.NOT_SUPPORTED else []),
        *gates["G2"].notes,
        *_binding(binding, bound),
        *_because(gates, None, "G3"),
        *gates["G1"].notes,
        *_leniency(rule),
        *_repeats(examinations),
    ]
    p = _usable(measurement.p_value)
    return Verdict(
        outcome=outcome,
        gates={name: gate.passed for name, gate in gates.items()},
        reasons=tuple(reasons),
        adjusted_p=adjusted_p(p, rule.grinding, charged),
        n_star=n_star(p),
        examinations=charged,
    )


def _outcome(gates: Mapping[str, _Gate], *, enough: bool, bound: bool, excluded: bool) -> Outcome:
    """The rule that leads from the gates to a verdict.

    Args:
        enough: no more answers are missing than the claim allows, and the key drew enough to meet the rule at all.
        bound: the key binds its owner, or the owner is not in dispute.
        excluded: the effect lies below the minimum with 99 % confidence.
    """
    if gates["G1"].passed is False:
        return Outcome.INVALID_CLAIM
    if not enough:
        return Outcome.INCONCLUSIVE
    if all(gates[name].passed for name in ("G1", "G2", "G4", "G5")) and gates["G3"].passed is not False and bound:
        return Outcome.SUPPORTED
    return Outcome.NOT_SUPPORTED if not gates["G2"].passed and excluded else Outcome.INCONCLUSIVE


def _commitment(opened: bool | None, dates: ClaimDates) -> _Gate:
    """G1: the commitment opens, and token < release < suspect is not contradicted by the dates.

    Somebody states the suspect's date, so the answers are compared with as well: nothing comes after them.
    """
    named = ((_TOKEN, dates.token), (_RELEASE, dates.release), (_SUSPECT, dates.suspect))
    wrong, notes = [], [f"{name} is unknown" for name, period in named if period is None]
    for at, (earlier, before) in enumerate(named):
        for later, after in named[at + 1 :]:
            if before is None or after is None:
                continue
            if _second(before[0]) > _second(after[1]):
                wrong.append(f"{earlier} lies after {later}")
            elif _second(before[1]) >= _second(after[0]):
                notes.append(f"the dates do not show whether {earlier} lies before {later}")
    if dates.answers is not None:
        last = _second(dates.answers[1])
        wrong += [f"{name} lies after {_ANSWERS}" for name, period in named if period and _second(period[0]) > last]
    unopened = ["the key does not open the commitment"] if opened is False else []
    if unopened or wrong:
        return _Gate(False, (*unopened, *wrong), tuple(notes))
    return _Gate(opened, ("it was not checked whether the key opens the commitment",), tuple(notes))


def _rarity(measurement: Measurement, rule: Rule, charged: int) -> _Gate:
    """G2: p <= alpha, and p * 2^g * M <= 1e-3."""
    p = _usable(measurement.p_value)
    words = f"chance alone would give an agreement this close in {chance_in_words(p)} cases"
    if _rare(p, rule, charged):
        return _Gate(True, notes=(words,))
    if p > float(rule.alpha):
        first = f"{words}, more often than the claim allows ({rule.alpha})"
    else:
        attempts = f"{charged} examination{'s' if charged > 1 else ''} and {2**rule.grinding:,} undisclosed attempts"
        adjusted = adjusted_p(p, rule.grinding, charged)
        first = f"after the charge for {attempts} the chance is {adjusted:.2g}, above one in a thousand"
    name, least, upper = measurement.effect.name, rule.minimum_effect, measurement.effect.upper_99
    if _excluded(measurement, rule):
        second = f"the {name} is at most {upper:.3g} with 99 % confidence, below the minimum of {least}"
    else:
        second = f"too little was asked or answered to exclude that the {name} reaches the minimum of {least}"
    return _Gate(False, (first, second))


def _comparison(
    measurement: Measurement,
    rule: Rule,
    charged: int,
    references: Sequence[Control],
    uncounted: Sequence[Control],
    positive: float | None,
    predecessor: float | None,
) -> _Gate:
    """G3: independent models do not respond, the suspect exceeds them, and the owner's own models behave."""
    counted, others = _measured(references), _measured(uncounted)
    usable, faults = counted + others, []
    count, least = len(counted), rule.references.minimum
    if usable and min(p for p, _ in usable) <= float(LIMIT / len(usable)):
        faults.append("a reference model responds to the key")
    strongest = max((effect for _, effect in usable), default=-math.inf)
    margin = rule.references.margin
    if usable and not _exceeds(measurement.effect.value, strongest, margin):
        faults.append(f"the suspect does not exceed the strongest reference model by the margin of {margin}")
    if positive is not None and not _rare(_usable(positive), rule, charged):
        faults.append("the owner's own marked model does not respond to the key")
    if predecessor is not None and _rare(_usable(predecessor), rule, charged):
        faults.append("the owner's model responds to the key even without the mark")
    if faults:
        return _Gate(False, tuple(faults))
    if others and count < max(least, 1):
        words = f"only {count} of {len(usable)} reference models examined are of documented provenance"
        needed = f"and were seen as the suspect was, where at least {max(least, 1)} are needed"
        return _Gate(None, (f"{words} {needed}",))
    if count == 0:
        return _Gate(None, ("no independent reference model was examined",))
    if count < least:
        return _Gate(None, (f"only {count} of at least {least} reference models were examined",))
    return _Gate(True)


def _measured(references: Sequence[Control]) -> list[Control]:
    """Those that could be measured."""
    return [(floored(p), effect) for p, effect in references if math.isfinite(p) and math.isfinite(effect)]


def _size(measurement: Measurement, rule: Rule) -> _Gate:
    """G4: the effect is at least the minimum in the claim."""
    effect, least = measurement.effect, rule.minimum_effect
    if _at_least(effect.value, least):
        return _Gate(True)
    return _Gate(False, (f"the {effect.name} is {effect.value:.3g}, below the minimum of {least}",))


def _replay(replayed: bool | None) -> _Gate:
    """G5: the numbers follow from the transcript."""
    words = "are not reproduced" if replayed is False else "were not recomputed"
    return _Gate(replayed, (f"the numbers {words} from the recorded answers",))


def _missing(measurement: Measurement, rule: Rule) -> list[str]:
    share = measurement.missing_share
    if not math.isfinite(share):
        return ["the share of missing answers is unknown"]
    if _decimal(share) <= Fraction(rule.missing_allowed):
        return []
    return [f"{share:.1%} of the answers are missing, and the claim allows {float(rule.missing_allowed):.1%}"]


def _beyond_reach(measurement: Measurement, rule: Rule, charged: int) -> list[str]:
    """Why no answers at all could have passed G2: too few classes were drawn for the rule."""
    if measurement.test != "ranks":
        return []
    classes = measurement.context.get("classes", 0.0)
    if not classes >= 2.0 or _rare(classes**-measurement.n, rule, charged):
        return []
    return [f"{measurement.n} families of {classes:.0f} classes are too few: no answers could meet the claim's rule"]


def _because(gates: Mapping[str, _Gate], value: bool | None, *names: str) -> list[str]:
    """The reasons of those gates that have this value; a gate that was not run is named."""
    end = " (gate {} was not run)" if value is None else ""
    matching = (name for name in names if gates[name].passed is value)
    return [reason + end.format(name) for name in matching for reason in gates[name].because]


def _binding(binding: Binding, bound: bool) -> list[str]:
    if binding == "demonstration":
        return ["this is a demonstration: its timestamp comes from no independent authority and dates nothing"]
    if binding == "self-dated" and bound:
        return ["the key does not bind its owner, but by the instructions the owner is not in dispute"]
    return []


def _leniency(rule: Rule) -> list[str]:
    """Names every point in which the claim's rule asks for less than is usual."""
    found = []
    if rule.grinding < USUAL_GRINDING:
        usual = f"where {2**USUAL_GRINDING:,} are usual"
        found.append(f"the claim charges for {2**rule.grinding:,} undisclosed attempts only, {usual}")
    if Fraction(rule.alpha) > Fraction(USUAL_ALPHA):
        found.append(f"the claim allows a chance of {rule.alpha}, where {USUAL_ALPHA} is usual")
    if rule.references.minimum < USUAL_REFERENCES:
        asked = f"the claim asks for {rule.references.minimum}"
        found.append(f"{asked} of the usual {USUAL_REFERENCES} reference models")
    if Fraction(rule.missing_allowed) > Fraction(USUAL_MISSING):
        share = f"{float(rule.missing_allowed):.1%} of the answers"
        found.append(f"the claim allows {share} to be missing, where {float(USUAL_MISSING):.1%} are usual")
    return found


def _repeats(examinations: int) -> list[str]:
    if examinations <= 1:
        return []
    return [f"the owner's log counts {examinations} examinations under this claim, and all are charged"]


def _excluded(measurement: Measurement, rule: Rule) -> bool:
    """Whether the one-sided 99 % upper limit of the effect lies below the minimum in the claim."""
    upper = measurement.effect.upper_99
    return math.isfinite(upper) and not _at_least(upper, rule.minimum_effect)


def _rare(p: float, rule: Rule, charged: int) -> bool:
    return p <= float(rule.alpha) and adjusted_p(p, rule.grinding, charged) <= float(LIMIT)


def _usable(p: float) -> float:
    """A p-value that is no number counts as 1."""
    return floored(p) if math.isfinite(p) else 1.0


def _decimal(value: float) -> Fraction:
    """The number that a float prints as, so that it compares with the claim's decimals without rounding."""
    return Fraction(repr(float(value)))


def _at_least(value: float, least: str) -> bool:
    return math.isfinite(value) and _decimal(value) >= Fraction(least)


def _exceeds(value: float, other: float, margin: str) -> bool:
    return math.isfinite(value) and value > other and _decimal(value) - _decimal(other) >= Fraction(margin)


def _second(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)
