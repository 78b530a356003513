"""`forensics report`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forensics.cli.common import folder, json_option, print_json
from forensics.cli.signing import long_term_options, signer_options, take_signature_options, take_signer

if TYPE_CHECKING:
    from forensics.report import ReportResult


@click.command()
@click.argument("case", metavar="CASE", type=folder())
@click.option("--out", required=True, type=folder(), help="The PDF; must not exist.")
@click.option("--details", type=folder(), metavar="case.toml", help="What people must supply; without it, a draft.")
@signer_options("PKCS#12 file, or PEM with key and certificate; without it, the report stays unsigned.")
@click.option("--tsa", metavar="URL", help="Timestamp authority for the signature.")
@click.option("--demonstration", type=folder(), metavar="DIR", help="Local demonstration authority instead.")
@long_term_options
@click.option("--no-stamp", is_flag=True, help="Leave out the visible stamp on the first page.")
@click.option(
    "--lang", "language", metavar="en|de|fr", help="Language of the report; else that of case.toml, else English."
)
@click.option("--summary", is_flag=True, help="Write two pages for a judge instead of the whole report.")
@click.option("--redacted", is_flag=True, help="Withhold what would give the mark away; print its digests instead.")
@click.option("--html", "twin", type=folder(), metavar="FILE", help="Write the report as one HTML page as well.")
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
@json_option
def report(
    case: Path,
    out: Path,
    details: Path | None,
    tsa: str | None,
    demonstration: Path | None,
    no_stamp: bool,
    language: str | None,
    summary: bool,
    redacted: bool,
    twin: Path | None,
    overwrite: bool,
    as_json: bool,
    **signing: Any,
) -> None:
    """Write the PDF report of CASE, with the evidence attached, and sign it."""
    from forensics.cli.authorities import open_authority
    from forensics.errors import UsageError
    from forensics.evidence.longterm import USUAL
    from forensics.report import write_report

    options = take_signature_options(signing)
    signer = take_signer(signing)
    if signer is None and options != USUAL:
        raise UsageError(
            "Nobody is named who signs.", "Add --signer or --pkcs11, or leave the signature's options out."
        )
    written = write_report(
        case,
        out,
        details=details,
        signer=signer,
        authority=open_authority(tsa, demonstration),
        signing=options,
        stamp=not no_stamp,
        language=language,
        overwrite=overwrite,
        summary=summary,
        redacted=redacted,
        twin=twin,
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
                "level": written.level or None,
                "below": written.below or None,
                **({"html": str(written.twin), "html_sha256": written.twin_sha256} if written.twin else {}),
            }
        )
        return
    state = "draft" if written.missing else "final"
    click.echo(f"Wrote {written.path}: {written.pages} pages, {state}, {_signature(written)}.")
    click.echo(f"SHA-256 {written.sha256}")
    if written.twin:
        click.echo(f"Wrote {written.twin}, a copy for the screen.")
        click.echo(f"SHA-256 {written.twin_sha256}")
    if written.below:
        click.echo(written.below)
    if written.missing:
        click.echo(f"It stays a draft until case.toml has: {', '.join(written.missing)}")


def _signature(written: "ReportResult") -> str:
    return f"signed (PAdES {written.level})" if written.level else "unsigned"
