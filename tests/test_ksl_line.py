"""From a key of keyed soft labels to a checked case, its script and its report: small digits, a tiny ResNet."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from forensics.canonical import canonical_json, now
from forensics.checkpoints import save_classifier
from forensics.cli.results import print_result
from forensics.errors import CaseError
from forensics.evidence.arithmetic import compare_ranks
from forensics.evidence.case import CaseFolder
from forensics.evidence.check import check_case
from forensics.evidence.comparison import Comparison
from forensics.examination import make_kit
from forensics.keys.claim import Claim
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.keys.folder import KeyFolder
from forensics.training.classifier import small_resnet, train
from forensics.training.data import save_images
from forensics.training.loop import Schedule
from tests.checkedline import require_checked
from tests.cli.test_cli_espew import PASSPHRASE, refused, run
from tests.line import small_digits

pytestmark = pytest.mark.slow

FAMILIES, POOL = 16, 150


@dataclass(frozen=True)
class Story:
    """Folders: the owner's unmarked model, the key, the model that it marked, and scored cases by suspect."""

    root: Path

    def case(self, name: str) -> Path:
        return self.root / "cases" / name

    @property
    def stamped(self) -> tuple[object, ...]:
        return "--demonstration", self.root / "authority"


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    root = tmp_path_factory.mktemp("ksl")
    owner = small_digits(slice(0, 600))
    save_images(owner, root / "data")
    save_images(small_digits(slice(0, POOL)), root / "pool")
    authority = DemonstrationAuthority.create()
    authority.save(root / "authority")
    (root / "signer.p12").write_bytes(authority.signer_p12(PASSPHRASE))
    (root / "root.pem").write_bytes(authority.root_pem)
    for seed, name in enumerate(("unmarked", "other", "sister")):
        classifier = small_resnet(owner, seed, widths=(16, 32), depths=(1, 1))
        train(classifier, owner, Schedule(120, learning_rate=3e-3), seed)
        save_classifier(classifier, root / name, f"# {name}\n")
    story = Story(root)
    make = ("--method", "ksl", "--pool", root / "pool", "--pool-size", POOL, "--option", f"families={FAMILIES}")
    named = ("--reference-checkpoint", root / "unmarked", "--reference-checkpoint", root / "sister")
    rule = (*named, "--grinding", "0", "--examinations", "20")
    made = run("key", "new", root / "KEY", "--owner", "Example owner", *make, *rule, *story.stamped)
    assert f"ksl, {FAMILIES} families" in made
    return story


@pytest.fixture(scope="module")
def marked(story: Story) -> dict[str, Any]:
    """The model marked from first weights, and what `embed` says of it."""
    embed = ("embed", story.root / "KEY", "--model", story.root / "unmarked", "--data", story.root / "data")
    how = ("--out", story.root / "marked", "--steps", "300", "--from-scratch", "--max-accuracy-drop", "10")
    return dict(json.loads(run(*embed, *how, *story.stamped, "--json")))


def examine(story: Story, suspect: str, *more: object) -> dict[str, Any]:
    asked = ("--share", 0, "--spent", "--case", story.case(suspect), "--reference", story.root / "other", *more)
    dates = ("--suspect-date", now().date().isoformat(), "--date-source", "a test")
    return dict(
        json.loads(run("examine", story.root / "KEY", story.root / suspect, *asked, *dates, *story.stamped, "--json"))
    )


@pytest.fixture(scope="module")
def found(story: Story, marked: dict[str, Any]) -> dict[str, Any]:
    assert marked["matched"] > FAMILIES // 2
    return examine(story, "marked", "--predecessor", story.root / "unmarked")


def test_a_marked_model_is_found_and_everything_can_be_checked(
    story: Story, found: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (found["verdict"], found["access"], found["n"]) == ("SUPPORTED", "scores", FAMILIES)
    assert found["p_value"] <= 1e-6
    case = Path(shutil.copytree(story.case("marked"), tmp_path / "case"))
    require_checked(story.root, case, story.root / "marked", POOL, story.stamped, monkeypatch)


def test_a_model_of_others_is_not_found(story: Story, marked: dict[str, Any]) -> None:
    other = examine(story, "unmarked")
    assert other["verdict"] != "SUPPORTED"
    assert other["p_value"] > 1e-3
    references = json.loads((story.case("unmarked") / "data" / "evidence.json").read_text())["references"]
    assert [each["role"] for each in references] == ["clean-checkpoint", "clean-checkpoint-2"]


def test_the_terminal_speaks_of_families(
    story: Story, found: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    print_result(CaseFolder.load(story.case("marked")), as_json=False)
    printed = capsys.readouterr().out
    assert (
        f"in {found['matched']} of {FAMILIES} families the class that the key drew stands alone at the top" in printed
    )
    planned = run("power", story.root / "KEY", "--effect", "0.9")
    assert f"{FAMILIES} families reach p <= 1.0e-06" in planned


def test_figures_that_do_not_follow_from_others_are_found(story: Story, found: dict[str, Any]) -> None:
    evidence = CaseFolder.load(story.case("marked")).evidence
    claim = Claim.parse(canonical_json(evidence.claim))

    def differences(**changes: object) -> list[str]:
        body = evidence.model_dump(mode="json")
        measured, effect = body["score"]["measurement"], body["score"]["measurement"]["effect"]
        for name, value in changes.items():
            (effect if name in effect else measured)[name] = value
        comparison = Comparison()
        compare_ranks(comparison, claim, type(evidence).model_validate(body))
        return comparison.differences

    assert differences() == []
    for name, value in (
        ("p_value", "1e-12"),
        ("matched", 1),
        ("matched", FAMILIES + 1),
        ("upper_99", "0.5"),
        ("power", "1.0"),
        ("bayes_factor_log10", "3.5"),
        ("context", {"classes": "9.0", "left open": "0.0"}),
    ):
        assert differences(**{name: value}), name
    with pytest.raises(CaseError, match="makes no sense"):
        differences(context={"classes": "10.0", "left open": "16.0"})


def test_what_does_not_suit_is_refused_in_a_sentence(story: Story, tmp_path: Path) -> None:
    make = ("key", "new", tmp_path / "KEY", "--method", "ksl", "--owner", "Example owner", "--no-timestamp")
    named = ("--reference-checkpoint", story.root / "unmarked")
    refused((*make, *named), "--pool")
    refused((*make, "--pool", story.root / "pool", "--pool-size", POOL), "clean-checkpoint")
    refused((*make, *named, "--pool", story.root / "pool"), "500 candidates")
    sized = (*make, *named, "--pool", story.root / "pool", "--pool-size", POOL)
    refused((*sized, "--bits", "64"), "'bits'")
    refused((*sized, *named), "one and the same model")
    refused((*sized, *named * 4), "5 models were given; a claim for ksl names 4 at the most")
    assert not (tmp_path / "KEY").exists()
    refused((*sized, "--option", "families=6"), "families is too little")
    refused((*sized, "--option", "families=50"), "50 is not possible")
    assert not (tmp_path / "KEY").exists()


def test_pixels_that_are_gone_leave_nothing_to_read(story: Story, found: dict[str, Any], tmp_path: Path) -> None:
    case = Path(shutil.copytree(story.case("marked"), tmp_path / "case"))
    run("case", "open", case, story.root / "KEY")
    next(case.rglob("pool/0003.png")).unlink()
    result = check_case(case)
    assert not result.ok
    assert not result.reproduced


def test_only_a_method_that_says_so_is_trained_from_scratch(story: Story, tmp_path: Path) -> None:
    make = ("--method", "ofsw", "--owner", "Example owner", "--no-timestamp", "--pool", story.root / "pool")
    sized = ("--pool-size", 16, "--bits", 16, "--banks", 2, "--reference-checkpoint", story.root / "unmarked")
    run("key", "new", tmp_path / "KEY", *make, *sized)
    embed = ("embed", tmp_path / "KEY", "--model", story.root / "unmarked", "--data", story.root / "data")
    refused((*embed, "--out", tmp_path / "marked", "--from-scratch"), "has learned its task", "--from-scratch")
    refused((*embed, "--out", tmp_path / "marked", "--last-blocks", 2), "blocks of a language model", "--last-blocks")
    assert [path.name for path in tmp_path.iterdir()] == ["KEY"]


def test_what_is_sent_is_the_pool_and_nothing_else(story: Story) -> None:
    key = KeyFolder.open(story.root / "KEY").unlock(PASSPHRASE)
    sent = [probe.data for probe in make_kit(key).plan.probes]
    assert len(sent) == POOL
    assert sorted(sent) == sorted(item.data for item in key.pool(0).items)
