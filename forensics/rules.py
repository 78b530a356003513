"""A claim's decision rule, filled in from a method's specification and the owner's choices."""

from collections.abc import Mapping

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
    """
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
        minimum_effect=spec.minimum_effect if minimum_effect is None else minimum_effect,
        prior="Beta(1,1) truncated to (p0,1)",
        references=ReferenceRule(minimum=references, margin=DEFAULTS["margin"]),
    )
