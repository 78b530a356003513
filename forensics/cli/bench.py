"""`forensics bench`."""

from pathlib import Path

import click

from forensics.bench import BENCHES
from forensics.cli.common import bar, folder, print_json

_NAMES = "\b\nNAME is one of\n" + "\n".join(f"  {name:<16}{summary}" for name, summary in BENCHES.items())


@click.command(epilog=_NAMES)
@click.argument("name", metavar="NAME", type=click.Choice(sorted(BENCHES)))
@click.option("--quick", is_flag=True, help="A small run whose rows are marked and kept nowhere.")
@click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="Processes of one thread each.")
@click.option(
    "--results", type=folder(), default=Path("docs/results"), show_default=True, help="Where results are kept."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
def bench(name: str, quick: bool, jobs: int, results: Path, as_json: bool) -> None:
    """Run the bench NAME; finished cells are kept and not run again."""
    from importlib import import_module

    module = import_module(f"forensics.bench.{name}")
    found = module.run(results / name, quick=quick, jobs=jobs, progress=bar)
    if as_json:
        print_json(found)
        return
    click.echo(module.table(found["rows"]))
