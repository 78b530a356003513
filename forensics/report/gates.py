"""The gates in words: what each demands, its state, and what the first of them does not show."""

from dataclasses import dataclass

from forensics.evidence.schema import Evidence, ScoreRecord
from forensics.report.language import Language
from forensics.report.recorded import recorded
from forensics.report.registration import marked, named
from forensics.wording import noted

GATE_TEXTS = {
    "G1": noted(
        "The commitment opens, and no known date contradicts the order: key, release of what is marked, earliest "
        "evidence of the suspect."
    ),
    "G2": noted("The agreement is beyond chance: p is at most α, and at most one in a thousand after all charges."),
    "G3": noted("Independent reference models do not respond, and the suspect exceeds them by the declared margin."),
    "G4": noted("The effect is at least the minimum that the claim fixed."),
    "G5": noted("The recorded transcript replays to the same numbers."),
}

_UNDECIDED = "the dates do not show"
"""Beginning of the reasons by which a verdict says that two known dates overlap."""

_STATES = {True: "passed", False: "failed", None: "not run"}
"""What a gate's state is called in the style sheet."""

_STATES_IN_WORDS = {True: noted("passed"), False: noted("failed"), None: noted("not run")}


@dataclass(frozen=True)
class Gate:
    """One gate with its state in words, and the class by which that is coloured."""

    name: str
    text: str
    state: str
    style: str


def make_gates(evidence: Evidence, score: ScoreRecord, say: Language) -> tuple[Gate, ...]:
    """Returns the five gates of a verdict."""
    return tuple(_gate(name, evidence, score, say) for name in GATE_TEXTS)


def gate_state(score: ScoreRecord, name: str, say: Language) -> str:
    """Returns a gate's state in words."""
    return say(_STATES_IN_WORDS[score.verdict.gates.get(name)])


def order_not_shown(evidence: Evidence, score: ScoreRecord, say: Language) -> str:
    """Returns what keeps gate G1 from showing the order of the dates; empty where it failed, was not run, or shows it.

    G1 passes where no known date contradicts the order: an unknown date is no contradiction, and proves nothing.
    """
    if score.verdict.gates.get("G1") is not True:
        return ""
    unknown = [
        say("the date of %(event)s is unknown", event=name)
        for name, dated in dated_facts(evidence, say)
        if dated is None
    ]
    reasons = (one.rstrip(".") for one in score.verdict.reasons if one.startswith(_UNDECIDED))
    open_ends = [recorded(named(one, evidence) if say.code != "en" else one, say, 200) for one in reasons]
    if not unknown and not open_ends:
        return ""
    return say(
        "Not shown: %(facts)s; G1 says only that no known date contradicts it.",
        facts=say.clauses([*unknown, *open_ends]),
    )


def dated_facts(evidence: Evidence, say: Language) -> tuple[tuple[str, str | None], ...]:
    """Returns the three events that gate G1 compares, as they follow "the date of", each with its date or None."""
    dates = evidence.dates
    return (
        (say("the key’s commitment"), dates.token.value),
        (say("the release of the marked %(marked)s", marked=marked(evidence, say)), dates.release.value),
        (say("the earliest evidence of the suspect"), dates.suspect.value),
    )


def _gate(name: str, evidence: Evidence, score: ScoreRecord, say: Language) -> Gate:
    note = order_not_shown(evidence, score, say) if name == "G1" else ""
    text = say("%(demand)s %(note)s", demand=say(GATE_TEXTS[name]), note=note) if note else say(GATE_TEXTS[name])
    return Gate(name, text, gate_state(score, name, say), _STATES[score.verdict.gates.get(name)])
