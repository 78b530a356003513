"""Transformers image-classifier folders, opened as if their author were hostile.

Only `config.json`, `preprocessor_config.json` and safetensors files are read, nothing outside the folder, nothing
executed; sizes and shapes are compared with the configuration before anything large is allocated.
"""

import json
import os
import shutil
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from forensics.canonical import canonical_json, parse_json, sha256, sha256_file
from forensics.errors import MissingExtraError, ModelError, StorageError
from forensics.records import Identity

if TYPE_CHECKING:
    import torch

CONFIG, PREPROCESSOR, INDEX = "config.json", "preprocessor_config.json", "model.safetensors.index.json"
MAX_JSON, MAX_HEADER = 4 << 20, 16 << 20
MAX_SIDE, MAX_LAYERS, MAX_WIDTH = 1024, 1000, 1 << 20
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle", "*.h5", "*.msgpack")
_ITEM_BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
_RETRY = "Give a Transformers folder with config.json, preprocessor_config.json and model.safetensors."


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
        """
        layout = "channels_last"
        result: torch.Tensor = self.processor(
            images=list(images), return_tensors="pt", input_data_format=layout, do_convert_rgb=False
        )["pixel_values"]
        return result


def read_identity(folder: Path, name: str | None = None) -> Identity:
    """Returns the manifest of a model folder: SHA-256 and size of every file that would be read.

    Raises:
        ModelError: not such a folder, pickles only, or a file that lies outside it.
    """
    files = {path: (sha256_file(folder / path), (folder / path).stat().st_size) for path in _model_files(folder)}
    config = _read_json(folder / CONFIG)
    body = [[path, digest, size] for path, (digest, size) in sorted(files.items())]
    architectures = config.get("architectures")
    facts = {
        "architecture": str(architectures[0]) if isinstance(architectures, list) and architectures else "not stated",
        "model type": str(config.get("model_type", "not stated")),
        "weights": f"{sum(size for path, (_, size) in files.items() if path.endswith('.safetensors'))} bytes",
    }
    return Identity("folder", name or str(folder), sha256(canonical_json(body)), facts, files)


def load_classifier(folder: Path, name: str | None = None) -> Classifier:
    """Loads an image classifier from a folder under the rules of this module.

    Raises:
        ModelError: the folder breaks one of them; the sentence says which.
        MissingExtraError: torch or transformers is not installed.
    """
    identity = read_identity(folder, name)
    raw_config = _read_json(folder / CONFIG)
    _refuse_code(raw_config, CONFIG)
    _bound_numbers(raw_config)
    try:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        from transformers import AutoConfig, AutoModelForImageClassification
    except ImportError as error:
        raise MissingExtraError(
            "Models need torch and transformers, which are not installed.",
            "Run: pip install 'model-forensics[models]'.",
        ) from error
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"The model's config.json cannot be used: {_line(error)}.", _RETRY) from error
    if type(config) not in AutoModelForImageClassification._model_mapping:
        raise ModelError(f"'{raw_config.get('model_type')}' is no image classifier.", _RETRY)
    channels = int(getattr(config, "num_channels", 3))
    if channels not in (1, 3):
        raise ModelError(f"The model takes {channels} channels; 1 or 3 are supported.", _RETRY)
    processor = _load_processor(folder)
    model = _load_weights(folder, config, AutoModelForImageClassification)
    labels = tuple(str(config.id2label[index]) for index in range(config.num_labels))
    return Classifier(model, processor, channels, labels, identity)


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
            f"The model cannot be written to {folder}: {_line(error)}.", "Free some disk space and run it again."
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


def _model_files(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise ModelError(f"There is no folder {folder}.", _RETRY)
    names = [CONFIG]
    if not (folder / CONFIG).exists():
        raise ModelError(f"{folder} holds no model: config.json is missing.", _RETRY)
    if (folder / PREPROCESSOR).exists():
        names.append(PREPROCESSOR)
    if (folder / INDEX).exists():
        shards = _read_json(folder / INDEX).get("weight_map")
        if not isinstance(shards, dict):
            raise ModelError("The weight index has no weight_map.", _RETRY)
        names += [INDEX, *sorted({str(shard) for shard in shards.values()})]
    elif (folder / "model.safetensors").exists():
        names.append("model.safetensors")
    elif any(path for pattern in _PICKLES for path in folder.glob(pattern)):
        raise ModelError(
            "The model's weights are in a pickle or another format that can run code when loaded.",
            "Convert them to safetensors on a machine you can spare, then examine that folder.",
        )
    else:
        raise ModelError(f"{folder} holds no weights: model.safetensors is missing.", _RETRY)
    if (folder / "adapter_config.json").exists():
        raise ModelError("The folder holds an adapter, which names a model elsewhere.", "Merge it into its base first.")
    root = folder.resolve()
    for name in names:
        path = (folder / name).resolve()
        if Path(name).name != name or root not in path.parents or not path.is_file():
            raise ModelError(f"The model's file '{name[:80]}' is missing or lies outside its folder.", _RETRY)
    return names


def _read_json(path: Path) -> dict[str, Any]:
    if path.stat().st_size > MAX_JSON:
        raise ModelError(f"{path.name} is larger than {MAX_JSON >> 20} MiB.", _RETRY)
    try:
        body = parse_json(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path.name} is no valid JSON.", _RETRY) from error
    if not isinstance(body, dict):
        raise ModelError(f"{path.name} is no JSON object.", _RETRY)
    return body


def _refuse_code(config: Mapping[str, Any], name: str) -> None:
    if "auto_map" in config or "custom_pipelines" in config:
        raise ModelError(f"{name} asks for code of its own (auto_map), which is never run.", _RETRY)
    if "quantization_config" in config:
        raise ModelError(f"{name} asks for a quantisation back end.", "Dequantise the weights to safetensors first.")


def _bound_numbers(value: Any, name: str = "") -> None:
    """Refuses configurations whose numbers could exhaust memory or time while the model is laid out."""
    if isinstance(value, dict):
        for key, item in value.items():
            _bound_numbers(item, str(key))
    elif isinstance(value, list):
        if len(value) > 100_000:
            raise ModelError(f"config.json: '{name[:60]}' has {len(value)} entries.", _RETRY)
        for item in value:
            _bound_numbers(item, name)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        layers = any(word in name for word in ("depth", "layers", "blocks", "stages"))
        if not abs(value) <= (MAX_LAYERS if layers else MAX_WIDTH):
            raise ModelError(f"config.json: '{name[:60]}' is {value}, beyond what is accepted.", _RETRY)


def _load_processor(folder: Path) -> Any:
    if not (folder / PREPROCESSOR).exists():
        raise ModelError("preprocessor_config.json is missing, so how the model sees an image is unknown.", _RETRY)
    body = _read_json(folder / PREPROCESSOR)
    _refuse_code(body, PREPROCESSOR)
    for key in ("size", "crop_size", "pad_size"):
        sizes = body.get(key)
        sides = list(sizes.values()) if isinstance(sizes, dict) else [sizes]
        if any(side is not None and not (isinstance(side, int) and 0 < side <= MAX_SIDE) for side in sides):
            raise ModelError(f"preprocessor_config.json: '{key}' is beyond {MAX_SIDE} pixels a side.", _RETRY)
    from transformers import AutoImageProcessor

    try:
        return AutoImageProcessor.from_pretrained(folder, trust_remote_code=False, local_files_only=True, backend="pil")
    except (OSError, ValueError, KeyError, TypeError, ImportError, AttributeError) as error:
        raise ModelError(f"The model's preprocessor_config.json cannot be used: {_line(error)}.", _RETRY) from error


def _load_weights(folder: Path, config: Any, auto: Any) -> "torch.nn.Module":
    import torch

    try:
        with torch.device("meta"):
            skeleton = auto.from_config(config, trust_remote_code=False)
    except (ValueError, TypeError, RuntimeError, AttributeError, KeyError, IndexError) as error:
        raise ModelError(f"config.json describes no model: {_line(error)}.", _RETRY) from error
    wanted = sum(tensor.numel() for tensor in skeleton.state_dict().values())
    stored = sum(_count_values(folder / name) for name in _model_files(folder) if name.endswith(".safetensors"))
    if stored > 2 * wanted + 1024 or wanted > 2 * stored + 1024:
        raise ModelError(f"config.json describes {wanted} weights, the files hold {stored}.", _RETRY)
    try:
        with quiet():
            model, report = auto.from_pretrained(
                folder,
                config=config,
                trust_remote_code=False,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
                dtype=torch.float32,
            )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise ModelError(f"The weights cannot be loaded: {_line(error)}.", _RETRY) from error
    odd = [*report["missing_keys"], *report["mismatched_keys"], *report["unexpected_keys"]]
    if odd:
        raise ModelError(
            f"The weights do not fit config.json: {len(odd)} tensors differ, such as {odd[0]!s:.80}.", _RETRY
        )
    result: torch.nn.Module = model.eval()
    return result


def _count_values(path: Path) -> int:
    """Reads a safetensors header, checks that its offsets fill the file exactly, and returns the number of values."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        prefix = stream.read(8)
        length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else MAX_HEADER + 1
        if length > min(MAX_HEADER, size - 8):
            raise ModelError(f"{path.name} is no safetensors file.", _RETRY)
        try:
            header = json.loads(stream.read(length))
            header.pop("__metadata__", None)
            total, values, end = 0, 0, 0
            for entry in header.values():
                count = 1
                for side in entry["shape"]:
                    if not isinstance(side, int) or side < 0:
                        raise ValueError
                    count *= side
                start, stop = entry["data_offsets"]
                if stop - start != count * _ITEM_BYTES[entry["dtype"]]:
                    raise ValueError
                values, total, end = values + count, total + stop - start, max(end, stop)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ModelError(f"The header of {path.name} is damaged.", _RETRY) from error
    if total != end or size != 8 + length + end:
        raise ModelError(f"{path.name} is {size} bytes long, its header describes {8 + length + end}.", _RETRY)
    return values


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:160].rstrip(".")
