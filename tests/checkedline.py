"""What every story ends with: a case is opened, checked, recomputed by its script, sealed, reported, checked again."""

import json
import subprocess
from pathlib import Path

import pytest

from forensics.evidence.check import check_case
from tests.cli.test_cli_espew import PASSPHRASE, run


def require_checked(
    root: Path, case: Path, suspect: Path, probes: int, stamped: tuple[object, ...], patch: pytest.MonkeyPatch
) -> None:
    """Requires all of it of a scored case.

    Args:
        root: with the folder KEY, signer.p12 and root.pem; the report is written beside the case.
        suspect: is asked again, so many probes.
        stamped: options that name the timestamp authority.
    """
    closed = check_case(case)
    assert closed.ok, closed.reasons
    assert closed.reproduced is None
    run("case", "open", case, root / "KEY")
    checked = json.loads(run("check", case, "--suspect", suspect, "--json"))
    assert checked["ok"], checked["reasons"]
    assert checked["reproduced"]
    assert (checked["asked_again"]["probes"], checked["asked_again"]["disagreements"]) == (probes, 0)
    script = subprocess.run(
        ["python3", "-I", "-S", "data/recompute.py"], cwd=case, capture_output=True, text=True, check=False
    )
    assert script.returncode == 0, script.stdout + script.stderr
    assert "agrees   p-value" in script.stdout
    patch.setenv("FORENSICS_SIGNER_PASSPHRASE", PASSPHRASE)
    signed = ("--signer", root / "signer.p12", *stamped)
    run("case", "seal", case, *signed)
    report = case.with_name("report.pdf")
    run("report", case, "--out", report, *signed)
    for words in (("check", case), ("check", report, "--case", case)):
        result = json.loads(run(*words, "--trust", root / "root.pem", "--json"))
        assert result["ok"], result["reasons"]
