"""`forensics examine`."""

import shlex
from pathlib import Path
from typing import Any

import click

from forensics.cli.acquire import acquisition_options
from forensics.cli.common import bar, folder, json_option, passphrase_option, read_passphrase
from forensics.cli.probes import share_options
from forensics.cli.score import scoring_options


@click.command()
@click.argument("key", metavar="KEY", type=folder())
@click.argument("suspect", metavar="SUSPECT")
@acquisition_options
@scoring_options
@click.option(
    "--published",
    is_flag=True,
    help="Afterwards also ask for the statistics that the method's paper prints. They decide nothing, and their probes "
    "show the suspect what the key had drawn.",
)
@share_options
@passphrase_option
@json_option
def examine(
    key: Path,
    suspect: str,
    references: tuple[str, ...],
    positive: str | None,
    predecessor: str | None,
    provenance: Path | None,
    owner_undisputed: bool,
    published: bool,
    share: int | None,
    spent: bool,
    passphrase_file: Path | None,
    as_json: bool,
    **choices: Any,
) -> None:
    """Probes, acquire and score in a row, for SUSPECT.

    SUSPECT is a model folder, an ONNX file, PROTOCOL+URL#MODEL such as openai+https://api.example.com/v1#name,
    json:FILE or replay:CASE.
    """
    from forensics.cli.acquisition import announce, settings, tell_undated
    from forensics.cli.connection import take_connection
    from forensics.cli.results import print_result
    from forensics.evidence.provenance import read_provenance
    from forensics.examination import examine as run
    from forensics.examination import make_kit
    from forensics.keys.folder import KeyFolder
    from forensics.suspects import open_suspect

    connection = take_connection(choices)
    stated = read_provenance(provenance) if provenance is not None else {}
    public = KeyFolder.open(key)
    chosen = public.choose_share(share, spent=spent)
    unlocked = public.unlock(read_passphrase(passphrase_file))
    if choices["dry_run"]:
        kit = make_kit(unlocked, chosen)
        announce(kit.claim, kit.plan, suspect, connection, choices["price"], as_json)
        return
    opened, arguments = open_suspect(suspect, connection), settings(choices)
    tell_undated(choices)
    scored = run(
        unlocked,
        opened,
        choices["case"],
        share=chosen,
        references=references,
        positive=positive,
        predecessor=predecessor,
        provenance=stated,
        owner_undisputed=owner_undisputed,
        published=published,
        progress=bar,
        **arguments,
    )
    print_result(scored, as_json)
    if not as_json:
        click.echo(f"\nNext: forensics case open {shlex.quote(str(scored.path))} {shlex.quote(str(key))}")
