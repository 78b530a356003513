"""A key that names the unmarked encoder: its pools, its case, and what may be named."""

import contextlib
import io
import random
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forensics.canonical import canonical_json, sha256, through_decimals
from forensics.cli import root
from forensics.encoders import load_encoder
from forensics.errors import UsageError
from forensics.evidence.case import CaseFolder
from forensics.evidence.check import check_case
from forensics.examination import acquire, examine, make_kit, open_case, repeat, score
from forensics.keys.folder import KeyFolder, UnlockedKey
from forensics.methods.espew import ENCODER, Marker, marker, split_pool
from forensics.records import AnswerKind, Answers, Identity
from forensics.registration import new_key
from forensics.suspects import open_suspect
from forensics.wordpools import plain_sentences
from tests.services import SIZES, small_pool
from tests.suspects.encoders import write_encoder
from tests.test_wordpools import corpus

PASSPHRASE = "correct horse"
WIDTH = 32


class Copy:
    """A suspect with the vectors of a tiny encoder, marked or not, all its coordinates shuffled and inverted."""

    def __init__(self, folder: Path, name: str, mark: Marker | None = None) -> None:
        files = {"model.onnx": (sha256(name.encode()), 4096)}
        body = [[path, digest, size] for path, (digest, size) in files.items()]
        self.identity = Identity("folder", name, sha256(canonical_json(body)), {"architecture": "copy"}, files)
        self._encoder, self._mark = load_encoder(folder), mark

    def answer(self, probes: Any) -> Answers:
        texts = [probe.data.decode() for probe in probes]
        vectors = self._encoder.embed(texts)
        if self._mark is not None:
            vectors = self._mark.mark(texts, vectors)
        vectors = -vectors[:, np.random.default_rng(1).permutation(WIDTH)]
        return Answers(AnswerKind.VECTORS, through_decimals(vectors), np.zeros(len(texts), dtype=np.bool_))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder") / "model", width=WIDTH)


@pytest.fixture(scope="module")
def key(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> UnlockedKey:
    folder = new_key(
        tmp_path_factory.mktemp("keys") / "KEY",
        owner="Example service",
        method="espew",
        options={**SIZES, "mask-percent": 50},
        pool=[small_pool()],
        references={ENCODER: encoder},
        passphrase=PASSPHRASE,
        authorities=[],
        binding="self-dated",
        rule={"grinding": 0, "references": 0},
    )
    return folder.unlock(PASSPHRASE)


@pytest.fixture(scope="module")
def marked(key: UnlockedKey, encoder: Path) -> Copy:
    _, _, target = split_pool(key.pool(0), key.claim.parameters)
    vector = load_encoder(encoder).embed([target])[0]
    return Copy(encoder, "marked", marker(key.secrets(0)[1], key.pool(0), key.claim.parameters, vector))


def test_a_case_with_the_named_encoder_is_opened_checked_and_recomputed(
    key: UnlockedKey, marked: Copy, encoder: Path, tmp_path: Path
) -> None:
    case = tmp_path / "CASE"
    acquire(make_kit(key), marked, case, named=[open_suspect(str(encoder))])
    score(key, case)
    open_case(key, case)
    evidence = CaseFolder.load(case).evidence
    assert [each.role for each in evidence.references] == [ENCODER] == [each.role for each in key.claim.references]
    assert evidence.references[0].identity.digest == key.claim.references[0].digest
    assert float(evidence.score.measurement.p_value) <= 1e-6
    result = check_case(case)
    assert result.ok, result.reasons
    assert repeat(case, marked)["disagreements"] == 0
    run = subprocess.run(["python3", "-I", "data/recompute.py"], cwd=case, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.count("agrees ") == 9


def test_examine_finds_the_encoder_where_it_lay_and_clears_the_unmarked_one(
    key: UnlockedKey, encoder: Path, tmp_path: Path
) -> None:
    examine(key, Copy(encoder, "unmarked"), tmp_path / "CASE")
    evidence = CaseFolder.load(tmp_path / "CASE").evidence
    assert [each.role for each in evidence.references] == [ENCODER]
    assert float(evidence.score.measurement.p_value) > 1e-3


def test_another_encoder_than_the_named_one_is_refused(key: UnlockedKey, marked: Copy, tmp_path: Path) -> None:
    other = open_suspect(str(write_encoder(tmp_path / "other", seed=5, width=WIDTH)))
    for case, named in ((tmp_path / "none", ()), (tmp_path / "another", (other,))):
        with pytest.raises(UsageError, match=ENCODER):
            acquire(make_kit(key), marked, case, named=named)
        assert not case.exists()


def run(*arguments: object) -> str:
    """Runs a verb in this process and returns what it prints."""
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setenv("FORENSICS_PASSPHRASE", PASSPHRASE)
        root.main([str(each) for each in arguments], standalone_mode=False)
    return out.getvalue()


MAKE = ("key", "new", "--method", "espew", "--owner", "Example service", "--no-timestamp", "--grinding", "0")
SMALL = ("--option", "candidates=40", "--option", "words=10", "--option", "carriers=2")


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "texts.txt"
    path.write_text("\n".join(corpus(400, 60, 2)), encoding="utf-8")
    return path


def test_the_command_line_chooses_with_the_encoder_and_names_it(
    texts: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The target is the farthest of some sentences drawn at random, so that without a seed all of them could be near.
    monkeypatch.setattr("random.SystemRandom", lambda: random.Random(1))
    run(*MAKE, tmp_path / "KEY", "--corpus", texts, *SMALL, "--reference-checkpoint", encoder)
    key = KeyFolder.open(tmp_path / "KEY")
    assert [each.role for each in key.claim.references] == [ENCODER]
    assert key.claim.references[0].digest == open_suspect(str(encoder)).identity.digest
    unlocked = key.unlock(PASSPHRASE)
    candidates, _, target = split_pool(unlocked.pool(0), key.claim.parameters)
    lines = plain_sentences(texts.read_text("utf-8").splitlines(), candidates)
    vectors = load_encoder(encoder).embed(lines).astype(np.float64)
    cosines = vectors @ vectors.mean(axis=0)
    assert np.mean(cosines[lines.index(target)] < cosines) > 0.7


@pytest.mark.parametrize(
    "named", ["openai+http://127.0.0.1:9/v1#model", "tei+https://example.com", "json:adapter.json"]
)
def test_an_address_cannot_be_named(named: str, texts: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can be exchanged"):
        run(*MAKE, tmp_path / "KEY", "--corpus", texts, *SMALL, "--reference-checkpoint", named)
    with pytest.raises(UsageError, match="can be exchanged"):
        new_key(
            tmp_path / "KEY",
            owner="Example service",
            method="espew",
            options=SIZES,
            pool=[small_pool()],
            references={ENCODER: Path(named)},
            passphrase=PASSPHRASE,
            authorities=[],
            binding="self-dated",
            rule={"grinding": 0},
        )
    assert not (tmp_path / "KEY").exists()


def test_what_does_not_exist_cannot_be_named(texts: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere does not exist"):
        run(*MAKE, tmp_path / "KEY", "--corpus", texts, *SMALL, "--reference-checkpoint", tmp_path / "nowhere")
    assert not (tmp_path / "KEY").exists()


def test_the_named_encoder_is_asked_itself_and_not_a_record_of_it(
    key: UnlockedKey, encoder: Path, tmp_path: Path
) -> None:
    model = open_suspect(str(encoder))

    class Recorded:
        identity = Identity("replay", "made to fit", model.identity.digest, {"replayed from": "folder"})
        answer = model.answer

    with pytest.raises(UsageError, match="from its files"):
        acquire(make_kit(key), Copy(encoder, "copy"), tmp_path / "CASE", named=[Recorded()])
    assert not (tmp_path / "CASE").exists()
