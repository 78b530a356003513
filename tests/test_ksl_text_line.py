"""From a key of keyed soft labels for texts to a checked case, its script and report: made-up words, a tiny BERT."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from forensics.canonical import now
from forensics.evidence.check import check_case
from forensics.examination import make_kit
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.keys.folder import KeyFolder
from forensics.training import ksl_text
from tests.checkedline import require_checked
from tests.cli.test_cli_espew import PASSPHRASE, refused, run
from tests.textclassifiers import save_texts, toy_texts, write_toy_classifier

pytestmark = pytest.mark.slow

POOL = 500
_FAST = replace(ksl_text.DEFAULT.schedule, steps=500, learning_rate=3e-3)


@dataclass(frozen=True)
class Story:
    """Folders: data, the owner's unmarked model, the key, and scored cases by suspect."""

    root: Path

    @property
    def stamped(self) -> tuple[object, ...]:
        return "--demonstration", self.root / "authority"

    @property
    def make(self) -> tuple[object, ...]:
        return "key", "new", "--method", "ksl-text", "--owner", "Example owner", "--grinding", "0"


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    root = tmp_path_factory.mktemp("ksl-text")
    save_texts(toy_texts(1200, 1), root / "data")
    save_texts(toy_texts(1100, 2), root / "pool")
    authority = DemonstrationAuthority.create()
    authority.save(root / "authority")
    (root / "signer.p12").write_bytes(authority.signer_p12(PASSPHRASE))
    (root / "root.pem").write_bytes(authority.root_pem)
    for seed, name in enumerate(("unmarked", "other", "sister")):
        write_toy_classifier(root / name, seed)
    story = Story(root)
    given = ("--pool", root / "pool", "--reference-checkpoint", root / "unmarked", "--examinations", "20")
    made = run(*story.make, root / "KEY", *given, *story.stamped)
    assert "ksl-text, 24 families" in made
    assert f"Next: forensics embed {root / 'KEY'} --model DIR" in made
    return story


@pytest.fixture(scope="module")
def marked(story: Story) -> dict[str, Any]:
    """What `embed` says of the marked model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ksl_text, "DEFAULT", replace(ksl_text.DEFAULT, schedule=_FAST, smoothing=0.3, batch_size=64))
        embed = ("embed", story.root / "KEY", "--model", story.root / "unmarked", "--data", story.root / "data")
        return dict(json.loads(run(*embed, "--out", story.root / "marked", *story.stamped, "--json")))


def examine(story: Story, suspect: str) -> Path:
    case = story.root / "cases" / suspect
    dates = ("--suspect-date", now().date().isoformat(), "--date-source", "a test")
    asked = ("--share", 0, "--spent", "--case", case, "--reference", story.root / "sister")
    run("examine", story.root / "KEY", story.root / suspect, *asked, *dates, *story.stamped)
    return case


def test_a_marked_model_is_found_and_everything_can_be_checked(
    story: Story, marked: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert marked["accuracy_after"] > 0.8
    assert marked["matched"] > 12
    case = Path(shutil.copytree(examine(story, "marked"), tmp_path / "case"))
    score = json.loads((case / "data" / "evidence.json").read_text())["score"]
    assert score["verdict"]["outcome"] == "SUPPORTED"
    assert float(score["measurement"]["p_value"]) <= 1e-6
    require_checked(story.root, case, story.root / "marked", POOL, story.stamped, monkeypatch)
    next(case.rglob("pool/0003.txt")).write_text("another text")
    assert not check_case(case).ok


def test_a_model_of_others_is_not_found(story: Story, marked: dict[str, Any]) -> None:
    score = json.loads((examine(story, "other") / "data" / "evidence.json").read_text())["score"]
    assert score["verdict"]["outcome"] != "SUPPORTED"
    assert float(score["measurement"]["p_value"]) > 1e-3


def test_what_is_sent_is_the_texts_and_not_the_table(story: Story) -> None:
    key = KeyFolder.open(story.root / "KEY").unlock(PASSPHRASE)
    sent = [(probe.data, probe.media_type) for probe in make_kit(key).plan.probes]
    assert len(sent) == POOL
    assert sorted(sent) == sorted((item.data, "text/plain") for item in key.pool(0).items[1:])


def test_what_does_not_suit_is_refused_in_a_sentence(story: Story, tmp_path: Path) -> None:
    root, make = story.root, (*story.make, tmp_path / "KEY", "--no-timestamp")
    named, pool = ("--reference-checkpoint", root / "unmarked"), ("--pool", root / "pool")
    refused((*make, *named), "--pool")
    refused((*make, *pool), "--reference-checkpoint")
    refused((*make, *named, "--pool", root / "nowhere"), "no data set")
    refused((*make, *named, *pool, "--pool-size", 2000), "different texts", "--pool-size")
    refused((*make, *named, *pool, "--option", "families=33"), "33 families do not fit")
    refused((*make, *named, *pool, "--pool-size", 20), "too few to tell 32 directions apart")
    refused((*make, *named, *pool, "--corpus", root / "pool"), "--corpus is not for ksl-text")
    save_texts(toy_texts(600, 3, classes=3), tmp_path / "three")
    refused((*make, *named, "--pool", tmp_path / "three"), "4 classes, the pool 3")
    assert not (tmp_path / "KEY").exists()
    run(*make, *named, *pool)
    embed = ("embed", tmp_path / "KEY", "--model", root / "unmarked", "--out", tmp_path / "marked")
    refused((*embed, "--data", tmp_path / "three"), "data set has 3 classes")
    refused((*embed, "--data", root / "data", "--from-scratch"), "--from-scratch")
    refused((*embed, "--data", root / "data", "--last-blocks", 1), "--last-blocks")
    assert not (tmp_path / "marked").exists()
