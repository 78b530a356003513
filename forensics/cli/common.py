"""What several verbs share: types of arguments, passphrases, JSON output, progress bars."""

import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from forensics.errors import UsageError
from forensics.progress import Advance

Command = TypeVar("Command", bound=Callable[..., Any])

PASSPHRASE = "FORENSICS_PASSPHRASE"  # noqa: S105 - the name of a variable
SIGNER_PASSPHRASE = "FORENSICS_SIGNER_PASSPHRASE"  # noqa: S105 - the name of a variable


class FiniteRange(click.FloatRange):
    """The type of a number within bounds that is neither infinite nor NaN, which passes every comparison."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Returns the number, or refuses it in one sentence."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no finite number.", param, ctx)
        return number


def folder(exists: bool = False) -> click.Path:
    """Returns the type of a path argument."""
    return click.Path(path_type=Path, exists=exists)


def json_option(command: Command) -> Command:
    """Adds `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")(command)


def passphrase_option(command: Command) -> Command:
    """Adds `--passphrase-file`."""
    return click.option(
        "--passphrase-file",
        type=folder(),
        help=f"File with the key's passphrase in its first line; else ${PASSPHRASE}, else a prompt.",
    )(command)


def read_passphrase(file: Path | None, variable: str = PASSPHRASE, what: str = "key", *, confirm: bool = False) -> str:
    """Returns a passphrase from a file, the environment or a prompt; never from an argument.

    Raises:
        UsageError: none can be had.
    """
    if file is not None:
        try:
            return file.read_text(encoding="utf-8").splitlines()[0]
        except (OSError, UnicodeDecodeError, IndexError) as error:
            raise UsageError(
                f"The passphrase file {file} cannot be read.", "Put the passphrase in its first line."
            ) from error
    if variable in os.environ:
        return os.environ[variable]
    if not sys.stdin.isatty():
        option = "--passphrase-file" if what == "key" else f"--{what}-passphrase-file"
        raise UsageError(f"The {what}'s passphrase is not known.", f"Set {variable} or name a file with {option}.")
    text: str = click.prompt(f"Passphrase of the {what}", hide_input=True, confirmation_prompt=confirm, err=True)
    return text


def print_json(value: Any) -> None:
    """Prints one JSON object on standard output."""
    click.echo(json.dumps(value, indent=2))


@contextmanager
def bar(label: str, total: int) -> Iterator[Advance]:
    """A progress bar on standard error, and nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _units: None
        return
    with click.progressbar(length=total, label=f"{label:<28}", file=sys.stderr, width=30) as progress:
        yield progress.update
