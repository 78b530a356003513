"""`forensics report`."""

from pathlib import Path

import click

from forensics.cli.common import SIGNER_PASSPHRASE, folder, json_option, print_json


@click.command()
@click.argument("case", metavar="CASE", type=folder())
@click.option("--out", required=True, type=folder(), help="The PDF; must not exist.")
@click.option("--details", type=folder(), metavar="case.toml", help="What people must supply; without it, a draft.")
@click.option("--signer", type=folder(), help="PKCS#12 file, or PEM with key and certificate; without it, unsigned.")
@click.option("--signer-passphrase-file", type=folder(), help=f"Else ${SIGNER_PASSPHRASE}, else a prompt.")
@click.option("--certificate", type=folder(), help="Certificate of a PEM key that has none.")
@click.option("--tsa", metavar="URL", help="Timestamp authority for the signature (PAdES B-T).")
@click.option("--demonstration", type=folder(), metavar="DIR", help="Local demonstration authority instead.")
@click.option("--no-stamp", is_flag=True, help="Leave out the visible stamp on the first page.")
@click.option("--overwrite", is_flag=True, help="Replace an existing PDF.")
@json_option
def report(
    case: Path,
    out: Path,
    details: Path | None,
    signer: Path | None,
    signer_passphrase_file: Path | None,
    certificate: Path | None,
    tsa: str | None,
    demonstration: Path | None,
    no_stamp: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write the PDF report of CASE, with the evidence attached, and sign it."""
    from forensics.cli.authorities import open_authority
    from forensics.cli.signing import open_signer
    from forensics.report import write_report

    written = write_report(
        case,
        out,
        details=details,
        signer=open_signer(signer, signer_passphrase_file, certificate) if signer else None,
        authority=open_authority(tsa, demonstration),
        stamp=not no_stamp,
        overwrite=overwrite,
    )
    if as_json:
        print_json(
            {
                "report": str(written.path),
                "sha256": written.sha256,
                "unsigned_sha256": written.unsigned_sha256,
                "pages": written.pages,
                "draft": bool(written.missing),
                "missing": list(written.missing),
            }
        )
        return
    state = "draft" if written.missing else "final"
    click.echo(f"Wrote {written.path}: {written.pages} pages, {state}, {'signed' if signer else 'unsigned'}.")
    click.echo(f"SHA-256 {written.sha256}")
    if written.missing:
        click.echo(f"It stays a draft until case.toml has: {', '.join(written.missing)}")
