"""Transformers folders, opened as if their author were hostile: image classifiers, and what every kind shares.

Only `config.json`, the settings beside it and safetensors files count. They are copied, while they are hashed, to
a private folder, and everything is loaded from there; nothing of the model's is executed; sizes and shapes are
compared with the configuration before anything large is allocated.
"""

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forensics.errors import ForensicsError, MissingExtraError, ModelError, StorageError
from forensics.imagefiles import ImageModel, count_channels, make_processor
from forensics.modelfiles import (
    MAX_LABEL,
    MAX_LABELS,
    RETRY,
    bound_config,
    count_values,
    one_line,
    read_model_files,
)
from forensics.plaintext import printable
from forensics.records import Identity

if TYPE_CHECKING:
    import torch

MAX_MODULES, MAX_BUFFERS = 20_000, 1 << 26
_LOADING = threading.Lock()
"""While the library builds and loads a model it replaces methods of its own, which two threads would leave replaced."""

BAD_CONFIG = "The model's config.json cannot be used"
BAD_PROCESSOR = "The model's preprocessor_config.json cannot be used"


@dataclass(frozen=True, eq=False)
class Classifier(ImageModel):
    """A loaded image classifier; see `ImageModel` for what it takes.

    Attributes:
        labels: class names in column order.
        identity: the manifest of the files that were read.
    """

    labels: tuple[str, ...]
    identity: Identity


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
    auto = library().AutoModelForImageClassification
    with private_folder() as place:
        files = read_model_files(folder, name, place)
        with one_sentence(BAD_CONFIG), quiet():
            config = read_config(place, files.config, auto, "image classifier")
            channels, labels = count_channels(config), class_names(config)
        with one_sentence(BAD_PROCESSOR), quiet():
            processor = make_processor(files.processor)
        model = load_weights(place, files.weights, config, auto)
    return Classifier(model, processor, channels, labels, files.identity)


def save_classifier(classifier: Classifier, folder: Path, card: str) -> None:
    """Writes a standard model folder (safetensors, processor, card); it appears whole or not at all.

    Args:
        folder: must not exist.
        card: Markdown for its README.md.

    Raises:
        StorageError: the disk is full or the place cannot be written.
    """
    save_folder(folder, card, classifier.model, classifier.processor.save_pretrained)


def save_folder(folder: Path, card: str, model: Any, beside: Callable[[Path], object]) -> None:
    """Writes a model folder that appears under its name whole or not at all.

    Args:
        folder: must not exist.
        card: Markdown for its README.md.
        model: of the Transformers library; its configuration and weights (safetensors) are written first.
        beside: writes what lies beside the weights into the folder that it is given.

    Raises:
        StorageError: the disk is full or the place cannot be written.
    """
    from safetensors import SafetensorError

    fresh = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(parents=True)
        with quiet():
            model.save_pretrained(fresh, safe_serialization=True)
            beside(fresh)
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

    A panic of a library's Rust code counts, though it is no `Exception`; an interrupt or an exit passes.

    Args:
        next_step: the sentence's second half.
        hidden: a path that the library may name and the sentence shall not.
    """
    try:
        yield
    except ForensicsError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        # A hostile folder can make the library fail in any way it likes.
        cause = one_line(ValueError(str(error).replace(hidden, "")) if hidden and str(error) else error)
        raise ModelError(f"{what}: {cause}.", next_step) from error


def library() -> Any:
    """Returns the Transformers library, told to fetch nothing.

    Raises:
        MissingExtraError: it or torch is not installed.
    """
    try:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        import_module("torch")  # without it the library still loads and fails later
        import transformers
    except ImportError as error:
        raise MissingExtraError(
            "Models need torch and transformers, which are not installed.",
            "Run: pip install 'model-forensics[models]'.",
        ) from error
    return transformers


@contextmanager
def private_folder() -> Iterator[Path]:
    """Gives an empty folder for the copy from which a model is loaded; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="forensics-model-", ignore_cleanup_errors=True) as private:
        yield Path(private)


def read_config(place: Path, body: Mapping[str, Any], auto: Any, kind: str) -> Any:
    """Builds the library's configuration object; to be used inside `one_sentence`, for it may fail in any way.

    Args:
        place: the private copy of the folder.
        body: config.json as it was read.
        auto: the library's class that knows which model belongs to a configuration.
        kind: what such a model is called in a sentence.

    Raises:
        ModelError: the configuration asks for too much, or for another kind of model.
    """
    bound_config(body)
    config = library().AutoConfig.from_pretrained(place, trust_remote_code=False, local_files_only=True)
    if type(config) not in auto._model_mapping:
        raise ModelError(f"'{printable(str(body.get('model_type')), 120)}' is no {kind}.", RETRY)
    return config


def class_names(config: Any) -> tuple[str, ...]:
    """Returns the class names of a configuration, in column order.

    Raises:
        ModelError: they are not numbered from 0, too many, too long or no plain text.
    """
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

    with _LOADING, one_sentence("config.json describes no model"), quiet(), _bounded_layout(), torch.device("meta"):
        skeleton = auto.from_config(config, trust_remote_code=False)
        wanted = sum(tensor.numel() for tensor in skeleton.state_dict().values())
        buffers = sum(tensor.numel() for tensor in skeleton.buffers())
    stored = sum(count_values(place / name) for name in weights)
    if stored > 2 * wanted + 1024 or wanted > 2 * stored + 1024 or buffers > 2 * stored + MAX_BUFFERS:
        raise ModelError(f"config.json describes {wanted} weights, the files hold {stored}.", RETRY)
    with _LOADING, one_sentence("The weights cannot be loaded"), quiet():
        model, report = auto.from_pretrained(
            place,
            config=config,
            trust_remote_code=False,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            # They are refused below, by their names.
            ignore_mismatched_sizes=True,
            dtype=torch.float32,
        )
        odd = [
            *(
                key
                for kind in ("missing_keys", "unexpected_keys")
                for key in report[kind]
                if not key.startswith(unused)
            ),
            *(name for name, *_ in report["mismatched_keys"]),
        ]
        if odd:
            shown = printable(str(odd[0]), 80)
            raise ModelError(f"The weights do not fit config.json: {len(odd)} tensors differ, such as {shown}.", RETRY)
        result: torch.nn.Module = model.eval()
    return result
