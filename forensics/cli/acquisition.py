"""Turning the options of an acquisition into arguments, and saying what it would ask."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from forensics.canonical import now
from forensics.cli.authorities import open_authority
from forensics.cli.common import print_json
from forensics.errors import UsageError
from forensics.evidence.schema import NOT_STATED, Dated
from forensics.keys.claim import Claim
from forensics.methods import load_method
from forensics.passes import most_asked
from forensics.records import Plan
from forensics.rules import power_of
from forensics.suspects import Connection, open_suspect
from forensics.suspects.remote.estimate import Estimate, estimate_questions
from forensics.suspects.remote.suspect import RemoteSuspect
from forensics.suspects.remote.uri import is_remote
from forensics.verdict import parse_moment

UNDATED = "The transcript will not be timestamped; add --tsa URL."


def settings(choices: dict[str, Any]) -> dict[str, Any]:
    """Returns the keyword arguments of `examination.acquire`.

    Raises:
        UsageError: a date without a source or in the future, or no date.
    """
    date, source = choices["suspect_date"], choices["date_source"]
    if date and not source:
        raise UsageError(
            "A date without a source is worth little.", "Add --date-source, such as 'model card on the hub'."
        )
    if date and parse_moment(date)[0] > now():
        raise UsageError(
            f"The date {date} lies in the future, so the suspect cannot have been seen then.",
            "Give the day of the earliest evidence of the suspect.",
        )
    return {
        "actor": choices["actor"],
        "suspect_date": Dated(value=date, source=source) if date else NOT_STATED,
        "budget": choices["budget"],
        "resume": choices["resume"],
        "named": [open_suspect(name) for name in choices["named"]],
        "authority": open_authority(choices["tsa"], choices["demonstration"]),
    }


def announce(
    claim: Claim, plan: Plan, suspect: str, connection: Connection, price: float | None, as_json: bool
) -> None:
    """Prints what an acquisition would ask, take and cost, and the power of the test; asks nothing.

    Args:
        price: of a million tokens, in whatever money; None where it is not known.
    """
    facts: dict[str, Any] = {
        "probes": most_asked(plan),
        "bytes": most_asked(plan, [len(probe.data) + len(probe.continuation) for probe in plan.probes]),
        "n": claim.rule.n,
        "power": power_of(claim),
    }
    opened = _name_suspect(suspect, connection)
    estimate = estimate_questions(opened, plan) if opened is not None else None
    if estimate is not None:
        facts |= {
            "requests": estimate.requests,
            "requests_exact": estimate.exact,
            "tokens_at_most": estimate.tokens,
            "cost_at_most": None if price is None else estimate.tokens * price / 1e6,
            "seconds_at_least": estimate.seconds(connection),
        }
    if as_json:
        print_json(facts)
        return
    click.echo(f"{facts['probes']} probes in batches of {plan.batch_size}, {facts['bytes']} bytes; nothing was sent.")
    if estimate is not None:
        _tell(estimate, connection, facts["cost_at_most"])
    weakest = f"{load_method(claim.method).spec.effect_name} {claim.rule.minimum_effect}"
    click.echo(
        f"If the mark is as weak as the claim allows ({weakest}), this finds it in {_share(facts['power'])} of cases."
    )


def tell_undated(choices: Mapping[str, Any]) -> None:
    """Says on standard error, before anything is asked, that no authority will date the transcript."""
    if not choices["tsa"] and choices["demonstration"] is None:
        click.echo(UNDATED, err=True)


def _share(probability: float) -> str:
    if probability < 0.01:
        return "fewer than 1 %"
    return "more than 99 %" if probability > 0.99 else f"{100.0 * probability:.0f} %"


def _name_suspect(name: str, connection: Connection) -> RemoteSuspect | None:
    """Returns a remote suspect, of which the name alone is read; None for one on the disk, which is not loaded.

    Raises:
        ForensicsError: nothing of that name can be a suspect.
    """
    path = Path(name)
    if not is_remote(name) and ((path.suffix == ".onnx" and path.is_file()) or (path / "config.json").is_file()):
        return None
    opened = open_suspect(name, connection)
    return opened if isinstance(opened, RemoteSuspect) else None


def _tell(estimate: Estimate, connection: Connection, cost: float | None) -> None:
    least = "" if estimate.exact else "at least "
    click.echo(
        f"{least}{estimate.requests} requests (the first is made twice), at most {estimate.tokens} tokens "
        "(a token is counted as a byte) if none has to be repeated."
    )
    price = f"At most {cost:.4f} at the given price" if cost is not None else "No price is known; give one with --price"
    click.echo(f"{price}.")
    seconds = estimate.seconds(connection)
    if seconds:
        click.echo(f"At the given rates it takes at least {seconds:.0f} seconds.")
    else:
        click.echo("No rate is given, so the suspect's speed decides how long it takes.")
