"""Image encoders in Transformers folders: what they answer, and the broken and hostile ones."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forensics.checkpoints import read_identity, save_classifier
from forensics.errors import ModelError, UsageError
from forensics.imageencoders import ROWS, load_image_encoder, save_image_encoder
from forensics.images import encode_png
from forensics.records import AnswerKind, Probe
from forensics.suspects import open_suspect
from forensics.suspects.folder import FolderSuspect
from forensics.suspects.imageencoder import ImageEncoderSuspect
from forensics.training.classifier import small_resnet
from forensics.training.data import ImageData

VIT = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
SIZES: dict[str, dict[str, Any]] = {
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1], "layer_type": "basic"},
    "regnet": {"embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1], "groups_width": 4},
    "convnext": {"hidden_sizes": [8, 12], "depths": [1, 1], "num_stages": 2},
    **{family: {**VIT, "image_size": 16, "patch_size": 8} for family in ("vit", "deit", "dinov2")},
}
PROCESSOR = {
    "image_processor_type": "ViTImageProcessor",
    "size": {"height": 16, "width": 16},
    "image_mean": [0.5] * 3,
    "image_std": [0.25] * 3,
}
IMAGES = [np.random.default_rng(n).integers(0, 256, (20, 24, 3), dtype=np.uint8) for n in range(6)]


def write_image_encoder(folder: Path, family: str = "resnet", seed: int = 0) -> Path:
    """Writes a backbone with random weights, and its image processor."""
    import torch
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.for_model(family, **SIZES[family], initializer_range=0.5)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        AutoModel.from_config(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    return folder


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_image_encoder(tmp_path_factory.mktemp("encoders") / "small")


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "model"))


def image_probes(n: int = len(IMAGES)) -> list[Probe]:
    return [Probe(encode_png(image)) for image in IMAGES[:n]]


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("family", SIZES)
def test_answers_are_the_vectors_of_the_library(tmp_path: Path, family: str) -> None:
    import torch
    from PIL import Image
    from transformers import AutoImageProcessor, AutoModel

    folder = write_image_encoder(tmp_path / family, family)
    suspect = open_suspect(str(folder))
    assert isinstance(suspect, ImageEncoderSuspect)
    answers = suspect.answer(image_probes())
    assert answers.kind is AnswerKind.VECTORS
    assert answers.values.shape == (6, 12)
    assert answers.labels == ()
    assert not answers.missing.any()
    assert np.ptp(answers.values, axis=0).max() > 0.01
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    model = AutoModel.from_pretrained(folder).eval()
    for image, row in zip(IMAGES, answers.values):
        with torch.inference_mode():
            output = model(**processor(images=[Image.fromarray(image)], return_tensors="pt"))
        pooled = family in ("resnet", "regnet", "convnext")
        expected = output.pooler_output.flatten(1)[0] if pooled else output.last_hidden_state[0, 0]
        assert np.allclose(row, expected.numpy(), atol=1e-5)
    assert [[float(str(np.float32(v))) for v in row] for row in answers.values] == answers.values.tolist()
    assert suspect.identity.facts["vector"] == ("pooled output" if pooled else "first token")


def test_a_vit_needs_no_pooler(tmp_path: Path) -> None:
    from transformers import ViTConfig, ViTModel

    folder = write_image_encoder(tmp_path / "vit", "vit")
    before = ImageEncoderSuspect.load(folder).answer(image_probes()).values
    model = ViTModel.from_pretrained(folder, add_pooling_layer=False)
    assert isinstance(model.config, ViTConfig)
    model.save_pretrained(folder)
    assert np.array_equal(ImageEncoderSuspect.load(folder).answer(image_probes()).values, before)


def test_grey_images_and_many_of_them(folder: Path) -> None:
    encoder = load_image_encoder(folder)
    many = [IMAGES[n % 6] for n in range(2 * ROWS + 1)]
    found = encoder.embed(many)
    assert found.shape == (2 * ROWS + 1, 12)
    assert np.allclose(found, encoder.embed(IMAGES)[np.arange(len(many)) % 6], atol=1e-5)
    grey = Probe(encode_png(IMAGES[0][:, :, :1]))
    assert not ImageEncoderSuspect(encoder).answer([grey]).missing.any()


def test_identity_names_every_file_that_is_read(folder: Path) -> None:
    identity = ImageEncoderSuspect.load(folder).identity
    assert set(identity.files) == {"config.json", "preprocessor_config.json", "model.safetensors"}
    assert identity.digest == read_identity(folder).digest
    assert identity.facts["architecture"] == "ResNetModel"


def test_a_saved_encoder_answers_the_same(folder: Path, tmp_path: Path) -> None:
    first = load_image_encoder(folder)
    save_image_encoder(first, tmp_path / "saved", "# saved\n")
    assert np.array_equal(load_image_encoder(tmp_path / "saved").embed(IMAGES), first.embed(IMAGES))
    assert isinstance(open_suspect(str(tmp_path / "saved")), ImageEncoderSuspect)
    assert (tmp_path / "saved" / "README.md").read_text() == "# saved\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "saved"]


@pytest.mark.parametrize("where", ["model", "preprocessing", "shape"])
def test_a_batch_that_fails_is_missing_and_no_other(folder: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forensics.imageencoders.ROWS", 2)
    suspect = ImageEncoderSuspect.load(folder)
    model, processor = suspect.encoder.model.forward, suspect.encoder.processor
    calls = {"model": 0, "preprocessing": 0}

    def run(pixel_values: Any) -> Any:
        calls["model"] += 1
        if calls["model"] == 2 and where == "model":
            raise RuntimeError("out of memory")
        output = model(pixel_values=pixel_values)
        if calls["model"] == 2 and where == "shape":
            output.pooler_output = output.pooler_output[:, :5]
        return output

    def prepare(**given: Any) -> Any:
        calls["preprocessing"] += 1
        if calls["preprocessing"] == 4 and where == "preprocessing":
            raise MemoryError
        return processor(**given)

    suspect.encoder.model.forward = run  # type: ignore[method-assign]
    object.__setattr__(suspect.encoder, "processor", prepare)
    answers = suspect.answer(image_probes())
    assert answers.missing.tolist() == [False, False, True, True, False, False]
    assert np.isnan(answers.values[2:4]).all()


def test_rows_that_are_not_finite_are_missing(folder: Path) -> None:
    suspect = ImageEncoderSuspect.load(folder)
    inner = suspect.encoder.model.forward

    def spoil(pixel_values: Any) -> Any:
        output = inner(pixel_values=pixel_values)
        output.pooler_output[1, 3] = float("inf")
        return output

    suspect.encoder.model.forward = spoil  # type: ignore[method-assign]
    answers = suspect.answer(image_probes(3))
    assert answers.missing.tolist() == [False, True, False]
    assert np.isnan(answers.values[1]).all()


def test_preprocessing_that_blows_an_image_up_is_missing(folder: Path) -> None:
    edit(folder / "preprocessor_config.json", size={"shortest_edge": 1024}, image_processor_type="BitImageProcessor")
    thin = Probe(encode_png(np.zeros((1, 4096, 3), dtype=np.uint8)))
    encoder = load_image_encoder(folder)
    assert ImageEncoderSuspect(encoder).answer([thin]).missing.all()


def test_a_classifier_of_the_same_family_opens_as_one(tmp_path: Path) -> None:
    data = ImageData([image[:16, :16] for image in IMAGES], np.arange(6) % 3, ("a", "b", "c"))
    save_classifier(small_resnet(data, 0, widths=(4, 4), depths=(1, 1)), tmp_path / "classifier", "# card\n")
    assert isinstance(open_suspect(str(tmp_path / "classifier")), FolderSuspect)


def test_probes_that_are_no_images_are_refused(original: Path) -> None:
    suspect = ImageEncoderSuspect.load(original)
    with pytest.raises(UsageError, match=r"not images but texts; the suspect is an image encoder") as raised:
        suspect.answer([*image_probes(1), Probe(b"text", "text/plain")])
    assert "text encoder or a text classifier" in raised.value.next_step
    with pytest.raises(UsageError, match="continuations"):
        suspect.answer([Probe(b"text", "text/plain", "score", b"next")])
    with pytest.raises(UsageError, match="decoded"):
        suspect.answer([Probe(b"no image")])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architectures": ["GPT2DoubleHeads"], "model_type": "gpt2"}, "'GPT2DoubleHeads' of the type 'gpt2'"),
        ({"architectures": ["ResNetBackbone"]}, "'ResNetBackbone' of the type 'resnet'"),
        ({"architectures": ["CLIPModel"], "model_type": "clip"}, "'CLIPModel' of the type 'clip'"),
        ({"architectures": ["EvilModel"], "model_type": {"a": 1}}, "'EvilModel' of the type"),
        ({"architectures": ["\x1b[2J" + "x" * 10**5 + "Model"], "model_type": "\x1b"}, "no kind of model"),
        ({"architectures": None, "model_type": "gpt2"}, "'gpt2' is no image classifier"),
    ],
    ids=str,
)
def test_a_folder_of_no_kind_says_so(folder: Path, changes: dict[str, object], words: str) -> None:
    edit(folder / "config.json", **changes)
    with pytest.raises(ModelError) as raised:
        open_suspect(str(folder))
    assert words in raised.value.cause
    assert raised.value.next_step
    assert "\x1b" not in str(raised.value)
    assert len(str(raised.value)) < 600


def test_a_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="There is no folder"):
        open_suspect(str(tmp_path / "nothing"))
    with pytest.raises(ModelError, match=r"config\.json is missing"):
        open_suspect(str(tmp_path))


def _config(**changes: object) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "config.json", **changes)


def _processor(**changes: object) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "preprocessor_config.json", **changes)


def _weights(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        from safetensors.torch import load_file, save_file

        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})

    return damage


FIRST = "embedder.embedder.convolution.weight"
HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "pickle": (lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin") and None, "pickle"),
    "own code": (_config(auto_map={"AutoModel": "evil.Model"}), "code"),
    "own processor code": (_processor(auto_map={"AutoImageProcessor": "evil.P"}), "code"),
    "a backbone from elsewhere": (_config(use_pretrained_backbone=True), "code or files"),
    "no processor": (lambda f: (f / "preprocessor_config.json").unlink(), "preprocessor_config.json is missing"),
    "huge images": (_processor(size={"height": 10**5, "width": 10**5}), "beyond what is accepted"),
    "other processor": (_processor(image_processor_type="Swin2SRImageProcessor"), "not among those"),
    "five channels": (_config(num_channels=5), "channels"),
    "wrong shape": (_weights(lambda t: t.update({FIRST: t[FIRST][:, :1].clone()})), FIRST),
    "missing weights": (_weights(lambda t: t.pop(FIRST)), FIRST),
    "further weights": (_weights(lambda t: t.update(evil=t[FIRST].clone())), "evil"),
    "not finite": (_weights(lambda t: t[FIRST].fill_(float("nan"))), "not finite"),
    "huge width": (_config(hidden_sizes=[10**9, 10**9]), "beyond what is accepted"),
    "many layers": (_config(depths=[1000, 1000]), "adds up to"),
    "wider than the weights": (_config(hidden_sizes=[4096, 4096]), "weights"),
    "another family": (_config(model_type="swin"), "no image encoder that is supported"),
    "family no text": (_config(model_type=["resnet"]), "no image encoder"),
    "strange activation": (_config(hidden_act="nonsense"), "."),
}


@pytest.mark.parametrize("damage", HOSTILE)
def test_broken_folders_end_in_one_sentence(folder: Path, damage: str) -> None:
    change, words = HOSTILE[damage]
    change(folder)
    with pytest.raises(ModelError) as raised:
        ImageEncoderSuspect.load(folder)
    assert words in raised.value.cause
    assert raised.value.next_step
    assert "\n" not in str(raised.value)
    assert "forensics-model-" not in str(raised.value)
    assert len(str(raised.value)) < 600
