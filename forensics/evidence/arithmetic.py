"""The figures of an exact test that follow from others, compared without the key: one function for each test."""

import math

from forensics.canonical import decimal
from forensics.errors import CaseError
from forensics.evidence.comparison import TOLERANCE, Comparison
from forensics.evidence.schema import Evidence
from forensics.keys.claim import Claim, counts_both_tails
from forensics.methods import load_method


def compare_bits(comparison: Comparison, claim: Claim, evidence: Evidence) -> None:
    """Compares the figures of the exact test of bits with those that follow from matches, n and rule."""
    from forensics.statistics import (
        FLOOR,
        bayes_factor_binomial,
        binomial_test,
        clopper_pearson,
        power_binomial,
        upper_limit,
    )

    if evidence.score is None:
        return
    recorded, rule = evidence.score.measurement, claim.rule
    matched, n = recorded.matched, recorded.n
    left_open = float(recorded.context.get("left open", "0"))
    if not 0 <= left_open <= n - matched or not left_open.is_integer():
        raise CaseError("The recorded number of open bits makes no sense.", "Ask for the case as it was written.")
    exact, (low, high) = binomial_test(matched, n), clopper_pearson(matched, n, 0.95)
    effect = recorded.effect
    for name, ours, theirs in (
        ("value", float(matched), recorded.value),
        ("p_value", exact.pvalue, recorded.p_value),
        ("log10_p", max(exact.log10_p, math.log10(FLOOR)), recorded.log10_p),
        ("effect value", matched / n, effect.value),
        ("effect low", low, effect.low),
        ("effect high", high, effect.high),
        ("effect upper_99", upper_limit(matched + int(left_open), n, 0.99), effect.upper_99),
        ("effect chance", 0.5, effect.chance),
        ("bayes_factor_log10", bayes_factor_binomial(matched, n, 0.5), recorded.bayes_factor_log10),
        ("power", power_binomial(n, float(rule.minimum_effect), float(rule.alpha), 0.5), recorded.power),
    ):
        comparison.value(name, decimal(ours), theirs)
    for control in evidence.score.controls:
        name = f"{control.role} {control.identity.name}: "
        comparison.value(f"{name}p_value", decimal(binomial_test(control.matched, control.n).pvalue), control.p_value)
        comparison.value(f"{name}effect", decimal(control.matched / control.n), control.effect)


def compare_subset(comparison: Comparison, claim: Claim, evidence: Evidence) -> None:
    """Compares the figures of the exact test of a subset with those that follow from rank sum, n and rule."""
    from forensics.methods.subset import effect_of_rank_sum
    from forensics.rules import drawn, power_of
    from forensics.statistics import FLOOR

    if evidence.score is None:
        return
    recorded, effect = evidence.score.measurement, evidence.score.measurement.effect
    n, chosen, total = recorded.n, drawn(claim.parameters), float(recorded.value)
    if not total.is_integer():
        raise CaseError("The recorded rank sum is no whole number.", "Ask for the case as it was written.")
    missing = float(recorded.context.get("missing", "nan"))
    if not 0 <= missing <= n:
        raise CaseError("The recorded number of missing items makes no sense.", "Ask for the case as it was written.")
    two_sided = counts_both_tails(claim.rule.deciding)
    area = effect_of_rank_sum(int(total), n, chosen, int(missing), two_sided=two_sided)
    for name, ours, theirs in (
        ("chosen", float(chosen), recorded.context.get("chosen")),
        ("effect value", area.value, effect.value),
        ("effect low", area.low, effect.low),
        ("effect high", area.high, effect.high),
        ("effect upper_99", area.upper_99, effect.upper_99),
        ("effect chance", 0.5, effect.chance),
        ("power", power_of(claim), recorded.power),
    ):
        comparison.value(name, decimal(ours), theirs)
    comparison.value("bayes_factor_log10", None, recorded.bayes_factor_log10)
    comparison.value("matched lies between 0 and chosen", True, 0 <= recorded.matched <= chosen)
    # One of all subsets in a tail is the least that an exact count can give.
    least, p = max(FLOOR, (1 + two_sided) / math.comb(n, chosen)), float(recorded.p_value)
    comparison.value("p_value is possible", True, least * (1.0 - TOLERANCE) <= p <= 1.0)
    if p > FLOOR:
        comparison.value("log10_p", decimal(math.log10(p)), recorded.log10_p)
    for control in evidence.score.controls:
        name = f"{control.role} {control.identity.name}: "
        possible = least * (1.0 - TOLERANCE) <= float(control.p_value) <= 1.0
        comparison.value(f"{name}p_value is possible", True, possible)
        comparison.value(f"{name}effect is possible", True, 0.0 <= float(control.effect) <= 1.0)


def compare_ranks(comparison: Comparison, claim: Claim, evidence: Evidence) -> None:
    """Compares the figures of the exact test of drawn classes with those that follow from rank sum, n and rule."""
    from forensics.methods.ranks import effect_of_sum, sum_test
    from forensics.rules import power_of
    from forensics.statistics import FLOOR

    if evidence.score is None:
        return
    recorded, effect = evidence.score.measurement, evidence.score.measurement.effect
    n, classes, matched = recorded.n, int(claim.parameters["classes"]), recorded.matched
    best = n * (classes - 1)
    total, silent = float(recorded.value), float(recorded.context.get("left open", "nan"))
    if not (total.is_integer() and silent.is_integer() and silent >= 0 and 0 <= total <= best - silent * (classes - 1)):
        raise CaseError(
            "The recorded rank sum or number of open families makes no sense.", "Ask for the case as it was written."
        )
    spec = load_method(claim.method).spec
    found, exact = effect_of_sum(spec, int(total), n, classes, int(silent)), sum_test(int(total), n, classes)
    for name, ours, theirs in (
        ("classes", float(classes), recorded.context.get("classes")),
        ("p_value", exact.pvalue, recorded.p_value),
        ("log10_p", max(exact.log10_p, math.log10(FLOOR)), recorded.log10_p),
        ("effect value", found.value, effect.value),
        ("effect low", found.low, effect.low),
        ("effect high", found.high, effect.high),
        ("effect upper_99", found.upper_99, effect.upper_99),
        ("effect chance", found.chance, effect.chance),
        ("power", power_of(claim), recorded.power),
    ):
        comparison.value(name, decimal(ours), theirs)
    comparison.value("bayes_factor_log10", None, recorded.bayes_factor_log10)
    # A drawn class that leads has the best rank, any other at most the next, and one of an open family the lowest.
    least = matched * (classes - 1)
    most = least + (n - matched - int(silent)) * (classes - 2)
    comparison.value("matched fits the rank sum", True, 0 <= matched <= n - silent and least <= total <= most)
    for control in evidence.score.controls:
        name, share = f"{control.role} {control.identity.name}: ", float(control.effect)
        summed = round(share * best) if 0.0 <= share <= 1.0 else -1
        comparison.value(f"{name}effect is possible", True, summed >= 0 and decimal(summed / best) == control.effect)
        if summed >= 0:
            comparison.value(f"{name}p_value", decimal(sum_test(summed, n, classes).pvalue), control.p_value)
