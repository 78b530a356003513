"""A claim's decision rule, filled in from a method's specification and the owner's choices."""

import math
from collections.abc import Mapping

from forensics.errors import UsageError
from forensics.keys.claim import Claim, ReferenceRule, Rule, counts_both_tails
from forensics.methods.protocol import MethodSpec, Parameters, load_method
from forensics.verdict import USUAL_ALPHA, USUAL_GRINDING, USUAL_MISSING, USUAL_REFERENCES

DEFAULTS: Mapping[str, str] = {"alpha": USUAL_ALPHA, "missing_allowed": USUAL_MISSING, "margin": "0.1"}


def draft_rule(
    spec: MethodSpec,
    n: int,
    *,
    alpha: str = DEFAULTS["alpha"],
    minimum_effect: str | None = None,
    grinding: int = USUAL_GRINDING,
    examinations: int = 1,
    references: int = USUAL_REFERENCES,
) -> Rule:
    """Returns the rule that a claim commits to before its secrets exist.

    Args:
        n: units that the scoring secret draws.
        alpha: largest p-value that supports the claim, as a decimal string.
        grinding: g; the p-value is multiplied by 2**g for keys that may have been tried in silence.
        examinations: M, the number of examinations the p-value is charged for.
        references: independent models that gate G3 needs.

    Raises:
        UsageError: alpha or the smallest effect is no number, or decides nothing.
    """
    effect = spec.minimum_effect if minimum_effect is None else minimum_effect
    if not _between(alpha, 0.0, 0.05) or not _between(effect, float(spec.chance), 1.0):
        raise UsageError(
            f"An alpha of {alpha} with a smallest effect of {effect} decides nothing.",
            f"Choose an alpha of at most 0.05 and an effect above {spec.chance} (chance) and at most 1.",
        )
    return Rule(
        deciding=dict(spec.deciding),
        access="the highest access obtained decides; others are context",
        ties=spec.ties,
        missing=spec.missing,
        missing_allowed=DEFAULTS["missing_allowed"],
        n=n,
        stopping="fixed n",
        alpha=alpha,
        examinations=examinations,
        grinding=grinding,
        minimum_effect=effect,
        prior="none" if spec.test in ("subset", "ranks") else "Beta(1,1) truncated to (p0,1)",
        references=ReferenceRule(minimum=references, margin=DEFAULTS["margin"]),
    )


def marks_service(claim: Claim) -> bool:
    """Tells whether what carries the mark is a running service; nothing is trained, and its address may change."""
    return load_method(claim.method).spec.modality == "embedding"


def drawn(parameters: Parameters) -> int:
    """Returns how many items of a pool the key draws: as many as the parameters say, else half of the candidates.

    Args:
        parameters: of a claim whose method tests a subset.
    """
    return int(parameters["words"]) if "words" in parameters else int(parameters["candidates"]) // 2


def one_tail(rule: Rule, alpha: float) -> float:
    """Returns what a level leaves to one tail of a rule's tests: half of it where they count both."""
    return alpha / 2.0 if counts_both_tails(rule.deciding) else alpha


def require_reachable(rule: Rule, parameters: Parameters) -> None:
    """Refuses a rule that even a perfect result could not meet, because the key draws too little.

    Args:
        parameters: of a claim that tests a subset, or the drawn classes of families.

    Raises:
        UsageError: the smallest p-value that is possible at all is more than alpha or the grinding allowance permits.
    """
    if short := shortfall(rule, parameters):
        raise UsageError(*short)


def shortfall(rule: Rule, parameters: Parameters) -> tuple[str, str] | None:
    """Returns why even a perfect result could not meet a rule, and what would help; None where it could."""
    wanted = max(1.0 / float(rule.alpha), 1e3 * 2.0**rule.grinding * rule.examinations)
    if "families" in parameters:
        if int(parameters["classes"]) ** rule.n >= wanted:
            return None
        return (
            f"One of {parameters['classes']} classes for each of {rule.n} families is too little for alpha "
            f"{rule.alpha} and 2**{rule.grinding} attempts.",
            "Use more families, or a smaller --grinding.",
        )
    chosen = drawn(parameters)
    ways = math.comb(rule.n, chosen)
    # Where both tails count, a subset and its mirror image are equally extreme, so that the least p-value is 2 / ways.
    apart = ways // 2 if counts_both_tails(rule.deciding) else ways
    if apart >= wanted:
        return None
    return (
        f"{chosen} of {rule.n} items can be drawn in {ways} ways, too few for alpha {rule.alpha} and "
        f"2**{rule.grinding} attempts.",
        "Use more candidates or words, or a smaller --grinding.",
    )


def power_of(claim: Claim, effect: float | None = None, alpha: float | None = None) -> float:
    """Returns the chance that a suspect with an effect reaches p <= alpha under a claim.

    Args:
        effect: by default the claim's minimum effect.
        alpha: by default the claim's.

    Raises:
        UsageError: the claim's test is none of which the power is known.
    """
    from forensics.statistics import power_binomial, power_ranks, power_subset

    rule, test = claim.rule, load_method(claim.method).spec.test
    size = float(rule.minimum_effect) if effect is None else effect
    level = float(rule.alpha) if alpha is None else alpha
    if test == "bits":
        return power_binomial(rule.n, size, level, 0.5)
    if test == "ranks":
        return power_ranks(rule.n, int(claim.parameters["classes"]), size, level)
    if test == "subset":
        return power_subset(rule.n, drawn(claim.parameters), size, one_tail(rule, level))
    raise UsageError(f"The power of a test of '{test}' is not known.", "Plan it with forensics.statistics.")


def families_needed(claim: Claim, effect: float, alpha: float, power: float) -> int | None:
    """Returns the fewest families with which a suspect of that effect reaches p <= alpha with at least this power.

    None where as many as a key of the method can have do not suffice.
    """
    from forensics.statistics import power_ranks

    classes, most = int(claim.parameters["classes"]), load_method(claim.method).spec.most_items
    counts = range(1, most + 1)
    return next((count for count in counts if power_ranks(count, classes, effect, alpha) >= power), None)


def _between(text: str, low: float, high: float) -> bool:
    try:
        return low < float(text) <= high
    except ValueError:
        return False
