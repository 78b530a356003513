"""`forensics score`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from forensics.cli.common import bar, folder, json_option, passphrase_option, read_passphrase
from forensics.cli.connection import connection_options, take_connection

Command = TypeVar("Command", bound=Callable[..., Any])


def scoring_options(command: Command) -> Command:
    """Adds what `score` and `examine` share."""
    for option in reversed(
        (
            click.option(
                "--reference",
                "references",
                multiple=True,
                metavar="MODEL",
                help="An independent model for gate G3; may be repeated.",
            ),
            click.option(
                "--positive", metavar="MODEL", help="The owner's marked model, as a control that must respond."
            ),
            click.option(
                "--predecessor",
                metavar="MODEL",
                help="The same model before it was marked, as a control that must not respond.",
            ),
            click.option(
                "--provenance",
                type=folder(),
                metavar="TOML",
                help="Source, date and who vouches for each of these models; gate G3 counts no reference without.",
            ),
            click.option(
                "--owner-undisputed", is_flag=True, help="The instructions put the owner of the key beyond dispute."
            ),
        )
    ):
        command = option(command)
    return command


@click.command()
@click.argument("key", metavar="KEY", type=folder())
@click.argument("case", metavar="CASE", type=folder())
@scoring_options
@click.option(
    "--published",
    metavar="SUSPECT",
    help="Also ask SUSPECT, the model of the case, for the statistics that the method's paper prints. They decide "
    "nothing, and their probes show the suspect what the key had drawn.",
)
@connection_options
@click.option("--actor", default="owner", show_default=True, help="Who acts, for the custody log.")
@passphrase_option
@json_option
def score(
    key: Path,
    case: Path,
    references: tuple[str, ...],
    positive: str | None,
    predecessor: str | None,
    provenance: Path | None,
    owner_undisputed: bool,
    published: str | None,
    actor: str,
    passphrase_file: Path | None,
    as_json: bool,
    **choices: Any,
) -> None:
    """Score the recorded answers of CASE with KEY; nothing that decides is asked again."""
    from forensics.cli.results import print_result
    from forensics.evidence.provenance import read_provenance
    from forensics.examination import score as run
    from forensics.keys.folder import KeyFolder
    from forensics.suspects import open_suspect

    connection = take_connection(choices)
    stated = read_provenance(provenance) if provenance is not None else {}
    unlocked = KeyFolder.open(key).unlock(read_passphrase(passphrase_file))
    scored = run(
        unlocked,
        case,
        actor=actor,
        references=references,
        positive=positive,
        predecessor=predecessor,
        provenance=stated,
        owner_undisputed=owner_undisputed,
        published=open_suspect(published, connection) if published else None,
        progress=bar,
    )
    print_result(scored, as_json)
