"""`forensics case open`, `case add`, `case seal`."""

import shlex
from pathlib import Path

import click

from forensics.cli.common import (
    SIGNER_PASSPHRASE,
    folder,
    json_option,
    passphrase_option,
    print_json,
    read_passphrase,
)


@click.group()
def case() -> None:
    """Disclose a share, add an exhibit, close and sign a case."""


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
@click.option("--actor", default="examiner", show_default=True, help="Who acts, for the custody log.")
@json_option
def add(path: Path, file: Path, name: str | None, actor: str, as_json: bool) -> None:
    """Add FILE to CASE as an exhibit."""
    from forensics.canonical import now, sha256
    from forensics.evidence.case import add_exhibit

    content = file.read_bytes()
    changed = add_exhibit(path, name or file.name, content, actor=actor, moment=now())
    if as_json:
        print_json({"case": str(path), "sha256": sha256(content), "manifest_sha256": changed.manifest_sha256})
    else:
        click.echo(f"Added {file.name} ({sha256(content)}).")


@case.command("seal")
@click.argument("path", metavar="CASE", type=folder())
@click.option("--signer", required=True, type=folder(), help="PKCS#12 file, or PEM with key and certificate.")
@click.option("--signer-passphrase-file", type=folder(), help=f"Else ${SIGNER_PASSPHRASE}, else a prompt.")
@click.option("--certificate", type=folder(), help="Certificate of a PEM key that has none.")
@click.option("--tsa", metavar="URL", help="Timestamp authority for the signature (CAdES-T).")
@click.option("--demonstration", type=folder(), metavar="DIR", help="Local demonstration authority instead.")
@click.option("--actor", default="examiner", show_default=True, help="Who acts, for the custody log.")
@json_option
def seal(
    path: Path,
    signer: Path,
    signer_passphrase_file: Path | None,
    certificate: Path | None,
    tsa: str | None,
    demonstration: Path | None,
    actor: str,
    as_json: bool,
) -> None:
    """Close CASE and sign it; nothing in it can change any more."""
    from forensics.canonical import now
    from forensics.cli.authorities import open_authority
    from forensics.cli.signing import open_signer
    from forensics.evidence.seal import seal_case

    loaded = open_signer(signer, signer_passphrase_file, certificate)
    sealed = seal_case(path, loaded, open_authority(tsa, demonstration), actor=actor, moment=now())
    if as_json:
        print_json({"case": str(path), "manifest_sha256": sealed.manifest_sha256})
    else:
        click.echo(f"Sealed {path}; manifest {sealed.manifest_sha256}")
