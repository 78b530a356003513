"""Transformers image-classifier folders, opened as if their author were hostile.

Only `config.json`, `preprocessor_config.json` and safetensors files count. They are copied, while they are hashed, to
a private folder, and everything is loaded from there; nothing of the model's is executed; sizes and shapes are
compared with the configuration before anything large is allocated.
"""

import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from forensics.errors import ForensicsError, MissingExtraError, ModelError, StorageError
from forensics.modelfiles import (
    MAX_LABEL,
    MAX_LABELS,
    PREPROCESSOR,
    RETRY,
    bound_config,
    count_values,
    one_line,
    read_model_files,
    refuse_code,
)
from forensics.plaintext import printable
from forensics.records import Identity

if TYPE_CHECKING:
    import torch

MAX_SIDE, MAX_PIXELS, MAX_MODULES, MAX_BUFFERS = 1024, 1 << 25, 20_000, 1 << 26
# Processors that resize, crop, rescale and normalise one image and do nothing else; all have a Pillow back end.
PROCESSORS = frozenset(
    f"{family}ImageProcessor"
    for family in (
        *("ViT", "DeiT", "Beit", "Bit", "CLIP", "Siglip", "ConvNext", "EfficientNet", "Levit", "PoolFormer", "Pvt"),
        *("MobileNetV1", "MobileNetV2", "MobileViT", "Segformer"),
    )
)
_SWITCHES = frozenset(
    {"do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_pad", "do_convert_rgb", "do_reduce_labels"}
    | {"do_flip_channel_order", "reduce_labels", "include_top", "rescale_offset", "default_to_square"}
)
_SIZES, _SIZE_KEYS = ("size", "crop_size", "pad_size"), {"height", "width", "shortest_edge", "longest_edge"}
_IGNORED = frozenset(
    {"image_processor_type", "feature_extractor_type", "processor_class", "data_format", "input_data_format"}
    | {"return_tensors", "device", "disable_grouping", "_valid_processor_keys", "transformers_version"}
)


@dataclass(frozen=True, eq=False)
class Classifier:
    """A loaded image classifier.

    Attributes:
        model: `transformers` image classifier, float32, in evaluation mode.
        processor: the folder's own image processor (Pillow back end).
        channels: 1 or 3, what the model takes.
        labels: class names in column order.
        identity: the manifest of the files that were read.
    """

    model: "torch.nn.Module"
    processor: Any
    channels: int
    labels: tuple[str, ...]
    identity: Identity

    def pixels(self, images: Sequence[NDArray[np.uint8]]) -> "torch.Tensor":
        """Applies the folder's own preprocessing to uint8 (height, width, channels) images.

        Returns:
            float32 (n, channels, height, width).

        Raises:
            ModelError: the preprocessing would blow an image up beyond 2^25 pixels.
        """
        longest = max([side for name in _SIZES for side in _sides(getattr(self.processor, name, None))], default=1)
        enlarged = longest / (getattr(self.processor, "crop_pct", None) or 1)
        for height, width in {image.shape[:2] for image in images}:
            if enlarged**2 * max(height, width) > MAX_PIXELS * min(height, width):
                raise ModelError(f"The model's preprocessing makes too much of an image of {width} x {height} pixels.")
        layout = "channels_last"
        result: torch.Tensor = self.processor(
            images=list(images), return_tensors="pt", input_data_format=layout, do_convert_rgb=False
        )["pixel_values"]
        return result


def read_identity(folder: Path, name: str | None = None) -> Identity:
    """Returns the manifest of a model folder: SHA-256 and size of every file that would be read.

    Raises:
        ModelError: not such a folder, pickles only, or a file that is a link or no regular file.
    """
    return read_model_files(folder, name).identity


def load_classifier(folder: Path, name: str | None = None) -> Classifier:
    """Loads an image classifier from a folder under the rules of this module.

    Raises:
        ModelError: the folder breaks one of them; the sentence says which.
        MissingExtraError: torch or transformers is not installed.
        StorageError: no room for the temporary copy.
    """
    try:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        from transformers import AutoConfig, AutoModelForImageClassification
    except ImportError as error:
        raise MissingExtraError(
            "Models need torch and transformers, which are not installed.",
            "Run: pip install 'model-forensics[models]'.",
        ) from error
    with tempfile.TemporaryDirectory(prefix="forensics-model-", ignore_cleanup_errors=True) as private:
        place = Path(private)
        files = read_model_files(folder, name, place)
        with one_sentence("The model's config.json cannot be used"), quiet():
            bound_config(files.config)
            config = AutoConfig.from_pretrained(place, trust_remote_code=False, local_files_only=True)
            if type(config) not in AutoModelForImageClassification._model_mapping:
                shown = files.identity.facts["model type"]
                raise ModelError(f"'{shown}' is no image classifier.", RETRY)
            channels, labels = _channels(config), _labels(config)
        with one_sentence("The model's preprocessor_config.json cannot be used"), quiet():
            processor = _load_processor(files.processor)
        model = load_weights(place, files.weights, config, AutoModelForImageClassification)
    return Classifier(model, processor, channels, labels, files.identity)


def save_classifier(classifier: Classifier, folder: Path, card: str) -> None:
    """Writes a standard model folder (safetensors, processor, card); it appears whole or not at all.

    Args:
        folder: must not exist.
        card: Markdown for its README.md.

    Raises:
        StorageError: the disk is full or the place cannot be written.
    """
    from safetensors import SafetensorError

    model: Any = classifier.model
    fresh = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(parents=True)
        with quiet():
            model.save_pretrained(fresh, safe_serialization=True)
            classifier.processor.save_pretrained(fresh)
        (fresh / "README.md").write_text(card, encoding="utf-8")
        fresh.rename(folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(fresh, ignore_errors=True)
        raise StorageError(
            f"The model cannot be written to {folder}: {one_line(error)}.", "Free some disk space and run it again."
        ) from error
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


class quiet:  # noqa: N801 - a context manager reads best in lower case
    """Silences the Transformers library's progress bars and warnings inside a `with` block."""

    def __enter__(self) -> None:
        from transformers.utils import logging

        self._logging, self._level = logging, logging.get_verbosity()
        logging.set_verbosity_error()
        logging.disable_progress_bar()

    def __exit__(self, *_: object) -> None:
        self._logging.set_verbosity(self._level)


@contextmanager
def one_sentence(what: str, next_step: str = RETRY, hidden: str = "") -> Iterator[None]:
    """Turns whatever goes wrong inside a `with` block into one sentence that starts with `what`.

    Args:
        next_step: the sentence's second half.
        hidden: a path that the library may name and the sentence shall not.
    """
    try:
        yield
    except ForensicsError:
        raise
    except Exception as error:
        # A hostile folder can make the library fail in any way it likes.
        cause = one_line(ValueError(str(error).replace(hidden, "")) if hidden and str(error) else error)
        raise ModelError(f"{what}: {cause}.", next_step) from error


def _channels(config: Any) -> int:
    channels = getattr(config, "num_channels", 3)
    if type(channels) is not int or channels not in (1, 3):
        raise ModelError(f"The model takes '{printable(str(channels), 40)}' channels; 1 or 3 are supported.", RETRY)
    return channels


def _labels(config: Any) -> tuple[str, ...]:
    names = config.id2label
    if not 0 < len(names) <= MAX_LABELS or set(names) != set(range(len(names))):
        raise ModelError(
            f"config.json: id2label does not number its labels from 0, or has more than {MAX_LABELS}.", RETRY
        )
    labels = tuple(str(names[index]) for index in range(len(names)))
    for index, label in enumerate(labels):
        if len(label) > MAX_LABEL or printable(label, MAX_LABEL) != label:
            raise ModelError(
                f"config.json: label {index} is longer than {MAX_LABEL} characters or no plain text.", RETRY
            )
    return labels


def _load_processor(body: Mapping[str, Any] | None) -> Any:
    if body is None:
        raise ModelError("preprocessor_config.json is missing, so how the model sees an image is unknown.", RETRY)
    import transformers

    refuse_code(body, PREPROCESSOR)
    kind = body.get("image_processor_type") or body.get("feature_extractor_type")
    family = str(kind).removesuffix("Pil").removesuffix("Fast").replace("FeatureExtractor", "ImageProcessor")
    if family not in PROCESSORS:
        raise ModelError(f"The image processor '{printable(str(kind), 80)}' is not among those supported.", RETRY)
    fields = {key: value for key, value in body.items() if value is not None and key not in _IGNORED}
    for key, value in fields.items():
        if not _acceptable(key, value):
            raise ModelError(
                f"preprocessor_config.json: '{printable(key, 60)}' is unknown or beyond what is accepted "
                f"(sizes: {MAX_SIDE} pixels).",
                RETRY,
            )
    return getattr(transformers, f"{family}Pil").from_dict(fields)


def _acceptable(key: str, value: Any) -> bool:
    if key in _SWITCHES:
        return isinstance(value, bool)
    if key in _SIZES:
        known = not isinstance(value, dict) or (bool(value) and value.keys() <= _SIZE_KEYS)
        sides = value.values() if isinstance(value, dict) else [value]
        return known and all(side is None or (type(side) is int and 0 < side <= MAX_SIDE) for side in sides)
    if key in ("image_mean", "image_std"):
        low = 1e-6 if key == "image_std" else -1e6
        return isinstance(value, list) and len(value) in (1, 3) and all(_within(item, low, 1e6) for item in value)
    if key == "resample":
        return type(value) is int and 0 <= value <= 5
    if key == "rescale_factor":
        return _within(value, 1e-9, 1)
    return key == "crop_pct" and _within(value, 0.05, 1)


def _within(value: Any, low: float, high: float) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and low <= value <= high


def _sides(size: Any) -> list[int]:
    if isinstance(size, int):
        return [size]
    return [side for key in _SIZE_KEYS if isinstance(side := getattr(size, key, None), int)]


@contextmanager
def _bounded_layout() -> Iterator[None]:
    """Stops the building of a model that has more modules than any real classifier, before they fill the memory."""
    from torch.nn.modules.module import register_module_module_registration_hook

    count = 0

    def watch(*_: object) -> None:
        nonlocal count
        count += 1
        if count > MAX_MODULES:
            raise ModelError(f"config.json describes a model of more than {MAX_MODULES} modules.", RETRY)

    handle = register_module_module_registration_hook(watch)
    try:
        yield
    finally:
        handle.remove()


def load_weights(
    place: Path, weights: Sequence[str], config: Any, auto: Any, unused: tuple[str, ...] = ()
) -> "torch.nn.Module":
    """Builds a model of the Transformers library from safetensors that must hold what its configuration describes.

    Args:
        place: the private copy of the folder.
        weights: names of the safetensors files.
        config: the library's configuration object.
        auto: the library's class that knows which model belongs to it.
        unused: starts of names of tensors that may be missing or left over, since nothing asked of the model uses them.

    Raises:
        ModelError: sizes, names or shapes differ, or the library fails.
    """
    import torch

    with one_sentence("config.json describes no model"), quiet(), _bounded_layout(), torch.device("meta"):
        skeleton = auto.from_config(config, trust_remote_code=False)
        wanted = sum(tensor.numel() for tensor in skeleton.state_dict().values())
        buffers = sum(tensor.numel() for tensor in skeleton.buffers())
    stored = sum(count_values(place / name) for name in weights)
    if stored > 2 * wanted + 1024 or wanted > 2 * stored + 1024 or buffers > 2 * stored + MAX_BUFFERS:
        raise ModelError(f"config.json describes {wanted} weights, the files hold {stored}.", RETRY)
    with one_sentence("The weights cannot be loaded"), quiet():
        model, report = auto.from_pretrained(
            place,
            config=config,
            trust_remote_code=False,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            dtype=torch.float32,
        )
        odd = [
            *(
                key
                for kind in ("missing_keys", "unexpected_keys")
                for key in report[kind]
                if not key.startswith(unused)
            ),
            *report["mismatched_keys"],
        ]
        if odd:
            shown = printable(str(odd[0]), 80)
            raise ModelError(f"The weights do not fit config.json: {len(odd)} tensors differ, such as {shown}.", RETRY)
        result: torch.nn.Module = model.eval()
    return result
