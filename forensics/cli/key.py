"""`forensics key new` and `forensics key show`."""

from pathlib import Path
from typing import Any

import click

from forensics.cli.common import folder, json_option, passphrase_option, print_json, read_passphrase


@click.group()
def key() -> None:
    """Make a key, or show its public part."""


@key.command("new")
@click.argument("path", metavar="KEY", type=folder())
@click.option("--method", default="ofsw", show_default=True, help="See `forensics methods`.")
@click.option("--owner", required=True, help="Whom the key binds, as it shall stand in the report.")
@click.option("--pool", required=True, type=folder(), help="Data set of candidates; labelled images for ofsw.")
@click.option("--pool-size", type=click.IntRange(1), default=64, show_default=True, help="Candidates a share.")
@click.option("--reference-checkpoint", type=folder(), help="The owner's unmarked model (ofsw).")
@click.option("--tsa", multiple=True, metavar="URL", help="RFC 3161 timestamp authority; twice for two of them.")
@click.option("--no-timestamp", is_flag=True, help="Self-dated: the key will not bind its owner.")
@click.option(
    "--demonstration",
    type=folder(),
    metavar="DIR",
    help="Use a local demonstration authority kept in DIR (made if missing); it proves nothing to others.",
)
@click.option("--shares", type=click.IntRange(1), default=1, show_default=True, help="Units of disclosure.")
@click.option(
    "--bits", type=click.IntRange(1), default=64, show_default=True, help="Payload length; 128 or more for court."
)
@click.option("--banks", type=click.IntRange(1), default=8, show_default=True, help="Trigger images (ofsw).")
@click.option("--option", "extra", multiple=True, metavar="NAME=VALUE", help="Another option of the method.")
@click.option("--alpha", default="1e-6", show_default=True, help="Largest p-value that supports the claim.")
@click.option("--min-effect", help="Smallest effect that supports the claim; by default the method's.")
@click.option("--grinding", type=click.IntRange(0, 64), default=20, show_default=True, help="g: p is charged 2**g.")
@click.option("--examinations", type=click.IntRange(1), default=1, show_default=True, help="M: p is charged M.")
@passphrase_option
@json_option
def new(path: Path, passphrase_file: Path | None, as_json: bool, **choices: Any) -> None:
    """Make the key folder KEY: secret, public claim, timestamp."""
    from forensics.cli.authorities import open_authorities
    from forensics.errors import UsageError
    from forensics.keys.folder import show
    from forensics.methods.ofsw import CLEAN
    from forensics.registration import new_key
    from forensics.training.data import load_images

    if path.exists():
        raise UsageError(f"{path} exists already.", "Choose another name; a key is never overwritten.")
    try:
        options = dict(item.split("=", 1) for item in choices["extra"])
    except ValueError as error:
        raise UsageError("An option is not NAME=VALUE.", "Write for instance --option bits=128.") from error
    binding, authorities = open_authorities(choices["tsa"], choices["no_timestamp"], choices["demonstration"])
    checkpoint = choices["reference_checkpoint"]
    made = new_key(
        path,
        owner=choices["owner"],
        method=choices["method"],
        options={"bits": choices["bits"], "banks": choices["banks"], **options},
        pool=load_images(choices["pool"]),
        references={CLEAN: checkpoint} if checkpoint else {},
        passphrase=read_passphrase(passphrase_file, confirm=True),
        authorities=authorities,
        binding=binding,
        shares=choices["shares"],
        pool_size=choices["pool_size"],
        rule={
            "alpha": choices["alpha"],
            "minimum_effect": choices["min_effect"],
            "grinding": choices["grinding"],
            "examinations": choices["examinations"],
        },
    )
    if as_json:
        print_json(show(made))
        return
    click.echo(f"Made {path} for {made.claim.owner}: {made.claim.method}, {made.claim.rule.n} units, {binding}.")
    click.echo(f"Claim {made.claim.digest}")
    click.echo(f"Next: forensics embed {path} --model DIR --data DATA --out DIR")


@key.command("show")
@click.argument("path", metavar="KEY", type=folder())
@json_option
def show_key(path: Path, as_json: bool) -> None:
    """Show the public part of KEY; no passphrase is needed."""
    from forensics.keys.folder import KeyFolder, show

    facts = show(KeyFolder.open(path))
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        click.echo(f"{name:<22}{value}")
