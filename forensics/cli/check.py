"""`forensics check`."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from forensics.cli.common import FiniteRange, folder, json_option, print_json
from forensics.cli.connection import connection_options


@click.command()
@click.argument("path", metavar="CASE|PDF", type=folder())
@click.option("--case", type=folder(), help="The case that a PDF reports on.")
@click.option("--trust", type=folder(), metavar="ROOT.pem", help="Root certificates that you trust.")
@click.option("--expect-fingerprint", metavar="HEX", help="SHA-256 of the signer's certificate, from another channel.")
@click.option("--supersedes", type=folder(), metavar="OLD", help="The sealed case that CASE supersedes: check it too.")
@click.option("--suspect", metavar="SUSPECT", help="Ask this suspect again and count disagreements (opened cases).")
@click.option(
    "--reference-checkpoint",
    "named",
    multiple=True,
    metavar="MODEL",
    help="Ask a model that the claim names again as well (opened cases).",
)
@click.option(
    "--tolerance",
    type=FiniteRange(0),
    metavar="X",
    help="Largest difference of a number, asked again, that counts as none [0 for the same files and libraries, else "
    "1e-4].",
)
@connection_options
@json_option
def check(
    path: Path,
    case: Path | None,
    trust: Path | None,
    expect_fingerprint: str | None,
    supersedes: Path | None,
    suspect: str | None,
    named: tuple[str, ...],
    tolerance: float | None,
    as_json: bool,
    **choices: Any,
) -> None:
    """Check a case folder or a PDF report: complete, unchanged, signed by whom, reproduced."""
    from forensics.errors import UsageError

    if not path.exists():
        raise UsageError(f"There is nothing at {path}.", "Name a case folder or a PDF report.")
    if path.is_dir():
        from forensics.evidence.check import check_case

        result = check_case(path, trust=trust, expect_fingerprint=expect_fingerprint, supersedes=supersedes)
    else:
        if supersedes is not None:
            raise UsageError("--supersedes goes with a case folder.", "Check the case folder by itself.")
        from forensics.evidence.check_pdf import check_pdf

        result = check_pdf(path, case=case, trust=trust, expect_fingerprint=expect_fingerprint)
    asked: dict[str, Any] = {}
    if suspect is not None or named:
        from forensics.cli.connection import take_connection
        from forensics.examination import repeat
        from forensics.suspects import open_suspect

        connection = take_connection(choices)
        models = [open_suspect(name) for name in named]
        again = open_suspect(suspect, connection) if suspect else None
        asked = repeat(case or path, again, models, tolerance=tolerance)
        result = replace(result, details={**result.details, "named_models_asked": asked["named_models_asked"]})
    ok = result.ok and not asked.get("disagreements")
    if as_json:
        body = {
            "ok": ok,
            "intact": result.intact,
            "complete": result.complete,
            "signed_by": result.signed_by,
            "trusted": result.trusted,
            "timestamped": result.timestamped,
            "reproduced": result.reproduced,
            "reasons": list(result.reasons),
            "details": result.details,
        }
        print_json({**body, "asked_again": asked} if asked else body)
    else:
        from forensics.cli.verification import print_check

        print_check(path, result, ok, asked)
    if not ok:
        sys.exit(1)
