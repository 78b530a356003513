"""The samples that anyone can check offline."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from forensics.evidence.case import CaseFolder
from forensics.evidence.check import check_case
from forensics.evidence.check_pdf import check_pdf
from forensics.keys.folder import KeyFolder

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "evidence_samples"


def test_the_case_is_intact_trusted_and_reproduced() -> None:
    result = check_case(SAMPLES / "case", trust=SAMPLES / "root.pem")
    assert result.ok, result.reasons
    assert result.trusted is True
    assert result.timestamped is True
    assert result.reproduced is True


def test_the_report_belongs_to_the_case() -> None:
    result = check_pdf(SAMPLES / "report.pdf", case=SAMPLES / "case", trust=SAMPLES / "root.pem")
    assert result.ok, result.reasons
    assert result.reproduced is True


def test_the_tampered_twin_is_refused_although_its_checksums_fit() -> None:
    for manifest in ("manifest-sha256.txt", "tagmanifest-sha256.txt"):
        subprocess.run(["sha256sum", "--quiet", "-c", manifest], cwd=SAMPLES / "tampered", check=True)
    result = check_case(SAMPLES / "tampered", trust=SAMPLES / "root.pem")
    assert not result.ok
    assert not result.intact


@pytest.mark.parametrize("name", ["case", "tampered"])
def test_recompute_needs_a_bare_python(name: str, tmp_path: Path) -> None:
    place = Path(shutil.copytree(SAMPLES / name, tmp_path / "case"))
    run = subprocess.run(
        [sys.executable, "-I", "-S", "data/recompute.py"], cwd=place, capture_output=True, text=True, check=False
    )
    assert run.returncode == (0 if name == "case" else 1), run.stdout + run.stderr


def test_openssl_accepts_the_signature_of_the_case_alone() -> None:
    command = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", "tagmanifest-sha256.txt.p7s"]
    command += ["-content", "tagmanifest-sha256.txt", "-CAfile", "../root.pem", "-purpose", "any", "-cades"]
    for name, code in (("case", 0), ("tampered", 4)):
        run = subprocess.run([*command, "-out", "/dev/null"], cwd=SAMPLES / name, capture_output=True, check=False)
        assert run.returncode == code, run.stderr


def test_the_key_opens_and_is_the_cases() -> None:
    key = KeyFolder.open(SAMPLES / "key")
    assert key.claim.digest == CaseFolder.load(SAMPLES / "case").evidence.claim_digest
    assert key.unlock("demonstration").opening(0)["index"] == 0


def test_the_records_follow_their_schemas() -> None:
    for schema, record in (
        ("evidence.schema.json", SAMPLES / "case" / "data" / "evidence.json"),
        ("claim.schema.json", SAMPLES / "key" / "claim.json"),
    ):
        form = json.loads((ROOT / "docs" / "schema" / schema).read_text())
        jsonschema.validate(json.loads(record.read_text()), form)
