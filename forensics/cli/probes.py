"""`forensics probes`."""

import shlex
from pathlib import Path

import click

from forensics.cli.common import folder, json_option, passphrase_option, print_json, read_passphrase


@click.command()
@click.argument("key", metavar="KEY", type=folder())
@click.option("--out", required=True, type=folder(), help="Folder for the kit; must not exist.")
@click.option("--share", type=click.IntRange(0), default=0, show_default=True, help="Whose probes.")
@passphrase_option
@json_option
def probes(key: Path, out: Path, share: int, passphrase_file: Path | None, as_json: bool) -> None:
    """Write a kit for a blind examiner: the probes of KEY, and nothing that says what would count as a hit."""
    from forensics.examination import probes as write
    from forensics.keys.folder import KeyFolder

    kit = write(KeyFolder.open(key).unlock(read_passphrase(passphrase_file)), out, share)
    if as_json:
        print_json(
            {"kit": str(out), "claim": kit.claim.digest, "plan": kit.plan.digest, "probes": len(kit.plan.probes)}
        )
    else:
        click.echo(f"Wrote {out}: {len(kit.plan.probes)} probes.")
        click.echo(f"Next: forensics acquire {shlex.quote(str(out))} SUSPECT --case CASE --tsa URL")
