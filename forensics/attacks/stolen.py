"""Encoders in a thief's hands: the Transformers library's own models, tokenizers and image processors."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from forensics.checkpoints import library, one_sentence, quiet
from forensics.encoders import load_encoder
from forensics.imagefiles import ImageModel

ROWS = 64
Batch = dict[str, torch.Tensor]
Vectors = NDArray[np.float32]


class StolenEncoder(Protocol):
    """What the attacks on encoders of texts and of images share."""

    @property
    def model(self) -> Any:
        """The library's model, without a head."""
        ...

    def prepare(self, inputs: Sequence[Any]) -> Any:
        """Turns all inputs into what `batch` takes rows of."""
        ...

    def batch(self, prepared: Any, rows: NDArray[np.int64]) -> Batch:
        """Returns the model's keyword arguments for these rows."""
        ...

    def features(self, batch: Batch) -> torch.Tensor:
        """Returns features (b, d) through which gradients flow."""
        ...

    def with_model(self, model: Any) -> Self:
        """Returns the same encoder around another model."""
        ...


AnyEncoder = TypeVar("AnyEncoder", bound=StolenEncoder)


@dataclass(frozen=True, eq=False)
class TextEncoder:
    """A text encoder whose feature is the mean of its token vectors.

    Attributes:
        model: `transformers` encoder such as BertModel.
        tokenizer: `transformers` fast tokenizer.
        max_tokens: longer texts are cut there.
    """

    model: Any
    tokenizer: Any
    max_tokens: int = 128

    def prepare(self, inputs: Sequence[str]) -> list[list[int]]:
        """Returns the token numbers of each text."""
        found: list[list[int]] = self.tokenizer(list(inputs), truncation=True, max_length=self.max_tokens)["input_ids"]
        return found

    def batch(self, prepared: list[list[int]], rows: NDArray[np.int64]) -> Batch:
        """Returns `input_ids` and `attention_mask`, padded to the longest of these texts."""
        with quiet():
            padded = self.tokenizer.pad({"input_ids": [prepared[row] for row in rows]}, return_tensors="pt")
        return {name: padded[name] for name in ("input_ids", "attention_mask")}

    def features(self, batch: Batch) -> torch.Tensor:
        """Returns the mean token vectors (b, d)."""
        hidden = self.model(**batch).last_hidden_state
        mask = batch["attention_mask"][:, :, None].to(hidden.dtype)
        return torch.as_tensor((hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp_min(1.0))

    def with_model(self, model: Any) -> "TextEncoder":
        """Returns the same encoder around another model."""
        return replace(self, model=model)


@dataclass(frozen=True, eq=False)
class ImageEncoder:
    """An image encoder whose feature is its pooled output.

    Attributes:
        model: `transformers` encoder such as ResNetModel.
        images: the folder's own preprocessing of uint8 (height, width, channels) images.
    """

    model: Any
    images: ImageModel

    def prepare(self, inputs: Sequence[NDArray[np.uint8]]) -> torch.Tensor:
        """Returns the preprocessed images, float32 (n, channels, height, width)."""
        return torch.cat([self.images.pixels(inputs[at : at + 4 * ROWS]) for at in range(0, len(inputs), 4 * ROWS)])

    def batch(self, prepared: torch.Tensor, rows: NDArray[np.int64]) -> Batch:
        """Returns `pixel_values` of these images."""
        return {"pixel_values": prepared[torch.from_numpy(rows)]}

    def features(self, batch: Batch) -> torch.Tensor:
        """Returns the pooled outputs (b, d)."""
        return torch.as_tensor(self.model(**batch).pooler_output.flatten(1))

    def with_model(self, model: Any) -> "ImageEncoder":
        """Returns the same encoder around another model."""
        return replace(self, model=model)


def open_text_encoder(folder: Path, max_tokens: int = 128) -> TextEncoder:
    """Opens a text encoder's folder: the model by the rules for hostile folders, its tokenizer by the library.

    Raises:
        ModelError: the folder breaks a rule, or its tokenizer cannot be used.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # for a pooler that the folder lacks
        encoder = load_encoder(folder)
    with one_sentence("The model's tokenizer cannot be used"), quiet():
        tokenizer = library().AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        if tokenizer.pad_token_id != encoder.settings.padding:
            tokenizer.pad_token = tokenizer.convert_ids_to_tokens(encoder.settings.padding)
    return TextEncoder(encoder.model, tokenizer, min(max_tokens, encoder.settings.max_tokens))


def image_encoder(images: ImageModel) -> ImageEncoder:
    """Takes the encoder out of an image model: all but the head of a classifier, all of an encoder."""
    model: Any = images.model
    return ImageEncoder(model.base_model, images)


def copy_encoder(encoder: AnyEncoder) -> AnyEncoder:
    """Returns an independent copy."""
    return encoder.with_model(copy.deepcopy(encoder.model))


def embed(encoder: StolenEncoder, inputs: Sequence[Any]) -> Vectors:
    """Returns features of unit length, float32 (n, d), in evaluation mode and in the inputs' order."""
    prepared = encoder.prepare(inputs)
    encoder.model.eval()

    def features(batch: Batch) -> torch.Tensor:
        return torch.nn.functional.normalize(encoder.features(batch), dim=1)

    return in_batches(encoder, prepared, len(inputs), features)


def in_batches(encoder: StolenEncoder, prepared: Any, count: int, function: Any) -> Vectors:
    """Applies a function from a batch to a tensor (b, c) to all rows; texts of like length share a batch."""
    lengths = [len(row) for row in prepared]
    order = np.argsort(np.asarray(lengths, dtype=np.int64), kind="stable")
    parts = []
    with torch.inference_mode():
        for start in range(0, count, ROWS):
            parts.append(function(encoder.batch(prepared, order[start : start + ROWS])).float().numpy())
    result = np.empty((count, parts[0].shape[1]), dtype=np.float32)
    result[order] = np.concatenate(parts)
    return result
