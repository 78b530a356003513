"""The examiner's line on a small marked model."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from forensics.canonical import canonical_json, now, parse_json
from forensics.checkpoints import load_classifier, save_classifier
from forensics.errors import CaseError, KeyFolderError, ModelError, UsageError
from forensics.evidence.case import CaseFolder, replace_case
from forensics.evidence.check import check_case
from forensics.evidence.kit import read_kit
from forensics.evidence.provenance import PROVENANCE, Origin, read_provenance
from forensics.evidence.reproduce import judge
from forensics.evidence.results import decode_measurement
from forensics.evidence.schema import Dated
from forensics.examination import acquire, examine, make_kit, open_case, probes, repeat, score
from forensics.keys.folder import KeyFolder
from forensics.records import Answers, Probe
from forensics.suspects import open_suspect
from forensics.training.classifier import small_resnet, train
from forensics.training.loop import Schedule
from tests.forgery import retold
from tests.line import PASSPHRASE, Line, small_digits

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def unlocked(line: Line, tmp_path_factory: pytest.TempPathFactory):
    """A copy of the line's key, since opening a case spends the only share."""
    return KeyFolder.open(shutil.copytree(line.key, tmp_path_factory.mktemp("spent") / "key")).unlock(PASSPHRASE)


@pytest.fixture(scope="module")
def independent(line: Line, tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = small_digits(slice(900, 1400))
    classifier = small_resnet(data, 5, widths=(16, 32), depths=(1, 1))
    train(classifier, data, Schedule(100, learning_rate=3e-3), 5)
    folder = tmp_path_factory.mktemp("independent") / "model"
    save_classifier(classifier, folder, "# independent\n")
    return folder


def test_three_verbs_apart_give_what_examine_gives(line: Line, unlocked, tmp_path: Path) -> None:
    kit = probes(unlocked, tmp_path / "kit")
    clean = [open_suspect(str(line.unmarked))]
    acquired = acquire(read_kit(tmp_path / "kit"), open_suspect(str(line.marked)), tmp_path / "apart", named=clean)
    assert acquired.evidence.score is None
    assert acquired.evidence.share is None
    apart = score(unlocked, tmp_path / "apart").evidence
    whole = examine(unlocked, open_suspect(str(line.marked)), tmp_path / "whole").evidence
    assert apart.answers == whole.answers
    assert apart.plan == whole.plan
    assert apart.score.measurement == whole.score.measurement
    assert apart.score.verdict.outcome == "SUPPORTED"
    assert kit.plan.digest == whole.plan.digest


def test_kit_and_sealed_case_hold_no_secret(line: Line, unlocked, tmp_path: Path) -> None:
    probes(unlocked, tmp_path / "kit")
    examine(unlocked, open_suspect(str(line.marked)), tmp_path / "case")
    probe_key, score_key = unlocked.secrets(0)
    seed, bits = unlocked.shares[0].seed, unlocked.opening(0)
    forbidden = [probe_key, score_key, seed, bits["salt"].encode(), seed.hex().encode(), score_key.hex().encode()]
    for place in ("kit", "case"):
        for path in (tmp_path / place).rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                assert not any(secret in content for secret in forbidden), path
    evidence = CaseFolder.load(tmp_path / "case").evidence
    assert evidence.score.measurement.items is None
    assert evidence.score.measurement.target is None


def test_innocent_model_is_not_supported_and_controls_behave(line: Line, unlocked, independent, tmp_path) -> None:
    case = examine(
        unlocked,
        open_suspect(str(independent)),
        tmp_path / "case",
        positive=str(line.marked),
        suspect_date=Dated(value=now().date().isoformat(), source="test"),
    )
    record = case.evidence.score
    assert record.verdict.outcome in {"NOT_SUPPORTED", "INCONCLUSIVE"}
    assert float(record.measurement.p_value) > 1e-3
    controls = {control.role: control for control in record.controls}
    assert set(controls) == {"positive"}
    assert float(controls["positive"].p_value) <= 1e-6
    assert case.evidence.dates.suspect.value == now().date().isoformat()


def test_a_suspect_older_than_the_claim_makes_it_invalid(line: Line, unlocked, tmp_path: Path) -> None:
    old = Dated(value="2001-01-01", source="archive")
    case = examine(unlocked, open_suspect(str(line.marked)), tmp_path / "case", suspect_date=old)
    assert case.evidence.score.verdict.outcome == "INVALID_CLAIM"
    assert case.evidence.score.verdict.gates["G1"] is False


def test_responding_reference_stops_support(line: Line, unlocked, tmp_path: Path) -> None:
    taken = load_classifier(line.marked)
    taken.model.classifier[-1].bias.data += 0.01
    save_classifier(taken, tmp_path / "copy", "# a copy, slightly changed\n")
    case = examine(unlocked, open_suspect(str(line.marked)), tmp_path / "case", references=[str(tmp_path / "copy")])
    assert case.evidence.score.verdict.gates["G3"] is False
    assert case.evidence.score.verdict.outcome == "INCONCLUSIVE"


def test_a_model_in_a_new_wrapping_is_no_reference(line: Line, unlocked, independent, tmp_path: Path) -> None:
    for name, original in (("marked", line.marked), ("independent", independent)):
        shutil.copytree(original, tmp_path / name)
        body = json.loads((tmp_path / name / "config.json").read_text())
        changed = json.dumps({**body, "problem_type": "single_label_classification"})
        (tmp_path / name / "config.json").write_text(changed)
    suspect = open_suspect(str(line.marked))
    with pytest.raises(UsageError, match=r"weights or the answers of the suspect\."):
        examine(unlocked, suspect, tmp_path / "case", references=[str(tmp_path / "marked")])
    with pytest.raises(UsageError, match=r"weights or the answers of reference 1\."):
        score(unlocked, tmp_path / "case", references=[str(independent), str(tmp_path / "independent")])
    assert CaseFolder.load(tmp_path / "case").evidence.score is None


def test_positive_control_must_be_the_recorded_model(line: Line, unlocked, independent, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not the marked model"):
        examine(unlocked, open_suspect(str(line.marked)), tmp_path / "case", positive=str(independent))


def test_references_must_be_independent_and_different(line: Line, unlocked, independent, tmp_path: Path) -> None:
    suspect = open_suspect(str(line.marked))
    for number, (names, words) in enumerate(
        [
            ([independent, independent], "named twice"),
            ([line.marked], "is the suspect itself|marked model"),
            ([line.unmarked], "clean-checkpoint"),
        ]
    ):
        with pytest.raises(UsageError, match=words):
            examine(unlocked, suspect, tmp_path / str(number), references=[str(name) for name in names])


def test_the_owners_two_controls_and_documented_references_run_the_third_gate(
    line: Line, unlocked, independent, tmp_path: Path
) -> None:
    """The unmarked predecessor is the claim's clean checkpoint: its answers are those fixed before scoring."""
    origin = Origin(source="trained for this test", date=date(2026, 1, 1), vouched_by="the tests")
    case = examine(
        unlocked,
        open_suspect(str(line.marked)),
        tmp_path / "case",
        positive=str(line.marked),
        predecessor=str(line.unmarked),
        references=[str(independent)],
        provenance={str(independent): origin},
    )
    record = case.evidence.score
    controls = {control.role: control for control in record.controls}
    assert set(controls) == {"positive", "predecessor", "reference"}
    assert float(controls["positive"].p_value) <= 1e-6
    assert float(controls["predecessor"].p_value) > 1e-3
    assert controls["predecessor"].answers == case.evidence.references[0].answers
    assert "cannot respond" in controls["predecessor"].provenance
    assert controls["reference"].origin == origin.record
    assert not controls["predecessor"].documented
    assert any("only 1 of at least 5 reference models" in reason for reason in record.verdict.reasons)
    open_case(unlocked, tmp_path / "case")
    checked = check_case(tmp_path / "case")
    assert checked.ok, checked.reasons
    assert checked.reproduced
    assert checked.details["controls_missing"] == []
    assert "not examined as controls" not in checked.details["conclusion"]
    opened = CaseFolder.load(tmp_path / "case")
    again = opened.evidence.score.model_copy(update={"controls": [*record.controls, controls["reference"]]})
    copied = opened.evidence.revised(score=again)
    replace_case(tmp_path / "case", retold(copied, opened.files()))
    problems = check_case(tmp_path / "case").problems
    assert any("recorded twice" in problem for problem in problems), problems


def test_a_predecessor_that_responds_stops_support(line: Line, unlocked, tmp_path: Path) -> None:
    """Where the key folder does not say what was marked: a marked model passed off as the unmarked one contradicts."""
    copy, older = tmp_path / "copy", shutil.copytree(unlocked.folder.path, tmp_path / "key")
    shutil.copytree(line.marked, copy)
    body = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**body, "problem_type": "single_label_classification"}))
    asset = json.loads((older / "asset.json").read_text())
    assert asset.pop("predecessor") == open_suspect(str(line.unmarked)).identity.digest
    (older / "asset.json").write_bytes(canonical_json(asset))
    (older / "asset.tst").unlink(missing_ok=True)
    key = KeyFolder.open(older).unlock(PASSPHRASE)
    case = examine(key, open_suspect(str(line.marked)), tmp_path / "case", predecessor=str(copy))
    record = case.evidence.score
    assert record.controls[0].provenance == PROVENANCE["undated"]
    assert record.verdict.gates["G3"] is False
    assert record.verdict.outcome == "INCONCLUSIVE"
    assert "the owner's model responds to the key even without the mark" in record.verdict.reasons


def test_controls_must_be_what_they_are_said_to_be(line: Line, unlocked, independent, tmp_path: Path) -> None:
    suspect, origin = open_suspect(str(line.marked)), Origin(source="a", date=date(2026, 1, 1), vouched_by="b")
    for named, error, words in (
        (line.marked, UsageError, "predecessor is not the unmarked model"),
        (line.marked / "config.json", ModelError, "a file, not a model folder"),
    ):
        with pytest.raises(error, match=words):
            examine(unlocked, suspect, tmp_path / "case", predecessor=str(named))
    assert list(tmp_path.iterdir()) == []
    acquire(make_kit(unlocked), suspect, tmp_path / "case", named=[open_suspect(str(line.unmarked))])
    with pytest.raises(UsageError, match="was named twice"):
        score(unlocked, tmp_path / "case", references=[str(independent), str(independent)])
    with pytest.raises(UsageError, match="not given as a control"):
        score(unlocked, tmp_path / "case", references=[str(independent)], provenance={"elsewhere": origin})
    later = {str(independent): origin.model_copy(update={"date": date(2999, 12, 31)})}
    with pytest.raises(UsageError, match="lies in the future"):
        score(unlocked, tmp_path / "case", references=[str(independent)], provenance=later)
    wrong = {str(independent): origin.model_copy(update={"digest": "0" * 64})}
    with pytest.raises(UsageError, match="not the one whose provenance"):
        score(unlocked, tmp_path / "case", references=[str(independent)], provenance=wrong)
    assert CaseFolder.load(tmp_path / "case").evidence.score is None
    digest = open_suspect(str(independent)).identity.digest
    named = {digest: origin.model_copy(update={"digest": digest})}
    scored = score(unlocked, tmp_path / "case", references=[str(independent)], provenance=named)
    assert scored.evidence.score.controls[0].documented


def test_a_reference_that_tells_nothing_is_refused_and_one_seen_otherwise_does_not_count(
    line: Line, unlocked, independent, tmp_path: Path
) -> None:
    silent = load_classifier(independent)
    for weights in silent.model.classifier.parameters():
        weights.data.zero_()
    save_classifier(silent, tmp_path / "silent", "# answers everything alike\n")
    suspect, case = open_suspect(str(line.marked)), tmp_path / "case"
    with pytest.raises(UsageError, match="leave open whether it responds"):
        examine(unlocked, suspect, case, references=[str(tmp_path / "silent")])
    origin = Origin(source="trained for this test", date=date(2026, 1, 1), vouched_by="the tests")
    record = score(unlocked, case, references=[str(independent)], provenance={str(independent): origin}).evidence
    reference, claim = record.score.controls[0], unlocked.claim
    rule = claim.rule.model_copy(update={"references": claim.rule.references.model_copy(update={"minimum": 1})})
    claim = claim.model_copy(update={"rule": rule})
    labels = reference.answers.model_copy(update={"kind": "labels"})
    settings = {"opened": True, "replayed": True, "examinations": 1, "owner_undisputed": False}
    measurement = decode_measurement(record.score.measurement)
    for answers, expected in ((reference.answers, True), (labels, None)):
        controls = [reference.model_copy(update={"answers": answers})]
        assert controls[0].comparable(record.answers) is bool(expected)
        verdict = judge(claim, record.dates, measurement, controls, record, **settings)
        assert verdict.gates["G3"] is expected


def test_provenance_is_read_from_a_small_file(tmp_path: Path) -> None:
    file = tmp_path / "models.toml"
    file.write_text('["models/one"]\nsource = "a shop"\ndate = 2025-06-30\nvouched_by = "I. Wagner"\n')
    (one,) = read_provenance(file).values()
    assert one.record.model_dump() == {"source": "a shop", "date": "2025-06-30", "vouched_by": "I. Wagner"}
    for body, words in (
        ('["m"]\nsource = "a"\ndate = 2025-06-30\n', "vouched_by"),
        ('["m"]\nsource = ""\ndate = 2025-06-30\nvouched_by = "b"\n', "source"),
        ('["m"]\nsource = "a"\ndate = "June"\nvouched_by = "b"\n', "date"),
        ('["m"]\nsource = "a"\ndate = 2025-06-30\nvouched_by = "b"\nrole = "c"\n', "role"),
        ("m = 3\n", "does not say what is needed"),
        ("[[", "no TOML file"),
        ("\x00", "no TOML file"),
    ):
        file.write_text(body)
        with pytest.raises(UsageError, match=words):
            read_provenance(file)
    with pytest.raises(UsageError, match="cannot be read"):
        read_provenance(tmp_path / "none")


def test_a_case_is_scored_once(line: Line, unlocked, tmp_path: Path) -> None:
    examine(unlocked, open_suspect(str(line.marked)), tmp_path / "case")
    with pytest.raises(CaseError, match="scored once"):
        score(unlocked, tmp_path / "case", owner_undisputed=True)


def test_answers_of_named_models_are_fixed_before_scoring(line: Line, unlocked, independent, tmp_path: Path) -> None:
    """Whoever knows the payload could choose the clean checkpoint's answers so that any suspect matches."""
    suspect = open_suspect(str(line.marked))
    with pytest.raises(UsageError, match="not among the models given"):
        acquire(make_kit(unlocked), suspect, tmp_path / "none")
    with pytest.raises(UsageError, match="not among the models given"):
        acquire(make_kit(unlocked), suspect, tmp_path / "other", named=[open_suspect(str(independent))])
    examine(unlocked, open_suspect(str(independent)), tmp_path / "case")
    opened = open_case(unlocked, tmp_path / "case")
    record = opened.evidence.references[0]
    values = [[repr(-float(cell)) for cell in row] for row in record.answers.values]
    forged = record.model_copy(update={"answers": record.answers.model_copy(update={"values": values})})
    evidence = opened.evidence.revised(references=[forged])
    replace_case(tmp_path / "case", retold(evidence, opened.files()))
    assert not check_case(tmp_path / "case").ok
    again = repeat(tmp_path / "case", None, [open_suspect(str(line.unmarked))])
    assert again["disagreements"] > 100


def test_named_models_are_asked_again(line: Line, unlocked, tmp_path: Path) -> None:
    examine(unlocked, open_suspect(str(line.marked)), tmp_path / "case")
    open_case(unlocked, tmp_path / "case")
    again = repeat(tmp_path / "case", open_suspect(str(line.marked)), [open_suspect(str(line.unmarked))])
    assert (again["probes"], again["disagreements"], again["same_model"]) == (256, 0, True)
    assert again["named_models_asked"]


def test_opened_case_checks_recomputes_and_repeats(line: Line, unlocked, independent, tmp_path: Path) -> None:
    examine(unlocked, open_suspect(str(line.marked)), tmp_path / "case")
    opened = open_case(unlocked, tmp_path / "case")
    assert opened.evidence.share is not None
    result = check_case(tmp_path / "case", trust=None, expect_fingerprint=None)
    assert result.reproduced is True, result.reasons
    run = subprocess.run(
        [sys.executable, "-I", "data/recompute.py"], cwd=tmp_path / "case", capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert repeat(tmp_path / "case", open_suspect(str(line.marked)))["disagreements"] == 0
    other = repeat(tmp_path / "case", open_suspect(str(independent)))
    assert other["disagreements"] > 100
    assert other["same_model"] is False


def test_replay_of_a_case_says_so_and_scores_the_same(line: Line, unlocked, tmp_path: Path) -> None:
    first = examine(unlocked, open_suspect(str(line.marked)), tmp_path / "case")
    again = examine(unlocked, open_suspect(f"replay:{tmp_path / 'case'}"), tmp_path / "again")
    assert again.evidence.suspect.kind == "replay"
    assert again.evidence.suspect.digest == first.evidence.suspect.digest
    assert again.evidence.answers == first.evidence.answers
    assert again.evidence.score.measurement == first.evidence.score.measurement


def test_budget_existing_case_and_wrong_key(line: Line, unlocked, tmp_path: Path) -> None:
    suspect = open_suspect(str(line.marked))
    with pytest.raises(UsageError, match="budget"):
        examine(unlocked, suspect, tmp_path / "case", budget=10)
    assert not (tmp_path / "case").exists()
    examine(unlocked, suspect, tmp_path / "case")
    with pytest.raises(CaseError, match="exists already"):
        examine(unlocked, suspect, tmp_path / "case")
    with pytest.raises(KeyFolderError):
        KeyFolder.open(tmp_path / "case")


class _Interrupted:
    """A suspect that is interrupted after some batches."""

    def __init__(self, inner, batches: int) -> None:
        self.inner, self.left, self.identity = inner, batches, inner.identity
        self.asked = 0

    def answer(self, batch: list[Probe]) -> Answers:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        self.asked += len(batch)
        return self.inner.answer(batch)


def test_interrupted_acquisition_resumes_without_asking_twice(line: Line, unlocked, tmp_path: Path) -> None:
    kit, inner = make_kit(unlocked), open_suspect(str(line.marked))
    clean = [open_suspect(str(line.unmarked))]
    with pytest.raises(KeyboardInterrupt):
        acquire(kit, _Interrupted(inner, 1), tmp_path / "case", named=clean)
    assert not (tmp_path / "case").exists()
    assert (tmp_path / "case.partial").is_dir()
    with pytest.raises(CaseError):
        acquire(kit, inner, tmp_path / "case", named=clean)
    rest = _Interrupted(inner, 100)
    acquire(kit, rest, tmp_path / "case", resume=True, named=clean)
    assert rest.asked == len(kit.plan.probes) - kit.plan.batch_size
    assert not (tmp_path / "case.partial").exists()
    whole = acquire(kit, inner, tmp_path / "whole", named=clean)
    assert CaseFolder.load(tmp_path / "case").evidence.answers == whole.evidence.answers


def test_kill_leaves_a_resumable_case_or_none(line: Line, tmp_path: Path) -> None:
    case = tmp_path / "case"
    command = [sys.executable, "-m", "forensics", "examine", str(line.key), str(line.marked), "--case", str(case)]
    environment = {**os.environ, "FORENSICS_PASSPHRASE": PASSPHRASE}
    running = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (tmp_path / "case.partial").exists() and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    running.send_signal(signal.SIGKILL)
    running.wait()
    done = subprocess.run(
        [*command, "--resume", "--json"], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode == 2:  # the kill came after the case was complete
        assert "exists already" in done.stderr
    else:
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["verdict"] == "SUPPORTED"
    assert CaseFolder.load(case).evidence.answers


def test_stored_numbers_are_the_transcripts(line: Line, unlocked, tmp_path: Path) -> None:
    case = examine(unlocked, open_suspect(str(line.marked)), tmp_path / "case")
    lines = case.content["data/transcript.jsonl"].splitlines()
    rows = [row for entry in map(parse_json, lines) if entry["event"] == "batch" for row in entry["rows"]]
    assert rows == case.evidence.answers.values
    model = load_classifier(line.marked)
    assert len(rows[0]) == len(model.labels)
    assert np.isfinite(np.array(rows, dtype=float)).all()
