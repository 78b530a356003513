"""`key new` for a service: pools from a corpus or from files, the next step, and what is refused."""

import contextlib
import io
import json
from pathlib import Path

import pytest

from forensics.cli import root
from forensics.errors import UsageError
from forensics.keys.folder import KeyFolder
from forensics.rules import power_of
from tests.services import CARRIERS, TARGETS, made_up_words
from tests.test_wordpools import corpus

PASSPHRASE = "correct horse"


def run(*arguments: object) -> str:
    """Runs a verb in this process and returns what it prints."""
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setenv("FORENSICS_PASSPHRASE", PASSPHRASE)
        root.main([str(each) for each in arguments], standalone_mode=False)
    return out.getvalue()


def refused(arguments: tuple[object, ...], *words: str) -> None:
    with pytest.raises(UsageError) as caught:
        run(*arguments)
    for word in words:
        assert word in str(caught.value)


MAKE = ("key", "new", "--method", "espew", "--owner", "Example service", "--no-timestamp", "--grinding", "0")
SMALL = ("--option", "words=10", "--option", "carriers=2")


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "texts.txt"
    path.write_text("\n".join(corpus()), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def key(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "KEY"
    made = run(*MAKE, path, "--corpus", texts, "--option", "candidates=40", *SMALL)
    assert f"Next: forensics protect serve {path} --upstream URL" in made
    assert "espew, 40 candidate words, 10 drawn, self-dated" in made
    return path


def test_a_key_from_a_corpus_commits_to_words_carriers_and_target(key: Path) -> None:
    claim = KeyFolder.open(key).claim
    expected = {"candidates": 40, "words": 10, "carriers": 2}
    assert expected | {"mask_percent": 20, "graded_percent": 20, "max_triggers": 4} == claim.parameters
    assert claim.pools[0].count == 43
    assert claim.rule.deciding == {"features": "rank sum of the trigger words"}
    assert claim.rule.minimum_effect == "0.75"
    assert claim.preprocessing.startswith("texts are sent as UTF-8")
    assert claim.labels == ()
    assert len(claim.carriers) == len(claim.target_text) == 64
    secret = [path.read_bytes() for path in key.iterdir()]
    assert not any(word.encode() in content for word in made_up_words(60) for content in secret)


def test_power_is_that_of_the_drawn_subset(key: Path) -> None:
    claim = KeyFolder.open(key).claim
    facts = json.loads(run("power", key, "--effect", "0.95", "--json"))
    assert facts["n"] == 40
    assert facts["chosen"] == 10
    assert facts["power"] == power_of(claim, 0.95, 1e-6)
    assert facts["needed"] == 4 * facts["needed_chosen"]
    assert power_of(claim) < power_of(claim, 0.9) < power_of(claim, 0.99)
    assert "words reach p <=" in run("power", key, "--effect", "0.95")


def test_probes_are_texts(key: Path, tmp_path: Path) -> None:
    run("probes", key, "--out", tmp_path / "kit")
    assert len(list((tmp_path / "kit").rglob("*.txt"))) >= 83


def test_own_files_set_how_many_words_and_carriers_there_are(tmp_path: Path) -> None:
    for name, lines in (("words", made_up_words(40)), ("carriers", CARRIERS[:2]), ("target", TARGETS[:1])):
        (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
    own = [value for name in ("words", "carriers", "target") for value in (tmp_path / name,)]
    options = ("--candidates-file", own[0], "--carriers-file", own[1], "--target-file", own[2])
    run(*MAKE, tmp_path / "KEY", *options, "--option", "words=10")
    assert KeyFolder.open(tmp_path / "KEY").claim.parameters["carriers"] == 2
    refused((*MAKE, tmp_path / "K2", *options, "--option", "words=10", "--shares", "2"), "target texts")
    refused((*MAKE, tmp_path / "K2", *options[:4], "--option", "words=10"), "--corpus", "--target-file")


def test_what_cannot_make_a_key_is_refused_in_a_sentence(texts: Path, key: Path, tmp_path: Path) -> None:
    path = tmp_path / "KEY"
    refused((*MAKE, path), "--corpus")
    refused((*MAKE, path, "--corpus", texts), "60 words", "200 are needed")
    refused((*MAKE, path, "--corpus", tmp_path / "none"), "does not exist")
    refused((*MAKE, path, "--corpus", texts, "--option", "candidates=40", *SMALL, "--bits", "64"), "'bits'")
    refused((*MAKE, path, "--corpus", texts, "--option", "candidates=forty", *SMALL), "no number")
    refused((*MAKE, path, "--corpus", texts, "--option", "candidates=40", *SMALL, "--grinding", "30"), "too few")
    refused(("key", "new", path, "--owner", "X", "--no-timestamp"), "--pool")
    assert not path.exists()
    model = ("--model", tmp_path, "--data", tmp_path, "--out", tmp_path / "out")
    refused(("embed", key, *model), "protect serve")


def test_power_of_an_unknown_test_is_refused(key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    from forensics import rules
    from forensics.methods import load_method

    class Other:
        spec = dataclasses.replace(load_method("espew").spec, test="blocks")

    monkeypatch.setattr(rules, "load_method", lambda name: Other)
    with pytest.raises(UsageError, match="'blocks' is not known"):
        power_of(KeyFolder.open(key).claim)
