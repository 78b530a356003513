"""The published statistics of a case: only when asked for, only afterwards, and nothing that decides sees them."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from forensics.errors import CaseError, UsageError
from forensics.evidence.case import TRANSCRIPT, CaseFolder
from forensics.evidence.check import check_case
from forensics.evidence.schema import Evidence
from forensics.examination import acquire, examine, make_kit, open_case, score
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.keys.folder import UnlockedKey
from forensics.registration import new_key
from tests.services import SIZES, FakeService, service_marker, small_pool


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> UnlockedKey:
    folder = new_key(
        tmp_path_factory.mktemp("published") / "key",
        owner="Example service",
        method="espew",
        options=SIZES,
        pool=[small_pool(0)],
        references={},
        passphrase="correct horse",
        authorities=[],
        binding="self-dated",
        rule={"grinding": 0, "examinations": 10, "references": 0, "alpha": "1e-6"},
    )
    return folder.unlock("correct horse")


def marked_service(key: UnlockedKey, name: str = "marked") -> FakeService:
    return FakeService(name, service_marker(key.secrets(0)[1], key.pool(0), dict(key.claim.parameters)))


@pytest.fixture(scope="module")
def acquired(key: UnlockedKey, tmp_path_factory: pytest.TempPathFactory) -> Path:
    case = tmp_path_factory.mktemp("case") / "CASE"
    acquire(make_kit(key), marked_service(key), case, authority=DemonstrationAuthority.create())
    return case


@pytest.fixture
def case(acquired: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(acquired, tmp_path / "CASE"))


def record(case: Path) -> Any:
    return CaseFolder.load(case).evidence.score


def test_verdict_and_measurement_are_the_same_with_and_without(
    key: UnlockedKey, case: Path, acquired: Path, tmp_path: Path
) -> None:
    plain = Path(shutil.copytree(acquired, tmp_path / "PLAIN"))
    score(key, plain)
    score(key, case, published=marked_service(key))
    without, with_them = record(plain), record(case)
    assert without.measurement.published == []
    names = [row.name for row in with_them.measurement.published]
    assert names[0] == "two-sample Kolmogorov-Smirnov"
    assert len(names) == 3
    assert with_them.measurement.model_copy(update={"published": []}) == without.measurement
    assert with_them.verdict.model_dump(
        exclude={"examinations", "adjusted_p", "reasons"}
    ) == without.verdict.model_dump(exclude={"examinations", "adjusted_p", "reasons"})
    assert without.published_answers is without.published_plan is None
    assert "published_" not in (plain / "data" / "evidence.json").read_text()
    assert len(with_them.published_answers.values) == 41


def test_the_check_recomputes_them(key: UnlockedKey, case: Path) -> None:
    score(key, case, published=marked_service(key))
    before = record(case).measurement.published
    assert check_case(case).ok
    open_case(key, case)
    assert record(case).measurement.published == before
    result = check_case(case)
    assert result.ok, result.reasons


def test_the_check_notices_other_statistics_answers_or_probes(key: UnlockedKey, case: Path) -> None:
    from forensics.canonical import canonical_json
    from forensics.evidence.reproduce import reproduce
    from forensics.keys.opening import verify_opening

    score(key, case, published=marked_service(key))
    open_case(key, case)
    loaded = CaseFolder.load(case)
    opening = verify_opening(key.claim, (), loaded.evidence.share.model_dump())

    def differences(**changes: Any) -> tuple[str, ...]:
        body = json.loads(loaded.evidence.core)
        body["score"] = {name: value for name, value in {**body["score"], **changes}.items() if value != "left out"}
        return reproduce(key.claim, Evidence.parse(canonical_json(body)), opening, loaded.content).differences

    assert differences() == ()
    assert any("published plan digest" in each for each in differences(published_plan="0" * 64))
    answers = json.loads(loaded.evidence.core)["score"]["published_answers"]
    moved = {**answers, "values": answers["values"][::-1]}
    assert any("published" in each for each in differences(published_answers=moved))
    assert any("published" in each for each in differences(published_answers="left out"))


def test_the_suspect_is_asked_last_and_only_on_request(key: UnlockedKey, tmp_path: Path) -> None:
    suspect, quiet = marked_service(key), marked_service(key)
    with pytest.raises(UsageError, match="timestamp"):
        examine(key, suspect, tmp_path / "CASE", published=True)
    assert suspect.asked == []
    examine(key, suspect, tmp_path / "CASE", published=True, authority=DemonstrationAuthority.create())
    examine(key, quiet, tmp_path / "QUIET")
    count = len(make_kit(key).plan.probes)
    assert len(quiet.asked) == count
    assert suspect.asked[:count] == quiet.asked
    assert len(suspect.asked) == count + 41
    assert record(tmp_path / "CASE").published_answers is not None


def test_nothing_is_asked_before_the_transcript_is_timestamped(key: UnlockedKey, tmp_path: Path) -> None:
    suspect, case = marked_service(key), tmp_path / "CASE"
    acquire(make_kit(key), suspect, case)
    asked = len(suspect.asked)
    with pytest.raises(CaseError, match="not timestamped"):
        score(key, case, published=suspect)
    assert len(suspect.asked) == asked
    assert record(case) is None


def test_another_suspect_is_refused(key: UnlockedKey, case: Path) -> None:
    other = FakeService("other")
    with pytest.raises(UsageError, match="not the one of the case"):
        score(key, case, published=other)
    assert other.asked == []
    assert record(case) is None


def test_a_case_that_was_not_acquired_to_the_end_is_refused(key: UnlockedKey, case: Path) -> None:
    from forensics.evidence.afterwards import is_complete
    from forensics.recording import ask_published

    loaded = CaseFolder.load(case)
    whole = loaded.content[TRANSCRIPT]
    cut = b"".join(whole.splitlines(keepends=True)[:-1])
    assert is_complete(loaded.evidence, whole)
    assert not is_complete(loaded.evidence, cut)
    suspect = marked_service(key)
    half: Any = SimpleNamespace(evidence=loaded.evidence, content={**loaded.content, TRANSCRIPT: cut})
    with pytest.raises(CaseError, match="not acquired to its end"):
        ask_published(key, half, suspect, lambda *_: None)
    assert suspect.asked == []


def test_a_method_without_them_refuses_before_anything_is_asked(tmp_path: Path) -> None:
    from forensics.evidence.afterwards import plan_published

    claim: Any = SimpleNamespace(method="ofsw", parameters={})
    with pytest.raises(UsageError, match="no published statistics"):
        plan_published(claim, None, None)


def test_the_script_of_the_case_still_recomputes_its_number(key: UnlockedKey, case: Path) -> None:
    import subprocess

    score(key, case, published=marked_service(key))
    open_case(key, case)
    run = subprocess.run(["python3", "-I", "data/recompute.py"], cwd=case, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_command_line_asks_a_text_encoder_for_them(
    key: UnlockedKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from forensics.cli import root
    from tests.suspects.encoders import write_encoder

    monkeypatch.setenv("FORENSICS_PASSPHRASE", "correct horse")
    folder, case = write_encoder(tmp_path / "encoder"), tmp_path / "CASE"
    made = [str(key.folder.path), str(folder), "--share", "0", "--spent", "--case", str(case)]
    stamped = ["--demonstration", str(tmp_path / "authority")]
    root.main(["examine", *made, *stamped, "--published", "--json"], standalone_mode=False)
    found = json.loads(capsys.readouterr().out)
    assert found["published"]["name"] == "two-sample Kolmogorov-Smirnov"
    assert found["verdict"] != "SUPPORTED"
    assert CaseFolder.load(case).evidence.suspect.facts["pooling"].startswith("mean, unit length")
    again = tmp_path / "AGAIN"
    acquire(make_kit(key), FakeService("fake"), again, authority=DemonstrationAuthority.create())
    with pytest.raises(UsageError, match="not the one of the case"):
        root.main(["score", str(key.folder.path), str(again), "--published", str(folder)], standalone_mode=False)
