"""A claim's decision rule, filled in from a method's specification and the owner's choices."""

from collections.abc import Mapping

from forensics.errors import UsageError
from forensics.keys.claim import ReferenceRule, Rule
from forensics.methods.protocol import MethodSpec

DEFAULTS: Mapping[str, str] = {"alpha": "1e-6", "missing_allowed": "0.1", "margin": "0.1"}


def draft_rule(
    spec: MethodSpec,
    n: int,
    *,
    alpha: str = DEFAULTS["alpha"],
    minimum_effect: str | None = None,
    grinding: int = 20,
    examinations: int = 1,
    references: int = 5,
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
        prior="Beta(1,1) truncated to (p0,1)",
        references=ReferenceRule(minimum=references, margin=DEFAULTS["margin"]),
    )


def _between(text: str, low: float, high: float) -> bool:
    try:
        return low < float(text) <= high
    except ValueError:
        return False
