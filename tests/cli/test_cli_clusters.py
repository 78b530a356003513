"""`key new` and `embed` for the keys of encoders: pools, what the claim says, what is kept, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from forensics.canonical import canonical_json, sha256
from forensics.images import decode_image
from forensics.keys.folder import KeyFolder
from forensics.methods import load_method
from forensics.records import Pool
from forensics.suspects import open_suspect
from forensics.training.data import ImageData, save_images
from tests.cli.test_cli_espew import PASSPHRASE, refused, run
from tests.services import CARRIERS, made_up_words
from tests.suspects.encoders import write_encoder
from tests.suspects.test_imageencoder import write_image_encoder
from tests.test_phrasepools import COMMON, corpus, pairs

MAKE = ("key", "new", "--owner", "Example owner", "--no-timestamp", "--grinding", "0")
SMALL = ("--option", "candidates=30", "--option", "carriers=4", "--option", "asked=2", "--option", "dimension=16")


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "texts.txt"
    path.write_text("\n".join(corpus()), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "data"
    pixels = np.random.default_rng(1).integers(0, 256, (60, 32, 32, 1), dtype=np.uint8)
    save_images(ImageData(list(pixels), np.zeros(60, dtype=np.int64), ("any",)), path)
    return path


@pytest.fixture(scope="module")
def made(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A key of two shares of phrases, and what was printed."""
    key = tmp_path_factory.mktemp("keys") / "KEY"
    return key, run(*MAKE, key, "--method", "tmrw", "--corpus", texts, "--shares", "2", *SMALL)


def carriers_of(pool: Pool, candidates: int) -> str:
    """What a claim says of a share's carriers, written out."""
    digests = [sha256(item.data) for item in pool.items]
    salted = {"candidates": sha256(canonical_json(digests[:candidates])), "carriers": digests[candidates:]}
    return sha256(canonical_json(salted))


def test_a_key_of_phrases_commits_to_its_carriers_and_shows_no_word(made: tuple[Path, str]) -> None:
    key, printed = made
    assert "tmrw, 30 candidate phrases, 15 drawn, self-dated" in printed
    assert f"Next: forensics embed {key} --model DIR --data DATA --out DIR" in printed
    claim = KeyFolder.open(key).claim
    assert claim.parameters == {"candidates": 30, "carriers": 4, "asked": 2, "dimension": 16}
    assert [pool.count for pool in claim.pools] == [34, 34]
    unlocked = KeyFolder.open(key).unlock(PASSPHRASE)
    assert claim.carriers == " ".join(carriers_of(unlocked.pool(share), 30) for share in range(2))
    assert claim.target_text is None
    assert claim.labels == ()
    assert claim.preprocessing.startswith("texts are sent as UTF-8")
    phrases = [item.data.decode() for share in range(2) for item in unlocked.pool(share).items[:30]]
    assert set(phrases) <= pairs()
    assert len(set(phrases)) == 60
    secret = [path.read_bytes() for path in key.iterdir()]
    assert not any(word.encode() in content for word in made_up_words(200) for content in secret)


def test_a_key_of_patterns_takes_its_size_from_the_pool_size(pictures: Path, tmp_path: Path) -> None:
    key = tmp_path / "KEY"
    made = run(*MAKE, key, "--method", "wpe", "--pool", pictures, "--pool-size", "30", *SMALL[2:])
    assert "wpe, 30 candidate patterns, 15 drawn, self-dated" in made
    claim = KeyFolder.open(key).claim
    assert claim.parameters == {"candidates": 30, "carriers": 4, "asked": 2, "dimension": 16}
    assert claim.preprocessing.startswith("the suspect's own preprocessor")
    pool = KeyFolder.open(key).unlock(PASSPHRASE).pool()
    assert claim.carriers == carriers_of(pool, 30)
    assert {decode_image(item.data).shape for item in pool.items} == {(32, 32, 1)}
    assert all(item.label is None for item in pool.items)


def test_without_options_the_methods_defaults_hold(texts: Path, tmp_path: Path) -> None:
    run(*MAKE, tmp_path / "KEY", "--method", "tmrw", "--corpus", texts)
    claim = KeyFolder.open(tmp_path / "KEY").claim
    assert claim.pools[0].count == 128
    assert claim.parameters == {option.name: option.default for option in load_method("tmrw").spec.options}


def test_own_phrases_and_carriers_set_how_many_there_are(tmp_path: Path) -> None:
    for name, lines in (("phrases", sorted(pairs())[:30]), ("carriers", CARRIERS)):
        (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
    own = ("--candidates-file", tmp_path / "phrases", "--carriers-file", tmp_path / "carriers")
    run(*MAKE, tmp_path / "KEY", "--method", "tmrw", *own, "--option", "asked=4")
    parameters = KeyFolder.open(tmp_path / "KEY").claim.parameters
    assert (parameters["candidates"], parameters["carriers"]) == (30, 4)
    make = (*MAKE, tmp_path / "K2", "--method", "tmrw", "--option", "asked=2")
    refused((*make, *own[:2]), "phrases and sentences", "--candidates-file and --carriers-file")
    refused((*make, *own, "--target-file", tmp_path / "carriers"), "--target-file is not for tmrw")
    (tmp_path / "phrases").write_text("one\n" * 30, encoding="utf-8")
    refused((*make, *own), "'one'")
    assert not (tmp_path / "K2").exists()


def test_what_cannot_make_such_a_key_is_refused_in_a_sentence(texts: Path, pictures: Path, tmp_path: Path) -> None:
    make = (*MAKE, tmp_path / "KEY", "--method")
    refused((*make, "tmrw"), "--corpus")
    refused((*make, "tmrw", "--pool", pictures), "--pool is not for tmrw", "phrases")
    refused((*make, "tmrw", "--corpus", texts, "--pool-size", "48"), "made of phrases", "Write --option candidates=N")
    refused((*make, "tmrw", "--corpus", texts, "--shares", "3"), "100 pairs", "288 are needed")
    refused((*make, "tmrw", "--corpus", texts, "--bits", "64"), "'bits'")
    refused((*make, "tmrw", "--corpus", texts, *SMALL, "--grinding", "30"), "too few")
    refused((*make, "tmrw", "--corpus", texts, *SMALL, "--reference-checkpoint", tmp_path), "names no model")
    refused((*make, "wpe"), "--pool")
    refused((*make, "wpe", "--corpus", texts), "--corpus is not for wpe")
    refused((*make, "wpe", "--pool", pictures, "--shares", "2"), "64 are needed")
    refused((*make, "wpe", "--pool", texts.parent), "data set")
    refused((*make, "ofsw", "--pool", pictures, "--carriers-file", texts), "--carriers-file is not for ofsw")
    refused((*make, "espew", "--corpus", texts, "--pool-size", "9"), "--pool-size is not for espew")
    assert not (tmp_path / "KEY").exists()


def test_the_help_says_which_method_an_option_is_for() -> None:
    listed = " ".join(run("key", "new", "--help").split())
    for words in (
        "carriers (wpe)",
        "(ofsw, t2s, ofsw-text, wpe)",
        "passages from (espew, tmrw, ofsw-text)",
        "two words (tmrw)",
    ):
        assert words in listed
    listed = " ".join(run("embed", "--help").split())
    assert "(tmrw, wpe); kept, or nothing is written" in listed


def test_a_text_encoder_is_marked_and_the_key_remembers_it(made: tuple[Path, str], tmp_path: Path) -> None:
    key, out = made[0], tmp_path / "out"
    model = write_encoder(tmp_path / "model", words=sorted(COMMON))
    data = tmp_path / "data.txt"
    data.write_text("\n".join(sorted(set(corpus()))[:400]), encoding="utf-8")
    embed = ("embed", key, "--model", model, "--data", data, "--steps", "2")
    refused((*embed, "--out", out, "--min-cosine", "1"), "mean cosine", "--min-cosine", "nothing was written")
    refused((*embed, "--out", out, "--data", tmp_path / "none"), "does not exist")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.txt", "model"]
    assert KeyFolder.open(key).asset is None
    done = json.loads(run(*embed, "--out", out, "--min-cosine", "0", "--json"))
    assert done.keys() == {"out", "digest", "cosine", "cosine_low", "held_out", "matched", "n", "shares"}
    assert (done["n"], len(done["shares"])) == (60, 2)
    assert 58 <= done["held_out"] <= 60
    assert json.loads(KeyFolder.open(key).asset or b"")["digest"] == done["digest"]
    assert open_suspect(str(out)).identity.digest == done["digest"]
    refused((*embed, "--out", tmp_path / "again"), "marked a model already")


def test_an_image_encoder_is_marked_and_the_sentence_says_what_was_kept(tmp_path: Path) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (80, 32, 32, 3), dtype=np.uint8)
    save_images(ImageData(list(pixels), np.zeros(80, dtype=np.int64), ("any",)), tmp_path / "data")
    key, out = tmp_path / "KEY", tmp_path / "out"
    run(*MAKE, key, "--method", "wpe", "--pool", tmp_path / "data", *SMALL[:-1], "dimension=12")
    model = write_image_encoder(tmp_path / "model")
    made = run(
        *("embed", key, "--model", model, "--data", tmp_path / "data", "--out", out, "--steps", "2"),
        *("--min-cosine", "0"),
    )
    assert made.startswith(f"Wrote {out}: ")
    assert "of 30 units read back; cosine with the vectors before 0." in made
    assert "on 11 held-out images." in made
    recorded = json.loads(KeyFolder.open(key).asset or b"")["digest"]
    assert open_suspect(str(out)).identity.digest == recorded
