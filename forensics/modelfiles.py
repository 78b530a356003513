"""The files of a model folder whose author may be hostile: which are read, how, and what their numbers may ask for.

A file is opened once, never through a link; what is hashed, parsed and copied are the same bytes.
"""

import errno
import hashlib
import json
import math
import os
import re
import stat
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import IO, Any

from forensics.canonical import canonical_json, parse_json, sha256
from forensics.errors import ModelError, StorageError
from forensics.plaintext import printable
from forensics.records import Identity

CONFIG, PREPROCESSOR, INDEX = "config.json", "preprocessor_config.json", "model.safetensors.index.json"
WEIGHTS = "model.safetensors"
MAX_JSON, MAX_HEADER, MAX_WEIGHTS = 4 << 20, 16 << 20, 64 << 30
MAX_LAYERS, MAX_WIDTH, MAX_LABELS, MAX_LABEL, MAX_SHARDS = 1000, 1 << 20, 100_000, 200, 1000
RETRY = (
    "Give a Transformers folder with config.json, model.safetensors, and preprocessor_config.json (images) or "
    "tokenizer.json (texts)."
)
_LAYERS = ("depth", "layers", "n_layer", "blocks", "stages", "repeat", "levels", "expert")
_FORBIDDEN = frozenset({"auto_map", "custom_pipelines", "transformers_weights", "backbone", "use_pretrained_backbone"})
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle", "*.h5", "*.msgpack")
_SHARD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,190}\.safetensors")
_ITEM_BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


@dataclass(frozen=True, eq=False)
class ModelFiles:
    """What was read of a model folder.

    Attributes:
        config: config.json.
        processor: preprocessor_config.json; None if the folder has none.
        identity: the manifest of the bytes that were read.
    """

    config: Mapping[str, Any]
    processor: Mapping[str, Any] | None
    identity: Identity

    @property
    def weights(self) -> list[str]:
        """The names of the safetensors files."""
        return [name for name in self.identity.files if name.endswith(".safetensors")]


class ModelFolder:
    """A model folder held open: each file is opened once, never through a link, hashed and, if asked for, copied.

    Attributes:
        names: what lies in the folder itself.
        files: SHA-256 and size of every file taken so far, by relative path.
    """

    def __init__(self, root: int, folder: Path, into: Path | None) -> None:
        self._root, self._into, self.folder = root, into, folder
        self.names = frozenset(os.listdir(root))
        self.files: dict[str, tuple[str, int]] = {}

    def has(self, name: str) -> bool:
        """Whether a file of that relative path is there; links count, so that taking them is what fails."""
        try:
            os.stat(name, dir_fd=self._root, follow_symlinks=False)
        except OSError:
            return False
        return True

    def take(self, name: str, limit: int, keep: bool = False) -> bytes:
        """Hashes one file, and copies or keeps the very same bytes; pipes and devices are never waited for.

        Args:
            name: relative path; no part of it may be a link.
            limit: most bytes.
            keep: return the bytes, not nothing.

        Raises:
            ModelError: a link, no regular file, too large, or changed while it was read.
        """
        handle = _descend(self._root, name)
        state = os.fstat(handle)
        if not stat.S_ISREG(state.st_mode):
            # Before it is opened as a stream, which fails on a folder and then leaves the handle open.
            os.close(handle)
            raise ModelError(f"The model's file '{name}' is no regular file.", RETRY)
        with os.fdopen(handle, "rb") as source:
            if state.st_size > limit:
                raise ModelError(f"The model's file '{name}' is larger than {limit} bytes, the most accepted.", RETRY)
            digest, size, kept = hashlib.sha256(), 0, bytearray()
            with self._sink(name) as sink:
                while size <= state.st_size and (block := source.read(min(1 << 20, state.st_size + 1 - size))):
                    size += len(block)
                    digest.update(block)
                    if sink is not None:
                        sink.write(block)
                    if keep:
                        kept += block
        if size != state.st_size:
            raise ModelError(
                f"The model's file '{name}' changed while it was read.", "Wait until it is whole, then retry."
            )
        self.files[name] = digest.hexdigest(), size
        return bytes(kept)

    def take_json(self, name: str) -> dict[str, Any]:
        """Takes a small file and reads it as a JSON object.

        Raises:
            ModelError: as in `take`, or no such object.
        """
        return parse_object(self.take(name, MAX_JSON, keep=True), name)

    def take_weights(self) -> list[str]:
        """Takes the safetensors files, one or several with their index, and returns their names.

        Raises:
            ModelError: there are none, or only pickles.
        """
        if INDEX in self.names:
            shards = _shards(self.take_json(INDEX))
        elif WEIGHTS in self.names:
            shards = [WEIGHTS]
        elif any(fnmatch(entry, pattern) for entry in self.names for pattern in _PICKLES):
            raise ModelError(
                "The model's weights are in a pickle or another format that can run code when loaded.",
                "Convert them to safetensors on a machine you can spare, then examine that folder.",
            )
        else:
            raise ModelError(f"{self.folder} holds no weights: model.safetensors is missing.", RETRY)
        room = MAX_WEIGHTS
        for shard in shards:
            self.take(shard, room)
            room -= self.files[shard][1]
        return shards

    def identity(self, kind: str, name: str | None, facts: Mapping[str, str]) -> Identity:
        """Returns the manifest of the files taken, under the given name or the folder's."""
        digest = sha256(canonical_json([[path, *entry] for path, entry in sorted(self.files.items())]))
        return Identity(kind, printable(name or str(self.folder), 1000), digest, facts, dict(self.files))

    def _sink(self, name: str) -> AbstractContextManager[IO[bytes] | None]:
        if self._into is None:
            return nullcontext()
        (self._into / name).parent.mkdir(parents=True, exist_ok=True)
        return (self._into / name).open("xb")


@contextmanager
def open_model_folder(folder: Path, into: Path | None = None) -> Iterator[ModelFolder]:
    """Holds a model folder open.

    Args:
        folder: links inside it are refused.
        into: an empty folder that receives a copy of exactly the bytes that are hashed; None copies nothing.

    Raises:
        ModelError: not a folder, or a file cannot be read.
        StorageError: no room for the copy.
    """
    try:
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except NotADirectoryError as error:
        raise ModelError(f"{folder} is a file, not a model folder.", "Name the folder, or an ONNX file.") from error
    except (OSError, ValueError) as error:
        raise ModelError(f"There is no folder {folder}.", RETRY) from error
    try:
        yield ModelFolder(root, folder, into)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(
                "There is no room for a temporary copy of the model.", "Free some disk space or set TMPDIR."
            ) from error
        raise ModelError(f"The model in {folder} cannot be read: {one_line(error)}.", RETRY) from error
    finally:
        os.close(root)


def read_model_files(folder: Path, name: str | None = None, into: Path | None = None) -> ModelFiles:
    """Reads every file of an image classifier's folder that counts, and nothing else.

    Args:
        folder: the model folder; links inside it are refused.
        name: how the identity is called; the folder by default.
        into: an empty folder that receives a copy of exactly the bytes that were hashed; None copies nothing.

    Raises:
        ModelError: not such a folder, pickles only, a link, no regular file, or too large.
        StorageError: no room for the copy.
    """
    with open_model_folder(folder, into) as opened:
        config = take_config(opened)
        processor = opened.take_json(PREPROCESSOR) if PREPROCESSOR in opened.names else None
        shards = opened.take_weights()
        return ModelFiles(config, processor, opened.identity("folder", name, model_facts(config, opened, shards)))


def take_config(opened: ModelFolder) -> dict[str, Any]:
    """Takes config.json of a folder that claims to hold a whole model.

    Raises:
        ModelError: there is none, or the folder holds an adapter.
    """
    if CONFIG not in opened.names:
        raise ModelError(f"{opened.folder} holds no model: config.json is missing.", RETRY)
    if "adapter_config.json" in opened.names:
        raise ModelError("The folder holds an adapter, which names a model elsewhere.", "Merge it into its base first.")
    return opened.take_json(CONFIG)


def model_facts(config: Mapping[str, Any], opened: ModelFolder, weights: Sequence[str]) -> dict[str, str]:
    """Returns what a configuration states of its model, in printable words."""
    architectures = config.get("architectures")
    architecture = architectures[0] if isinstance(architectures, list) and architectures else None
    return {
        "architecture": _fact(architecture),
        "model type": _fact(config.get("model_type")),
        "weights": f"{sum(opened.files[name][1] for name in weights)} bytes",
    }


def parse_object(raw: bytes, name: str) -> dict[str, Any]:
    """Reads bytes of a stranger as a JSON object.

    Raises:
        ModelError: they are none.
    """
    try:
        body = parse_json(raw)
    except (ValueError, RecursionError, MemoryError) as error:
        raise ModelError(f"{name} is no valid JSON.", RETRY) from error
    if not isinstance(body, dict):
        raise ModelError(f"{name} is no JSON object.", RETRY)
    return body


def bound_config(config: Mapping[str, Any]) -> None:
    """Refuses configurations that ask for code, other files, or numbers that could exhaust memory or time.

    Raises:
        ModelError: which entry it is.
    """
    refuse_code(config, CONFIG)
    total = _bound_numbers(config, "")
    if total > 4 * MAX_LAYERS:
        raise ModelError(f"config.json asks for {total:.0f} layers, beyond what is accepted.", RETRY)
    labels = config.get("id2label")
    if labels is not None and (not isinstance(labels, dict) or len(labels) > MAX_LABELS):
        raise ModelError(f"config.json: id2label is no object of at most {MAX_LABELS} labels.", RETRY)
    count = config.get("num_labels")
    if count is not None and not (type(count) is int and 0 < count <= MAX_LABELS):
        raise ModelError(f"config.json: num_labels is no number from 1 to {MAX_LABELS}.", RETRY)


def refuse_code(value: Any, name: str) -> None:
    """Refuses keys, at any depth, that make the Transformers library run or fetch something of the folder's choice.

    Raises:
        ModelError: which key it is.
    """
    if isinstance(value, list):
        for item in value:
            refuse_code(item, name)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if key == "quantization_config":
                raise ModelError(
                    f"{name} asks for a quantisation back end.", "Dequantise the weights to safetensors first."
                )
            if (key in _FORBIDDEN and item) or key == "auto_map" or "implementation" in key:
                raise ModelError(
                    f"{name} asks for code or files of its own ('{printable(key, 60)}'), which are never used.",
                    f"Remove that entry from a copy of {name} if the model works without it.",
                )
            refuse_code(item, name)


def count_values(path: Path) -> int:
    """Reads a safetensors header, checks that its offsets fill the file exactly, and returns the number of values.

    Raises:
        ModelError: the header is damaged or lies about the file.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        prefix = stream.read(8)
        length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else MAX_HEADER + 1
        if length > min(MAX_HEADER, size - 8):
            raise ModelError(f"{path.name} is no safetensors file.", RETRY)
        try:
            header = json.loads(stream.read(length))
            header.pop("__metadata__", None)
            total, values, end = 0, 0, 0
            for entry in header.values():
                sides, (start, stop) = entry["shape"], entry["data_offsets"]
                if len(sides) > 16 or not all(
                    type(side) is int and 0 <= side <= size for side in (*sides, start, stop)
                ):
                    raise ValueError
                count = math.prod(sides)
                if stop - start != count * _ITEM_BYTES[entry["dtype"]]:
                    raise ValueError
                values, total, end = values + count, total + stop - start, max(end, stop)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ModelError(f"The header of {path.name} is damaged.", RETRY) from error
    if total != end or size != 8 + length + end:
        raise ModelError(f"{path.name} is {size} bytes long, its header describes {8 + length + end}.", RETRY)
    return values


def one_line(error: BaseException) -> str:
    """Returns an error's text, or its kind if it has none, as part of a sentence."""
    return printable(" ".join(str(error).split()), 160).rstrip(". ") or type(error).__name__


def _shards(index: Mapping[str, Any]) -> list[str]:
    places = index.get("weight_map")
    if not isinstance(places, dict) or not places:
        raise ModelError("The weight index has no weight_map.", RETRY)
    for place in places.values():
        if not isinstance(place, str) or not _SHARD.fullmatch(place):
            raise ModelError(
                f"The weight index names '{printable(str(place), 80)}', no safetensors file of the folder.", RETRY
            )
    shards = sorted(set(places.values()))
    if len(shards) > MAX_SHARDS:
        raise ModelError(f"The weight index names {len(shards)} files; {MAX_SHARDS} are the most.", RETRY)
    return shards


def _descend(root: int, name: str) -> int:
    """Opens a file below an open folder; neither it nor a folder on the way may be a link."""
    *folders, last = name.split("/")
    held: list[int] = []
    try:
        here = root
        for part in folders:
            here = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
            held.append(here)
        return os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=here)
    except OSError as error:
        raise ModelError(f"The model's file '{name}' is missing, unreadable or a link.", RETRY) from error
    finally:
        for handle in held:
            os.close(handle)


def _fact(value: Any) -> str:
    return (printable(value, 120) if isinstance(value, str) else "") or "not stated"


def _bound_numbers(value: Any, name: str) -> float:
    """Checks every number and returns the sum of those that look like counts of layers."""
    if isinstance(value, Mapping):
        labels = name in ("id2label", "label2id")
        return 0 if labels else sum(_bound_numbers(item, str(key)) for key, item in value.items())
    if isinstance(value, list):
        if len(value) > MAX_LAYERS:
            raise ModelError(f"config.json: '{printable(name, 60)}' has {len(value)} entries.", RETRY)
        total = sum(_bound_numbers(item, name) for item in value)
        if total > MAX_LAYERS:
            raise ModelError(f"config.json: '{printable(name, 60)}' adds up to {total:.0f} layers.", RETRY)
        return total
    if isinstance(value, int | float) and not isinstance(value, bool):
        layers = any(word in name for word in _LAYERS)
        if not abs(value) <= (MAX_LAYERS if layers else MAX_WIDTH):
            shown = printable(str(value), 40)
            raise ModelError(f"config.json: '{printable(name, 60)}' is {shown}, beyond what is accepted.", RETRY)
        return abs(value) if layers else 0
    return 0
