"""`forensics demo`."""

from pathlib import Path

import click

from forensics.cli.common import bar, folder, json_option, print_json


@click.command()
@click.option(
    "--out", type=folder(), default=Path("demo-out"), show_default=True, help="Folder for everything it makes."
)
@json_option
def demo(out: Path, as_json: bool) -> None:
    """The whole story on real handwritten digits: a key, a marked model, four suspects, four signed reports."""
    from forensics.cli.results import COLOURS, result_object
    from forensics.demo import run_demo

    examined = run_demo(out, lambda line: click.echo(line, err=True), bar)
    found = [
        {
            **result_object(item.case),
            "story": item.story,
            "report": str(item.report),
            "report_sha256": item.report_sha256,
        }
        for item in examined
    ]
    if as_json:
        print_json({"suspects": found})
        return
    click.echo(f"\n{'suspect':<13}{'verdict':<15}{'bits':>8}  {'exact p':>9}  {'chi-square p':>12}  report")
    for item, row in zip(examined, found, strict=True):
        verdict = click.style(f"{row['verdict']:<15}", fg=COLOURS[row["verdict"]], bold=True)
        bits = f"{row['matched']}/{row['n']}"
        published = row["published"]["p_value"]
        figures = f"{bits:>8}  {row['p_value']:>9.2g}  {published:>12.2g}"
        click.echo(f"{item.name:<13}{verdict}{figures}  {item.report}")
    click.echo("\nSHA-256 of the reports:")
    for item in examined:
        click.echo(f"  {item.report_sha256}  {item.report}")
    click.echo("\nThe keys, certificates and timestamps of this demonstration prove nothing to anybody else.")
    click.echo(f"Try: {_try(out)}")


def _try(out: Path) -> str:
    return f"forensics check {out / 'cases' / 'marked'} --trust {out / 'authority' / 'root.pem'}"
