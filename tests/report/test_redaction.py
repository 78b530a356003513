"""The redacted report: nothing of the pool, the secret or the answers in it, and still checkable to the last byte."""

import hashlib
import hmac
import json
import re
import subprocess
import zlib
from collections.abc import Callable, Iterable
from html import unescape
from pathlib import Path

import pytest
from pyhanko.sign.signers import SimpleSigner

from forensics.canonical import canonical_json, sha256
from forensics.errors import CaseError
from forensics.evidence.bag import render_bag
from forensics.evidence.case import CaseFolder
from forensics.evidence.check_pdf import check_pdf
from forensics.evidence.redaction import REDACTED, RedactedEvidence, redact
from forensics.evidence.schema import Evidence
from forensics.evidence.storage import create_folder
from forensics.report import redaction, write_report
from forensics.report.redaction import make_redacted
from forensics.report.render import render_html
from forensics.report.view import make_report
from tests.report.cases import HOSTILE, make_details, make_evidence, make_transcript, make_word_evidence
from tests.report.conftest import read_pages

SAMPLE = Path(__file__).parents[2] / "evidence_samples" / "case"
WORDS = [f"qz{chr(97 + place // 26)}{chr(97 + place % 26)}rivon" for place in range(60)]


def lay(path: Path, evidence: Evidence, files: dict[str, bytes] | None = None) -> CaseFolder:
    create_folder(path, render_bag({"data/evidence.json": evidence.core, **(files or {})}, evidence))
    return CaseFolder.load(path)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> CaseFolder:
    """An opened case of words that occur in no report by themselves, of a remote suspect."""
    transcript = make_transcript([{"event": "start"}, {"event": "sent", "body": WORDS[3]}, {"event": "end"}])
    evidence, files = make_word_evidence(
        "SUPPORTED", n=60, chosen=10, words=WORDS, transcript=transcript, published=True
    )
    return lay(tmp_path_factory.mktemp("words") / "CASE", evidence, files)


def opened(pdf: bytes) -> bytes:
    """A PDF's bytes with every compressed stream unpacked beside them, and the text of its pages."""
    found = [pdf]
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL):
        try:
            found.append(zlib.decompress(stream))
        except zlib.error:
            continue
    assert len(found) > 10
    return b"\n".join([*found, *(page.encode() for page in read_pages(pdf))])


def secrets(case: CaseFolder) -> Iterable[str]:
    """Everything that a redacted report must not hold: the share, its pool, its questions, answers and scores."""
    evidence = case.evidence
    assert evidence.share is not None
    assert evidence.score is not None
    measurement = evidence.score.measurement
    yield from (evidence.share.seed, evidence.share.salt)
    yield from (str(entry["sha256"]) for entry in evidence.share.pool)
    yield from evidence.plan.probes
    yield json.dumps(measurement.target, separators=(",", ":"))
    assert measurement.items is not None
    for score in measurement.items:
        if len(score) > 7:
            yield score
    for name, content in case.content.items():
        if "/pool/" in name and name.endswith(".txt"):
            yield content.decode()
            yield " ".join(content.decode().split()[:6])


def test_the_sample_has_nothing_of_what_is_withheld(signer: SimpleSigner, tmp_path: Path) -> None:
    case, pdf, html = CaseFolder.load(SAMPLE), tmp_path / "report.pdf", tmp_path / "report.html"
    write_report(SAMPLE, pdf, signer=signer, redacted=True, twin=html)
    raw, page = opened(pdf.read_bytes()), html.read_bytes()
    for secret in secrets(case):
        assert secret.encode() not in raw, secret
        assert secret.encode() not in page, secret
    assert b'"values":["",' in raw
    alone = check_pdf(pdf)
    assert alone.ok, alone.reasons
    assert alone.details["redacted"] is True
    assert any("This report is redacted" in reason for reason in alone.reasons)
    assert any("can be compared only with the case" in reason for reason in alone.reasons)
    beside = check_pdf(pdf, case=SAMPLE)
    assert beside.ok, beside.reasons
    assert beside.reproduced is True
    assert beside.details["evidence_sha256"] == sha256(case.evidence.core)


def test_words_carriers_target_and_drawing_are_in_no_form(words: CaseFolder, tmp_path: Path) -> None:
    pdf, html = tmp_path / "report.pdf", tmp_path / "report.html"
    write_report(words.path, pdf, redacted=True, twin=html)
    raw, page = opened(pdf.read_bytes()), unescape(html.read_text()).encode()
    for secret in secrets(words):
        assert secret.encode() not in raw, secret
        assert secret.encode() not in page, secret
    for word in WORDS:
        assert hashlib.sha256(word.encode()).hexdigest().encode() not in raw
    bare = make_report(words.evidence, make_details(), manifest_sha256=words.manifest_sha256, files=words.content)
    assert all(word in render_html(bare) for word in WORDS)


def test_it_says_what_is_withheld_and_by_which_digest(words: CaseFolder) -> None:
    made = make_redacted(words, make_details())
    shown = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", render_html(made.report)))
    share = words.evidence.share
    assert share is not None
    for place, entry in enumerate(share.pool):
        digest = hmac.new(bytes.fromhex(share.salt), canonical_json(entry), "sha256").hexdigest()
        grouped = " ".join(digest[at : at + 16] for at in range(0, 64, 16))
        assert f"Exhibit pool/{place:04d} {grouped} withheld" in shown
    assert "REDACTED" in made.report.flags
    assert "words" not in made.report.figures
    assert "null" in made.report.figures
    assert shown.count("withheld from this copy") >= 3
    assert "Share 0 was opened" in shown
    assert "No share has been opened" not in shown
    assert "attached evidence.json" not in shown


def test_a_summary_can_be_redacted_as_well(words: CaseFolder, signer: SimpleSigner, tmp_path: Path) -> None:
    pdf = tmp_path / "report.pdf"
    assert write_report(words.path, pdf, signer=signer, redacted=True, summary=True).pages == 2
    raw = opened(pdf.read_bytes())
    assert all(secret.encode() not in raw for secret in secrets(words))
    assert "REDACTED" in read_pages(pdf.read_bytes())[0]
    assert check_pdf(pdf).intact


def test_a_secret_in_case_toml_is_refused_and_nothing_is_written(words: CaseFolder, tmp_path: Path) -> None:
    carrier = words.content["data/opened/share-0/pool/0061.txt"].decode()
    details = tmp_path / "case.toml"
    details.write_text(f"[instructions]\nquestions = ['Was “{carrier}” asked?']\n", encoding="utf-8")
    with pytest.raises(CaseError, match="would print withheld text"):
        write_report(words.path, tmp_path / "report.pdf", details=details, redacted=True)
    assert not (tmp_path / "report.pdf").exists()


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    evidence = make_evidence("SUPPORTED", bits=16, suspect=HOSTILE, owner=HOSTILE)
    made = make_redacted(lay(tmp_path / "CASE", evidence), make_details())
    html = render_html(made.report)
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_a_case_that_was_never_opened_keeps_its_answers_and_says_it_is_sealed(tmp_path: Path) -> None:
    evidence = make_evidence("SUPPORTED", bits=16, opened=False)
    made = make_redacted(lay(tmp_path / "CASE", evidence), make_details())
    copy = RedactedEvidence.parse(made.evidence)
    assert copy.evidence.share is None
    assert set(copy.evidence.answers.values) == {""}
    assert "No share has been opened" in render_html(made.report)
    assert "sealed until a share is opened" in render_html(made.report)


def test_the_copy_depends_on_the_evidence_alone_and_keeps_what_is_missing() -> None:
    evidence = make_evidence("SUPPORTED", bits=16)
    rows = [*evidence.answers.values[:-3], None, None, None]
    evidence = evidence.revised(answers=evidence.answers.model_copy(update={"values": rows}))
    copy = redact(evidence)
    assert copy.core == redact(Evidence.parse(evidence.core)).core
    assert RedactedEvidence.parse(copy.core) == copy
    assert copy.evidence_sha256 == sha256(evidence.core)
    assert [row is None for row in copy.evidence.answers.values] == [row is None for row in rows]
    assert len(copy.evidence.plan.probes) == len(evidence.plan.probes)
    other = evidence.revised(share=evidence.share.model_copy(update={"salt": "00" * 32}))  # type: ignore[union-attr]
    assert not set(redact(other).exhibits) & set(copy.exhibits)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: raw.replace(b'"withheld":', b'"withheld" :', 1),
        lambda raw: raw.replace(b"forensics-redacted-evidence/1", b"forensics-redacted-evidence/2"),
        lambda raw: b"{}",
        lambda raw: b"[" * 100000,
    ],
)
def test_another_form_of_the_copy_is_refused(spoil: Callable[[bytes], bytes]) -> None:
    with pytest.raises(CaseError, match=re.escape(REDACTED)):
        RedactedEvidence.parse(spoil(redact(make_evidence("SUPPORTED", bits=16)).core))


def test_a_salt_that_is_no_number_is_one_sentence() -> None:
    evidence = make_evidence("SUPPORTED", bits=16)
    assert evidence.share is not None
    with pytest.raises(CaseError, match="salt of the opened share"):
        redact(evidence.revised(share=evidence.share.model_copy(update={"salt": "no number"})))


def test_a_copy_that_does_not_follow_from_the_case_is_found(
    signer: SimpleSigner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def altered(evidence: Evidence) -> RedactedEvidence:
        copy = redact(evidence)
        rest = copy.evidence.revised(case="another case")
        return RedactedEvidence(**{**dict(copy), "evidence": rest})

    monkeypatch.setattr(redaction, "redact", altered)
    pdf = tmp_path / "report.pdf"
    write_report(SAMPLE, pdf, signer=signer, redacted=True, summary=True)
    assert check_pdf(pdf).ok
    beside = check_pdf(pdf, case=SAMPLE)
    assert not beside.ok
    assert any(f"The attached {REDACTED} is not the one of the case." in reason for reason in beside.reasons)


def test_a_copy_of_other_evidence_than_the_document_names_is_found(
    signer: SimpleSigner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(evidence: Evidence) -> RedactedEvidence:
        return RedactedEvidence(**{**dict(redact(evidence)), "evidence_sha256": "0" * 64})

    monkeypatch.setattr(redaction, "redact", other)
    pdf = tmp_path / "report.pdf"
    write_report(SAMPLE, pdf, signer=signer, redacted=True, summary=True)
    found = check_pdf(pdf)
    assert not found.ok
    assert any("other evidence than the document names" in reason for reason in found.reasons)


def test_the_whole_report_is_not_taken_for_a_redacted_one(signer: SimpleSigner, tmp_path: Path) -> None:
    pdf = tmp_path / "report.pdf"
    write_report(SAMPLE, pdf, signer=signer, summary=True)
    result = check_pdf(pdf)
    assert result.details["redacted"] is False
    assert not any("redacted" in reason for reason in result.reasons)


def test_the_command_in_the_docs_gives_an_exhibits_digest() -> None:
    text = (SAMPLE.parents[1] / "docs" / "report.md").read_text()
    command = re.search(r"^    (python3 -c 'import hmac.*')$", text, re.MULTILINE)
    assert command is not None
    done = subprocess.run(["sh", "-c", command[1]], cwd=SAMPLE, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == redact(CaseFolder.load(SAMPLE).evidence).exhibits[0]
