"""Hostile and broken model folders."""

import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from forensics.checkpoints import load_classifier, read_identity, save_classifier
from forensics.errors import ForensicsError, ModelError, UsageError
from forensics.images import encode_png
from forensics.records import AnswerKind, Probe
from forensics.suspects import open_suspect
from forensics.suspects.folder import FolderSuspect
from forensics.training.classifier import small_resnet
from forensics.training.data import ImageData


def _data() -> ImageData:
    images = [np.random.default_rng(i).integers(0, 256, (16, 16, 1), dtype=np.uint8) for i in range(8)]
    return ImageData(images, np.arange(8) % 4, ("a", "b", "c", "d"))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "small"
    save_classifier(small_resnet(_data(), 0, widths=(4, 4), depths=(1, 1)), folder, "# small\n")
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "model"))


def _probes(n: int) -> list[Probe]:
    return [Probe(encode_png(image)) for image in _data().images[:n]]


def _edit(path: Path, **changes: object) -> None:
    body = json.loads(path.read_text())
    path.write_text(json.dumps({**body, **changes}))


def test_answers_are_logits_that_their_decimals_reproduce(folder: Path) -> None:
    answers = FolderSuspect.load(folder).answer(_probes(5))
    assert answers.kind is AnswerKind.LOGITS
    assert answers.values.shape == (5, 4)
    assert answers.labels == ("a", "b", "c", "d")
    assert [[float(repr(v)) for v in row] for row in answers.values.tolist()] == answers.values.tolist()
    assert [[float(str(np.float32(v))) for v in row] for row in answers.values] == answers.values.tolist()


def test_the_same_probes_give_the_same_answers(folder: Path) -> None:
    suspect = FolderSuspect.load(folder)
    assert np.array_equal(suspect.answer(_probes(8)).values, suspect.answer(_probes(8)).values)


def test_identity_names_every_file_that_is_read(folder: Path) -> None:
    before = read_identity(folder)
    assert set(before.files) == {"config.json", "preprocessor_config.json", "model.safetensors"}
    (folder / "README.md").write_text("changed")
    assert read_identity(folder).digest == before.digest
    _edit(folder / "config.json", problem_type="single_label_classification")
    assert read_identity(folder).digest != before.digest


def test_text_probes_are_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="not images"):
        FolderSuspect.load(folder).answer([Probe(b"text", "text/plain")])


def test_not_finite_answers_are_missing(folder: Path) -> None:
    import torch

    suspect = FolderSuspect.load(folder)
    with torch.no_grad():
        next(iter(suspect.classifier.model.classifier.parameters())).fill_(float("nan"))
    answers = suspect.answer(_probes(3))
    assert answers.missing.all()
    assert np.isnan(answers.values).all()


def _no_folder(folder: Path) -> None:
    shutil.rmtree(folder)


def _no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def _no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def _pickle_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _own_code(folder: Path) -> None:
    _edit(folder / "config.json", auto_map={"AutoConfig": "evil.Config"})


def _own_processor_code(folder: Path) -> None:
    _edit(folder / "preprocessor_config.json", auto_map={"AutoImageProcessor": "evil.Processor"})


def _no_processor(folder: Path) -> None:
    (folder / "preprocessor_config.json").unlink()


def _huge_input(folder: Path) -> None:
    _edit(folder / "preprocessor_config.json", size={"height": 100000, "width": 100000})


def _huge_layers(folder: Path) -> None:
    _edit(folder / "config.json", depths=[10**9])


def _huge_width(folder: Path) -> None:
    _edit(folder / "config.json", hidden_sizes=[10**9, 10**9])


def _wider_than_the_weights(folder: Path) -> None:
    _edit(folder / "config.json", hidden_sizes=[4096, 4096])


def _language_model(folder: Path) -> None:
    _edit(folder / "config.json", model_type="gpt2")


def _unknown_model(folder: Path) -> None:
    _edit(folder / "config.json", model_type="nothing-of-the-kind")


def _no_json(folder: Path) -> None:
    (folder / "config.json").write_bytes(b"\xff{")


def _deep_json(folder: Path) -> None:
    (folder / "config.json").write_text("[" * 100_000)


def _adapter(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")


def _outside(folder: Path) -> None:
    elsewhere = folder.parent / "elsewhere.safetensors"
    (folder / "model.safetensors").rename(elsewhere)
    (folder / "model.safetensors").symlink_to(elsewhere)


def _shard_outside(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder.parent / "shard.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": "../shard.safetensors"}}))


def _truncated(folder: Path) -> None:
    raw = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(raw[:-100])


def _header_lies(folder: Path) -> None:
    header = json.dumps({"x": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 16)


def _header_rubbish(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 20) + b"x" * 40)


def _endless_header(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + b"x" * 40)


BROKEN = [value for name, value in list(globals().items()) if name.startswith("_") and callable(value)]
BROKEN = [value for value in BROKEN if value.__name__ not in {"_data", "_probes", "_edit"}]


@pytest.mark.parametrize("damage", BROKEN, ids=lambda f: f.__name__.strip("_"))
def test_broken_folders_end_in_one_sentence(folder: Path, damage) -> None:
    damage(folder)
    with pytest.raises(ModelError) as caught:
        load_classifier(folder)
    assert caught.value.exit_code == 2
    assert caught.value.cause.endswith(".")
    assert "\n" not in str(caught.value)


def test_nothing_in_the_folder_is_run(folder: Path) -> None:
    (folder / "evil.py").write_text("raise SystemExit('ran')")
    (folder / "__init__.py").write_text("raise SystemExit('ran')")
    load_classifier(folder)


def test_unknown_forms_of_a_suspect(tmp_path: Path) -> None:
    with pytest.raises(ForensicsError, match="no suspect"):
        open_suspect("openai+https://host/v1#model")
