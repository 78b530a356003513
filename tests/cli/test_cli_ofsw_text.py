"""`key new`, `embed` and `examine` for a language model, from a text file to a case."""

import json
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from forensics.keys.folder import KeyFolder
from tests.cli.test_cli_espew import PASSPHRASE, refused, run
from tests.languagemodels import documents, write_language_model

MAKE = ("key", "new", "--owner", "Example owner", "--no-timestamp", "--grinding", "0", "--method", "ofsw-text")
SMALL = ("--bits", "16", "--banks", "2", "--option", "length=8", "--pool-size", "4")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("language")
    (root / "corpus.txt").write_text("\n".join(documents(80, 3)), encoding="utf-8")
    (root / "data.txt").write_text("\n".join(documents(120, 7)), encoding="utf-8")
    write_language_model(root / "unmarked")
    given = ("--corpus", root / "corpus.txt", "--reference-checkpoint", root / "unmarked", "--shares", "2")
    printed = run(*MAKE, root / "KEY", *given, *SMALL)
    assert "ofsw-text, 16 units, self-dated" in printed
    assert f"Next: forensics embed {root / 'KEY'} --model DIR" in printed
    return root


def test_the_key_commits_to_a_pool_a_share(place: Path) -> None:
    key = KeyFolder.open(place / "KEY")
    assert key.claim.parameters == {"bits": 16, "banks": 2, "length": 8}
    assert [pool.count for pool in key.claim.pools] == [5, 5]
    assert [entry.role for entry in key.claim.references] == ["clean-checkpoint"]
    pools = [{item.data for item in key.unlock(PASSPHRASE).pool(share).items[1:]} for share in range(2)]
    assert not pools[0] & pools[1]


def test_a_model_is_marked_with_all_shares_and_examined(place: Path) -> None:
    given = ("--model", place / "unmarked", "--data", place / "data.txt", "--out", place / "marked", "--steps", "60")
    done = json.loads(run("embed", place / "KEY", *given, "--json"))
    assert done["perplexity_after"] < done["perplexity_before"]
    assert [share["n"] for share in done["shares"]] == [16, 16]
    run("examine", place / "KEY", place / "marked", "--case", place / "case")
    evidence = json.loads((place / "case" / "data" / "evidence.json").read_text())
    assert evidence["answers"]["kind"] == "log-probabilities"
    assert len(evidence["answers"]["values"]) == 32


def test_last_blocks_alone_are_trained_or_refused(place: Path, tmp_path: Path) -> None:
    run(*MAKE, tmp_path / "KEY", "--corpus", place / "corpus.txt", "--reference-checkpoint", place / "unmarked", *SMALL)
    given = ("--model", place / "unmarked", "--data", place / "data.txt", "--steps", "2")
    embed = ("embed", tmp_path / "KEY", *given, "--out", tmp_path / "marked", "--last-blocks")
    refused((*embed, "3"), "has 2 blocks, not 3")
    assert not (tmp_path / "marked").exists()
    run(*embed, "1")
    weights = [load_file(folder / "model.safetensors") for folder in (place / "unmarked", tmp_path / "marked")]
    changed = {name for name, value in weights[0].items() if (value != weights[1][name]).any()}
    assert changed
    assert all(".h.1." in name for name in changed)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((), "passages from text"),
        (("--corpus", "corpus.txt"), "passages from text"),
        (("--reference-checkpoint", "unmarked"), "passages from text"),
        (("--corpus", "corpus.txt", "--reference-checkpoint", "nowhere"), "does not exist"),
        (
            ("--corpus", "corpus.txt", "--reference-checkpoint", "unmarked", "--option", "length=39"),
            "documents with 39 words",
        ),
    ],
)
def test_what_is_missing_or_too_little_is_said(place: Path, tmp_path: Path, given: tuple[str, ...], words: str) -> None:
    paths = [place / each if each in ("corpus.txt", "unmarked", "nowhere") else each for each in given]
    refused((*MAKE, tmp_path / "KEY", *paths), words)
    assert not (tmp_path / "KEY").exists()
