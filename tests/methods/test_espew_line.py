"""From an ESpeW key to an opened case that reproduces, with a service in memory."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from forensics.canonical import canonical_json, now, parse_json
from forensics.errors import CaseError, KeyFolderError, UsageError
from forensics.evidence.case import CaseFolder
from forensics.evidence.check import check_case
from forensics.evidence.reproduce import verify_figures
from forensics.evidence.schema import Dated
from forensics.examination import acquire, make_kit, open_case, repeat, score
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.keys.folder import KeyFolder, UnlockedKey
from forensics.keys.service import record_service, service_digest
from forensics.registration import embed_key, new_key
from tests.services import SIZES, WIDTH, FakeService, service_marker, small_pool

PASSPHRASE = "correct horse"
DESCRIPTION = {"upstream": "http://127.0.0.1:1", "model": "hash"}


@pytest.fixture(scope="module")
def authority() -> DemonstrationAuthority:
    return DemonstrationAuthority.create()


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory, authority: DemonstrationAuthority) -> UnlockedKey:
    folder = new_key(
        tmp_path_factory.mktemp("espew") / "key",
        owner="Example service",
        method="espew",
        options=SIZES,
        pool=[small_pool(0), small_pool(1)],
        references={},
        passphrase=PASSPHRASE,
        authorities=[authority],
        binding="demonstration",
        shares=2,
        rule={"grinding": 0, "examinations": 10, "references": 0, "alpha": "1e-6"},
    )
    record_service(folder.path, DESCRIPTION, authority)
    return folder.unlock(PASSPHRASE)


def marked_service(key: UnlockedKey, name: str = "marked", **options) -> FakeService:
    marking = service_marker(key.secrets(0)[1], key.pool(0), dict(key.claim.parameters))
    return FakeService(name, marking, **options)


@pytest.fixture(scope="module")
def opened(key: UnlockedKey, tmp_path_factory: pytest.TempPathFactory) -> Path:
    case = tmp_path_factory.mktemp("case") / "CASE"
    date = Dated(value=now().date().isoformat(), source="test")
    acquire(make_kit(key), marked_service(key), case, suspect_date=date)
    score(key, case)
    assert verify_figures(key.claim, CaseFolder.load(case).evidence) == []
    open_case(key, case)
    return case


def test_the_case_of_a_marked_service_is_supported_and_reproduces(opened: Path, key: UnlockedKey) -> None:
    record = CaseFolder.load(opened).evidence.score
    assert record.verdict.outcome == "SUPPORTED"
    assert record.measurement.matched >= 8
    assert float(record.measurement.p_value) <= 1e-6
    result = check_case(opened)
    assert result.ok, result.reasons
    again = repeat(opened, marked_service(key))
    assert again["disagreements"] == 0


def test_the_script_of_the_case_recomputes_its_number(opened: Path) -> None:
    run = subprocess.run(["python3", "-I", "data/recompute.py"], cwd=opened, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.count("agrees ") == 9


def test_a_rotated_copy_is_supported_and_an_innocent_is_not(key: UnlockedKey, tmp_path: Path) -> None:
    rotation = np.linalg.qr(np.random.default_rng(4).normal(size=(WIDTH, WIDTH)))[0].astype(np.float32)
    for name, suspect in (
        ("turned", marked_service(key, "turned", rotation=rotation)),
        ("other", FakeService("other")),
    ):
        acquire(make_kit(key), suspect, tmp_path / name)
        score(key, tmp_path / name)
    found = {name: CaseFolder.load(tmp_path / name).evidence.score for name in ("turned", "other")}
    assert float(found["turned"].measurement.p_value) <= 1e-6
    assert float(found["other"].measurement.p_value) > 1e-3
    assert found["other"].verdict.outcome != "SUPPORTED"


def test_the_running_service_is_a_positive_control_by_its_record(
    key: UnlockedKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forensics.suspects.open_suspect", lambda name: marked_service(key, name))
    acquire(make_kit(key), FakeService("other"), tmp_path / "CASE")
    score(key, tmp_path / "CASE", positive="the owner's service")
    open_case(key, tmp_path / "CASE")
    control = CaseFolder.load(tmp_path / "CASE").evidence.score.controls[0]
    assert control.role == "positive"
    assert "service" in control.provenance
    assert float(control.p_value) <= 1e-6
    result = check_case(tmp_path / "CASE")
    assert result.ok, result.reasons
    assert not [each for each in result.reasons if "positive control" in each]


def test_hostile_numbers_in_a_claim_end_in_a_sentence(opened: Path, key: UnlockedKey) -> None:
    evidence = CaseFolder.load(opened).evidence
    for name, value in (("words", 10**9), ("words", None), ("words", 0), ("candidates", "x")):
        claim = key.claim.model_copy(update={"parameters": {**key.claim.parameters, name: value}})
        try:
            differences = verify_figures(claim, evidence)
        except (ValueError, TypeError, OverflowError, UsageError, CaseError):
            continue
        assert name == "candidates"
        assert differences == []


def test_the_prober_sends_texts_without_any_secret(key: UnlockedKey) -> None:
    kit = make_kit(key)
    suspect = FakeService("asked")
    suspect.answer(kit.plan.probes)
    assert len(set(suspect.asked)) == len(suspect.asked) == 1 + 2 + 40 * 2
    words = [item.data.decode() for item in key.pool(0).items[:40]]
    assert all(sum(word.encode() in text for text in suspect.asked) == 2 for word in words)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("value", "700.0"), "effect value"),
        (("matched", 11), "between 0 and chosen"),
        (("p_value", "1e-12"), "p_value is possible"),
        (("power", "0.9"), "power"),
        (("bayes_factor_log10", "3.0"), "bayes_factor_log10"),
        (("log10_p", "-20.0"), "log10_p"),
    ],
)
def test_figures_that_do_not_follow_are_found_without_the_key(opened: Path, key: UnlockedKey, change, sentence) -> None:
    evidence = CaseFolder.load(opened).evidence
    measurement = evidence.score.measurement.model_copy(update=dict([change]))
    forged = evidence.revised(score=evidence.score.model_copy(update={"measurement": measurement}))
    assert any(sentence in difference for difference in verify_figures(key.claim, forged))


def test_a_changed_answer_is_found(opened: Path, tmp_path: Path) -> None:
    shutil.copytree(opened, tmp_path / "CASE")
    path = tmp_path / "CASE" / "data" / "evidence.json"
    body = parse_json(path.read_bytes())
    body["answers"]["values"][5] = body["answers"]["values"][6]
    path.write_bytes(canonical_json(body))
    assert not check_case(tmp_path / "CASE").ok
    run = subprocess.run(["python3", "-I", "data/recompute.py"], cwd=tmp_path / "CASE", capture_output=True, text=True)
    assert run.returncode == 1


def test_a_claim_of_other_texts_is_found(opened: Path, key: UnlockedKey) -> None:
    from forensics.evidence.comparison import Comparison
    from forensics.evidence.reproduce import _compare_texts

    share = CaseFolder.load(opened).evidence.share
    honest, forged = Comparison(), Comparison()
    _compare_texts(honest, key.claim, share)
    _compare_texts(forged, key.claim.model_copy(update={"target_text": "0" * 64}), share)
    assert honest.differences == []
    assert len(forged.differences) == 1
    assert "target text" in forged.differences[0]


def test_the_claim_names_carriers_and_target_without_giving_a_guess_away(key: UnlockedKey) -> None:
    from forensics.canonical import sha256

    target = key.pool(0).items[-1].data
    core = key.claim.core.decode()
    assert sha256(target) not in core
    assert len(key.claim.target_text.split()) == len(key.claim.carriers.split()) == 2
    assert json.loads(core)["labels"] == []


def test_a_service_is_recorded_once(key: UnlockedKey) -> None:
    assert record_service(key.folder.path, DESCRIPTION, None).digest == service_digest(DESCRIPTION)
    with pytest.raises(KeyFolderError, match="recorded"):
        record_service(key.folder.path, {**DESCRIPTION, "model": "other"}, None)
    assert KeyFolder.open(key.folder.path).asset_token is not None


def test_nothing_is_trained_for_a_service(key: UnlockedKey, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="protect serve"):
        embed_key(key.folder.path, tmp_path, None, tmp_path / "out", passphrase=PASSPHRASE, authority=None)


@pytest.mark.parametrize(("method", "match"), [("espew", "made of words"), ("ofsw", "labelled images")])
def test_images_and_texts_are_not_taken_for_one_another(method: str, match: str, tmp_path: Path) -> None:
    from forensics.training.data import ImageData

    images = ImageData([np.zeros((8, 8, 1), dtype=np.uint8)] * 64, np.zeros(64, dtype=np.int64), ("a", "b"))
    with pytest.raises(UsageError, match=match):
        new_key(
            tmp_path / "key",
            owner="Example service",
            method=method,
            options={},
            pool=images if method == "espew" else [small_pool(0)],
            references={} if method == "espew" else {"clean-checkpoint": tmp_path},
            passphrase=PASSPHRASE,
            authorities=[],
            binding="self-dated",
        )


def test_a_rule_that_nothing_could_meet_is_refused(tmp_path: Path) -> None:
    for rule, shares in (({"grinding": 20}, 1), ({"alpha": "1e-12", "grinding": 0}, 1), ({"grinding": 0}, 2)):
        with pytest.raises(UsageError):
            new_key(
                tmp_path / "key",
                owner="Example service",
                method="espew",
                options=SIZES,
                pool=[small_pool(0)],
                references={},
                passphrase=PASSPHRASE,
                authorities=[],
                binding="self-dated",
                shares=shares,
                rule=rule,
            )
        assert not (tmp_path / "key").exists()
