"""`forensics probes`."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from forensics.cli.common import folder, json_option, passphrase_option, print_json, read_passphrase

Command = TypeVar("Command", bound=Callable[..., Any])


def share_options(command: Command) -> Command:
    """Adds what `probes` and `examine` share; `KeyFolder.choose_share` reads both."""
    for option in reversed(
        (
            click.option(
                "--share", type=click.IntRange(0), metavar="N", help="Which share to use; by default the first unspent."
            ),
            click.option("--spent", is_flag=True, help="Use share N although it was opened: others know its probes."),
        )
    ):
        command = option(command)
    return command


@click.command()
@click.argument("key", metavar="KEY", type=folder())
@click.option("--out", required=True, type=folder(), help="Folder for the kit; must not exist.")
@share_options
@passphrase_option
@json_option
def probes(key: Path, out: Path, share: int | None, spent: bool, passphrase_file: Path | None, as_json: bool) -> None:
    """Write a kit for a blind examiner: the probes of KEY, and nothing that says what would count as a hit."""
    from forensics.examination import probes as write
    from forensics.keys.folder import KeyFolder

    public = KeyFolder.open(key)
    chosen = public.choose_share(share, spent=spent)
    kit = write(public.unlock(read_passphrase(passphrase_file)), out, chosen)
    if as_json:
        print_json(
            {
                "kit": str(out),
                "claim": kit.claim.digest,
                "share": kit.share,
                "plan": kit.plan.digest,
                "probes": len(kit.plan.probes),
            }
        )
    else:
        click.echo(f"Wrote {out}: {len(kit.plan.probes)} probes of share {kit.share}.")
        click.echo(f"Next: forensics acquire {shlex.quote(str(out))} SUSPECT --case CASE --tsa URL")
