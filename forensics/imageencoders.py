"""Image encoders without a head in Transformers folders, opened as if their author were hostile; see `checkpoints`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from forensics.checkpoints import (
    BAD_CONFIG,
    BAD_PROCESSOR,
    library,
    load_weights,
    one_sentence,
    private_folder,
    quiet,
    read_config,
    save_folder,
)
from forensics.errors import ModelError
from forensics.imagefiles import ImageModel, count_channels, make_processor
from forensics.modelfiles import RETRY, read_model_files
from forensics.plaintext import printable
from forensics.records import Identity

if TYPE_CHECKING:
    import torch

POOLED = frozenset({"convnext", "convnextv2", "regnet", "resnet"})
"""Model types whose pooled output is the image's vector."""

TOKENS = frozenset({"deit", "dinov2", "vit"})
"""Model types whose first token (CLS), after the last normalisation, is the image's vector."""

ROWS, _SIDE = 64, 32


@dataclass(frozen=True, eq=False)
class ImageEncoder(ImageModel):
    """A loaded image encoder; see `ImageModel` for what it takes.

    Attributes:
        token: whether the first token is the vector, and not the pooled output.
        width: d, the length of a vector.
        identity: the manifest of the files that were read.
    """

    token: bool
    width: int
    identity: Identity

    def vectors(self, pixels: "torch.Tensor") -> "torch.Tensor":
        """Returns the vectors (n, d) of preprocessed images (n, channels, height, width); gradients pass through."""
        output = self.model(pixel_values=pixels)
        result: torch.Tensor = output.last_hidden_state[:, 0] if self.token else output.pooler_output.flatten(1)
        return result

    def embed(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Returns the vectors, float32 (n, d), of uint8 (height, width, channels) images.

        They are run 64 at a time; NaN where the model failed on an image, or on one that was run with it.
        """
        result = np.full((len(images), self.width), np.nan, dtype=np.float32)
        for start in range(0, len(images), ROWS):
            try:
                values = self._numbers(images[start : start + ROWS])
            except Exception:  # noqa: BLE001, S112 - whatever a hostile model does with images, it has not answered them
                continue
            if values.shape == result[start : start + ROWS].shape:
                result[start : start + ROWS] = values
        return result

    def _numbers(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            numbers: NDArray[np.float32] = self.vectors(self.batch(images)).float().numpy()
        return numbers


def load_image_encoder(folder: Path, name: str | None = None) -> ImageEncoder:
    """Loads an image encoder from a Transformers folder.

    Args:
        name: how the identity is called; the folder by default.

    Raises:
        ModelError: the folder breaks a rule; the sentence says which.
        MissingExtraError: torch or transformers is not installed.
        StorageError: no room for the temporary copy.
    """
    auto = library().AutoModel
    with private_folder() as place:
        files = read_model_files(folder, name, place)
        family = files.config.get("model_type")
        if family not in tuple(POOLED | TOKENS):
            raise ModelError(
                f"'{printable(str(family), 60)}' is no image encoder that is supported.",
                f"Supported: {', '.join(sorted(POOLED | TOKENS))}.",
            )
        token = family in TOKENS
        with one_sentence(BAD_CONFIG), quiet():
            config = read_config(place, files.config, auto, "image encoder")
            channels = count_channels(config)
        with one_sentence(BAD_PROCESSOR), quiet():
            processor = make_processor(files.processor)
        # Where the first token is read, a pooler behind it is not.
        model = load_weights(place, files.weights, config, auto, ("pooler.",) if token else ())
    facts = {**files.identity.facts, "vector": "first token" if token else "pooled output"}
    return _measured(ImageEncoder(model, processor, channels, token, 0, replace(files.identity, facts=facts)))


def save_image_encoder(encoder: ImageEncoder, folder: Path, card: str) -> None:
    """Writes a standard model folder (safetensors, processor, card); it appears whole or not at all.

    Args:
        folder: must not exist.
        card: Markdown for its README.md.

    Raises:
        StorageError: the disk is full or the place cannot be written.
    """
    save_folder(folder, card, encoder.model, encoder.processor.save_pretrained)


def _measured(encoder: ImageEncoder) -> ImageEncoder:
    """Asks the model one plain image: it must answer with numbers, whose count is the width."""
    with one_sentence("The model cannot answer a plain image"):
        values = encoder._numbers([np.full((_SIDE, _SIDE, encoder.channels), 128, dtype=np.uint8)])
    if values.ndim != 2 or len(values) != 1 or values.shape[1] < 1:
        raise ModelError(f"The model answers an image with a table of {values.shape}.", RETRY)
    if not np.isfinite(values).all():
        raise ModelError("The model answers a plain image with values that are not finite.", RETRY)
    return replace(encoder, width=values.shape[1])
