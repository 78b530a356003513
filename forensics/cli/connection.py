"""The options of a remote suspect: how it is asked, with which key, and what that may cost."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from forensics.cli.common import FiniteRange, folder

if TYPE_CHECKING:
    from forensics.suspects import Connection

Command = TypeVar("Command", bound=Callable[..., Any])

API_KEY = "FORENSICS_API_KEY"

_NAMES = ("concurrency", "rate", "token_rate", "attempts", "timeout", "max_requests", "max_tokens", "api_key_env")
OPTIONS = (*_NAMES, "tls_authority")


def connection_options(command: Command) -> Command:
    """Adds what every verb that asks a remote suspect takes."""
    for option in reversed(
        (
            click.option("--concurrency", type=click.IntRange(1, 1000), metavar="N", help="Requests at a time [8]."),
            click.option("--rate", type=FiniteRange(0, min_open=True), metavar="N", help="Requests a minute."),
            click.option("--token-rate", type=FiniteRange(0, min_open=True), metavar="N", help="Tokens a minute."),
            click.option("--attempts", type=click.IntRange(1, 100), metavar="N", help="Most attempts a request [5]."),
            click.option(
                "--timeout", type=FiniteRange(0, min_open=True), metavar="SECONDS", help="For one attempt [60]."
            ),
            click.option("--max-requests", type=click.IntRange(1), metavar="N", help="Most attempts in all."),
            click.option("--max-tokens", type=click.IntRange(1), metavar="N", help="Most tokens in all."),
            click.option(
                "--api-key-env",
                metavar="NAME",
                help=f"Name of the variable that holds the API key, never the key itself [{API_KEY}, where it is set].",
            ),
            click.option(
                "--tls-authority", type=folder(), metavar="FILE", help="Certificates (PEM) to trust for this suspect."
            ),
        )
    ):
        command = option(command)
    return command


def make_connection(
    concurrency: int | None = None,
    rate: float | None = None,
    token_rate: float | None = None,
    attempts: int | None = None,
    timeout: float | None = None,
    max_requests: int | None = None,
    max_tokens: int | None = None,
    api_key_env: str | None = None,
    tls_authority: Path | None = None,
) -> "Connection":
    """Returns the connection that the options describe.

    Raises:
        UsageError: the variable that shall hold the API key is not set.
    """
    from forensics.errors import UsageError
    from forensics.suspects import Connection

    if api_key_env is not None and api_key_env not in os.environ:
        raise UsageError("The variable that --api-key-env names is not set.", "Set it, or name another.")
    given = {"concurrency": concurrency, "attempts": attempts, "timeout": timeout}
    return replace(
        Connection(
            requests_per_minute=rate,
            tokens_per_minute=token_rate,
            max_requests=max_requests,
            max_tokens=max_tokens,
            api_key=os.environ.get(api_key_env or API_KEY) or None,
            authority=tls_authority,
        ),
        **{name: value for name, value in given.items() if value is not None},  # type: ignore[arg-type]
    )


def take_connection(choices: dict[str, Any]) -> "Connection":
    """Takes the options of a connection out of a verb's options; see `make_connection`."""
    return make_connection(**{name: choices.pop(name) for name in OPTIONS})
