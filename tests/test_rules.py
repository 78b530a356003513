"""What a rule makes of the number that a key draws, and of tests that count both tails."""

import math
from types import SimpleNamespace

import pytest

from forensics.errors import UsageError
from forensics.methods import load_method
from forensics.rules import draft_rule, drawn, one_tail, power_of, require_reachable
from forensics.statistics import power_subset


def rule_of(method: str, n: int, **choices):
    return draft_rule(load_method(method).spec, n, **choices)


def test_the_number_drawn_is_named_or_half() -> None:
    assert drawn({"candidates": 200, "words": 20}) == 20
    assert drawn({"candidates": 96, "carriers": 32, "asked": 16, "dimension": 384}) == 48


def test_a_level_is_shared_by_both_tails() -> None:
    assert one_tail(rule_of("tmrw", 96), 1e-6) == 5e-7
    assert one_tail(rule_of("espew", 200), 1e-6) == 1e-6


@pytest.mark.parametrize(("method", "tails"), [("tmrw", 2), ("wpe", 2), ("espew", 1)])
def test_the_least_p_value_must_reach_alpha(method: str, tails: int) -> None:
    parameters = {"candidates": 28, "words": 14} if method == "espew" else {"candidates": 28}
    ways = math.comb(28, 14)
    for alpha, reachable in ((1.001 * tails / ways, True), (0.999 * tails / ways, False)):
        rule = rule_of(method, 28, alpha=repr(alpha), grinding=0)
        if reachable:
            require_reachable(rule, parameters)
        else:
            with pytest.raises(UsageError, match=f"14 of 28 items can be drawn in {ways} ways"):
                require_reachable(rule, parameters)


def test_the_default_pool_reaches_the_default_rule() -> None:
    for method in ("tmrw", "wpe"):
        options = {option.name: option.default for option in load_method(method).spec.options}
        require_reachable(rule_of(method, options["candidates"]), options)
        with pytest.raises(UsageError, match="too few"):
            require_reachable(rule_of(method, 28), {"candidates": 28})


def test_the_power_of_a_two_sided_test_is_that_of_half_the_level() -> None:
    claim = SimpleNamespace(rule=rule_of("tmrw", 96), method="tmrw", parameters={"candidates": 96})
    assert power_of(claim) == power_subset(96, 48, 0.75, 5e-7)
    assert power_of(claim, 0.9, 1e-4) == power_subset(96, 48, 0.9, 5e-5) > power_of(claim)
