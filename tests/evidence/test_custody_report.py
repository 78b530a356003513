"""What a report says of custody, superseded cases and where controls come from."""

import pytest

from forensics.canonical import now
from forensics.evidence.case import CaseFolder, add_exhibit
from forensics.evidence.entries import entry_signer
from forensics.evidence.schema import OriginRecord
from forensics.evidence.signer import load_signer
from forensics.evidence.supersede import supersede_case
from forensics.report.render import render_html
from forensics.report.view import Report, make_report
from tests.evidence.conftest import PASSPHRASE, Line
from tests.report.cases import make_details, make_evidence


def report_of(case: CaseFolder) -> Report:
    return make_report(case.evidence, make_details(), manifest_sha256=case.manifest_sha256, files=case.content)


@pytest.fixture(scope="module")
def newer(line: Line, tmp_path_factory: pytest.TempPathFactory) -> CaseFolder:
    path, moment = tmp_path_factory.mktemp("newer") / "NEW", now()
    supersede_case(line.sealed, path, reason="<b>A letter</b> came in.", actor="examiner", moment=moment)
    signer = entry_signer(load_signer(line.signer, PASSPHRASE), None, moment)
    return add_exhibit(path, "letter.txt", b"x", actor="<i>clerk</i>", moment=moment, signer=signer)


def test_section_4_lists_every_entry_and_who_signed_it(newer: CaseFolder) -> None:
    custody = report_of(newer).exhibits.custody
    assert custody.entries is not None
    assert [row[1] for row in custody.entries.rows] == ["acquire", "score", "open", "seal", "supersede", "add"]
    signatures = [row[4] for row in custody.entries.rows]
    assert signatures[:5] == ["none", "none", "none", "over the whole case", "none"]
    assert "report signer" in signatures[5]
    assert signatures[5].endswith("(demonstration, not trusted)")
    html = render_html(report_of(newer))
    assert "data/exhibits/letter.txt" in html
    assert "&lt;i&gt;clerk" in html
    assert "&lt;b&gt;A letter" in html
    assert "<b>A letter" not in html


def test_cover_and_section_4_name_the_superseded_case(line: Line, newer: CaseFolder) -> None:
    digest, report = CaseFolder.load(line.sealed).manifest_sha256, report_of(newer)
    assert ("Supersedes the case", digest) in {(row.label, row.value) for row in report.cover}
    assert digest in {row.value for row in report.exhibits.custody.superseded}
    before = report_of(CaseFolder.load(line.sealed))
    assert "Supersedes the case" not in {row.label for row in before.cover}
    assert before.exhibits.custody.superseded == ()


def test_a_report_made_without_the_log_prints_no_table() -> None:
    report = make_report(make_evidence(), make_details(), manifest_sha256="0" * 64)
    assert report.exhibits.custody.entries is None
    assert render_html(report)


def test_who_vouches_for_a_control_is_printed_and_a_gap_is_named() -> None:
    evidence = make_evidence()
    assert evidence.score is not None
    known = OriginRecord(source="a public hub", date="2025-06-30", vouched_by="I. Wagner")
    unknown = OriginRecord(source=None, date=None, vouched_by=None)
    controls = [
        one.model_copy(update={"origin": known if one.identity.name == "reference-1" else unknown})
        for one in evidence.score.controls
    ]
    evidence = evidence.revised(score=evidence.score.model_copy(update={"controls": controls}))
    report = make_report(evidence, make_details(), manifest_sha256="0" * 64)
    told = {one.name: one.provenance for one in report.exhibits.compared}
    assert "source: a public hub; dated 30\u00a0June 2025; vouched for by I. Wagner" in told["reference-1"]
    assert told["reference-2"].endswith("its provenance is not documented")
    assert any("4 are of undocumented provenance" in text for text in report.limitations)


def test_missing_controls_are_limitations_and_stand_in_the_conclusion() -> None:
    bare = make_report(make_evidence(controls=False), make_details(), manifest_sha256="0" * 64)
    assert any("before it was marked) is not in the case" in text for text in bare.limitations)
    assert (
        "not examined as controls: the owner's marked model, the owner's model before it was marked" in bare.conclusion
    )
    full = make_report(make_evidence(), make_details(), manifest_sha256="0" * 64)
    assert "not examined as controls" not in full.conclusion
    assert not any("before it was marked) is not in the case" in text for text in full.limitations)
