"""The options that name who signs: a key in a file or on a token, and what long-term signatures need."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from forensics.cli.common import SIGNER_PASSPHRASE, folder, read_passphrase

if TYPE_CHECKING:
    from forensics.evidence.longterm import SignatureOptions

Command = TypeVar("Command", bound=Callable[..., Any])

_SIGNER = ("signer", "signer_passphrase_file", "certificate", "chain", "pkcs11", "token", "key_label", "cert_label")
_LONG_TERM = ("profile", "crl", "fetch_revocation")


def signer_options(meaning: str) -> Callable[[Command], Command]:
    """Returns a decorator that adds what every verb that signs takes; `take_signer` reads it.

    Args:
        meaning: what `--signer` is for, a sentence.
    """

    def decorate(command: Command) -> Command:
        for option in reversed(
            (
                click.option("--signer", type=folder(), help=meaning),
                click.option(
                    "--signer-passphrase-file",
                    type=folder(),
                    help=f"File with passphrase or PIN in its first line; else ${SIGNER_PASSPHRASE}, else a prompt.",
                ),
                click.option("--certificate", type=folder(), help="Certificate of a key that comes without one."),
                click.option(
                    "--chain", type=folder(), multiple=True, metavar="FILE", help="Certificates of issuers, to embed."
                ),
                click.option(
                    "--pkcs11", type=folder(), metavar="MODULE", help="Instead: library of a token that holds the key."
                ),
                click.option("--token", metavar="LABEL", help="Which token."),
                click.option("--key-label", metavar="LABEL", help="Which private key on it."),
                click.option("--cert-label", metavar="LABEL", help="Which certificate on it; by default the key's."),
            )
        ):
            command = option(command)
        return command

    return decorate


def long_term_options(command: Command) -> Command:
    """Adds what decides how long a PDF signature can be verified; `take_signature_options` reads it."""
    for option in reversed(
        (
            click.option(
                "--profile",
                type=click.Choice(["court", "archive"]),
                help="court: revocation data embedded, no change permitted (PAdES B-LT). archive: a time stamp over "
                "the whole file besides (B-LTA).  [default: court, or less with a sentence that says why]",
            ),
            click.option(
                "--crl",
                type=folder(),
                multiple=True,
                metavar="FILE",
                help="Revocation list, PEM or DER, or a folder of such.",
            ),
            click.option("--fetch-revocation", is_flag=True, help="Get revocation lists where certificates name them."),
        )
    ):
        command = option(command)
    return command


def take_signer(choices: dict[str, Any]) -> Any:
    """Removes the options of `signer_options` and returns the signer that they name, or None.

    A token stays open until the command ends.

    Raises:
        UsageError: a file, a token, a passphrase or the choice between them is not right.
        MissingExtraError: the part that speaks to tokens is not installed.
    """
    from forensics.errors import UsageError
    from forensics.evidence.signer import load_signer

    signer, secret_file, certificate, chain, module, token, key_label, cert_label = (
        choices.pop(name) for name in _SIGNER
    )
    if module is None:
        if token or key_label or cert_label:
            raise UsageError("A token is named without its library.", "Give it with --pkcs11 MODULE.")
        if signer is None:
            return None
        secret = _file_secret(signer, secret_file)
        return load_signer(signer, secret, certificate=certificate, chain=chain)
    if signer is not None:
        raise UsageError("Two signers are named, a file and a token.", "Give --signer or --pkcs11.")
    if not token or not key_label:
        raise UsageError("It is not said which key signs.", "Give --token LABEL and --key-label LABEL.")

    from forensics.evidence.pkcs11 import open_token

    opened = open_token(
        module,
        token=token,
        key_label=key_label,
        pin=read_passphrase(secret_file, SIGNER_PASSPHRASE, "signer"),
        certificate_label=cert_label,
        certificate=certificate,
        chain=chain,
    )
    return click.get_current_context().with_resource(opened)


def take_signature_options(choices: dict[str, Any]) -> "SignatureOptions":
    """Removes the options of `long_term_options` and returns what they say; call it before `take_signer`.

    Raises:
        UsageError: a revocation list or a certificate cannot be read.
    """
    from forensics.evidence.certificates import read_certificates
    from forensics.evidence.longterm import SignatureOptions, ValidationData
    from forensics.evidence.revocation import read_lists

    profile, crl, fetch = (choices.pop(name) for name in _LONG_TERM)
    certificates = [each for path in choices["chain"] for each in read_certificates(path)]
    fetching = None
    if fetch:
        from forensics.evidence.fetching import fetch_lists

        fetching = fetch_lists
    return SignatureOptions(profile, ValidationData(tuple(certificates), tuple(read_lists(crl))), fetching)


def _file_secret(path: Path, secret_file: Path | None) -> str | None:
    """The passphrase of a key file; a PEM key that is not encrypted needs none."""
    head = path.read_bytes()[:4096] if path.is_file() else b""
    plain = b"PRIVATE KEY-----" in head and b"ENCRYPTED" not in head
    if plain and secret_file is None and SIGNER_PASSPHRASE not in os.environ:
        return None
    return read_passphrase(secret_file, SIGNER_PASSPHRASE, "signer")
