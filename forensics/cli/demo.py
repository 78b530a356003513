"""`forensics demo`."""

from pathlib import Path
from typing import Any

import click

from forensics.cli.common import bar, folder, json_option, print_json

METHODS = ("ofsw", "ksl", "ksl-text", "t2s", "tmrw", "wpe")


@click.command()
@click.option(
    "--method",
    type=click.Choice(METHODS),
    default="ofsw",
    show_default=True,
    help="An image classifier (ofsw), one that others imitate (ksl, t2s; ksl-text, of texts), a text encoder (tmrw), "
    "or an image encoder (wpe). Those of texts need `make packages`.",
)
@click.option("--out", type=folder(), help="Folder for everything it makes  [default: demo-out, or demo-out/METHOD]")
@json_option
def demo(method: str, out: Path | None, as_json: bool) -> None:
    """The whole story on small real data: a key, a marked model, several suspects, as many signed reports."""
    from forensics.cli.results import result_object
    from forensics.demo import run_demo

    place = out or Path("demo-out" if method == "ofsw" else f"demo-out/{method}")
    examined = run_demo(place, lambda line: click.echo(line, err=True), bar, method)
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
    shapes = {"ofsw": (_BITS, _bits), "ksl": (_RANKS, _ranks), "ksl-text": (_RANKS, _ranks), "t2s": (_RANKS, _ranks)}
    heading, figures = shapes.get(method, (_SUBSET, _subset))
    click.echo(f"\n{'suspect':<13}{'verdict':<15}{heading}  report")
    for item, row in zip(examined, found, strict=True):
        click.echo(f"{item.name:<13}{_verdict(row)}{figures(row)}  {item.report}")
    click.echo("\nSHA-256 of the reports:")
    for item in examined:
        click.echo(f"  {item.report_sha256}  {item.report}")
    click.echo("\nThe keys, certificates and timestamps of this demonstration prove nothing to anybody else.")
    click.echo(f"Try: {_try(place)}")


_BITS = f"{'bits':>8}  {'exact p':>9}  {'chi-square p':>12}"
_RANKS = f"{'access':<10}{'first':>7}  {'mean rank':>9}  {'exact p':>9}"
_SUBSET = f"{'access':<10}{'chosen':>7}  {'AUC':>5}  {'exact p':>9}"


def _bits(row: dict[str, Any]) -> str:
    bits = f"{row['matched']}/{row['n']}"
    return f"{bits:>8}  {row['p_value']:>9.2g}  {row['published']['p_value']:>12.2g}"


def _ranks(row: dict[str, Any]) -> str:
    first = f"{row['matched']}/{row['n']}"
    return f"{row['access']:<10}{first:>7}  {row['effect']:>9.2f}  {row['p_value']:>9.2g}"


def _subset(row: dict[str, Any]) -> str:
    chosen = f"{row['matched']}/{row['chosen']}"
    return f"{row['access']:<10}{chosen:>7}  {row['effect']:>5.2f}  {row['p_value']:>9.2g}"


def _verdict(row: dict[str, Any]) -> str:
    from forensics.cli.results import COLOURS

    return click.style(f"{row['verdict']:<15}", fg=COLOURS[row["verdict"]], bold=True)


def _try(out: Path) -> str:
    return f"forensics check {out / 'cases' / 'marked'} --trust {out / 'authority' / 'root.pem'}"
