"""Shares spent one at a time: three of them in one model, opened with inclusion proofs, the rest secret and valid."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from forensics import examination
from forensics.canonical import canonical_json, now, sha256
from forensics.cli import root as command_line
from forensics.errors import CaseError, KeyFolderError, StorageError
from forensics.evidence.case import CLAIM, CaseFolder
from forensics.evidence.check import check_case
from forensics.examination import examine, open_case
from forensics.keys import examinations
from forensics.keys.folder import KeyFolder, UnlockedKey, show
from forensics.methods.cleancheckpoint import CLEAN
from forensics.registration import embed_key, new_key
from forensics.suspects import open_suspect
from tests.evidence.test_check_forgeries import forged
from tests.keys.conftest import MOMENT
from tests.line import PASSPHRASE, Line

pytestmark = pytest.mark.slow

TODAY = now().date().isoformat()

HEADS = ["ab" * 32, "cd" * 32, "ef" * 32]


def log_opening(key: KeyFolder, share: int, case: str = "CASE", transcript: str = HEADS[0]) -> None:
    key.log_opening(moment=MOMENT, case=case, transcript=transcript, share=share)


def log_examination(key: KeyFolder, share: int, transcript: str = HEADS[0], case: str = "CASE") -> int:
    return key.log_examination(moment=MOMENT, case=case, suspect="01" * 32, transcript=transcript, share=share)


def test_the_first_unspent_share_is_used_and_a_spent_one_only_when_told(key: KeyFolder) -> None:
    assert key.choose_share(None) == key.choose_share(0) == 0
    log_examination(key, 0)
    assert key.choose_share(None) == 0  # examined with, but nobody has seen it opened
    log_opening(key, 0, "first")
    log_opening(key, 0, "again", HEADS[1])
    assert key.choose_share(None) == 1
    with pytest.raises(
        KeyFolderError, match=r"^Share 0 was opened in first: .*Leave --share out to use share 1.*--spent"
    ):
        key.choose_share(0)
    assert key.choose_share(0, spent=True) == 0
    assert key.choose_share(None, spent=True) == 1
    log_examination(key, 1, HEADS[1])
    log_examination(key, 2, HEADS[2])
    for share in (1, 2):
        log_opening(key, share, f"case-{share}")
    with pytest.raises(KeyFolderError, match=r"^Every share of the key was opened, the last in case-2\."):
        key.choose_share(None)
    with pytest.raises(KeyFolderError, match=r"Make a new key, or add --spent"):
        key.choose_share(2)


def test_a_share_out_of_turn_is_refused_before_anything_is_asked(key: KeyFolder) -> None:
    with pytest.raises(KeyFolderError, match="Share 1 cannot be used before the shares ahead"):
        key.choose_share(1)
    with pytest.raises(KeyFolderError, match="no share 3"):
        key.choose_share(3)
    log_examination(key, 0)
    assert key.choose_share(1) == 1


def test_examinations_with_any_share_are_charged_together(key: KeyFolder) -> None:
    assert [log_examination(key, share, HEADS[share]) for share in range(3)] == [1, 2, 3]
    assert log_examination(key, 0, HEADS[1]) == 3


def test_openings_are_logged_once_and_damage_is_named(key: KeyFolder) -> None:
    for _ in range(2):
        log_opening(key, 0)
    log_opening(key, 0, "other", HEADS[1])
    lines = (key.path / "openings.jsonl").read_text().splitlines()
    assert [json.loads(line)["case"] for line in lines] == ["CASE", "other"]
    (key.path / "openings.jsonl").write_text(lines[0][:-1])
    for read in (lambda: key.openings, lambda: key.choose_share(None), lambda: show(key)):
        with pytest.raises(KeyFolderError, match=r"openings\.jsonl is damaged"):
            read()


def test_a_full_disk_leaves_the_log_as_it_was(key: KeyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    log_opening(key, 0)
    before = (key.path / "openings.jsonl").read_bytes()

    def full(*_: object) -> None:
        raise StorageError("The disk is full.", "Free some.")

    monkeypatch.setattr(examinations, "replace_file", full)
    with pytest.raises(StorageError):
        log_opening(key, 1)
    assert (key.path / "openings.jsonl").read_bytes() == before


def test_show_lists_the_shares_and_cleans_what_it_prints(key: KeyFolder) -> None:
    log_examination(key, 0, case="seen")
    log_opening(key, 0, "court\x1b[2J\nhere")
    assert show(key)["share_states"] == [
        {"share": 0, "spent": True, "opened_in": ["court\x1b[2J\nhere"], "examined_in": ["seen"]},
        {"share": 1, "spent": False, "opened_in": [], "examined_in": []},
        {"share": 2, "spent": False, "opened_in": [], "examined_in": []},
    ]
    printed = CliRunner().invoke(command_line, ["key", "show", str(key.path)]).output.splitlines()
    assert [line for line in printed if line.startswith("share ")] == [
        "share 0               spent, opened in court[2J here; examined in seen",
        "share 1               unspent",
        "share 2               unspent",
    ]
    as_json = json.loads(CliRunner().invoke(command_line, ["key", "show", str(key.path), "--json"]).output)
    assert as_json == show(key)


# One model with three shares, from the key to the second opened case.


@dataclasses.dataclass(frozen=True)
class Story:
    """Folders: key, marked model, and the opened cases of shares 0 and 1."""

    key: UnlockedKey
    marked: Path
    cases: tuple[Path, Path]


def run(*words: object) -> Any:
    done = CliRunner().invoke(command_line, [str(word) for word in words], env={"FORENSICS_PASSPHRASE": PASSPHRASE})
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def story(line: Line, tmp_path_factory: pytest.TempPathFactory) -> Story:
    place = tmp_path_factory.mktemp("shares")
    new_key(
        place / "key",
        owner="Example owner",
        method="ofsw",
        options={"bits": 32, "banks": 3},
        pool=line.owner,
        references={CLEAN: line.unmarked},
        passphrase=PASSPHRASE,
        authorities=[line.authority],
        binding="demonstration",
        shares=3,
        pool_size=16,
        rule={"alpha": "1e-3", "grinding": 0},
    )
    done = embed_key(
        place / "key",
        line.unmarked,
        line.owner,
        place / "marked",
        passphrase=PASSPHRASE,
        authority=line.authority,
        max_accuracy_drop=0.1,
        steps=130,
    )
    assert min(matched for matched, _ in done.read_back) >= 28
    cases = (place / "first", place / "second")
    for case in cases:
        stamped = (
            "--demonstration",
            line.authority_folder,
            "--suspect-date",
            now().date().isoformat(),
            "--date-source",
            "a test",
        )
        found = run("examine", place / "key", place / "marked", "--case", case, *stamped, "--json")
        assert found["verdict"] == "SUPPORTED"
        assert run("case", "open", case, place / "key", "--json")["share"] == cases.index(case)
    return Story(KeyFolder.open(place / "key").unlock(PASSPHRASE), place / "marked", cases)


def test_each_case_opens_its_own_share_with_its_own_proof(story: Story, line: Line, tmp_path: Path) -> None:
    root = tmp_path / "root.pem"
    root.write_bytes(line.authority.root_pem)
    for share, case in enumerate(story.cases):
        result = check_case(case)
        assert result.ok, result.reasons
        assert result.reproduced is True
        evidence = CaseFolder.load(case).evidence
        assert evidence.share.model_dump() == story.key.opening(share)
        assert len(evidence.share.proof) == 2
        # A look with another share is a further look: M was declared as 1, the second is charged as 2.
        assert evidence.score.verdict.examinations == share + 1
        assert evidence.score.verdict.outcome == "SUPPORTED"
    assert [state.spent for state in story.key.folder.shares] == [True, True, False]
    assert [state.opened_in for state in story.key.folder.shares] == [("first",), ("second",), ()]


def test_nothing_of_a_closed_share_lies_in_an_opened_case(story: Story) -> None:
    key = story.key
    for opened, case in enumerate(story.cases):
        closed = [share for share in range(3) if share != opened]
        secrets = [part for share in closed for part in (key.shares[share].seed, key.shares[share].salt)]
        secrets += [secret for share in closed for secret in key.secrets(share)]
        secrets += [item.data for share in closed for item in key.pool(share).items]
        secrets += [bytes.fromhex(str(item.entry["sha256"])) for share in closed for item in key.pool(share).items]
        files = [path.read_bytes() for path in case.rglob("*") if path.is_file()]
        for secret in secrets:
            assert not any(secret in content or secret.hex().encode() in content for content in files)


def test_the_marked_model_says_nothing_of_any_share(story: Story) -> None:
    for path in story.marked.iterdir():
        content = path.read_bytes()
        assert not any(share.seed in content or share.seed.hex().encode() in content for share in story.key.shares)


Body = dict[str, Any]
Forge = Callable[[dict[str, bytes], Body, Story], None]


def proof_of_another_share(files: dict[str, bytes], body: Body, story: Story) -> None:
    body["share"]["proof"] = story.key.opening(1)["proof"]


def opening_of_another_share(files: dict[str, bytes], body: Body, story: Story) -> None:
    opening = story.key.opening(1)
    body["share"] |= {name: opening[name] for name in ("seed", "salt", "proof")}


def leaf_that_was_not_committed(files: dict[str, bytes], body: Body, story: Story) -> None:
    body["share"] |= {"seed": "12" * 32, "salt": "34" * 32}


def index_beyond_the_key(files: dict[str, bytes], body: Body, story: Story) -> None:
    body["share"]["index"] = body["plan"]["share"] = 3


def root_that_suits_a_fresh_leaf(files: dict[str, bytes], body: Body, story: Story) -> None:
    body["claim"]["shares"]["root"] = "56" * 32
    files[CLAIM] = canonical_json(body["claim"])
    body["claim_digest"] = sha256(files[CLAIM])


def pool_of_another_share(files: dict[str, bytes], body: Body, story: Story) -> None:
    body["share"]["pool"] = story.key.opening(1)["pool"]
    for position, item in enumerate(story.key.pool(1).items):
        files[f"data/opened/share-0/pool/{position:04d}.png"] = item.data


def rule_that_is_milder(files: dict[str, bytes], body: Body, story: Story) -> None:
    body["claim"]["rule"] |= {"alpha": "0.5", "minimum_effect": "0.5"}
    files[CLAIM] = canonical_json(body["claim"])
    body["claim_digest"] = sha256(files[CLAIM])


def payload_that_was_chosen(files: dict[str, bytes], body: Body, story: Story) -> None:
    target = body["score"]["measurement"]["target"]
    target[0] = type(target[0])(1 - int(target[0]))


@pytest.mark.parametrize(
    ("forge", "words"),
    [
        (proof_of_another_share, "not among those that the claim commits to"),
        (opening_of_another_share, "not among those that the claim commits to"),
        (leaf_that_was_not_committed, "not among those that the claim commits to"),
        (index_beyond_the_key, "no share 3"),
        (root_that_suits_a_fresh_leaf, "timestamp of the claim does not verify"),
        (pool_of_another_share, "pool of the opened share is not the one"),
        (rule_that_is_milder, "timestamp of the claim does not verify"),
        (payload_that_was_chosen, "target"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_forged_opening_is_refused(story: Story, tmp_path: Path, forge: Forge, words: str) -> None:
    """Manifests, custody and share file are brought up to date, as anybody can."""
    opened = SimpleNamespace(opened=story.cases[0])
    target = forged(opened, tmp_path / "CASE", lambda files, body, _: forge(files, body, story))
    result = check_case(target)
    assert not result.ok
    assert any(words in reason for reason in result.reasons), result.reasons


def test_a_token_later_than_the_release_makes_the_claim_invalid(story: Story, line: Line, tmp_path: Path) -> None:
    copy = KeyFolder.open(shutil.copytree(story.key.folder.path, tmp_path / "key"))
    recorded = KeyFolder.open(copy.path).asset
    for name in ("asset.json", "asset.tst"):
        (copy.path / name).unlink()
    copy.record_asset(json.loads(recorded)["digest"], datetime(2001, 1, 1, tzinfo=UTC), None)
    key = dataclasses.replace(story.key, folder=copy)
    case = examine(key, open_suspect(str(story.marked)), tmp_path / "case", share=2)
    verdict = case.evidence.score.verdict
    assert (verdict.outcome, verdict.gates["G1"]) == ("INVALID_CLAIM", False)
    assert "the date of the claim's timestamp lies after the release date of the marked model" in verdict.reasons[0]


def test_a_kill_while_opening_spends_the_share_and_is_taken_up(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = KeyFolder.open(shutil.copytree(story.key.folder.path, tmp_path / "key"))
    key = dataclasses.replace(story.key, folder=copy)
    examine(key, open_suspect(str(story.marked)), tmp_path / "case", share=copy.choose_share(None))
    before = {path: path.read_bytes() for path in (tmp_path / "case").rglob("*") if path.is_file()}

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(examination, "replace_case", killed)
        with pytest.raises(KeyboardInterrupt):
            open_case(key, tmp_path / "case")
    assert {path: path.read_bytes() for path in (tmp_path / "case").rglob("*") if path.is_file()} == before
    assert copy.shares[2].spent
    assert open_case(key, tmp_path / "case").opened
    assert [opening.share for opening in copy.openings] == [0, 1, 2]


def test_a_case_that_cannot_be_opened_spends_nothing(story: Story, tmp_path: Path) -> None:
    copy = KeyFolder.open(shutil.copytree(story.key.folder.path, tmp_path / "key"))
    key = dataclasses.replace(story.key, folder=copy)
    examination.acquire(
        examination.make_kit(key, 2),
        open_suspect(str(story.marked)),
        tmp_path / "case",
        named=[open_suspect(place) for place in copy.paths.values()],
    )
    with pytest.raises(CaseError, match="not scored yet"):
        open_case(key, tmp_path / "case")
    assert not copy.shares[2].spent


def test_probes_are_of_the_first_unspent_share(story: Story, tmp_path: Path) -> None:
    key = story.key.folder.path
    made = run("probes", key, "--out", tmp_path / "kit", "--json")
    assert made["share"] == 2
    refused = CliRunner().invoke(
        command_line,
        ["probes", str(key), "--out", str(tmp_path / "other"), "--share", "1"],
        env={"FORENSICS_PASSPHRASE": PASSPHRASE},
    )
    assert isinstance(refused.exception, KeyFolderError)
    assert "Share 1 was opened in second" in str(refused.exception)
    assert not (tmp_path / "other").exists()
    assert run("probes", key, "--out", tmp_path / "other", "--share", "1", "--spent", "--json")["share"] == 1


def test_a_thief_with_the_opened_case_unlearns_that_share(story: Story, line: Line, tmp_path: Path) -> None:
    thief = ("--data", line.data, "--case", story.cases[0], "--set", "epochs=4", "--set", "learning-rate=1e-3")
    run("attack", "unlearn", "--model", story.marked, *thief, "--out", tmp_path / "out", "--json")
    copy = KeyFolder.open(shutil.copytree(story.key.folder.path, tmp_path / "key"))
    key = dataclasses.replace(story.key, folder=copy)
    suspect = open_suspect(str(tmp_path / "out"))
    found = examine(key, suspect, tmp_path / "case", share=0).evidence.score
    assert found.measurement.matched < 16  # below chance: the opposite was taught
    assert found.verdict.outcome != "SUPPORTED"
