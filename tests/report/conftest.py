"""Reports rendered once a session: a full render takes a few seconds."""

import logging
from dataclasses import dataclass
from pathlib import Path

import pypdfium2
import pytest

from forensics.evidence.schema import Evidence
from forensics.evidence.signer import load_signer
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.report.render import render_pdf
from forensics.report.view import Report, SignatureFacts, make_report
from tests.report.cases import HOSTILE, digest, make_details, make_evidence

MANIFEST = digest("manifest")
PASSPHRASE = "correct horse"


@dataclass(frozen=True)
class Page:
    """A rendered report with what a reader sees of it."""

    report: Report
    evidence: Evidence
    pdf: bytes
    pages: list[str]
    warnings: list[str]

    @property
    def text(self) -> str:
        return "\n".join(self.pages)


def read_pages(pdf: bytes) -> list[str]:
    document = pypdfium2.PdfDocument(pdf)
    return [page.get_textpage().get_text_range().replace("\r\n", "\n") for page in document]


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def render(evidence: Evidence, report: Report) -> Page:
    collector, logger = _Collector(), logging.getLogger("weasyprint")
    logger.addHandler(collector)
    try:
        pdf = render_pdf(report, evidence.core).pdf
    finally:
        logger.removeHandler(collector)
    return Page(report, evidence, pdf, read_pages(pdf), collector.messages)


@pytest.fixture(scope="session")
def authority() -> DemonstrationAuthority:
    return DemonstrationAuthority.create()


@pytest.fixture(scope="session")
def signer_file(authority: DemonstrationAuthority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("signer") / "signer.p12"
    path.write_bytes(authority.signer_p12(PASSPHRASE))
    return path


@pytest.fixture(scope="session")
def signer(signer_file: Path) -> object:
    return load_signer(signer_file, PASSPHRASE)


@pytest.fixture(scope="session")
def facts() -> SignatureFacts:
    return SignatureFacts(
        subject="Dr. Ilse Wagner, Institut für digitale Forensik",
        issuer="Example Trust Services CA 1, Example Trust AG",
        serial="0x5c2a9911ab",
        fingerprint=digest("certificate"),
        not_before="1 January 2026",
        not_after="31 December 2027",
        demonstration=False,
        level="PAdES B-B",
        authority="",
        visible=True,
    )


@pytest.fixture(scope="session")
def final(facts: SignatureFacts) -> Page:
    """A time-stamped, opened, supported case with complete details and a certificate of a real authority."""
    evidence = make_evidence("SUPPORTED", binding="timestamped")
    return render(evidence, make_report(evidence, make_details(), manifest_sha256=MANIFEST, signature=facts))


@pytest.fixture(scope="session")
def hostile() -> Page:
    """A demonstration case whose names, facts and labels come from an attacker; a draft."""
    evidence = make_evidence(
        "SUPPORTED",
        bits=32,
        suspect=HOSTILE * 5,
        owner=HOSTILE * 3,
        facts={HOSTILE: HOSTILE * 9, "architecture": "模型" * 30, "x": "A" * 500},
        labels=[f"{HOSTILE}{index}" for index in range(60)],
        files=93,
    )
    details = make_details(examiner={"name": HOSTILE}, review={"name": ""})
    return render(evidence, make_report(evidence, details, manifest_sha256=MANIFEST))
