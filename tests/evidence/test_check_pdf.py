"""A signed report: any change is refused, whoever made it, and never with a traceback."""

import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from forensics.canonical import now, sha256
from forensics.errors import CaseError, UsageError
from forensics.evidence.attached import AttachmentCheck, check_attached
from forensics.evidence.case import CaseFolder
from forensics.evidence.check_pdf import check_pdf, read_content
from forensics.evidence.findings import CheckResult
from forensics.evidence.redaction import redact
from forensics.evidence.seal import seal_case
from forensics.evidence.signed_pdf import PdfFault, read_signed_pdf
from forensics.evidence.signer import load_signer
from forensics.evidence.words import render_page
from forensics.examination import acquire, make_kit, open_case, score
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.records import Pool
from forensics.report import ReportResult, write_report
from tests.evidence.conftest import PASSPHRASE, Line, RecordedSuspect, clean_checkpoint, make_key, marked_logits
from tests.evidence.test_check_forgeries import forged


@pytest.fixture(scope="module")
def report(line: Line, tmp_path_factory: pytest.TempPathFactory) -> ReportResult:
    """The sealed case's report, signed with a time stamp."""
    signer = load_signer(line.signer, PASSPHRASE)
    out = tmp_path_factory.mktemp("report") / "report.pdf"
    return write_report(line.sealed, out, signer=signer, authority=line.authority)


@pytest.fixture
def altered(tmp_path: Path) -> Callable[[bytes], Path]:
    """Returns a function that writes bytes as a PDF."""

    def write(raw: bytes) -> Path:
        path = tmp_path / "altered.pdf"
        path.write_bytes(raw)
        return path

    return write


def test_report_alone_passes_and_says_that_nobody_is_identified(report: ReportResult) -> None:
    result = check_pdf(report.path)
    assert result.ok
    assert result.intact
    assert result.complete is None
    assert result.trusted is None
    assert result.reproduced is None
    assert result.signed_by is not None
    assert "NOT TRUSTED" in result.signed_by
    assert "NOT identified" in result.headline
    assert any("--case" in reason for reason in result.reasons)
    assert result.reasons[-1].endswith(str(result.details["evidence_sha256"]))
    assert any("DEMONSTRATION" in reason for reason in result.reasons)


def test_report_with_its_case_is_reproduced_and_trusted(report: ReportResult, line: Line) -> None:
    signer = load_signer(line.signer, PASSPHRASE)
    fingerprint = sha256(signer.signing_cert.dump())
    result = check_pdf(report.path, case=line.sealed, trust=line.trust, expect_fingerprint=fingerprint.upper())
    assert result.ok, result.reasons
    assert result.trusted is True
    assert result.reproduced is True
    assert result.timestamped is True
    assert result.details["signer_fingerprint"] == fingerprint
    assert result.details["signature_timestamp"] is not None
    assert result.details["evidence_sha256"] == sha256(CaseFolder.load(line.sealed).evidence.core)


def test_pages_are_not_vouched_for_and_trust_reaches_the_case(report: ReportResult, line: Line, tmp_path: Path) -> None:
    score = CaseFolder.load(line.sealed).evidence.score
    assert score is not None
    recorded = f"{score.verdict.outcome}, {score.measurement.matched} of {score.measurement.n}."
    remark = "The text on the pages was not compared with the evidence; what the evidence records is: "
    alone, given = check_pdf(report.path), check_pdf(report.path, case=line.sealed)
    assert remark + recorded in alone.reasons
    assert remark + recorded in given.reasons
    assert "NUMBERS NOT VERIFIED" in alone.headline
    assert "NUMBERS NOT VERIFIED" not in given.headline
    assert any("authority is NOT identified" in reason for reason in alone.reasons)
    stranger = tmp_path / "stranger.pem"
    stranger.write_bytes(DemonstrationAuthority.create().root_pem)
    assert check_pdf(report.path, case=line.sealed, trust=stranger).timestamped is False
    assert check_pdf(report.path, case=line.sealed, trust=line.trust).timestamped is True


def test_every_flipped_bit_is_refused(report: ReportResult, altered: Callable[[bytes], Path]) -> None:
    raw = report.path.read_bytes()
    chance = random.Random(7)
    start = raw.rindex(b"/Contents <") + len(b"/Contents <")
    end = raw.index(b">", start)
    # The whole file, the filled part of the signature, its padding, and the last kilobyte with the byte range.
    places = chance.sample(range(len(raw)), 300)
    places += chance.sample(range(start, start + 6000), 80) + chance.sample(range(start, end), 20)
    places += [*chance.sample(range(len(raw) - 1200, len(raw)), 60), start - 1, end, end - 1, 0, len(raw) - 1]
    for place in places:
        changed = bytearray(raw)
        changed[place] ^= 1 << chance.randrange(8)
        result = check_pdf(altered(bytes(changed)))
        assert not result.ok, f"byte {place} of {len(raw)}"
        assert result.reasons


def test_case_of_hexadecimal_digits_is_fixed(report: ReportResult, altered: Callable[[bytes], Path]) -> None:
    raw = bytearray(report.path.read_bytes())
    start = raw.rindex(b"/Contents <") + len(b"/Contents <")
    place = next(index for index in range(start, len(raw)) if raw[index] in b"ABCDEF")
    raw[place] += 0x20
    assert "canonical" in check_pdf(altered(bytes(raw))).reasons[0]


@pytest.mark.parametrize("tail", [b"junk", b"\n", b" ", b"%%EOF\n", b"%%EOF", b"\n%%EOF\n", b"\x00"])
def test_anything_appended_is_refused(report: ReportResult, altered: Callable[[bytes], Path], tail: bytes) -> None:
    result = check_pdf(altered(report.path.read_bytes() + tail))
    assert not result.ok
    assert not result.intact


def test_truncated_files_are_refused(report: ReportResult, altered: Callable[[bytes], Path]) -> None:
    raw = report.path.read_bytes()
    for keep in (0, 1, 8, 100, len(raw) // 2, len(raw) - 7, len(raw) - 1):
        assert not check_pdf(altered(raw[:keep])).ok


def test_unsigned_file_is_refused(report: ReportResult, altered: Callable[[bytes], Path]) -> None:
    raw = report.path.read_bytes()
    unsigned = raw[: raw.index(b"%%EOF") + len(b"%%EOF\n")]
    assert sha256(unsigned) == report.unsigned_sha256
    result = check_pdf(altered(unsigned))
    assert not result.ok
    assert "no signature" in result.reasons[0]


@pytest.mark.parametrize("raw", [b"", b"PK\x03\x04", b"%PDF-1.7\n%%EOF\n", b"%PDF-1.7\n/ByteRange [0 1 2 3]\n%%EOF\n"])
def test_other_files_are_refused(altered: Callable[[bytes], Path], raw: bytes) -> None:
    result = check_pdf(altered(raw))
    assert not result.ok
    assert result.signed_by is None


def test_overlay_drawn_by_an_incremental_update_is_refused(
    report: ReportResult, altered: Callable[[bytes], Path]
) -> None:
    from pyhanko.pdf_utils import generic
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

    writer = IncrementalPdfFileWriter(BytesIO(report.path.read_bytes()))
    overlay = generic.StreamObject(stream_data=b"q 1 0 0 rg 60 500 400 120 re f Q")
    writer.add_stream_to_page(0, writer.add_object(overlay))
    result = check_pdf(altered(_written(writer)))
    assert not result.ok
    assert not result.intact


def test_added_annotation_is_refused(report: ReportResult, altered: Callable[[bytes], Path]) -> None:
    from pyhanko.pdf_utils import generic
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

    writer = IncrementalPdfFileWriter(BytesIO(report.path.read_bytes()))
    box = generic.ArrayObject(map(generic.NumberObject, (60, 500, 400, 600)))
    note = {"/Type": "/Annot", "/Subtype": "/FreeText"}
    annotation = generic.DictionaryObject({generic.pdf_name(k): generic.pdf_name(v) for k, v in note.items()})
    annotation[generic.pdf_name("/Rect")] = box
    annotation[generic.pdf_name("/Contents")] = generic.pdf_string("Supported beyond doubt")
    writer.register_annotation(writer.root["/Pages"]["/Kids"].raw_get(0), writer.add_object(annotation))
    assert not check_pdf(altered(_written(writer))).ok


def test_swapped_attachment_is_refused(report: ReportResult, altered: Callable[[bytes], Path]) -> None:
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

    writer = IncrementalPdfFileWriter(BytesIO(report.path.read_bytes()))
    stream = writer.root["/Names"]["/EmbeddedFiles"]["/Names"][1]["/EF"]["/F"]
    stream._data = stream.data.replace(b"SUPPORTED", b"UNDECIDED")
    stream._encoded_data = None
    writer.update_container(stream)
    result = check_pdf(altered(_written(writer)))
    assert not result.ok
    assert not result.intact


def test_second_signature_is_refused(report: ReportResult, line: Line, altered: Callable[[bytes], Path]) -> None:
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
    from pyhanko.sign.signers import PdfSignatureMetadata, sign_pdf

    stripped = report.path.read_bytes().replace(b"/P 1\n", b"/P 3\n")
    writer = IncrementalPdfFileWriter(BytesIO(stripped))
    signer = load_signer(line.signer, PASSPHRASE)
    twice = sign_pdf(writer, PdfSignatureMetadata(field_name="Second"), signer).getvalue()
    assert not check_pdf(altered(twice)).ok


def test_plain_approval_signature_is_refused(
    report: ReportResult, line: Line, altered: Callable[[bytes], Path]
) -> None:
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
    from pyhanko.sign.fields import SigSeedSubFilter
    from pyhanko.sign.signers import PdfSignatureMetadata, sign_pdf

    raw = report.path.read_bytes()
    unsigned = raw[: raw.index(b"%%EOF") + len(b"%%EOF\n")]
    metadata = PdfSignatureMetadata(field_name="Plain", subfilter=SigSeedSubFilter.PADES)
    signer = load_signer(line.signer, PASSPHRASE)
    plain = sign_pdf(IncrementalPdfFileWriter(BytesIO(unsigned)), metadata, signer).getvalue()
    result = check_pdf(altered(plain))
    assert not result.ok
    assert "forbids changes" in result.reasons[0]


def test_time_stamp_taken_away_is_missed(report: ReportResult, altered: Callable[[bytes], Path]) -> None:
    from asn1crypto import cms

    raw = report.path.read_bytes()
    signed = read_signed_pdf(raw)
    _, start, end, _ = signed.byte_range
    info = cms.ContentInfo.load(signed.contents)
    signer = info["content"]["signer_infos"][0]
    signer["unsigned_attrs"] = None
    value = info.dump(force=True).hex().upper().encode()
    stripped = raw[: start + 1] + value.ljust(end - start - 2, b"0") + raw[end - 1 :]
    assert read_signed_pdf(stripped).signature.timestamp is None
    result = check_pdf(altered(stripped))
    assert not result.ok
    assert "time stamp was taken away" in result.reasons[0]


def test_checking_needs_neither_renderer_nor_torch() -> None:
    script = (
        "import sys, forensics.evidence.check_pdf\n"
        "print([name for name in ('torch', 'weasyprint', 'jinja2', 'forensics.report') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_wrong_root_is_not_trusted(report: ReportResult, tmp_path: Path) -> None:
    root = tmp_path / "other.pem"
    root.write_bytes(DemonstrationAuthority.create().root_pem)
    result = check_pdf(report.path, trust=root)
    assert not result.ok
    assert result.intact
    assert result.trusted is False
    assert any("root" in reason for reason in result.reasons)


def test_other_fingerprint_is_not_trusted(report: ReportResult, line: Line) -> None:
    result = check_pdf(report.path, trust=line.trust, expect_fingerprint="0" * 64)
    assert not result.ok
    assert result.trusted is False
    assert any("fingerprint" in reason for reason in result.reasons)


def test_report_of_another_case_is_refused(report: ReportResult, line: Line) -> None:
    result = check_pdf(report.path, case=line.opened)
    assert not result.ok
    assert any("manifest differs" in reason for reason in result.reasons)
    assert not check_pdf(report.path, case=line.acquired).ok


def test_report_with_a_damaged_case_is_refused(report: ReportResult, line: Line, tmp_path: Path) -> None:
    case = tmp_path / "CASE"
    shutil.copytree(line.sealed, case)
    path = case / "data/transcript.jsonl"
    path.write_bytes(path.read_bytes().replace(b"1", b"2", 1))
    result = check_pdf(report.path, case=case)
    assert not result.ok
    assert not result.intact


def test_wrong_usage_is_named(report: ReportResult, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        check_pdf(tmp_path / "missing.pdf")
    with pytest.raises(CaseError, match="no case"):
        check_pdf(report.path, case=tmp_path / "missing")
    with pytest.raises(UsageError, match="fingerprint"):
        check_pdf(report.path, expect_fingerprint="abc")
    with pytest.raises(UsageError, match="cannot be read"):
        check_pdf(report.path, trust=tmp_path / "missing.pem")


def test_declared_digests_are_read_from_the_signed_revision(report: ReportResult, line: Line) -> None:
    raw = report.path.read_bytes()
    content = read_content(raw, read_signed_pdf(raw))
    folder = CaseFolder.load(line.sealed)
    assert content.evidence == folder.evidence.core
    assert content.declared == sha256(folder.evidence.core)
    assert content.manifest_sha256 == folder.manifest_sha256


def test_structure_that_cannot_be_read_is_a_fault_not_a_traceback(report: ReportResult) -> None:
    raw = report.path.read_bytes()
    signed = read_signed_pdf(raw)
    chance = random.Random(11)
    for _ in range(40):
        changed = bytearray(raw)
        for place in chance.sample(range(len(raw) - 1300, len(raw)), 3):
            changed[place] = chance.randrange(256)
        try:
            read_content(bytes(changed), signed)
        except PdfFault:
            continue


def _written(writer: object) -> bytes:
    output = BytesIO()
    writer.write(output)  # type: ignore[attr-defined]
    return output.getvalue()


def test_documented_recipe_verifies_with_openssl_alone(report: ReportResult, line: Line, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "report.md").read_text(encoding="utf-8")
    cut = page[page.index("```python\n") + len("```python\n") :]
    (tmp_path / "cut.py").write_text(cut[: cut.index("```")], encoding="utf-8")
    command = next(text.strip() for text in page.splitlines() if text.strip().startswith("openssl cms"))
    (tmp_path / "ROOT.pem").write_bytes(line.trust.read_bytes())
    run = partial(subprocess.run, cwd=tmp_path, capture_output=True, check=False)
    assert run([sys.executable, "-I", "cut.py", str(report.path)]).returncode == 0
    assert run(command.split()).returncode == 0
    signed = tmp_path / "signature.bin"
    signed.write_bytes(signed.read_bytes().replace(b"Author", b"author"))
    assert run(command.split()).returncode != 0


# Evidence that its own signer attached, and that nobody compared with a case.

Body = dict[str, Any]


def reported(line: Line, folder: Path, forge: Callable[[Body], None], *, redacted: bool = False) -> CheckResult:
    """The check of a report alone, whose evidence its own signer forged."""
    case = forged(line, folder / "CASE", lambda files, body, _: forge(body))
    seal_case(case, load_signer(line.signer, PASSPHRASE), line.authority, actor="examiner", moment=now())
    out, signer = folder / "report.pdf", load_signer(line.signer, PASSPHRASE)
    write_report(case, out, signer=signer, authority=line.authority, redacted=redacted, summary=True)
    result = check_pdf(out, trust=line.trust)
    assert result.intact
    assert result.trusted
    return result


def supported_beyond_doubt(body: Body) -> None:
    body["score"]["measurement"] |= {"p_value": "1e-30", "matched": 31}


def another_outcome(body: Body) -> None:
    body["score"]["verdict"]["outcome"] = "NOT_SUPPORTED"


def suspect_without_files(body: Body) -> None:
    body["suspect"]["files"] = {}


@pytest.mark.parametrize(
    ("forge", "words"),
    [
        (supported_beyond_doubt, "p_value is recorded as 1e-30"),
        (another_outcome, "verdict outcome is recorded as NOT_SUPPORTED"),
        (suspect_without_files, "not that of its list of files"),
    ],
)
@pytest.mark.parametrize("redacted", [False, True])
def test_attached_evidence_that_contradicts_itself_is_refused_without_the_case(
    line: Line, tmp_path: Path, forge: Callable[[Body], None], words: str, redacted: bool
) -> None:
    result = reported(line, tmp_path, forge, redacted=redacted)
    assert not result.ok
    assert result.complete is False
    assert result.headline.startswith("FAILED")
    problem = next(each for each in result.problems if words in each)
    assert problem.startswith("The attached evidence contradicts itself: ")
    assert problem in result.reasons


def test_evidence_about_another_claim_than_it_holds_is_refused(line: Line) -> None:
    evidence = CaseFolder.load(line.opened).evidence
    for redacted in (False, True):
        found = check_attached(evidence.revised(claim_digest="0" * 64), redacted=redacted)
        assert any("its digest or its binding of the claim" in problem for problem in found.problems)


def test_evidence_whose_claim_is_none_is_a_problem_and_no_traceback(line: Line) -> None:
    evidence = CaseFolder.load(line.opened).evidence
    found = check_attached(evidence.revised(claim={**evidence.claim, "rule": {}}), redacted=False)
    assert found.reproduced is None
    assert found.problems[0].startswith("The attached evidence cannot be checked")


@pytest.mark.parametrize("redacted", [False, True])
def test_what_was_not_checked_of_a_report_alone_is_not_said_to_be_so(
    line: Line, tmp_path: Path, redacted: bool
) -> None:
    result = reported(line, tmp_path, lambda body: None, redacted=redacted)
    assert result.ok, result.problems
    assert (result.complete, result.timestamped, result.reproduced) == (None, None, None)
    page = render_page(tmp_path / "report.pdf", result, result.ok, {})
    rows = {word: line for line in page for word in ("(complete)", "(timestamped)", "(reproduced)") if word in line}
    assert all(row.startswith("  not checked") for row in rows.values())
    assert len(rows) == 3
    text = " ".join(" ".join(page).split())
    assert "The numbers were not recomputed: they are the owner's word." in text
    for conclusion in ("in a sentence", "it means", "CONTROLS", "support that information", "owner's claim: timestamp"):
        assert conclusion not in text
    assert "conclusion" in result.details["recorded"]
    assert "conclusion" not in result.details
    whole = check_pdf(tmp_path / "report.pdf", case=tmp_path / "CASE", trust=line.trust)
    assert whole.complete is True
    assert "conclusion" in whole.details


def test_numbers_of_a_self_dated_claim_are_recomputed_from_what_is_attached(tmp_path: Path, digits_pool: Pool) -> None:
    """Its secrets follow from the opened share alone; those of a dated claim from a timestamp that is not attached."""
    key = make_key(tmp_path / "key", digits_pool, [])
    kit = make_kit(key)
    suspect = RecordedSuspect("suspect", kit.plan, marked_logits(key, digits_pool, 2.0))
    acquire(kit, suspect, tmp_path / "CASE", named=[clean_checkpoint(kit.plan)])
    score(key, tmp_path / "CASE")
    evidence = open_case(key, tmp_path / "CASE").evidence
    assert check_attached(evidence, redacted=False) == AttachmentCheck((), True)
    assert check_attached(redact(evidence).evidence, redacted=True) == AttachmentCheck((), None)
    rows = evidence.answers.values
    other = evidence.answers.model_copy(update={"values": [rows[1], rows[0], *rows[2:]]})
    found = check_attached(evidence.revised(answers=other), redacted=False)
    assert found.reproduced is False
    assert found.problems
