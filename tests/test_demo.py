"""The stories of marked encoders on tiny models: everything is made once, examined, sealed and reported."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from forensics.attacks.tasks import Task
from forensics.bench.data import load_digits
from forensics.cli.demo import METHODS
from forensics.demo import STORIES, Examined, run_demo
from forensics.demo.clusters import SUSPECTS
from forensics.demo.stage import Stage
from forensics.demo.tmrw import Texts, tell_texts
from forensics.demo.wpe import tell_images
from forensics.errors import UsageError
from forensics.evidence.check import check_case
from forensics.evidence.check_pdf import check_pdf
from forensics.evidence.provenance import PROVENANCE
from forensics.progress import silent
from forensics.training.loop import Schedule
from tests.cli.test_cli_espew import run
from tests.suspects.encoders import write_encoder
from tests.test_phrasepools import COMMON, corpus

pytestmark = pytest.mark.slow

OPTIONS = {"candidates": 36, "carriers": 4, "asked": 2}


def tell_wpe(out: Path) -> tuple[list[Examined], list[str]]:
    said: list[str] = []
    digits = load_digits().subset(np.arange(400))
    stage = Stage(out, said.append, silent)
    return tell_images(stage, digits, {**OPTIONS, "dimension": 8}, Schedule(3), 2, 0.0, epochs=1), said


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Examined], list[str]]:
    out = tmp_path_factory.mktemp("wpe") / "demo"
    return out, *tell_wpe(out)


def examined(name: str, found: list[Examined]) -> Examined:
    return next(each for each in found if each.name == name)


def entries_of(each: Examined) -> list[dict]:
    return [json.loads(line) for line in each.case.content["data/custody.jsonl"].splitlines()]


def test_three_suspects_are_examined_and_everything_can_be_checked(
    told: tuple[Path, list[Examined], list[str]],
) -> None:
    out, found, said = told
    assert [each.name for each in found] == list(SUSPECTS)
    root = out / "authority" / "root.pem"
    custody = {each.name: entries_of(each) for each in found}
    assert max(
        scored["utc"] for entries in custody.values() for scored in entries if scored["action"] == "score"
    ) <= min(entry["utc"] for entries in custody.values() for entry in entries if entry["action"] == "open")
    for each in found:
        result = check_case(each.case.path, trust=root)
        assert result.ok, result.reasons
        assert result.reproduced
        controls = [control.role for control in each.case.evidence.score.controls]
        assert controls == [*(["positive"] if each.name != "marked" else []), "predecessor"]
        assert each.case.evidence.score.controls[-1].provenance == PROVENANCE["predecessor"]
        added = next(entry for entry in custody[each.name] if entry["action"] == "add")
        assert added["item"] == "data/exhibits/suspect.txt"
        assert "signer" in added
    stolen = examined("stolen", found)
    assert stolen.case.evidence.score.measurement.access == "scores"
    assert stolen.case.evidence.answers.labels == ["even", "odd"]
    assert check_pdf(stolen.report, case=stolen.case.path, trust=root).ok
    assert any("of 36 units read back" in line for line in said)
    assert sum("new inputs" in line for line in said) == 2


def test_a_second_run_makes_nothing_anew_but_the_reports(
    told: tuple[Path, list[Examined], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, found, _ = told
    monkeypatch.setattr("forensics.demo.stage.write_report", lambda *_, **__: SimpleNamespace(sha256="0" * 64))
    before = {path: path.stat().st_mtime_ns for path in (out / "models").rglob("*.safetensors")}
    assert len(before) == 4
    again, said = tell_wpe(out)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert [each.case.manifest_sha256 for each in again] == [each.case.manifest_sha256 for each in found]
    assert not any("read back" in line for line in said)


def test_a_folder_holds_one_story(told: tuple[Path, list[Examined], list[str]]) -> None:
    stage = Stage(told[0], lambda line: None, silent)
    with pytest.raises(UsageError, match="another demonstration"):
        stage.make_key("tmrw", SUSPECTS)


def test_the_table_has_a_line_for_each_suspect(
    told: tuple[Path, list[Examined], list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[tuple[Path, str]] = []

    def remembered(out: Path, say: object, progress: object, method: str) -> list[Examined]:
        asked.append((out, method))
        return told[1]

    monkeypatch.setattr("forensics.demo.run_demo", remembered)
    monkeypatch.chdir(tmp_path)
    printed = run("demo", "--method", "wpe").splitlines()
    assert asked == [(Path("demo-out/wpe"), "wpe")]
    assert printed[1].split() == ["suspect", "verdict", "access", "chosen", "AUC", "exact", "p", "report"]
    for line, each in zip(printed[2:5], told[1]):
        measured = each.case.evidence.score.measurement
        assert line.split()[:4] == [
            each.name,
            each.case.evidence.score.verdict.outcome,
            measured.access,
            f"{measured.matched}/18",
        ]
        assert line.endswith(str(each.report))
        assert any(each.report_sha256 in other for other in printed[5:])


def test_the_story_of_a_text_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Path] = []

    def write(case: Path, out: Path, **_: object) -> SimpleNamespace:
        written.append(out)
        return SimpleNamespace(sha256="0" * 64)

    monkeypatch.setattr("forensics.demo.stage.write_report", write)
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 40)
    task = Task([f"the {('cat', 'dog')[label]} sat on the mat" for label in labels], labels, ("cat", "dog"))
    texts = Texts(
        write_encoder(tmp_path / "public", words=sorted(COMMON)), corpus(), sorted(set(corpus()))[:300], task, task
    )
    said: list[str] = []
    stage = Stage(tmp_path / "demo", said.append, silent)
    found = tell_texts(stage, texts, {**OPTIONS, "dimension": 16}, 2, 0.0, epochs=1)
    assert [path.stem for path in written] == list(SUSPECTS)
    assert [each.case.evidence.score.measurement.access for each in found] == ["features", "scores", "scores"]
    assert all(each.case.closed and each.case.opened for each in found)
    assert examined("honest", found).case.evidence.score.verdict.outcome != "SUPPORTED"
    assert said[0].startswith("Data: 300 sentences of the owner, 40 labelled texts")


def test_what_is_missing_is_said_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tuple(STORIES) == METHODS
    with pytest.raises(UsageError, match="no demonstration of 'espew'"):
        run_demo(tmp_path / "demo", print, method="espew")
    monkeypatch.setenv("FORENSICS_CACHE", str(tmp_path / "empty"))
    with pytest.raises(UsageError, match="make packages"):
        run_demo(tmp_path / "demo", print, method="tmrw")
    assert not (tmp_path / "demo").exists()


def test_a_file_in_the_folders_place_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    place = tmp_path / "notes.txt"
    place.write_text("mine", encoding="utf-8")
    said: list[str] = []
    with pytest.raises(UsageError, match="is a file, not a folder"):
        run_demo(place, said.append)
    assert (said, place.read_text(encoding="utf-8")) == ([], "mine")
