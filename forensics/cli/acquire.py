"""`forensics acquire`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from forensics.cli.common import FiniteRange, bar, folder, json_option, print_json
from forensics.cli.connection import connection_options

Command = TypeVar("Command", bound=Callable[..., Any])


def acquisition_options(command: Command) -> Command:
    """Adds what `acquire` and `examine` share."""
    for option in reversed(
        (
            click.option(
                "--case",
                required=True,
                type=folder(),
                help="Folder for the case: what was asked and answered. Must not exist, save with --resume.",
            ),
            click.option(
                "--suspect-date", metavar="DATE", help="Earliest evidence of the suspect, such as 2026-11-22."
            ),
            click.option("--date-source", metavar="TEXT", help="Where that date comes from."),
            click.option(
                "--reference-checkpoint",
                "named",
                multiple=True,
                metavar="MODEL",
                help="A model that the claim names, such as the owner's unmarked one; asked the same probes.",
            ),
            click.option("--budget", type=click.IntRange(1), metavar="N", help="Largest number of probes."),
            click.option("--resume", is_flag=True, help="Go on with an acquisition that was interrupted."),
            click.option("--dry-run", is_flag=True, help="Say what would be asked and what it costs, and ask nothing."),
            click.option(
                "--price", type=FiniteRange(0), metavar="MONEY", help="Price of a million tokens, for --dry-run."
            ),
            click.option("--actor", default="examiner", show_default=True, help="Who acts, for the custody log."),
            click.option(
                "--tsa",
                metavar="URL",
                help="Timestamp authority (RFC 3161) for the transcript: shows that the answers were recorded by then.",
            ),
            click.option(
                "--demonstration", type=folder(), metavar="DIR", help="Local demonstration authority instead."
            ),
        )
    ):
        command = option(command)
    return connection_options(command)


@click.command()
@click.argument("kit", metavar="KIT", type=folder())
@click.argument("suspect", metavar="SUSPECT")
@acquisition_options
@json_option
def acquire(kit: Path, suspect: str, as_json: bool, **choices: Any) -> None:
    """Put the probes of KIT to SUSPECT and record the answers.

    SUSPECT is a model folder, an ONNX file, PROTOCOL+URL#MODEL such as openai+https://api.example.com/v1#name,
    json:FILE or replay:CASE.
    """
    from forensics.cli.acquisition import announce, settings, tell_undated
    from forensics.cli.connection import take_connection
    from forensics.evidence.kit import read_kit
    from forensics.examination import acquire as run
    from forensics.passes import most_asked
    from forensics.suspects import open_suspect

    package, connection = read_kit(kit), take_connection(choices)
    if choices["dry_run"]:
        announce(package.claim, package.plan, suspect, connection, choices["price"], as_json)
        return
    opened, arguments = open_suspect(suspect, connection), settings(choices)
    tell_undated(choices)
    case = run(package, opened, choices["case"], progress=bar, **arguments)
    if as_json:
        print_json({"case": str(case.path), "suspect": suspect, "manifest_sha256": case.manifest_sha256})
    else:
        click.echo(f"Wrote {case.path}: {most_asked(package.plan)} answers. Next: forensics score KEY {case.path}")
