from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from datasets import ClassLabel, Dataset, Features, Value

from forensics.attacks.folders import FOLDER_ATTACKS, attack_folder
from forensics.attacks.opened import OpenedShare
from forensics.attacks.tasks import load_texts
from forensics.checkpoints import load_classifier, save_classifier, save_folder
from forensics.cli.attack import attack
from forensics.encoders import load_encoder
from forensics.errors import ModelError, UsageError
from forensics.imageencoders import load_image_encoder
from forensics.textclassifiers import load_text_classifier
from forensics.training.classifier import small_resnet
from forensics.training.data import save_images
from tests.line import small_digits
from tests.suspects.encoders import TEXTS, write_encoder

QUICK = {"epochs": 1, "steps": 3}


def opened_share() -> OpenedShare:
    """A share of one image through four filters of two pixels a side, as it would stand in a case."""
    views = np.random.default_rng(5).integers(0, 256, (1, 4, 16, 16, 1), dtype=np.uint8)
    return OpenedShare(views, np.array([3]), np.eye(4)[None], np.array([1, 0, 0, 1]), (2, 2), 64.0)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A text encoder, an image classifier and its bare encoder, with a thief's texts and images."""
    root = tmp_path_factory.mktemp("folders")
    write_encoder(root / "text encoder")
    digits = small_digits(slice(0, 60))
    classifier = small_resnet(digits, 0, widths=(4, 8), depths=(1, 1))
    save_classifier(classifier, root / "image classifier", "# classifier\n")
    save_folder(root / "image encoder", "# bare\n", classifier.model.base_model, classifier.processor.save_pretrained)
    save_images(digits, root / "images")
    rows = {"text": ["the cat sat", "a dog ran", "cats", "dogs"] * 3, "label": [0, 1] * 6}
    features = Features({"text": Value("string"), "label": ClassLabel(names=["cat", "dog"])})
    Dataset.from_dict(rows, features=features).save_to_disk(str(root / "texts"))
    return root


CASES = [
    (name, kind)
    for name, entry in FOLDER_ATTACKS.items()
    for kind in entry.settings
    if (name, kind) != ("extract", "text encoder")  # of a classifier alone: see test_textextraction
]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_every_attack_gives_a_folder_that_can_be_examined(place: Path, tmp_path: Path, name: str, kind: str) -> None:
    out, entry = tmp_path / "out", FOLDER_ATTACKS[name]
    settings = {key: value for key, value in QUICK.items() if key in entry.settings[kind]}
    data = place / ("texts" if kind == "text encoder" else "images")
    given = {"data": data, "base": place / "text encoder", "opened": [opened_share()] if entry.opened else []}
    digest = attack_folder(name, place / kind, out, **given, settings=settings)
    assert len(digest) == 64
    if name.startswith("migrate"):
        loaded = load_text_classifier(out) if kind == "text encoder" else load_classifier(out)
        assert loaded.labels == (("cat", "dog") if kind == "text encoder" else small_digits(slice(0, 2)).names)
    elif kind == "text encoder":
        before, after = load_encoder(place / kind), load_encoder(out)
        assert after.settings.pooling.source == before.settings.pooling.source
        assert after.settings.max_tokens == before.settings.max_tokens == 32
        same = np.allclose(before.embed(TEXTS[:2]), after.embed(TEXTS[:2]), atol=1e-6)
        assert same == (name == "reset-words")  # of the same public model, so that nothing differs
    elif kind == "image encoder":
        load_image_encoder(out)
    else:
        assert load_classifier(out).labels == load_classifier(place / kind).labels


@pytest.mark.parametrize(
    ("name", "kind", "settings", "words"),
    [
        ("erase", "text encoder", {}, "no attack 'erase'"),
        ("finetune", "text encoder", {}, "no attack on this text encoder"),
        ("distil", "image classifier", {}, "no attack on this image classifier"),
        ("prune", "text encoder", {"shrae": 1.0}, "no setting 'shrae'"),
        ("migrate", "text encoder", {"epochs": float("nan")}, "cannot be used"),
        ("migrate", "text encoder", {"learning-rate": -1.0}, "cannot be used"),
        ("migrate", "text encoder", {}, "--data"),
        ("reset-words", "text encoder", {}, "--base"),
        ("unlearn", "text encoder", {}, "no attack on this text encoder"),
        ("unlearn", "image classifier", {}, "--data"),
        ("prune", "images", {}, "config.json is missing"),
    ],
)
def test_faults_write_nothing(place: Path, tmp_path: Path, name: str, kind: str, settings: dict, words: str) -> None:
    with pytest.raises((UsageError, ModelError), match=words):
        attack_folder(name, place / kind, tmp_path / "out", settings=settings)
    assert not list(tmp_path.iterdir())


def test_the_command(place: Path, tmp_path: Path) -> None:
    arguments = ["prune", "--model", place / "text encoder", "--out", tmp_path / "out", "--set", "share=0.5", "--json"]
    done = CliRunner().invoke(attack, [str(each) for each in arguments])
    assert done.exit_code == 0, done.output
    assert '"share": 0.5' in done.output
    weight = load_encoder(tmp_path / "out").model.encoder.layer[0].intermediate.dense.weight
    assert 0.2 < float((weight == 0).float().mean()) < 0.8


def test_texts_from_disk(place: Path, tmp_path: Path) -> None:
    task = load_texts(place / "texts")
    assert task.names == ("cat", "dog")
    assert task.labels.tolist() == [0, 1] * 6
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "train.csv").write_text("sentence,target\nfine day,good\nbad day,bad\n")
    named = load_texts(tmp_path / "csv")
    assert (named.names, named.labels.tolist()) == (("bad", "good"), [1, 0])
    Dataset.from_dict({"text": ["one", "two"]}).save_to_disk(str(tmp_path / "bare"))
    assert load_texts(tmp_path / "bare").names == ()
    Dataset.from_dict({"number": [1, 2]}).save_to_disk(str(tmp_path / "numbers"))
    with pytest.raises(UsageError, match="no column 'text'"):
        load_texts(tmp_path / "numbers")
    Dataset.from_dict({"text": ["one"], "label": [0.5]}).save_to_disk(str(tmp_path / "scores"))
    with pytest.raises(UsageError, match="no class numbers"):
        load_texts(tmp_path / "scores")
    with pytest.raises(UsageError, match="no data set"):
        load_texts(tmp_path / "nowhere")
