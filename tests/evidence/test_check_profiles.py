"""Reports of the profiles court and archive: exactly their two shapes pass, whatever else is done to them."""

import random
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path

import pytest
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from forensics.evidence import archive
from forensics.evidence.archive import add_archive_timestamp, read_report_file
from forensics.evidence.check_pdf import check_pdf
from forensics.evidence.longterm import SignatureOptions, ValidationData, plan_signature
from forensics.evidence.signer import load_signer, signer_chain
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.report import sign, write_report
from tests.evidence.conftest import PASSPHRASE, Line
from tests.evidence.pki import NOW, Ca, Holder, Unit

Altered = Callable[[bytes], Path]


@pytest.fixture(scope="module")
def archived(line: Line, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Two pages on the sealed case, in the archive profile."""
    out = tmp_path_factory.mktemp("archived") / "report.pdf"
    options = SignatureOptions("archive")
    signer = load_signer(line.signer, PASSPHRASE)
    written = write_report(line.sealed, out, signer=signer, authority=line.authority, signing=options, summary=True)
    assert (written.level, written.below) == ("B-LTA", "")
    return out.read_bytes()


@pytest.fixture(scope="module")
def court(line: Line, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Two pages on the sealed case, as they are signed where nothing is said of a profile."""
    out = tmp_path_factory.mktemp("court") / "report.pdf"
    signer = load_signer(line.signer, PASSPHRASE)
    written = write_report(line.sealed, out, signer=signer, authority=line.authority, summary=True)
    assert (written.level, written.below) == ("B-LT", "")
    return out.read_bytes()


@pytest.fixture
def altered(tmp_path: Path) -> Altered:
    """Returns a function that writes bytes as a PDF."""

    def write(raw: bytes) -> Path:
        path = tmp_path / "altered.pdf"
        path.write_bytes(raw)
        return path

    return write


def refused(path: Path, match: str = "") -> None:
    result = check_pdf(path)
    assert not result.ok
    assert not result.intact
    assert match in result.reasons[0], result.reasons


def test_archived_report_passes(archived: bytes, altered: Altered, line: Line) -> None:
    result = check_pdf(altered(archived), case=line.sealed, trust=line.trust)
    assert result.ok, result.reasons
    assert result.trusted is True
    assert result.details["signature_level"] == "B-LTA"
    assert result.details["archive_timestamp"] is not None
    assert result.details["ades"]["indication"] == "PASSED"
    assert result.details["ades"]["best_time"] is not None
    sentence = next(reason for reason in result.reasons if reason.startswith("The signature covers"))
    assert "none of its certificates was revoked" in sentence
    assert "the whole file was time-stamped" in sentence
    assert "permits no change" not in sentence


def test_court_report_passes(court: bytes, altered: Altered, line: Line) -> None:
    result = check_pdf(altered(court), case=line.sealed, trust=line.trust)
    assert result.ok, result.reasons
    assert result.details["signature_level"] == "B-LT"
    assert result.details["archive_timestamp"] is None
    assert result.details["ades"] is None
    sentence = next(reason for reason in result.reasons if reason.startswith("The signature covers"))
    assert "permits no change" in sentence
    assert "none of its certificates was revoked" in sentence


def test_every_flipped_bit_of_an_archived_report_is_refused(archived: bytes, altered: Altered) -> None:
    chance = random.Random(5)
    end = read_report_file(archived).end
    start = archived.rindex(b"/Contents <")
    places = chance.sample(range(end), 60) + chance.sample(range(start, start + 6000), 40)
    places += [*range(end, end + 40, 3), *chance.sample(range(start + 8000, len(archived)), 20)]
    places += [end - 1, end, start, start + 11, len(archived) - 1, *range(len(archived) - 330, len(archived), 7)]
    for place in places:
        changed = bytearray(archived)
        changed[place] ^= 1 << chance.randrange(8)
        result = check_pdf(altered(bytes(changed)))
        assert not result.ok, f"byte {place} of {len(archived)}, the signed part ends at {end}"
        assert result.reasons


def test_cut_off_timestamp_is_missed(archived: bytes, altered: Altered) -> None:
    refused(altered(archived[: read_report_file(archived).end]), "no certification that forbids changes")


def test_cut_off_revisions_are_refused(archived: bytes, court: bytes, altered: Altered) -> None:
    for raw in (archived, court):
        for place in re.finditer(rb"%%EOF\n", raw):
            if place.end() < len(raw):
                refused(altered(raw[: place.end()]))


@pytest.mark.parametrize("tail", [b"junk", b"\n", b"%%EOF\n", b"\x00"])
def test_anything_behind_the_timestamp_is_refused(archived: bytes, altered: Altered, tail: bytes) -> None:
    refused(altered(archived + tail))


@pytest.mark.parametrize("change", [b"00", b"0000"])
def test_longer_and_shorter_padding_is_refused(archived: bytes, altered: Altered, change: bytes) -> None:
    place = archived.rindex(b"00>")
    longer = archived[:place] + change + archived[place:]
    refused(altered(longer), "no archive timestamp")
    refused(altered(archived[: place - len(change)] + archived[place:]), "no archive timestamp")


def test_timestamp_of_a_court_report_is_refused(court: bytes, archived: bytes, altered: Altered, line: Line) -> None:
    added = archived[read_report_file(archived).end :]
    refused(altered(court + added), "no field for an archive timestamp")
    twice = archived + added
    refused(altered(twice), "more than one signature")


def test_timestamp_of_another_authority_is_refused(archived: bytes, altered: Altered) -> None:
    signed = archived[: read_report_file(archived).end]
    refused(altered(add_archive_timestamp(signed, DemonstrationAuthority.create())), "another authority")


def test_timestamp_of_the_same_authority_can_be_renewed_and_changes_nothing_else(
    archived: bytes, altered: Altered, line: Line
) -> None:
    signed = archived[: read_report_file(archived).end]
    again = add_archive_timestamp(signed, line.authority)
    assert again != archived
    assert check_pdf(altered(again)).ok
    first = next(place for place in range(len(again)) if again[place] != archived[place])
    assert first > archived.rindex(b"/Contents <")


def test_another_revision_under_a_fresh_timestamp_is_refused(
    archived: bytes, altered: Altered, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever cuts the last revision off can ask the authority for a timestamp over one of his own."""
    signed = archived[: read_report_file(archived).end]
    written = archive._write(signed)
    page = re.search(rb"/P (\d+) 0 R", written.head)
    assert page is not None
    additions = {
        "comment": written.head.replace(b"\nendobj\n", b"\nendobj\n% a remark\n", 1),
        "key": written.head.replace(b"/F 132", b"/F 132 /TU (Approved)"),
        "flags": written.head.replace(b"/F 132", b"/F 004"),
        "box": written.head.replace(b"[0 0 0 0]", b"[0 0 9 9]"),
        "page": written.head
        + b"\nendobj\n"
        + page[1]
        + b" 0 obj\n<< /Type /Page >>\nendobj\n9999 0 obj\n<< /Contents ",
    }
    for name, head in additions.items():
        assert head != written.head
        monkeypatch.setattr(archive, "_render", lambda _, head=head: replace(written, head=head))
        forged = add_archive_timestamp(signed, line.authority)
        monkeypatch.undo()
        result = check_pdf(altered(forged))
        assert not result.ok, name
        assert not result.intact


def test_changes_by_an_incremental_update_are_refused(archived: bytes, court: bytes, altered: Altered) -> None:
    for raw in (archived, court, archived[: read_report_file(archived).end]):
        writer = IncrementalPdfFileWriter(BytesIO(raw))
        overlay = generic.StreamObject(stream_data=b"q 1 0 0 rg 60 500 400 120 re f Q")
        writer.add_stream_to_page(0, writer.add_object(overlay))
        output = BytesIO()
        writer.write(output)
        refused(altered(output.getvalue()))


class Forger:
    """Reports that our own signing refuses to make, made with it all the same."""

    def __init__(self, line: Line, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._line, self._folder = line, folder
        self.people, self.stamps = Ca("People"), Ca("Stamps")
        self.expert: Holder = self.people.issue()
        self.signer = self.expert.signer(folder)
        given = ValidationData(lists=(self.people.crl(), self.stamps.crl()))
        options = SignatureOptions("court", given)
        self.plan = plan_signature(signer_chain(self.signer), Unit(self.stamps), options, at=NOW)
        monkeypatch.setattr(sign, "verify_embedded", lambda *_: None)
        self._monkeypatch, self._sign = monkeypatch, sign._sign

    def write(self, **changes: object) -> Path:
        """A report whose plan differs in the signing, but not in what the document declares."""

        async def other(unsigned, signer, facts, wanted, at, language):  # type: ignore[no-untyped-def]
            return await self._sign(unsigned, signer, facts, replace(wanted, **changes), at, language)

        self._monkeypatch.setattr(sign, "_sign", other)
        plan = self.plan
        self._monkeypatch.setattr("forensics.report.plan_signature", lambda *_, **__: plan)
        out = self._folder / "forged.pdf"
        write_report(self._line.sealed, out, signer=self.signer, authority=plan.authority, summary=True, overwrite=True)
        return out


@pytest.fixture
def forger(line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Forger:
    return Forger(line, tmp_path, monkeypatch)


def test_revoked_signer_is_refused(forger: Forger) -> None:
    assert check_pdf(forger.write()).ok
    lists = (forger.people.crl(forger.expert.certificate), forger.stamps.crl())
    path = forger.write(embedded=replace(forger.plan.embedded, lists=lists))
    refused(path, "the certificate of CN=Expert,O=Institute was revoked on")


def test_less_than_the_declared_level_is_refused(forger: Forger) -> None:
    refused(forger.write(embedded=ValidationData()), "has not the level that the document declares")
    lists = forger.plan.embedded.lists[:1]
    refused(forger.write(embedded=replace(forger.plan.embedded, lists=lists)), "there is no revocation list")
    refused(forger.write(level="B-LTA"), "no certification that forbids changes")
    refused(forger.write(authority=None), "has not the level")


def test_more_than_the_declared_level_is_refused(forger: Forger) -> None:
    forger.plan = replace(forger.plan, level="B-T", embedded=ValidationData())
    embedded = ValidationData((forger.expert.certificate,), (forger.people.crl(),))
    refused(forger.write(embedded=embedded), "has not the level")


def test_documented_recipe_verifies_both_signatures_with_openssl_alone(
    archived: bytes, altered: Altered, line: Line, tmp_path: Path
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "report.md").read_text(encoding="utf-8")
    cut = page[page.index("```python\n") + len("```python\n") :]
    (tmp_path / "cut.py").write_text(cut[: cut.index("```")], encoding="utf-8")
    commands = [text.strip() for text in page.splitlines() if text.startswith("    openssl ")]
    assert [command.split()[1] for command in commands] == ["cms", "ts"]
    (tmp_path / "ROOT.pem").write_bytes(line.trust.read_bytes())
    run = partial(subprocess.run, cwd=tmp_path, capture_output=True, check=False)
    assert run([sys.executable, "-I", "cut.py", str(altered(archived))]).returncode == 0
    assert [run(command.split()).returncode for command in commands] == [0, 0]
    for name in ("signature.bin", "archive.bin"):
        covered = tmp_path / name
        covered.write_bytes(covered.read_bytes().replace(b"Author", b"author"))
    assert 0 not in [run(command.split()).returncode for command in commands]
    assert run([sys.executable, "-I", "cut.py", str(altered(archived + b"x"))]).returncode != 0
