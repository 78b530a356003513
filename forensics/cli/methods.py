"""`forensics methods`."""

import dataclasses

import click

from forensics.cli.common import json_option, print_json
from forensics.cli.demo import METHODS as DEMONSTRATED


@click.command()
@click.argument("name", required=False)
@json_option
def methods(name: str | None, as_json: bool) -> None:
    """List the methods, or show one with its null hypothesis and assumptions."""
    from forensics.methods import load_method, method_names

    names = (name,) if name else method_names()
    specs = [load_method(each).spec for each in names]
    if as_json:
        print_json({"methods": [dataclasses.asdict(spec) for spec in specs]})
        return
    for spec in specs:
        if not name:
            shown = f"; try: forensics demo --method {spec.name}" if spec.name in DEMONSTRATED else ""
            click.echo(f"{spec.name:<11}{spec.title} ({spec.modality}){shown}")
            continue
        click.echo(f"{spec.title}, version {spec.version}\n{spec.citation}\n\nNull hypothesis: {spec.null}.")
        for access, statistic in spec.deciding.items():
            click.echo(f"Decides with {access}: {statistic}")
        click.echo(f"Ties: {spec.ties}.\nMissing answers: {spec.missing}.\nSmallest effect: {spec.minimum_effect}")
        click.echo("Assumptions:")
        for assumption in spec.assumptions:
            click.echo(f"  - {assumption}")
        for option in spec.options:
            click.echo(f"--option {option.name}={option.default}: {option.help}")
