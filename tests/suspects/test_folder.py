"""Hostile and broken model folders."""

import hashlib
import json
import os
import shutil
import struct
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.torch import load_file

from forensics import modelfiles
from forensics.canonical import canonical_json, sha256
from forensics.checkpoints import load_classifier, one_sentence, read_identity, save_classifier
from forensics.errors import ForensicsError, ModelError, UsageError
from forensics.images import encode_png
from forensics.plaintext import printable
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
    for name, words in (("pigeon://host", "no suspect"), ("pigeon+https://host/v1#model", "no protocol")):
        with pytest.raises(ForensicsError, match=words):
            open_suspect(name)


def test_what_is_loaded_is_what_is_hashed(folder: Path, original: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is swapped for another between the copy and the loading; the copy is loaded."""
    from forensics import checkpoints

    expected, inner = FolderSuspect.load(folder).answer(_probes(4)).values, checkpoints.bound_config
    before = read_identity(folder)

    def swap(config: Mapping[str, object]) -> None:
        inner(config)
        shutil.rmtree(folder)
        save_classifier(small_resnet(_data(), 1, widths=(4, 4), depths=(1, 1)), folder, "# other\n")

    monkeypatch.setattr(checkpoints, "bound_config", swap)
    suspect = FolderSuspect.load(folder)
    assert suspect.identity.digest == before.digest != read_identity(folder).digest
    assert np.array_equal(suspect.answer(_probes(4)).values, expected)


def test_the_digest_is_that_of_the_manifest(folder: Path) -> None:
    rows = sorted(
        [path.name, hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size]
        for path in folder.iterdir()
        if path.name != "README.md"
    )
    assert read_identity(folder).digest == sha256(canonical_json(rows)) == load_classifier(folder).identity.digest


def test_files_outside_the_manifest_change_nothing(folder: Path) -> None:
    expected = FolderSuspect.load(folder).answer(_probes(4)).values
    other = save_other(folder.parent / "other")
    processor = json.loads((folder / "preprocessor_config.json").read_text())
    changed = {"image_processor": {**processor, "size": {"height": 9, "width": 9}}}
    (folder / "processor_config.json").write_text(json.dumps(changed))
    keys = list(load_file(folder / "model.safetensors"))
    (folder / "model.safetensors").rename(folder / "shard.safetensors")
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": dict.fromkeys(keys, "shard.safetensors")})
    )
    shutil.copy(other / "model.safetensors", folder)
    suspect = FolderSuspect.load(folder)
    assert np.array_equal(suspect.answer(_probes(4)).values, expected)
    assert "model.safetensors" not in suspect.identity.files
    assert "shard.safetensors" in suspect.identity.files
    assert suspect.identity.digest == read_identity(folder).digest


def save_other(folder: Path) -> Path:
    save_classifier(small_resnet(_data(), 1, widths=(4, 4), depths=(1, 1)), folder, "# other\n")
    return folder


def test_facts_are_short_and_printable(folder: Path) -> None:
    _edit(folder / "config.json", architectures=["\x1b[2J\ud800\u202e" + "A" * 3_000_000], model_type=["x"])
    facts = read_identity(folder).facts
    assert facts["architecture"].startswith("[2JAAA")
    assert len(facts["architecture"]) == 120
    assert facts["model type"] == "not stated"
    canonical_json(dict(facts))


@pytest.mark.parametrize(
    "fields",
    [
        {"image_mean": [0.1], "image_std": [0.1], "do_rescale": False, "rescale_factor": 1},
        {"crop_size": None, "pad_size": None, "size_divisor": None, "device": None, "data_format": "channels_first"},
        {"image_processor_type": "ViTImageProcessorFast", "size": 16, "resample": 3},
        {"image_processor_type": None, "feature_extractor_type": "ViTFeatureExtractor"},
        {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 16}, "crop_pct": 0.9},
    ],
)
def test_ordinary_processors_load_and_answer(folder: Path, fields: dict[str, object]) -> None:
    _edit(folder / "preprocessor_config.json", **fields)
    assert not FolderSuspect.load(folder).answer(_probes(3)).missing.any()


@pytest.mark.parametrize(
    "fields",
    [
        {"image_processor_type": "Swin2SRImageProcessor", "size_divisor": 60000},
        {"image_processor_type": "Idefics3ImageProcessor", "max_image_size": {"longest_edge": 1024}},
        {"image_processor_type": "\x1b[31mX"},
        {"image_processor_type": {"a": 1}},
        {"size_divisor": 60000},
        {"crop_pct": 1e-3},
        {"resample": 99},
        {"resample": True},
        {"image_mean": [0.1, 0.2, 0.3, 0.4]},
        {"image_mean": ["x"]},
        {"image_std": [0.0]},
        {"image_std": [1e999]},
        {"rescale_factor": "x"},
        {"rescale_factor": 2},
        {"size": {"height": 16, "max_pixels": 16}},
        {"size": {}},
        {"size": "x"},
        {"crop_size": {"height": 0, "width": 16}},
        {"do_resize": 1},
        {"\x1b[2J": 1},
    ],
    ids=str,
)
def test_other_processors_are_refused(folder: Path, fields: dict[str, object]) -> None:
    _edit(folder / "preprocessor_config.json", **fields)
    _refused(folder)


@pytest.mark.parametrize(
    "fields",
    [
        {"transformers_weights": "hidden.safetensors"},
        {"custom_pipelines": {"x": {"impl": "evil.X"}}},
        {"quantization_config": {"quant_method": "bitsandbytes"}},
        {"attn_implementation": "someone/kernels"},
        {"_attn_implementation": "someone/kernels"},
        {"_experts_implementation": "x"},
        {"sub": [{"attn_implementation_internal": "x"}]},
        {"use_pretrained_backbone": True},
        {"depths": [1000] * 300, "hidden_sizes": [16] * 300},
        {"depths": [1000, 1000]},
        {"hidden_sizes": [4] * 5000},
        {"num_channels": "x"},
        {"num_channels": None},
        {"num_channels": True},
        {"id2label": {"0": "\ud800", "1": "b", "2": "c", "3": "d"}},
        {"id2label": {"0": "\x1b[2J", "1": "b", "2": "c", "3": "d"}},
        {"id2label": {"0": "x" * 201, "1": "b", "2": "c", "3": "d"}},
        {"id2label": {str(i + 5): "x" for i in range(4)}},
        {"id2label": {str(i): "" for i in range(100_001)}},
        {"id2label": {"a": "b"}},
        {"id2label": {}},
        {"id2label": ["a"]},
        {"id2label": None, "num_labels": 10**6},
        {"model_type": "vit", "patch_size": 0},
        {"model_type": "vit", "num_attention_heads": 0},
        {"model_type": "\x1b]0;owned\x07"},
        {"model_type": "\ud800"},
        {"model_type": {"a": 1}},
        {"dtype": "evil"},
        {"hidden_act": "nonsense"},
        {"\x1b[2J\x1b[H PASSED": 1e300},
        {"x": 10**4000},
        {"to_dict": "x", "get_text_config": "x"},
    ],
    ids=lambda fields: str(fields)[:50],
)
def test_hostile_configurations_are_refused(folder: Path, fields: dict[str, object]) -> None:
    _edit(folder / "config.json", **fields)
    _refused(folder)


def _refused(folder: Path) -> None:
    with pytest.raises(ModelError) as caught:
        load_classifier(folder)
    assert caught.value.exit_code == 2
    assert str(caught.value) == printable(str(caught.value), 1000)


def test_a_layout_of_too_many_modules_is_stopped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from forensics import checkpoints

    monkeypatch.setattr(checkpoints, "MAX_MODULES", 5)
    with pytest.raises(ModelError, match="more than 5 modules"):
        load_classifier(folder)


@pytest.mark.parametrize("error", [MemoryError(), RecursionError("deep"), ZeroDivisionError("x"), KeyError("y")])
def test_any_failure_of_the_library_is_one_sentence(
    folder: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoConfig

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(AutoConfig, "from_pretrained", fail)
    _refused(folder)


class PanicException(BaseException):
    """Called as panics of Rust code are in Python."""


def test_a_panic_of_rust_code_is_one_sentence() -> None:
    with pytest.raises(ModelError, match="The tokenizer cannot be used: index out of bounds") as raised:  # noqa: SIM117
        with one_sentence("The tokenizer cannot be used"):
            raise PanicException("index out of\nbounds")
    assert raised.value.next_step


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interrupt_or_an_exit_passes(kind: type[BaseException]) -> None:
    with pytest.raises(kind), one_sentence("The tokenizer cannot be used"):
        raise kind


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "model.safetensors.index.json"])
@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "link"])
def test_what_is_no_file_is_refused_at_once_and_not_held_open(folder: Path, name: str, kind: str) -> None:
    (folder / name).unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(folder / name)
    elif kind == "folder":
        (folder / name).mkdir()
    else:
        (folder / name).symlink_to("/dev/zero" if kind == "device" else folder / "README.md")
    held = len(list(Path("/dev/fd").iterdir()))
    with pytest.raises(ModelError, match=r"link|regular"):
        read_identity(folder)
    assert len(list(Path("/dev/fd").iterdir())) == held
    _refused(folder)


def test_a_growing_file_is_noticed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = os.fstat

    class Shorter:
        def __init__(self, handle: int) -> None:
            state = inner(handle)
            self.st_mode, self.st_size = state.st_mode, state.st_size - 1

    monkeypatch.setattr(modelfiles.os, "fstat", Shorter)
    with pytest.raises(ModelError, match="changed while"):
        read_identity(folder)


@pytest.mark.parametrize("where", ["model", "preprocessing", "shape"])
def test_a_model_that_fails_on_an_input_has_not_answered(folder: Path, where: str) -> None:
    import torch

    suspect = FolderSuspect.load(folder)

    def fail(*_: object, **__: object) -> object:
        if where == "shape":
            return SimpleNamespace(logits=torch.zeros(3, 7))
        raise MemoryError

    if where == "preprocessing":
        object.__setattr__(suspect.classifier, "processor", fail)
    else:
        suspect.classifier.model.forward = fail  # type: ignore[method-assign]
    answers = suspect.answer(_probes(3))
    assert answers.values.shape == (3, 4)
    assert answers.missing.all()


def test_preprocessing_that_blows_an_image_up_is_stopped(folder: Path) -> None:
    _edit(folder / "preprocessor_config.json", size={"shortest_edge": 1024}, image_processor_type="BitImageProcessor")
    classifier = load_classifier(folder)
    thin = np.zeros((1, 4096, 1), dtype=np.uint8)
    with pytest.raises(ModelError, match="too much"):
        classifier.pixels([thin])
    assert FolderSuspect(classifier).answer([Probe(encode_png(thin))]).missing.all()


def test_strangers_text_is_made_printable() -> None:
    assert printable("a\x1b[31mb\x9b2Jc\u202ed\ud800e\nf\tg\u2028h", 100) == "a[31mb2Jcde f g h"
    assert printable("Zürich  日本", 100) == "Zürich  日本"
    assert printable("x" * 10**7, 10) == "xxxxxxx..."


@pytest.mark.parametrize("debug", [False, True])
def test_an_unexpected_error_is_one_sentence(
    debug: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from forensics import cli

    def fail(**_: object) -> None:
        raise LookupError("lost\x1b[2J\nthing")

    monkeypatch.setattr(cli.root, "main", fail)
    monkeypatch.delenv("FORENSICS_DEBUG", raising=False)
    if debug:
        monkeypatch.setenv("FORENSICS_DEBUG", "1")
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    shown = capsys.readouterr().err
    assert shown.endswith("forensics: An unexpected error: LookupError: lost[2J thing. Please report it.\n")
    assert ("Traceback" in shown) is debug


def test_errors_reach_the_terminal_without_escapes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from forensics import cli

    def fail(**_: object) -> None:
        raise ModelError("A \x1b]0;owned\x07 \x9b2J \u202e model.")

    monkeypatch.setattr(cli.root, "main", fail)
    with pytest.raises(SystemExit):
        cli.main()
    assert capsys.readouterr().err == "forensics: A ]0;owned 2J  model.\n"
