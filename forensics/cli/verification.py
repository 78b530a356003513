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
    if asked and not asked["same_model"]:
        click.echo(
            "- A model that was asked again is not the one that the case records: other files or another address."
        )
    if asked and asked["disagreements"]:
        click.echo(f"- {asked['disagreements']} answers differ by more than the tolerance, so the check failed.")
    for reason in result.reasons:
        click.echo(f"- {reason}")
