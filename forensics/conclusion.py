"""The verdict as one sentence for a judge, the same in the terminal and in the report; computes nothing."""

from collections.abc import Collection, Mapping
from typing import Any

from forensics.keys.claim import Binding
from forensics.nouns import WORDS, Nouns, ranked_by
from forensics.records import Measurement, Outcome, Verdict
from forensics.wording import ENGLISH, Wording, capital, noted

UNITS = {"bits": noted("bits"), "labels": noted("families"), "blocks": noted("blocks")}
RANKS = "ranks"
"""The test of the ranks of drawn classes; its count is of families in which the drawn class leads all others."""

SUBSET = "subset"
"""The test of a uniform subset of candidates; its count is out of the chosen ones, not of all units."""

_CHECKS = {
    "G1": noted("opening the commitment"),
    "G3": noted("independent reference models"),
    "G5": noted("replay of the answers"),
}
_CONTROLS = {
    "positive": noted("the owner's marked %(marked)s"),
    "predecessor": noted("the owner's %(marked)s before it was marked"),
    "reference": noted("independent reference models"),
}
REMOVED = noted("this is no evidence of independence, since a mark can be removed")


def conclusion(
    verdict: Verdict,
    measurement: Measurement,
    claim_owner: str,
    binding: Binding,
    nouns: Nouns = WORDS,
    say: Wording = ENGLISH,
    controls: Collection[str] | None = None,
) -> str:
    """Returns the verdict as one sentence for a judge.

    It speaks of support for the claim that information from the owner's key reached the suspect and of nothing
    else, and it names the checks that were not run and the controls that are missing.

    Args:
        nouns: what the claim's method calls what its key chooses, where it chooses among candidates.
        say: the language; reasons and the effect's name are quoted as they stand in the arguments.
        controls: the roles of the models that were scored beside the suspect; None says nothing of them.
    """
    body = _finding(verdict, measurement, " ".join(claim_owner.split()), nouns, say)
    if verdict.outcome is Outcome.SUPPORTED and binding == "self-dated":
        body = say("%(body)s; the owner of the key is, by the instructions, not in dispute", body=body)
    skipped = [f"{name} ({say(_CHECKS[name])})" for name, passed in verdict.gates.items() if passed is None]
    if skipped:
        body = say("%(body)s; not run: %(gates)s", body=body, gates=", ".join(skipped))
    missing = () if controls is None else missing_controls(controls, verdict.gates)
    if missing:
        models = ", ".join(say(_CONTROLS[role], marked=nouns.marked) for role in missing)
        body = say("%(body)s; not examined as controls: %(models)s", body=body, models=models)
    if binding == "demonstration":
        return say("Demonstration: %(body)s.", body=body)
    return say("%(body)s.", body=capital(body))


def missing_controls(controls: Collection[str], gates: Mapping[str, bool | None]) -> tuple[str, ...]:
    """Returns the roles of the controls that a case lacks; references are told as gate G3 where that was not run."""
    told = () if gates.get("G3") is not None else ("reference",)
    return tuple(role for role in _CONTROLS if role not in controls and role not in told)


def _finding(verdict: Verdict, measurement: Measurement, owner: str, nouns: Nouns, say: Wording) -> str:
    found = agreement(measurement, nouns, say)
    reason = verdict.reasons[0] if verdict.reasons else say("no reason is recorded")
    if verdict.outcome is Outcome.SUPPORTED:
        chance = chance_in_words(measurement.p_value, say)
        if measurement.test != SUBSET:
            return say(
                "the answers support the claim that information from the key of %(owner)s reached the suspect model: "
                "%(found)s, and chance alone would give as much in %(chance)s cases",
                owner=owner,
                found=found,
                chance=chance,
            )
        if nouns.two_sided:
            return say(
                "the answers support the claim that information from the key of %(owner)s reached the suspect model: "
                "%(found)s, and chance alone would set them as far apart in %(chance)s cases",
                owner=owner,
                found=found,
                chance=chance,
            )
        return say(
            "the answers support the claim that information from the key of %(owner)s reached the suspect model: "
            "%(found)s, and chance alone would rank them as high in %(chance)s cases",
            owner=owner,
            found=found,
            chance=chance,
        )
    if verdict.outcome is Outcome.NOT_SUPPORTED:
        return say(
            "the answers do not support the claim that information from the key of %(owner)s reached the suspect "
            "model: %(found)s, less than the claim asks for; %(removed)s",
            owner=owner,
            found=found,
            removed=say(REMOVED),
        )
    if verdict.outcome is Outcome.INVALID_CLAIM:
        return say(
            "the claim is not valid, because %(reason)s, and so the answers leave open the claim that information from "
            "the key of %(owner)s reached the suspect model",
            owner=owner,
            reason=reason,
        )
    return say(
        "the answers leave open the claim that information from the key of %(owner)s reached the suspect model, "
        "because %(reason)s",
        owner=owner,
        reason=reason,
    )


def chance_in_words(p: float, say: Wording = ENGLISH) -> str:
    """Returns a probability as words, never stronger than `fewer than one in a million`."""
    for power in range(6, 0, -1):
        if p < 10.0**-power:
            if power == 6:
                return say("fewer than one in a million")
            return say("fewer than one in %(number)s", number=say.thousands(10**power))
    return say("at least one in ten")


def chosen_items(test: str, context: Mapping[str, Any]) -> int | None:
    """Returns how many items the key chose in a test of a subset; None in other tests, or where it is not said.

    Args:
        context: of a measurement, as numbers or as decimal strings.
    """
    if test != SUBSET or "chosen" not in context:
        return None
    chosen = float(context["chosen"])
    return int(chosen) if chosen >= 1 and chosen.is_integer() else None


def agreement(measurement: Measurement, nouns: Nouns = WORDS, say: Wording = ENGLISH) -> str:
    """Returns what was found as a clause: how many of the units, or of the items that the key chose, stand out."""
    unit, effect = UNITS.get(measurement.test), measurement.effect
    if unit is not None:
        return say(
            "%(matched)s of %(n)s %(units)s agree with the key",
            matched=measurement.matched,
            n=measurement.n,
            units=say.noun(unit),
        )
    size = say(
        "the %(name)s is %(value)s, where chance gives %(chance)s",
        name=effect.name,
        value=say.figures(effect.value),
        chance=say.figures(effect.chance),
    )
    if measurement.test == RANKS:
        return say(
            "in %(matched)s of %(n)s families the class that the key drew stands alone at the top (%(size)s)",
            matched=measurement.matched,
            n=measurement.n,
            size=size,
        )
    chosen = chosen_items(measurement.test, measurement.context)
    if chosen is None:
        return size
    places = {"matched": measurement.matched, "chosen": chosen, "many": nouns.many, "n": measurement.n, "size": size}
    if not nouns.two_sided:
        return say(
            "%(matched)s of the %(chosen)s %(many)s that the key chose are among the %(chosen)s highest-scoring of "
            "%(n)s (%(size)s)",
            **places,
        )
    ranking = ranked_by(nouns, measurement.access)
    if not ranking:
        return say(
            "%(matched)s of the %(chosen)s %(many)s that the key chose are among the %(chosen)s at one end of all "
            "%(n)s (%(size)s)",
            **places,
        )
    return say(
        "%(matched)s of the %(chosen)s %(many)s that the key chose are among the %(chosen)s at one end of all %(n)s "
        "ranked by %(ranking)s (%(size)s)",
        ranking=ranking,
        **places,
    )
