"""`forensics case open`, `case add`, `case seal`, `case supersede`."""

import shlex
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from forensics.cli.common import folder, json_option, passphrase_option, print_json, read_passphrase
from forensics.cli.signing import signer_options, take_signer

Command = TypeVar("Command", bound=Callable[..., Any])


def _signing_options(meaning: str) -> Callable[[Command], Command]:
    """Returns a decorator that adds who acts, who signs, and who dates the signature."""

    def decorate(command: Command) -> Command:
        for option in reversed(
            (
                click.option("--tsa", metavar="URL", help="Timestamp authority for the signature (CAdES-T)."),
                click.option(
                    "--demonstration", type=folder(), metavar="DIR", help="Local demonstration authority instead."
                ),
                click.option("--actor", default="examiner", show_default=True, help="Who acts, for the custody log."),
            )
        ):
            command = option(command)
        return signer_options(meaning)(command)

    return decorate


@click.group()
def case() -> None:
    """Disclose a share, add an exhibit, close and sign a case, supersede a sealed one."""


@case.command("open")
@click.argument("path", metavar="CASE", type=folder())
@click.argument("key", metavar="KEY", type=folder())
@click.option("--actor", default="owner", show_default=True, help="Who acts, for the custody log.")
@passphrase_option
@json_option
def open_(path: Path, key: Path, actor: str, passphrase_file: Path | None, as_json: bool) -> None:
    """Disclose the share that CASE was scored with, so that anyone can recompute its numbers."""
    from forensics.examination import open_case
    from forensics.keys.folder import KeyFolder

    opened = open_case(KeyFolder.open(key).unlock(read_passphrase(passphrase_file)), path, actor=actor)
    if as_json:
        print_json({"case": str(path), "share": opened.evidence.plan.share, "manifest_sha256": opened.manifest_sha256})
    else:
        script = shlex.quote(str(path / "data" / "recompute.py"))
        click.echo(f"Opened share {opened.evidence.plan.share} in {path}. Try: python3 -I {script}")


@case.command("add")
@click.argument("path", metavar="CASE", type=folder())
@click.argument("file", type=folder(exists=True))
@click.option("--name", help="Name of the exhibit; by default the file's.")
@_signing_options("Signs the custody entry: PKCS#12 file, or PEM with key and certificate.")
@json_option
def add(path: Path, file: Path, name: str | None, actor: str, as_json: bool, **signing: Any) -> None:
    """Add FILE to CASE as an exhibit."""
    from forensics.canonical import now, sha256
    from forensics.errors import UsageError
    from forensics.evidence.case import CaseFolder, add_exhibit, sealed_error

    if CaseFolder.load(path).closed:
        raise sealed_error(path)
    if not file.is_file():
        raise UsageError(f"{file} is no file.", "Name a single file; add each file of a folder by itself.")
    content, moment = file.read_bytes(), now()
    signer = _entry_signer(moment, **signing)
    changed = add_exhibit(path, name or file.name, content, actor=actor, moment=moment, signer=signer)
    if as_json:
        print_json(
            {
                "case": str(path),
                "sha256": sha256(content),
                "manifest_sha256": changed.manifest_sha256,
                "signer": signer.fingerprint if signer is not None else None,
            }
        )
    else:
        click.echo(f"Added {file.name} ({sha256(content)}); the entry is {'signed' if signer else 'NOT signed'}.")


@case.command("seal")
@click.argument("path", metavar="CASE", type=folder())
@_signing_options("PKCS#12 file, or PEM with key and certificate.")
@json_option
def seal(path: Path, actor: str, as_json: bool, **signing: Any) -> None:
    """Close CASE and sign it; nothing in it can change any more."""
    from forensics.canonical import now
    from forensics.errors import UsageError
    from forensics.evidence.seal import seal_case

    loaded, authority = _signing(**signing)
    if loaded is None:
        raise UsageError("Nobody is named who signs.", "Give --signer FILE, or --pkcs11 MODULE for a token.")
    sealed = seal_case(path, loaded, authority, actor=actor, moment=now())
    if as_json:
        print_json({"case": str(path), "manifest_sha256": sealed.manifest_sha256})
    else:
        click.echo(f"Sealed {path}; manifest {sealed.manifest_sha256}")


@case.command("supersede")
@click.argument("path", metavar="CASE", type=folder())
@click.option("--case", "new", required=True, type=folder(), help="The new case; must not exist.")
@click.option("--reason", required=True, help="Why the sealed case is superseded, in a sentence.")
@_signing_options("Signs the custody entry: PKCS#12 file, or PEM with key and certificate.")
@json_option
def supersede(path: Path, new: Path, reason: str, actor: str, as_json: bool, **signing: Any) -> None:
    """Make a new, unsealed case that names the sealed CASE and goes on from it; CASE stays as it is."""
    from forensics.canonical import now
    from forensics.evidence.case import CaseFolder
    from forensics.evidence.supersede import supersede_case

    old, moment = CaseFolder.load(path).manifest_sha256, now()
    signer = _entry_signer(moment, **signing)
    made = supersede_case(path, new, reason=reason, actor=actor, moment=moment, signer=signer)
    if as_json:
        print_json({"case": str(new), "supersedes": old, "manifest_sha256": made.manifest_sha256})
    else:
        click.echo(f"Made {new}, which supersedes the case with the manifest {old}. Next: forensics case seal")


def _signing(tsa: str | None, demonstration: Path | None, **signer: Any) -> tuple[Any, Any]:
    """Returns the signer, or None, and the timestamp authority, or None, that the options name."""
    from forensics.cli.authorities import open_authority

    return take_signer(signer), open_authority(tsa, demonstration)


def _entry_signer(moment: datetime, **signing: Any) -> Any:
    """Returns who signs a custody entry; None where nobody does."""
    from forensics.errors import UsageError
    from forensics.evidence.entries import entry_signer

    signer, authority = _signing(**signing)
    if signer is not None:
        return entry_signer(signer, authority, moment)
    if any(signing.values()):
        raise UsageError("Nobody is named who signs.", "Add --signer, or leave the other options of the signature out.")
    return None
