"""Marking text encoders through `embed`: what is kept, what is refused, and what a kill leaves."""

import functools
import hashlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from forensics.encoders import load_encoder, read_encoder_identity
from forensics.errors import UsageError
from forensics.images import encode_png
from forensics.keys.derive import ProbeKey, ScoreKey
from forensics.methods.tmrw import METHOD
from forensics.records import Pool, PoolItem
from forensics.training import embed as trainer
from forensics.training import encodermaterial, tmrw
from forensics.training.embed import Embedded, Limits, MarkedShare, Marking, embed
from forensics.training.encodermaterial import FEWEST, ImageMaterial, TextMaterial
from forensics.training.loop import Checkpoint, Schedule
from tests.services import CARRIERS, made_up_words
from tests.suspects.encoders import write_encoder

SECRETS = (ProbeKey(hashlib.sha256(b"p").digest()), ScoreKey(hashlib.sha256(b"s").digest()))
ANY = Limits(cosine=0.0)


def texts(count: int = 150) -> list[str]:
    animals, places = ("cat", "dog", "bird", "mouse", "cow"), ("mat", "tree", "river", "house", "hill", "road")
    return [f"The {animals[n % 5]} number {n} sat near the {places[n % 6]}." for n in range(count)]


@pytest.fixture(scope="module")
def unmarked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder") / "unmarked")


@pytest.fixture(scope="module")
def marking() -> Marking:
    words = made_up_words(56)
    phrases = [f"{first} {second}" for first, second in zip(words[::2], words[1::2])]
    pool = Pool(tuple(PoolItem(text.encode(), "text/plain") for text in (*phrases, *CARRIERS)))
    parameters = METHOD.parameters({"candidates": 28, "carriers": 4, "asked": 2, "dimension": 16}, pool, ())
    return Marking("tmrw", (MarkedShare(SECRETS, pool),), parameters, (), "0" * 64)


def embed_noting(unmarked: Path, tmp_path: Path, marking: Marking, steps: int, seen: list[str]) -> Embedded:
    """Marks the encoder and notes the digest that would be recorded."""
    out = tmp_path / "out"
    return embed(
        unmarked, texts(), out, marking, limits=ANY, steps=steps, record=lambda each, _: seen.append(each.digest)
    )


def test_a_marked_encoder_is_a_folder_like_its_source(unmarked: Path, marking: Marking, tmp_path: Path) -> None:
    seen: list[str] = []
    done = embed_noting(unmarked, tmp_path, marking, 3, seen)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert seen == [done.identity.digest] == [read_encoder_identity(tmp_path / "out").digest]
    assert done.identity.digest != read_encoder_identity(unmarked).digest
    assert (done.held_out, done.of) == (22, 28)
    assert 0 <= done.matched <= 28
    assert done.figures.keys() == {"cosine", "cosine_low"}
    assert 0.0 < done.figures["cosine_low"] < done.figures["cosine"] < 1.0
    assert f"{done.figures['cosine']:.4f} in the mean" in done.sentence
    files = [path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()]
    for secret in (b"zqaaa", CARRIERS[0].encode(), b"0" * 64, b"trigger", b"watermark"):
        assert not any(secret in content.lower() for content in files)


def test_the_cosine_is_that_of_held_out_texts_with_the_unmarked_encoder(
    unmarked: Path, marking: Marking, tmp_path: Path
) -> None:
    done = embed(unmarked, texts(), tmp_path / "out", marking, limits=ANY, steps=3)
    held = TextMaterial(unmarked, texts(), marking, ANY, 0)._held
    assert len(held) == done.held_out
    before, after = (load_encoder(folder).embed(held).astype(np.float64) for folder in (unmarked, tmp_path / "out"))
    cosines = (before * after).sum(axis=1) / np.linalg.norm(before, axis=1) / np.linalg.norm(after, axis=1)
    assert done.figures["cosine"] == pytest.approx(cosines.mean(), abs=1e-6)
    assert done.figures["cosine_low"] == pytest.approx(np.quantile(cosines, 0.05), abs=1e-6)


def test_vectors_that_cannot_be_kept_write_nothing(unmarked: Path, marking: Marking, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"mean cosine of 0\.\d+ .* 1\.0000 is the least, so nothing.*--min-cosine"):
        embed(unmarked, texts(), tmp_path / "out", marking, limits=Limits(cosine=1.0), steps=2)
    assert list(tmp_path.iterdir()) == []


def test_carriers_are_in_no_part_of_the_data_and_nothing_stands_in_both(unmarked: Path, marking: Marking) -> None:
    data = [*texts(60), f"Before. {CARRIERS[1]} After.", CARRIERS[0], *texts(60)]
    material = TextMaterial(unmarked, data, marking, ANY, 0)
    assert not set(material.rest()) & set(material._held)
    assert set(material.rest()) | set(material._held) == set(texts(60))
    assert material.held_out == len(material._held) == 9
    other = TextMaterial(unmarked, data, marking, ANY, 1)
    assert other._held != material._held
    assert other.data_digest == material.data_digest != TextMaterial(unmarked, texts(60), marking, ANY, 0).data_digest


def killed_at(monkeypatch: pytest.MonkeyPatch, stop: int) -> None:
    """The run ends at that step as if somebody had pulled the plug."""
    step = tmrw.Embedding.step

    def killed(self: tmrw.Embedding, index: int) -> torch.Tensor:
        if index == stop:
            raise KeyboardInterrupt
        return step(self, index)

    monkeypatch.setattr(tmrw.Embedding, "step", killed)


def test_a_run_that_was_killed_is_taken_up_as_the_same_run(
    unmarked: Path, marking: Marking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "Checkpoint", functools.partial(Checkpoint, every=3))
    settings = {"limits": ANY, "steps": 8}
    straight = embed(unmarked, texts(), tmp_path / "straight", marking, **settings)
    with monkeypatch.context() as patch:
        killed_at(patch, 7)
        with pytest.raises(KeyboardInterrupt):
            embed(unmarked, texts(), tmp_path / "out", marking, **settings)
    assert [path.name for path in (tmp_path / "out.partial").iterdir()] == ["state.pt"]
    for changed in ({"seed": 1}, {"limits": Limits(cosine=0.1)}, {"steps": 7}):
        with pytest.raises(UsageError, match="other settings"):
            embed(unmarked, texts(), tmp_path / "out", marking, **{**settings, **changed})
    with pytest.raises(UsageError, match="other settings"):
        embed(unmarked, texts(149), tmp_path / "out", marking, **settings)
    with monkeypatch.context() as patch:
        killed_at(patch, 5)  # it goes on after the checkpoint, not from the start
        done = embed(unmarked, texts(), tmp_path / "out", marking, **settings)
    assert done.identity.digest == straight.identity.digest
    assert done.figures == straight.figures
    assert {path.name for path in tmp_path.iterdir()} == {"out", "straight"}


def test_a_kill_between_record_and_rename_is_finished_without_training(
    unmarked: Path, marking: Marking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def killed(identity, _) -> None:
        seen.append(identity.digest)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed(unmarked, texts(), tmp_path / "out", marking, limits=ANY, steps=2, record=killed)
    killed_at(monkeypatch, 0)
    done = embed_noting(unmarked, tmp_path, marking, 2, seen)
    assert seen == [done.identity.digest] * 2
    assert (done.held_out, done.of) == (22, 28)


def test_what_does_not_suit_the_key_is_refused_before_training(
    unmarked: Path, marking: Marking, tmp_path: Path
) -> None:
    wide = write_encoder(tmp_path / "wide", width=32)
    with pytest.raises(UsageError, match=r"have 32 coordinates; the key was made for 16.*dimension=32"):
        embed(wide, texts(), tmp_path / "out", marking)
    with pytest.raises(UsageError, match=f"{FEWEST - 1} different texts"):
        embed(unmarked, [*texts(FEWEST - 1), *CARRIERS, *texts(5)], tmp_path / "out", marking)
    headed = tmp_path / "headed"
    shutil.copytree(unmarked, headed)
    config = json.loads((headed / "config.json").read_text())
    (headed / "config.json").write_text(json.dumps({**config, "architectures": ["BertForSequenceClassification"]}))
    with pytest.raises(UsageError, match="holds a classifier"):
        embed(headed, texts(), tmp_path / "out", marking)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.partial").exists()


class FakeEncoder:
    """An image encoder of the mean and the corner pixel, in place of a folder's."""

    def __init__(self, folder: Path) -> None:
        self.model, self.channels, self.width = torch.nn.Linear(2, 2), 1, 2
        self.identity = SimpleNamespace(digest=str(folder))

    def embed(self, images: np.ndarray) -> np.ndarray:
        given = torch.tensor([[float(image.mean()), float(image[0, 0, 0])] for image in images])
        return self.model(given).numpy().astype(np.float32)


def test_images_must_have_the_patterns_size_and_carriers_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encodermaterial, "load_image_encoder", FakeEncoder)
    images = np.random.default_rng(1).integers(0, 256, (50, 8, 8, 1), dtype=np.uint8)
    pool = Pool(tuple(PoolItem(encode_png(image)) for image in images[:12]))
    parameters = {"candidates": 8, "carriers": 4, "dimension": 2}
    marking = Marking("wpe", (MarkedShare(SECRETS, pool),), parameters, (), "0" * 64)
    data = np.concatenate([images[8:], images[30:]])
    material = ImageMaterial(Path("any"), data, marking, ANY, 0)
    found = [image.tobytes() for image in (*material.rest(), *material._held)]
    assert len(found) == len(set(found)) == 38
    assert set(found) == {image.tobytes() for image in images[12:]}
    assert material.measure().shape == (material.held_out, 2)
    assert np.allclose((material.measure() ** 2).sum(axis=1), 1.0)
    for wrong in (images[:, :4], np.repeat(images, 3, axis=3)):
        with pytest.raises(UsageError, match="the key's patterns of 8 x 8 pixels, 1 channel"):
            ImageMaterial(Path("any"), wrong, marking, ANY, 0)
    with pytest.raises(UsageError, match="0 different images"):
        ImageMaterial(Path("any"), images[8:12], marking, ANY, 0)


def test_default_recipes_have_a_schedule() -> None:
    assert isinstance(tmrw.DEFAULT.schedule, Schedule)
