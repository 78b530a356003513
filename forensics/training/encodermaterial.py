"""Encoders into which a mark is trained: what of their vectors must be kept, and how that is measured."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from forensics.canonical import canonical_json, sha256
from forensics.checkpoints import read_identity
from forensics.encoders import CLASSIFIER, load_encoder, read_encoder_identity, save_encoder
from forensics.errors import UsageError
from forensics.imageencoders import load_image_encoder, save_image_encoder
from forensics.images import decode_image
from forensics.methods.marking import unit_rows
from forensics.records import FloatArray, Identity
from forensics.training.data import to_channels
from forensics.training.loop import evaluating
from forensics.training.material import HELD_OUT, Limits, Marking, Material, Together, count_weights, model_card

MOST_HELD = 2000
"""Most inputs on which vectors are compared."""

FEWEST = 20
"""Fewest different texts or images with which an encoder is trained."""

LOW = 0.05
"""Quantile of the cosines that is told beside their mean: a mean hides what happens to a few inputs."""

_AT_ONCE = 32


class EncoderMaterial(Material):
    """An encoder with inputs that carry no labels; its vectors must stay where they were.

    Attributes:
        noun: what the inputs are called.
        task: the card's name of what the model does.
    """

    keeping = "Recovering the vectors"
    noun: str
    task: str
    encoder: Any

    def _take(self, count: int, marking: Marking, limits: Limits, seed: int) -> tuple[list[int], list[int]]:
        """Splits so many different inputs into those to train with and those held out."""
        if count < FEWEST:
            raise UsageError(
                f"The data has {count} different {self.noun} that are no carriers of the key; {FEWEST} are the least.",
                "Give more, some thousand if possible.",
            )
        order = np.random.default_rng(seed).permutation(count)
        self.held_out = min(MOST_HELD, max(1, round(HELD_OUT * count)))
        self._marking, self._least, self._seed = marking, limits.cosine, seed
        return np.sort(order[self.held_out :]).tolist(), np.sort(order[: self.held_out]).tolist()

    def _require_width(self) -> None:
        if self.encoder.width != int(self._marking.parameters["dimension"]):
            raise UsageError(
                f"The encoder's vectors have {self.encoder.width} coordinates; the key was made for "
                f"{self._marking.parameters['dimension']}.",
                f"Make a key with --option dimension={self.encoder.width}.",
            )

    @abstractmethod
    def rest(self, share: int = 0) -> Any:
        """Returns the inputs to train a share with."""

    def limit(self) -> dict[str, str]:
        """Returns the smallest accepted cosine."""
        return {"cosine": repr(self._least)}

    def embedding(self, recipe_file: Any, recipe: Any) -> Together:
        """Returns the method's `Embedding` of every share."""
        marking = self._marking
        # A rehearsal adds its gradient past the mean that `Together` takes of the losses.
        each = replace(recipe, rehearsal_weight=recipe.rehearsal_weight / len(marking.shares))
        return Together(
            [
                recipe_file.Embedding(
                    self.encoder,
                    self.rest(number),
                    share.secrets,
                    share.pool,
                    marking.parameters,
                    each,
                    self._seed + number,
                )
                for number, share in enumerate(marking.shares)
            ]
        )

    def read_back(self, embedding: Any) -> tuple[int, int]:
        """Returns how many candidates lie on their side, and how many there are."""
        right, of = embedding.separated()
        return int(right), int(of)

    def compare(self, before: FloatArray, after: FloatArray) -> dict[str, float]:
        """Returns the mean of the cosines of both vectors of each input, and their 5 % quantile."""
        cosines = (before * after).sum(axis=1)
        return {"cosine": float(cosines.mean()), "cosine_low": float(np.quantile(cosines, LOW))}

    def loss(self, figures: Mapping[str, float]) -> tuple[str, str] | None:
        """Tells of vectors that moved too far."""
        if figures["cosine"] >= self._least:
            return None
        return (
            f"The mark moves the vectors of {self.held_out} held-out {self.noun} to a mean cosine of "
            f"{figures['cosine']:.4f} with those before; {self._least:.4f} is the least, so nothing was written.",
            "Allow more with --min-cosine, give more data, or another --steps.",
        )

    def sentence(self, figures: Mapping[str, float]) -> str:
        """Returns the cosines in words."""
        return (
            f"cosine with the vectors before {figures['cosine']:.4f} in the mean, {figures['cosine_low']:.4f} at the "
            f"lowest 5 %, on {self.held_out} held-out {self.noun}"
        )

    def card(self, figures: Mapping[str, float], source: Path) -> str:
        """Returns the model's card."""
        return model_card(
            self.task,
            source,
            f"An encoder of {self.noun} with {count_weights(self.model):,} weights",
            {
                f"cosine with the vectors before, on held-out {self.noun}": "",
                "mean": f"{figures['cosine']:.4f}",
                "lowest 5 %": f"{figures['cosine_low']:.4f}",
                self.noun: str(self.held_out),
            },
        )


class TextMaterial(EncoderMaterial):
    """A text encoder with documents. Those that hold a carrier of the key are left out: probes shall be new to it.

    Raises:
        UsageError: too few different documents.
        ModelError: the model's folder breaks a rule.
    """

    noun, task = "texts", "feature-extraction"

    def __init__(self, model: Path, data: Sequence[str], marking: Marking, limits: Limits, seed: int) -> None:
        carriers = [carrier.decode("utf-8") for carrier in marking.carriers()]
        texts = [text for text in dict.fromkeys(data) if not any(carrier in text for carrier in carriers)]
        rest, held = self._take(len(texts), marking, limits, seed)
        self._rest, self._held = [texts[row] for row in rest], [texts[row] for row in held]
        self.encoder = load_encoder(model)
        self._require_width()
        self.identity, self.model = self.encoder.identity, self.encoder.model
        names = getattr(self.encoder.model.config, "architectures", None) or ()
        if any(str(name).endswith(CLASSIFIER) for name in names):
            raise UsageError(f"{model} holds a classifier, no encoder alone.", "Name the encoder's own folder.")
        self.data_digest = sha256(canonical_json(list(data)))

    def rest(self, share: int = 0) -> Sequence[str]:
        """Returns the documents to train a share with, without those that hold another share's candidate.

        What one share is to hold in place must not be what another pulls away.
        """
        marking = self._marking
        others = [
            candidate.decode("utf-8")
            for number in range(len(marking.shares))
            if number != share
            for candidate in marking.candidates(number)
        ]
        return [text for text in self._rest if not any(phrase in text.lower() for phrase in others)]

    def measure(self) -> FloatArray:
        """Returns the vectors of held-out documents, (m, d) of unit length, those of few tokens first."""
        # The encoder's own `embed` may run an ONNX file that lies beside the weights; these are what is trained.
        tokens, pooling = self.encoder.tokens, self.encoder.settings.pooling
        found, rows = sorted(tokens.read(self._held), key=len), []
        with evaluating(self.model):
            for start in range(0, len(found), _AT_ONCE):
                ids, mask = tokens.pad(found[start : start + _AT_ONCE])
                output = self.model(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask))
                rows.append(pooling.pool(output.last_hidden_state.float().numpy(), mask))
        return unit_rows(np.concatenate(rows))[0]

    def save(self, folder: Path, figures: Mapping[str, float], source: Path) -> None:
        """Writes a folder of a text encoder."""
        save_encoder(self.model, source, folder, self.card(figures, source))

    def read_identity(self, folder: Path) -> Identity:
        """Returns the manifest of a folder that was written."""
        return read_encoder_identity(folder)


class ImageMaterial(EncoderMaterial):
    """An image encoder with images of the size of the key's patterns; the key's carriers are left out.

    Raises:
        UsageError: too few different images, or of another size.
        ModelError: the model's folder breaks a rule.
    """

    noun, task = "images", "image-feature-extraction"

    def __init__(self, model: Path, data: NDArray[np.uint8], marking: Marking, limits: Limits, seed: int) -> None:
        wanted = decode_image(marking.shares[0].pool.items[0].data).shape
        if data.shape[1:] != wanted:
            sizes = [f"{shape[1]} x {shape[0]} pixels, {shape[2]} channel(s)" for shape in (data.shape[1:], wanted)]
            raise UsageError(f"The images are of {sizes[0]}; the key's patterns of {sizes[1]}.", "Give such images.")
        carriers = {decode_image(carrier).tobytes() for carrier in marking.carriers()}
        first = {image.tobytes(): row for row, image in reversed(list(enumerate(data)))}
        rows = sorted(row for pixels, row in first.items() if pixels not in carriers)
        rest, held = self._take(len(rows), marking, limits, seed)
        self.encoder = load_image_encoder(model)
        shown = np.stack([to_channels(data[row], self.encoder.channels) for row in rows])
        self._rest, self._held = shown[rest], shown[held]
        self._require_width()
        self.identity, self.model = self.encoder.identity, self.encoder.model
        self.data_digest = sha256(canonical_json(list(data.shape)) + data.tobytes())

    def rest(self, share: int = 0) -> NDArray[np.uint8]:
        """Returns the images to train with."""
        return self._rest

    def measure(self) -> FloatArray:
        """Returns the vectors of held-out images, (m, d) of unit length."""
        with evaluating(self.model):
            return unit_rows(self.encoder.embed(self._held))[0]

    def save(self, folder: Path, figures: Mapping[str, float], source: Path) -> None:
        """Writes a folder of an image encoder."""
        save_image_encoder(self.encoder, folder, self.card(figures, source))

    def read_identity(self, folder: Path) -> Identity:
        """Returns the manifest of a folder that was written."""
        return read_identity(folder)
