"""The outcome of a check as one page in words, the first line in colour."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from forensics.evidence.findings import CheckResult
from forensics.evidence.words import render_page


def print_check(path: Path, result: CheckResult, ok: bool, asked: Mapping[str, Any]) -> None:
    """Prints the page that `words.render_page` makes."""
    first, *rest = render_page(path, result, ok, asked)
    click.secho(first, fg="green" if ok else "red", bold=True)
    for line in rest:
        click.echo(line)
