"""The verdict as one sentence for a judge, the same in the terminal and in the report; computes nothing."""

from collections.abc import Mapping
from typing import Any

from forensics.keys.claim import Binding
from forensics.nouns import WORDS, Nouns, ranked_by
from forensics.records import Measurement, Outcome, Verdict

UNITS = {"bits": "bits", "labels": "families", "blocks": "blocks"}
SUBSET = "subset"
"""The test of a uniform subset of candidates; its count is out of the chosen ones, not of all units."""

_CHECKS = {
    "G1": "opening the commitment",
    "G3": "independent reference models",
    "G5": "replay of the answers",
}
REMOVED = "this is no evidence of independence, since a mark can be removed"


def conclusion(
    verdict: Verdict, measurement: Measurement, claim_owner: str, binding: Binding, nouns: Nouns = WORDS
) -> str:
    """Returns the verdict as one sentence for a judge.

    It speaks of support for the claim that information from the owner's key reached the suspect and of nothing
    else, and it names the checks that were not run.

    Args:
        nouns: what the claim's method calls what its key chooses, where it chooses among candidates.
    """
    owner = " ".join(claim_owner.split())
    claim = f"the claim that information from the key of {owner} reached the suspect model"
    found = agreement(measurement, nouns)
    if verdict.outcome is Outcome.SUPPORTED:
        chance = chance_in_words(measurement.p_value)
        much = "give as much"
        if measurement.test == SUBSET:
            much = "set them as far apart" if nouns.two_sided else "rank them as high"
        body = f"the answers support {claim}: {found}, and chance alone would {much} in {chance} cases"
        if binding == "self-dated":
            body += "; the owner of the key is, by the instructions, not in dispute"
    elif verdict.outcome is Outcome.NOT_SUPPORTED:
        body = f"the answers do not support {claim}: {found}, less than the claim asks for; {REMOVED}"
    elif verdict.outcome is Outcome.INVALID_CLAIM:
        body = f"the claim is not valid, because {verdict.reasons[0]}, and so the answers leave open {claim}"
    else:
        body = f"the answers leave open {claim}, because {verdict.reasons[0]}"
    skipped = [f"{name} ({_CHECKS[name]})" for name, passed in verdict.gates.items() if passed is None]
    if skipped:
        body += f"; not run: {', '.join(skipped)}"
    if binding == "demonstration":
        return f"Demonstration: {body}."
    return f"{body[0].upper()}{body[1:]}."


def chance_in_words(p: float) -> str:
    """Returns a probability as words, never stronger than `fewer than one in a million`."""
    for power in range(6, 0, -1):
        if p < 10.0**-power:
            return f"fewer than one in {'a million' if power == 6 else f'{10**power:,}'}"
    return "at least one in ten"


def chosen_items(test: str, context: Mapping[str, Any]) -> int | None:
    """Returns how many items the key chose in a test of a subset; None in other tests, or where it is not said.

    Args:
        context: of a measurement, as numbers or as decimal strings.
    """
    if test != SUBSET or "chosen" not in context:
        return None
    chosen = float(context["chosen"])
    return int(chosen) if chosen >= 1 and chosen.is_integer() else None


def agreement(measurement: Measurement, nouns: Nouns = WORDS) -> str:
    """Returns what was found as a clause: how many of the units, or of the items that the key chose, stand out."""
    unit, effect = UNITS.get(measurement.test), measurement.effect
    if unit is not None:
        return f"{measurement.matched} of {measurement.n} {unit} agree with the key"
    size = f"{effect.name} is {effect.value:.3g}, where chance gives {effect.chance:.3g}"
    chosen = chosen_items(measurement.test, measurement.context)
    if chosen is None:
        return f"the {size}"
    where = f"the {chosen} highest-scoring of {measurement.n}"
    if nouns.two_sided:
        ranking = ranked_by(nouns, measurement.access)
        where = f"the {chosen} at one end of all {measurement.n}{f' ranked by {ranking}' if ranking else ''}"
    return f"{measurement.matched} of the {chosen} {nouns.many} that the key chose are among {where} (the {size})"
