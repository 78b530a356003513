"""Turning the options of an acquisition into arguments, and saying what it would ask."""

from typing import Any

import click

from forensics.cli.authorities import open_authority
from forensics.cli.common import print_json
from forensics.errors import UsageError
from forensics.evidence.schema import Dated
from forensics.keys.claim import Claim
from forensics.recording import UNKNOWN
from forensics.records import Plan
from forensics.statistics import power_binomial
from forensics.suspects import open_suspect
from forensics.verdict import parse_moment


def settings(choices: dict[str, Any]) -> dict[str, Any]:
    """Returns the keyword arguments of `examination.acquire`.

    Raises:
        UsageError: a date without a source, or no date.
    """
    date, source = choices["suspect_date"], choices["date_source"]
    if date and not source:
        raise UsageError(
            "A date without a source is worth little.", "Add --date-source, such as 'model card on the hub'."
        )
    if date:
        parse_moment(date)
    return {
        "actor": choices["actor"],
        "suspect_date": Dated(value=date, source=source) if date else UNKNOWN,
        "budget": choices["budget"],
        "resume": choices["resume"],
        "named": [open_suspect(name) for name in choices["named"]],
        "authority": open_authority(choices["tsa"], choices["demonstration"]),
    }


def announce(claim: Claim, plan: Plan, as_json: bool) -> None:
    """Prints how many probes would be asked, how large they are, and the power of the test."""
    rule = claim.rule
    power = power_binomial(rule.n, float(rule.minimum_effect), float(rule.alpha), 0.5)
    size = sum(len(probe.data) for probe in plan.probes)
    if as_json:
        print_json({"probes": len(plan.probes), "bytes": size, "n": rule.n, "power": power})
        return
    click.echo(f"{len(plan.probes)} probes in batches of {plan.batch_size}, {size} bytes; nothing was sent.")
    click.echo(f"Power at the smallest effect of the claim ({rule.minimum_effect}): {power:.3f}.")
