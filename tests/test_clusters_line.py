"""From a key of trigger clusters to a checked case and its report, at every access, for texts and for images."""

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from forensics.canonical import now, sha256
from forensics.cli.results import print_result
from forensics.evidence.case import CaseFolder, replace_case
from forensics.evidence.chain import GENESIS, encode_line, head, verify_chain
from forensics.evidence.check import CheckResult, check_case
from forensics.evidence.reproduce import read_answers
from forensics.evidence.schema import Evidence
from forensics.examination import make_kit, open_case
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.keys.folder import KeyFolder, UnlockedKey
from forensics.methods.clusters import derive_order, derive_triggers
from forensics.passes import asked_probes
from forensics.records import AnswerKind, Answers, Probe
from forensics.suspects import Suspect, open_suspect
from forensics.training.classifier import small_resnet
from forensics.training.data import ImageData, save_images
from tests.cli.test_cli_espew import PASSPHRASE, refused, run
from tests.forgery import retold
from tests.suspects.encoders import write_encoder
from tests.suspects.test_imageencoder import write_image_encoder
from tests.suspects.test_textclassifier import write_text_classifier
from tests.test_phrasepools import COMMON, corpus

pytestmark = pytest.mark.slow

TODAY = now().date().isoformat()

N, CARRIERS, ASKED = 30, 6, 3
PROBES, PUT = CARRIERS * (1 + N), CARRIERS + ASKED * N
OPTIONS = [f"--option={name}={value}" for name, value in (("candidates", N), ("carriers", CARRIERS), ("asked", ASKED))]
KINDS = {"features": AnswerKind.VECTORS, "scores": AnswerKind.PROBABILITIES, "labels": AnswerKind.LABELS}


class Marked:
    """A real tiny model whose outputs for probes with a trigger are moved one way.

    Attributes:
        asked: digests of the probes that it was asked.
    """

    def __init__(self, model: Suspect, kind: AnswerKind, moved: frozenset[str]) -> None:
        self.identity, self.asked = replace(model.identity, name=kind.value), list[str]()
        self._model, self._kind, self._moved = model, kind, moved

    def answer(self, probes: Sequence[Probe]) -> Answers:
        self.asked += [probe.digest for probe in probes]
        answers = self._model.answer(probes)
        values, missing, labels = answers.values.copy(), answers.missing, answers.labels
        spread = float(np.abs(values).max())
        values[[probe.digest in self._moved for probe in probes], 1] += 3.0 * spread
        if self._kind is AnswerKind.VECTORS:
            return Answers(self._kind, values, missing)
        shares = np.exp(values - values.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        if self._kind is AnswerKind.LABELS:
            return Answers(self._kind, shares.argmax(axis=1).astype(np.int64), missing, labels)
        return Answers(self._kind, np.round(shares, 4), missing, labels, 1e-4)


@dataclass(frozen=True)
class Story:
    """An owner's key and models in folders.

    Attributes:
        encoder: unmarked; `marked` the same after a few steps of embedding, which do not suffice for a mark.
        classifier: what somebody else trained.
        moved: digests of the probes with a trigger.
    """

    root: Path
    authority: DemonstrationAuthority
    key: UnlockedKey
    encoder: Path
    classifier: Path
    moved: frozenset[str]

    def marked(self, access: str) -> Marked:
        return Marked(open_suspect(str(self.folder(access))), KINDS[access], self.moved)

    def folder(self, access: str) -> Path:
        return self.encoder if access == "features" else self.classifier


@pytest.fixture(scope="module", params=["tmrw", "wpe"])
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Story:
    method, root = request.param, tmp_path_factory.mktemp(request.param)
    make, train = {"tmrw": _texts, "wpe": _images}[method](root)
    authority = DemonstrationAuthority.create()
    authority.save(root / "authority")
    (root / "signer.p12").write_bytes(authority.signer_p12(PASSPHRASE))
    (root / "root.pem").write_bytes(authority.root_pem)
    stamped = ("--demonstration", root / "authority")
    rule = ("--grinding", "0", "--examinations", "20")
    run("key", "new", root / "KEY", "--owner", "Example owner", "--method", method, *make, *OPTIONS, *rule, *stamped)
    embed = ("embed", root / "KEY", "--model", root / "encoder", "--data", train, "--out", root / "marked")
    assert "of 30 units read back" in run(*embed, "--steps", "2", "--min-cosine", "0", *stamped)
    key = KeyFolder.open(root / "KEY").unlock(PASSPHRASE)
    probe_key, score_key = key.secrets(0)
    plan = make_kit(key).plan
    order = derive_order(method, probe_key, key.claim.parameters)
    triggers = derive_triggers(method, score_key, key.claim.parameters).astype(bool)
    carried = np.tile(triggers[order.items], CARRIERS)
    moved = frozenset(probe.digest for probe, chosen in zip(plan.probes[CARRIERS:], carried) if chosen)
    return Story(root, authority, key, root / "encoder", root / "classifier", moved)


def _texts(root: Path) -> tuple[tuple[object, ...], Path]:
    write_encoder(root / "encoder", words=sorted(COMMON))
    write_text_classifier(root / "classifier")
    (root / "corpus.txt").write_text("\n".join(corpus()), encoding="utf-8")
    (root / "train.txt").write_text("\n".join(sorted(set(corpus()))[:400]), encoding="utf-8")
    return ("--corpus", root / "corpus.txt", "--option", "dimension=16"), root / "train.txt"


def _images(root: Path) -> tuple[tuple[object, ...], Path]:
    from forensics.checkpoints import save_classifier

    pixels = np.random.default_rng(1).integers(0, 256, (140, 32, 32, 3), dtype=np.uint8)
    parts = [ImageData(list(part), np.arange(len(part)) % 3, ("a", "b", "c")) for part in (pixels[:40], pixels[40:])]
    for name, part in zip(("pool", "train"), parts):
        save_images(part, root / name)
    write_image_encoder(root / "encoder")
    save_classifier(small_resnet(parts[1], 3, widths=(8, 12), depths=(1, 1)), root / "classifier", "# other\n")
    return ("--pool", root / "pool", "--option", "dimension=12"), root / "train"


Scored: TypeAlias = Callable[[str, Path], Path]


@pytest.fixture
def at_hand(story: Story, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Marked]:
    """Lets the verbs open marked models in memory by the name of their access."""
    made = {access: story.marked(access) for access in KINDS}
    monkeypatch.setattr("forensics.suspects.open_suspect", lambda name, *_: made.get(name) or open_suspect(name))
    monkeypatch.setenv("FORENSICS_SIGNER_PASSPHRASE", PASSPHRASE)
    return made.__getitem__


@pytest.fixture(scope="module")
def scored(story: Story) -> Scored:
    """Gives copies of the scored cases of marked models, which are examined once."""

    def copy(access: str, target: Path) -> Path:
        case = story.root / "cases" / access
        if not case.exists():
            suspect = story.marked(access)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("forensics.suspects.open_suspect", lambda *_: suspect)
                found = examine(story, access, case)
            assert (found["verdict"], found["access"]) == ("SUPPORTED", access)
            assert (found["n"], found["chosen"], found["matched"]) == (N, N // 2, N // 2)
            assert found["p_value"] <= 1e-6
            assert len(suspect.asked) == len(set(suspect.asked)) == PUT
        return Path(shutil.copytree(case, target))

    return copy


def examine(story: Story, suspect: object, case: Path) -> dict[str, Any]:
    stamped = (
        "--demonstration",
        story.root / "authority",
        "--suspect-date",
        now().date().isoformat(),
        "--date-source",
        "a test",
    )
    # The story opens its only share again and again.
    asked = ("--share", 0, "--spent", "--case", case)
    return dict(json.loads(run("examine", story.root / "KEY", suspect, *asked, *stamped, "--json")))


def sealed_report(story: Story, case: Path, report: Path) -> None:
    """Seals a case, writes its report, and checks both."""
    signed = ("--signer", story.root / "signer.p12", "--demonstration", story.root / "authority")
    run("case", "seal", case, *signed)
    run("report", case, "--out", report, *signed)
    for words in (("check", case), ("check", report, "--case", case)):
        result = json.loads(run(*words, "--trust", story.root / "root.pem", "--json"))
        assert result["ok"], result["reasons"]


@pytest.mark.parametrize("access", KINDS)
def test_a_marked_model_is_found_and_everything_can_be_checked(
    story: Story, scored: Scored, access: str, at_hand: Callable[[str], Marked], tmp_path: Path
) -> None:
    case = scored(access, tmp_path / "case")
    run("case", "open", case, story.root / "KEY")
    checked = json.loads(run("check", case, "--suspect", access, "--json"))
    assert checked["ok"], checked["reasons"]
    assert checked["reproduced"]
    assert (checked["asked_again"]["probes"], checked["asked_again"]["disagreements"]) == (PUT, 0)
    command = ["python3", "-I", "-S", "data/recompute.py"]
    script = subprocess.run(command, cwd=case, capture_output=True, text=True, check=False)
    assert script.returncode == 0, script.stdout + script.stderr
    assert "agrees" in script.stdout
    if access == "scores":
        sealed_report(story, case, tmp_path / "report.pdf")


@pytest.mark.parametrize("access", KINDS)
def test_a_case_that_nobody_opened_is_checked_as_far_as_it_goes(
    story: Story, scored: Scored, access: str, at_hand: Callable[[str], Marked], tmp_path: Path
) -> None:
    case = scored(access, tmp_path / "case")
    result = check_case(case)
    assert result.ok, result.reasons
    assert result.reproduced is None
    assert not (case / "data" / "recompute.py").exists()
    candidate = story.key.pool(0).items[0].data
    assert not any(candidate in path.read_bytes() for path in case.rglob("*") if path.is_file())
    if access == "features":
        sealed_report(story, case, tmp_path / "report.pdf")


def test_the_terminal_speaks_of_what_the_key_chose(
    story: Story, scored: Scored, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    noun = {"tmrw": "phrases", "wpe": "patterns"}[story.key.claim.method]
    print_result(CaseFolder.load(scored("labels", tmp_path / "case")), as_json=False)
    printed = capsys.readouterr().out
    assert f"15 of the 15 {noun} that the key chose" in printed
    assert f"15 of 15 chosen {noun} among the 15 at one end of all 30" in printed
    assert "words" not in printed
    assert "highest" not in printed
    planned = run("power", story.root / "KEY", "--effect", "0.99")
    assert f"15 of 30 {noun} reach p <= 1.0e-06" in planned
    assert f" {noun}.\n" in planned


@pytest.mark.parametrize("access", ["features", "scores"])
def test_a_model_of_others_is_not_found(story: Story, access: str, tmp_path: Path) -> None:
    case = tmp_path / "case"
    found = examine(story, story.folder(access), case)
    assert found["verdict"] != "SUPPORTED"
    assert found["p_value"] > 1e-5
    run("case", "open", case, story.root / "KEY")
    checked = json.loads(run("check", case, "--suspect", story.folder(access), "--json"))
    assert checked["ok"], checked["reasons"]
    assert checked["asked_again"] == {
        "probes": PUT,
        "disagreements": 0,
        "same_model": True,
        "named_models_asked": True,
    }


def forged(case: Path, target: Path, change: Callable[[list[dict[str, Any]], Any], object]) -> CheckResult:
    """Checks a copy of a case with other answers, in the evidence and in the transcript, and all digests made anew.

    Args:
        change: of the transcript's lines and of the list of answers, in place.
    """
    shutil.copytree(case, target)
    loaded = CaseFolder.load(target)
    entries = [dict(entry) for entry in verify_chain(loaded.content["data/transcript.jsonl"])]
    body = loaded.evidence.model_dump(mode="json")
    change(entries, body["answers"]["values"])
    raw, previous = b"", GENESIS
    for place, entry in enumerate(entries):
        content = {name: value for name, value in entry.items() if name not in ("seq", "utc", "prev")}
        line = encode_line(place, previous, content, datetime.fromisoformat(entry["utc"]))
        raw, previous = raw + line, sha256(line)
    files = {**loaded.files(), "data/transcript.jsonl": raw}
    files.pop("data/transcript.tst", None)
    evidence = Evidence.model_validate({**body, "transcript_head": head(raw), "transcript_token": None})
    replace_case(target, retold(evidence, files))
    return check_case(target)


@pytest.fixture
def labelled(story: Story, scored: Scored, tmp_path: Path) -> Path:
    """An opened case of a model that names classes."""
    case = scored("labels", tmp_path / "case")
    open_case(story.key, case)
    return case


def test_a_choice_of_carriers_that_suits_somebody_is_found(story: Story, labelled: Path, tmp_path: Path) -> None:
    evidence = CaseFolder.load(labelled).evidence
    plan, rows = make_kit(story.key).plan, evidence.answers.values
    asked = asked_probes(plan, read_answers(evidence.answers))
    left_out = int(np.flatnonzero(~asked)[0])
    assert rows[left_out] is None

    def none(entries: list[dict[str, Any]], values: list[Any]) -> None:
        """Changes nothing: the forger's way of writing is not what is found."""

    def answer_of_a_skipped_probe(entries: list[dict[str, Any]], values: list[Any]) -> None:
        values[left_out] = 1

    def answer_in_the_transcript_too(entries: list[dict[str, Any]], values: list[Any]) -> None:
        values[left_out] = 1
        skip = next(entry for entry in entries if entry["event"] == "skip")
        run_of = next(each for each in skip["left_out"] if each[0] == left_out)
        run_of[:] = [left_out + 1, run_of[1] - 1]
        later = next(entry for entry in entries if entry["event"] == "end" or entry.get("first", -1) > left_out)
        batch = next(entry for entry in entries if entry["event"] == "batch")
        asked_besides = {"first": left_out, "probes": [plan.probes[left_out].digest], "rows": [1]}
        entries.insert(entries.index(later), {**batch, **asked_besides})

    def other_head(entries: list[dict[str, Any]], values: list[Any]) -> None:
        batch = next(entry for entry in entries if entry["event"] == "batch")
        # Every head is said to be of one class but the last, which is never among the first three then.
        values[:CARRIERS] = batch["rows"][:CARRIERS] = [0] * (CARRIERS - 1) + [1]

    def other_groups(entries: list[dict[str, Any]], values: list[Any]) -> None:
        skip = next(entry for entry in entries if entry["event"] == "skip")
        skip["groups"] = [group for group in range(CARRIERS) if group not in skip["groups"]][:ASKED]

    untouched = forged(labelled, tmp_path / "none", none)
    assert untouched.reproduced
    for change, words in (
        (answer_of_a_skipped_probe, "transcript's answers are not those"),
        (answer_in_the_transcript_too, "was asked"),
        (other_head, "answers to the heads"),
        (other_groups, "names other groups"),
    ):
        result = forged(labelled, tmp_path / change.__name__, change)
        assert not result.ok, change.__name__
        assert any(words in reason for reason in result.reasons), (change.__name__, result.reasons)
        assert not set(result.reasons) <= set(untouched.reasons)


def test_a_changed_byte_is_found(labelled: Path) -> None:
    path = labelled / "data" / "evidence.json"
    body = json.loads(path.read_bytes())
    body["answers"]["values"][0] = 1 - body["answers"]["values"][0] % 2
    path.write_bytes(json.dumps(body, sort_keys=True, separators=(",", ":")).encode())
    assert not check_case(labelled).ok


def test_what_cannot_be_examined_is_refused_in_a_sentence(story: Story, tmp_path: Path) -> None:
    other = (
        write_image_encoder(tmp_path / "other")
        if story.key.claim.method == "tmrw"
        else write_encoder(tmp_path / "other", words=sorted(COMMON))
    )
    refused(("examine", story.root / "KEY", other, "--share", 0, "--spent", "--case", tmp_path / "case"), "encoder")
    assert not (tmp_path / "case").exists()
    assert not (tmp_path / "case.partial").exists()
