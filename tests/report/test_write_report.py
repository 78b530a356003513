"""Writing a report: whole or not at all, never over another file unasked, and a result that can be checked."""

import os
from pathlib import Path

import pytest
from pyhanko.sign.signers import SimpleSigner

from forensics.canonical import sha256, sha256_file
from forensics.errors import AuthorityError, CaseError, StorageError, UsageError
from forensics.evidence.bag import render_bag
from forensics.evidence.case import CaseFolder
from forensics.evidence.check_pdf import check_pdf
from forensics.evidence.storage import create_folder
from forensics.report import write_file, write_report
from tests.report.cases import make_evidence


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    evidence = make_evidence("SUPPORTED", bits=16, controls=False)
    path = tmp_path_factory.mktemp("case") / "CASE"
    create_folder(path, render_bag({"data/evidence.json": evidence.core}, evidence))
    return path


def test_signed_report_checks_and_its_digests_are_right(case: Path, signer: SimpleSigner, tmp_path: Path) -> None:
    out = tmp_path / "report.pdf"
    result = write_report(case, out, signer=signer)
    assert result.path == out
    assert result.sha256 == sha256_file(out)
    raw = out.read_bytes()
    assert result.unsigned_sha256 == sha256(raw[: raw.index(b"%%EOF") + len(b"%%EOF\n")])
    assert result.missing[0] == "report.number"
    assert result.pages > 10
    checked = check_pdf(out)
    assert checked.intact
    assert checked.details["manifest_sha256"] == CaseFolder.load(case).manifest_sha256
    assert [path.name for path in tmp_path.iterdir()] == ["report.pdf"]
    assert out.stat().st_mode & 0o777 == 0o644


def test_unsigned_report_says_so_and_does_not_check(case: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.pdf"
    result = write_report(case, out)
    assert result.sha256 == result.unsigned_sha256
    checked = check_pdf(out)
    assert not checked.ok
    assert "no signature" in checked.reasons[0]


def test_existing_file_is_kept_unless_asked(case: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.pdf"
    out.write_bytes(b"earlier")
    with pytest.raises(UsageError, match="exists already"):
        write_report(case, out)
    assert out.read_bytes() == b"earlier"
    write_file(out, b"later", overwrite=True)
    assert out.read_bytes() == b"later"
    with pytest.raises(UsageError, match="exists already"):
        write_file(out, b"other", overwrite=False)


def test_dangling_link_is_not_written_through(tmp_path: Path) -> None:
    out = tmp_path / "report.pdf"
    out.symlink_to(tmp_path / "elsewhere.pdf")
    with pytest.raises(UsageError, match="exists already"):
        write_file(out, b"x", overwrite=False)
    write_file(out, b"x", overwrite=True)
    assert not out.is_symlink()
    assert not (tmp_path / "elsewhere.pdf").exists()


def test_failed_writing_leaves_the_old_file_and_no_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "report.pdf"
    out.write_bytes(b"earlier")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="disk is full"):
        write_file(out, b"x" * 1000, overwrite=True)
    assert out.read_bytes() == b"earlier"
    assert [path.name for path in tmp_path.iterdir()] == ["report.pdf"]


def test_missing_folder_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        write_file(tmp_path / "none" / "report.pdf", b"x", overwrite=False)


def test_wrong_details_and_missing_cases_are_refused_before_anything_is_rendered(case: Path, tmp_path: Path) -> None:
    details = tmp_path / "case.toml"
    details.write_text("[examiner]\nnmae = 'x'\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"examiner\.nmae"):
        write_report(case, tmp_path / "report.pdf", details=details)
    with pytest.raises(CaseError):
        write_report(tmp_path / "none", tmp_path / "report.pdf")
    assert not (tmp_path / "report.pdf").exists()


def test_damaged_case_gives_no_report(case: Path, tmp_path: Path) -> None:
    evidence = make_evidence("SUPPORTED", bits=16, controls=False)
    files = render_bag({"data/evidence.json": evidence.core}, evidence)
    files["data/evidence.json"] = files["data/evidence.json"].replace(b"SUPPORTED", b"SUPPORTEE")
    create_folder(tmp_path / "CASE", files)
    with pytest.raises(CaseError, match="damaged"):
        write_report(tmp_path / "CASE", tmp_path / "report.pdf")


def test_failing_authority_writes_nothing(case: Path, signer: SimpleSigner, tmp_path: Path) -> None:
    class Silent:
        name = "silent authority"

        def stamp(self, digest: bytes) -> bytes:
            raise AuthorityError("The authority does not answer.", "Try again.")

    with pytest.raises(AuthorityError):
        write_report(case, tmp_path / "report.pdf", signer=signer, authority=Silent())
    assert list(tmp_path.iterdir()) == []
