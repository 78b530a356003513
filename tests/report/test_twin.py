"""The HTML twin: one file that fetches nothing and runs nothing, seen as a browser shows it."""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from hashlib import sha256
from html import unescape
from pathlib import Path

import pytest
from PIL import Image
from pyhanko.sign.signers import SimpleSigner

from forensics.canonical import sha256_file
from forensics.errors import UsageError
from forensics.evidence.bag import render_bag
from forensics.evidence.schema import Evidence
from forensics.evidence.storage import create_folder
from forensics.report import twin as module
from forensics.report import write_report
from forensics.report.details import Details
from forensics.report.twin import render_twin
from forensics.report.view import SignatureFacts, make_report
from tests.report.browser import CHROMIUM, REASON, Browser, start
from tests.report.cases import HOSTILE, digest, make_details, make_evidence, make_word_evidence
from tests.report.conftest import MANIFEST
from tests.report.test_view import HEADINGS

DOCUMENT = digest("document")


def make(evidence: Evidence, details: Details | None = None, **given: object) -> str:
    report = make_report(evidence, details or make_details(), manifest_sha256=MANIFEST, **given)  # type: ignore[arg-type]
    return render_twin(report, evidence.core, document="report.pdf", document_sha256=DOCUMENT).decode()


@pytest.fixture(scope="module")
def page() -> str:
    return make(make_evidence("SUPPORTED", binding="timestamped"))


def test_it_holds_all_sections_and_names_the_document(page: str, facts: SignatureFacts) -> None:
    titles = re.findall(r'<h2 id="[a-z]+"[^>]*><span class="no">\d+</span>([^<]+)</h2>', page)
    assert tuple(titles) == HEADINGS
    assert "".join(DOCUMENT[at : at + 16] + " " for at in range(0, 64, 16)).strip() in page
    assert "which is not signed" in page
    assert "The document is the signed PDF" in make(make_evidence("SUPPORTED"), signature=facts)


def test_nothing_points_outside_and_nothing_runs(page: str) -> None:
    assert "<script" not in page
    assert "<img" not in page
    assert not re.search(r"\son[a-z]+=", re.sub(r"base64,[\w+/=]+", "", page))
    links = re.findall(r'(?:href|src)="([^"]*)"', page) + re.findall(r'url\("([^"]*)"\)', page)
    assert links
    assert all(link.startswith(("#", "data:")) for link in links), [link[:60] for link in links]


def test_its_policy_allows_its_own_style_alone(page: str) -> None:
    policy = unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1])  # type: ignore[index]
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]  # type: ignore[index]
    assert "default-src 'none'" in policy
    assert f"'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'" in policy
    assert " style=" not in page
    assert "unsafe" not in policy


def test_the_evidence_can_be_saved_from_it_unless_it_is_large(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = make_evidence("SUPPORTED", binding="timestamped")
    found = re.search(r'href="data:application/json;base64,([^"]+)" download="evidence.json"', page)
    assert found is not None
    assert b64decode(found[1]) == evidence.core
    monkeypatch.setattr(module, "LARGEST_DOWNLOAD", 1000)
    large = make(evidence)
    assert "application/json" not in large
    assert "is too large for this page" in large
    assert " ".join(re.findall("." * 16, sha256(evidence.core).hexdigest())) in large


def test_hostile_text_stays_text() -> None:
    evidence = make_evidence(
        "SUPPORTED", bits=32, suspect=HOSTILE * 5, owner=HOSTILE, facts={HOSTILE: HOSTILE}, files=93
    )
    page = make(evidence, make_details(examiner={"name": f"<table>{HOSTILE}</style>"}, report={"number": '">'}))
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert page.count("</style>") == 1
    assert page.count("<table") == page.count("</table>") == page.count('<div class="scroll"><table')


def test_long_tables_can_be_folded(page: str) -> None:
    folded = re.findall(r"<details( open)?><summary>Table of (\d+) lines</summary>", page)
    assert folded
    assert all((int(lines) < module.FOLDED) is bool(opened) for opened, lines in folded)
    assert all(int(lines) >= module.FOLDING for _, lines in folded)


def test_pdf_and_twin_appear_together_or_not_at_all(signer: SimpleSigner, tmp_path: Path) -> None:
    evidence = make_evidence("SUPPORTED", bits=16, controls=False)
    case, pdf, html = tmp_path / "CASE", tmp_path / "report.pdf", tmp_path / "report.html"
    create_folder(case, render_bag({"data/evidence.json": evidence.core}, evidence))
    with pytest.raises(UsageError, match="not of the summary"):
        write_report(case, pdf, summary=True, twin=html)
    with pytest.raises(UsageError, match="same file"):
        write_report(case, pdf, twin=tmp_path / "." / "report.pdf")
    html.write_text("earlier")
    with pytest.raises(UsageError, match="exists already"):
        write_report(case, pdf, twin=html)
    assert not pdf.exists()
    result = write_report(case, pdf, signer=signer, twin=html, overwrite=True)
    assert result.twin == html
    assert result.twin_sha256 == sha256_file(html)
    assert " ".join(re.findall("." * 16, sha256_file(pdf))) in html.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["CASE", "report.html", "report.pdf"]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip(REASON)
    with start(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, page: str) -> dict[str, Path]:
    """The twins of a final report of bits and of a draft of a word case."""
    folder = tmp_path_factory.mktemp("twins")
    evidence, content = make_word_evidence("INCONCLUSIVE")
    pages = {"bits": page, "words": make(evidence, Details(), files=content)}
    for name, text in pages.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in pages}


@pytest.mark.parametrize("name", ["bits", "words"])
def test_a_browser_shows_it_without_asking_anybody(browser: Browser, files: dict[str, Path], name: str) -> None:
    browser.requested.clear()
    browser.complaints.clear()
    browser.resize(1300, 1000)
    browser.open(files[name])
    assert browser.complaints == []
    assert {url.partition(":")[0] for url in browser.requested} <= {"file", "data"}
    assert [url for url in browser.requested if url.startswith("file")] == [files[name].as_uri()]
    statuses = browser.value("[...document.fonts].map(one => [one.family, one.status])")
    assert all(status != "error" for _, status in statuses)
    loaded = {family.strip('"') for family, status in statuses if status == "loaded"}
    assert loaded >= {"Report Serif", "Report Sans", "Report Mono"}
    assert browser.value("document.querySelectorAll('h2').length") == len(HEADINGS)
    assert browser.value("document.querySelectorAll('nav.contents a').length") == len(HEADINGS)
    pictures = browser.value(
        "[...document.querySelectorAll('figure svg')].map(one => { const box = one.getBoundingClientRect();"
        " return [box.width, box.height, one.getAttribute('aria-label').length]; })"
    )
    assert len(pictures) == (4 if name == "bits" else 3)
    assert all(width > 300 and height > 80 and alt > 40 for width, height, alt in pictures)


def test_verdict_and_digest_are_seen_first(browser: Browser, files: dict[str, Path]) -> None:
    browser.resize(1300, 1000)
    browser.open(files["bits"])
    box = browser.value("JSON.stringify(document.querySelector('.verdict .big').getBoundingClientRect())")
    assert 0 < json.loads(box)["top"] < 900
    assert browser.value("document.querySelector('.verdict .big').textContent") == "Supported"
    assert browser.value("document.elementFromPoint(20, 10).closest('header') !== null")


@pytest.mark.parametrize(("width", "scheme"), [(1300, "light"), (1300, "dark"), (390, "light")])
def test_no_screen_is_too_small_and_the_dark_is_readable(
    browser: Browser, files: dict[str, Path], tmp_path: Path, width: int, scheme: str
) -> None:
    browser.resize(width, 900, scheme=scheme)
    browser.open(files["bits"])
    assert browser.value("document.documentElement.scrollWidth") <= width
    shot = tmp_path / "shot.png"
    shot.write_bytes(browser.screenshot())
    grey = Image.open(shot).convert("L")
    dark = sum(grey.histogram()[:64]) / (grey.width * grey.height)
    assert (dark > 0.5) is (scheme == "dark")


def test_every_anchor_leads_somewhere_and_tables_unfold(browser: Browser, files: dict[str, Path]) -> None:
    browser.resize(1300, 1000)
    browser.open(files["words"])
    assert browser.value("[...document.querySelectorAll('a[href^=\"#\"]')].every(a => document.querySelector(a.hash))")
    closed = "[...document.querySelectorAll('details')].filter(one => !one.open)"
    assert browser.value(f"{closed}.length") >= 1
    assert browser.value(
        f"(() => {{ const one = {closed}[0]; one.querySelector('summary').click(); return one.open; }})()"
    )
