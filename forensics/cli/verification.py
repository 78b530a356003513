"""The outcome of a check as one page in words."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import click

from forensics.evidence.check import CheckResult


def print_check(path: Path, result: CheckResult, ok: bool, asked: Mapping[str, object]) -> None:
    """Prints the outcome, who signed, each question with its answer, and the reasons."""
    signer = result.signed_by or "nobody"
    headline = replace(result, ok=ok).headline
    click.secho(f"{headline}: {path}", fg="green" if ok else "red", bold=True)
    click.echo(f"{'signed by':<14}{signer}")
    for name, value in (
        ("intact", result.intact),
        ("complete", result.complete),
        ("timestamped", result.timestamped),
        ("reproduced", result.reproduced),
    ):
        click.echo(f"{name:<14}{'not checked' if value is None else 'yes' if value else 'NO'}")
    if asked:
        click.echo(f"{'asked again':<14}{asked['disagreements']} of {asked['probes']} answers differ")
    click.echo("")
    for reason in result.reasons:
        click.echo(f"- {reason}")
