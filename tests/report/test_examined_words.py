"""The report of a real examination: a key of words, a marked service behind a network, a case opened and reported."""

from pathlib import Path

import pytest

from forensics.canonical import through_decimals
from forensics.evidence.case import CaseFolder
from forensics.evidence.schema import ReferenceRecord
from forensics.examination import examine, open_case
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.keys.folder import UnlockedKey
from forensics.keys.service import record_service
from forensics.methods.espew import ENCODER
from forensics.records import Probe
from forensics.registration import new_key
from forensics.report.ranks import doubled_ranks
from forensics.report.render import render_html
from forensics.report.view import make_report
from forensics.suspects import Connection, open_suspect
from tests.hostile import Asked, response, serving
from tests.report.cases import make_details
from tests.report.test_view import visible
from tests.services import SIZES, FakeService, service_marker, small_pool


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory, authority: DemonstrationAuthority) -> UnlockedKey:
    folder = new_key(
        tmp_path_factory.mktemp("words") / "key",
        owner="Example service",
        method="espew",
        options=SIZES,
        pool=[small_pool(0)],
        references={},
        passphrase="correct horse",
        authorities=[authority],
        binding="demonstration",
        rule={"grinding": 0, "references": 0},
    )
    record_service(folder.path, {"service": "example"}, authority)
    return folder.unlock("correct horse")


@pytest.fixture(scope="module")
def case(key: UnlockedKey, tmp_path_factory: pytest.TempPathFactory) -> CaseFolder:
    marker = service_marker(key.secrets(0)[1], key.pool(0), dict(key.claim.parameters))
    service = FakeService("marked", marker)

    def behave(asked: Asked) -> bytes:
        answers = service.answer([Probe(text.encode(), "text/plain") for text in asked.inputs])
        return response(through_decimals(answers.values).tolist(), status=503 if asked.number == 1 else 200)

    path = tmp_path_factory.mktemp("case") / "CASE"
    with serving(behave) as stub:
        examine(key, open_suspect(f"tei+{stub.url}", Connection(pause=0.001)), path)
    return open_case(key, path)


def test_every_figure_is_drawn_from_the_case(case: CaseFolder, key: UnlockedKey) -> None:
    report = make_report(case.evidence, make_details(), manifest_sha256=case.manifest_sha256, files=case.files())
    assert set(report.figures) == {"timeline", "null", "words"}
    assert report.figure_notes == {}
    assert "without ties" not in report.figures["null"].caption
    shown = {row[place] for row in report.figures["words"].table.rows for place in (1, 5)}
    words = {item.data.decode() for item in key.pool(0).items}
    assert shown
    assert shown <= words
    text = visible(render_html(report))
    assert "10 words that the key chose are among the 10 highest-scoring of 40" in text
    for item in key.pool(0).items[40:]:
        assert item.data.decode() in text


def test_the_report_says_whether_an_unmarked_encoder_was_used(case: CaseFolder) -> None:
    details, evidence = make_details(), case.evidence
    without = visible(render_html(make_report(evidence, details, manifest_sha256=case.manifest_sha256)))
    assert "towards the suspect’s own embedding of the secret text" in without
    assert "no alignment to the owner’s model is needed" in without
    assert "the owner’s own encoder" not in without
    assert "ridge regression" not in without
    named = ReferenceRecord(role=ENCODER, identity=evidence.suspect, answers=evidence.answers)
    with_one = evidence.revised(references=[named])
    shown = visible(render_html(make_report(with_one, details, manifest_sha256=case.manifest_sha256)))
    assert "put to the owner’s own encoder as it was before anything was marked" in shown
    assert "before it was known which ones the key had picked" in shown
    assert "ridge regression" in shown
    assert "Reference: unmarked-encoder" in shown
    assert "no alignment to the owner’s model is needed" not in shown


def test_the_ranks_drawn_are_those_that_were_tested(case: CaseFolder) -> None:
    assert case.evidence.score is not None
    measurement = case.evidence.score.measurement
    assert measurement.items is not None
    assert measurement.target is not None
    ranks = doubled_ranks([float(item) for item in measurement.items])
    assert float(measurement.value) == sum(rank for rank, drawn in zip(ranks, measurement.target, strict=True) if drawn)


def test_requests_and_failures_are_those_of_the_transcript(case: CaseFolder) -> None:
    report = make_report(case.evidence, make_details(), manifest_sha256=case.manifest_sha256, files=case.files())
    facts = {row.label: row.value for row in report.exhibits.suspect.rows}
    rows = {row.label: row.value for row in report.exhibits.acquisition}
    assert facts["Protocol"] == "tei"
    assert facts["Endpoint"].startswith("http://127.0.0.1:")
    assert rows["Requests sent, repeats included"] == facts["Requests sent, repeats included"]
    assert rows["Attempts that gave no answer"] == facts["Attempts that gave no answer"] == "1"
    assert rows["First questions asked again"].startswith("0 of ")
    assert Path(case.path).exists()
