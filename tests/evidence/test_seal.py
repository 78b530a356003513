import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from forensics.canonical import now
from forensics.errors import AuthorityError, CaseError, UsageError
from forensics.evidence.bag import SIGNATURE, TAGMANIFEST
from forensics.evidence.case import CaseFolder
from forensics.evidence.check import check_case
from forensics.evidence.seal import seal_case
from forensics.evidence.signer import load_signer
from forensics.evidence.storage import read_folder
from tests.evidence.conftest import PASSPHRASE, Line
from tests.evidence.pki import Ca
from tests.evidence.test_signer import Failing

Copy = Callable[[Path], Path]


def openssl(case: Path, trust: Path) -> subprocess.CompletedProcess[str]:
    command = ["openssl", "cms", "-verify", "-cades", "-binary", "-inform", "DER", "-in", SIGNATURE]
    command += ["-content", TAGMANIFEST, "-CAfile", str(trust), "-purpose", "any", "-out", "/dev/null"]
    return subprocess.run(command, cwd=case, capture_output=True, text=True)


def test_openssl_accepts_the_seal(line: Line) -> None:
    result = openssl(line.sealed, line.trust)
    assert result.returncode == 0, result.stderr
    assert "CAdES Verification successful" in result.stderr


def test_openssl_refuses_a_changed_manifest(line: Line, copy_of: Copy) -> None:
    case = copy_of(line.sealed)
    path = case / TAGMANIFEST
    path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))
    assert openssl(case, line.trust).returncode != 0


def test_openssl_accepts_the_claims_timestamp(line: Line) -> None:
    command = ["openssl", "ts", "-verify", "-token_in", "-in", "data/claim/claim.tst"]
    command += ["-data", "data/claim/claim.json", "-CAfile", str(line.trust)]
    result = subprocess.run(command, cwd=line.sealed, capture_output=True, text=True)
    assert "Verification: OK" in result.stdout + result.stderr


def test_sealing_adds_an_entry_and_a_signature_and_nothing_else(line: Line) -> None:
    before, after = CaseFolder.load(line.opened), CaseFolder.load(line.sealed)
    changed = {name for name, content in after.content.items() if before.content.get(name) != content}
    tags = {"bag-info.txt", "manifest-sha256.txt", TAGMANIFEST}
    assert changed == tags | {"data/custody.jsonl", SIGNATURE}
    assert b"Sealed-By: tagmanifest-sha256.txt.p7s\n" in after.content["bag-info.txt"]
    assert b"Sealed-By" not in before.content["bag-info.txt"]
    assert after.closed


@pytest.mark.parametrize("state", ["acquired", "scored", "opened"])
def test_every_state_can_be_sealed_without_a_timestamp(line: Line, copy_of: Copy, state: str) -> None:
    case = copy_of(getattr(line, state))
    seal_case(case, load_signer(line.signer, PASSPHRASE), actor="examiner", moment=now())
    result = check_case(case, trust=line.trust)
    assert result.ok, result.reasons
    assert result.details["signature_timestamp"] is None
    assert openssl(case, line.trust).returncode == 0


def test_sealing_twice_is_refused(line: Line, copy_of: Copy) -> None:
    case = copy_of(line.sealed)
    with pytest.raises(CaseError, match="sealed already"):
        seal_case(case, load_signer(line.signer, PASSPHRASE), actor="examiner", moment=now())


def test_a_failing_authority_leaves_the_case_as_it_was(line: Line, copy_of: Copy) -> None:
    case = copy_of(line.opened)
    before = read_folder(case)
    with pytest.raises(AuthorityError):
        seal_case(case, load_signer(line.signer, PASSPHRASE), Failing(), actor="examiner", moment=now())
    assert read_folder(case) == before


@pytest.mark.parametrize("years", [-20, 20])
def test_a_certificate_that_is_not_valid_then_is_refused(line: Line, copy_of: Copy, years: int) -> None:
    moment = datetime.now(UTC) + timedelta(days=365 * years)
    with pytest.raises(UsageError, match="certificate is valid from"):
        seal_case(copy_of(line.opened), load_signer(line.signer, PASSPHRASE), actor="examiner", moment=moment)


def test_a_certificate_for_something_else_leaves_the_case_as_it_was(line: Line, copy_of: Copy, tmp_path: Path) -> None:
    case = copy_of(line.opened)
    before = read_folder(case)
    signer = Ca().issue(purposes=["1.3.6.1.5.5.7.3.1"]).signer(tmp_path)
    with pytest.raises(UsageError, match="extended key usage"):
        seal_case(case, signer, actor="examiner", moment=now())
    assert read_folder(case) == before
