"""What a mark is trained into: a model with the owner's data, and what must be kept of the model.

Classifiers keep their accuracy (those of texts are in `textclassifiermaterial`); encoders keep their vectors
(`encodermaterial`), since nobody knows yet what they will be used for. What is kept is measured on data that the
trainer does not see.
"""

import copy
import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from forensics.canonical import sha256
from forensics.checkpoints import load_classifier, quiet, read_identity, save_classifier
from forensics.errors import UsageError
from forensics.keys.derive import ProbeKey, ScoreKey
from forensics.methods import load_method
from forensics.records import FloatArray, Identity, Pool
from forensics.training.data import ImageData
from forensics.training.loop import accuracy

HELD_OUT = 0.15
"""Share of the data that is kept from the trainer."""


@dataclass(frozen=True)
class MarkedShare:
    """What of one share the trainer needs.

    Attributes:
        secrets: probe and scoring secret.
    """

    secrets: tuple[ProbeKey, ScoreKey] = field(repr=False)
    pool: Pool = field(repr=False)


@dataclass(frozen=True)
class Marking:
    """What of a key the trainer needs.

    Attributes:
        method: name; `training/<method>.py` offers `Embedding` and `DEFAULT`.
        shares: all of the key's: a share that is not embedded could never be shown.
        claim_digest: C, which identifies the run when it is resumed.
        labels: the claim's label list.
    """

    method: str
    shares: tuple[MarkedShare, ...]
    parameters: dict[str, Any]
    labels: tuple[str, ...]
    claim_digest: str

    def candidates(self, share: int) -> tuple[bytes, ...]:
        """Returns the candidates of a share's pool, where the method has carriers behind them."""
        return tuple(item.data for item in self.shares[share].pool.items[: int(self.parameters["candidates"])])

    def carriers(self) -> tuple[bytes, ...]:
        """Returns the items of every share's pool behind the candidates, where the method has such."""
        first = int(self.parameters["candidates"])
        return tuple(item.data for share in self.shares for item in share.pool.items[first:])


@dataclass(frozen=True)
class Limits:
    """How much of a model may be lost.

    Attributes:
        accuracy_drop: largest loss of a classifier's accuracy, as a share.
        cosine: smallest mean cosine of an encoder's vectors with those before.
        perplexity_rise: largest rise of a language model's perplexity, as a share of what it was.
    """

    accuracy_drop: float = 0.02
    cosine: float = 0.96
    perplexity_rise: float = 0.1


class Embedding(Protocol):
    """What a method's training file builds for a share: a loss a step.

    How much of the mark is read back is told by `matched()`, in bits, or by `separated()`, in candidates on their side
    and all of them.

    Attributes:
        model: trained in place.
    """

    model: torch.nn.Module

    def step(self, index: int) -> torch.Tensor:
        """Returns the loss of a step; all randomness comes from the index."""
        ...


class Together:
    """Several shares in one model: each step descends the mean of their losses (ours).

    Attributes:
        parts: the `Embedding` of each share, all of the same model.
        model: trained in place.
    """

    def __init__(self, parts: Sequence[Embedding]) -> None:
        self.parts, self.model = tuple(parts), parts[0].model

    def step(self, index: int) -> torch.Tensor:
        """Returns the mean of the shares' losses; each draws its batch from its own seed and the index."""
        return torch.stack([part.step(index) for part in self.parts]).mean()


class Material(ABC):
    """A model with its data.

    Attributes:
        identity: of the unmarked model.
        model: the module that is trained in place.
        data_digest: SHA-256 over the data.
        held_out: number of inputs on which is measured what must be kept.
        keeping: what goes on when more than allowed was lost, for the progress bar.
    """

    identity: Identity
    model: torch.nn.Module
    data_digest: str
    held_out: int
    keeping: str

    @abstractmethod
    def limit(self) -> dict[str, str]:
        """Returns the limit, as a part of the run's settings."""

    @abstractmethod
    def embedding(self, recipe_file: Any, recipe: Any) -> Together:
        """Returns the method's `Embedding` of every share, for this model and the data that is not held out."""

    @abstractmethod
    def read_back(self, embedding: Any) -> tuple[int, int]:
        """Returns how many units of a share's `Embedding` are read back without calibration, and of how many."""

    @abstractmethod
    def measure(self) -> FloatArray:
        """Returns what `compare` compares: the held-out accuracy, or the held-out vectors of unit length."""

    def renew(self, seed: int) -> None:
        """Forgets what the model has learned: it gets first weights of the seed.

        Raises:
            UsageError: models of this kind are not trained anew.
        """
        raise UsageError("A model of this kind is marked after it was trained.", "Leave --from-scratch out.")

    @abstractmethod
    def compare(self, before: FloatArray, after: FloatArray) -> dict[str, float]:
        """Returns the figures of what was kept, by their names in JSON."""

    @abstractmethod
    def loss(self, figures: Mapping[str, float]) -> tuple[str, str] | None:
        """Returns cause and next step where more was lost than allowed, else None."""

    @abstractmethod
    def sentence(self, figures: Mapping[str, float]) -> str:
        """Returns the figures in words."""

    @abstractmethod
    def save(self, folder: Path, figures: Mapping[str, float], source: Path) -> None:
        """Writes the model's folder, with a card that says nothing secret."""

    @abstractmethod
    def read_identity(self, folder: Path) -> Identity:
        """Returns the manifest of a folder that was written."""


class ClassifierMaterial(Material):
    """A classifier with labelled inputs; at most so many points of accuracy may be lost.

    Attributes:
        classifier: image or text classifier.
        noun: what the inputs are called.
        task: the card's name of what the model does.
        kind: of the model, in words.
    """

    keeping = "Recovering accuracy"
    classifier: Any
    noun: str
    task: str
    kind: str

    def _take(self, data: Any, marking: Marking, limits: Limits, seed: int) -> None:
        """Keeps the settings.

        Raises:
            UsageError: model or data have another number of classes than the claim.
        """
        for what, count in (("model", len(self.classifier.labels)), ("data set", len(data.names))):
            if count != len(marking.labels):
                raise UsageError(
                    f"The {what} has {count} classes; the key was made for {len(marking.labels)}.",
                    "Use the model and data of the key, or make a new key.",
                )
        self.identity, self.model = self.classifier.identity, self.classifier.model
        self._marking, self._most, self._seed, self._fresh = marking, limits.accuracy_drop, seed, False
        self._unmarked: Any = None
        self._rest: Any
        self._held: Any

    def limit(self) -> dict[str, str]:
        """Returns the largest accepted loss."""
        return {"drop": repr(self._most)}

    def embedding(self, recipe_file: Any, recipe: Any) -> Together:
        """Returns the method's `Embedding` of every share; one that learns from the unmarked model is shown it."""
        together = Together(
            [
                recipe_file.Embedding(
                    self.classifier,
                    self._rest,
                    share.secrets,
                    share.pool,
                    self._marking.parameters,
                    recipe,
                    self._seed + number,
                )
                for number, share in enumerate(self._marking.shares)
            ]
        )
        for part in together.parts:
            if hasattr(part, "learn_from"):
                part.learn_from(self._unmarked or self.classifier)
        self._unmarked = None
        return together

    def read_back(self, embedding: Any) -> tuple[int, int]:
        """Returns the units (bits, families) that are read back, and how many there are."""
        return embedding.matched(), load_method(self._marking.method).items(self._marking.parameters)

    def compare(self, before: FloatArray, after: FloatArray) -> dict[str, float]:
        """Returns both accuracies."""
        return {"accuracy_before": float(before[0]), "accuracy_after": float(after[0])}

    def loss(self, figures: Mapping[str, float]) -> tuple[str, str] | None:
        """Tells of too large a loss of accuracy."""
        lost = figures["accuracy_before"] - figures["accuracy_after"]
        if lost <= self._most:
            return None
        return (
            f"The mark costs {100 * lost:.2f} points of accuracy on {self.held_out} held-out {self.noun}; "
            f"{100 * self._most:.2f} were allowed, so nothing was written.",
            "Allow more with --max-accuracy-drop, give more data, or embed fewer bits or families.",
        )

    def sentence(self, figures: Mapping[str, float]) -> str:
        """Returns both accuracies in words."""
        before, after = figures["accuracy_before"], figures["accuracy_after"]
        return f"accuracy {before:.4f} before, {after:.4f} after, on {self.held_out} held-out {self.noun}"

    def card(self, figures: Mapping[str, float], source: Path) -> str:
        """Returns the model card."""
        return model_card(
            self.task,
            source,
            f"{self.kind} with {len(self.classifier.labels)} classes and {count_weights(self.model):,} weights",
            {
                f"accuracy on held-out {self.noun}": "",
                "before": f"{figures['accuracy_before']:.4f}",
                "after": f"{figures['accuracy_after']:.4f}",
                self.noun: str(self.held_out),
            },
            fresh=self._fresh,
        )


class ImageClassifierMaterial(ClassifierMaterial):
    """An image classifier with labelled images.

    Raises:
        UsageError: model or data have another number of classes than the claim.
        ModelError: the model's folder breaks a rule.
    """

    noun, task, kind = "images", "image-classification", "An image classifier"

    def __init__(self, model: Path, data: ImageData, marking: Marking, limits: Limits, seed: int) -> None:
        self.classifier = load_classifier(model)
        self._take(data, marking, limits, seed)
        self.data_digest = sha256(b"".join(image.tobytes() for image in data.images) + data.labels.tobytes())
        self._rest, self._held = data.split(HELD_OUT, np.random.default_rng(seed))
        self.held_out = len(self._held.labels)
        self._pixels: torch.Tensor | None = None

    def measure(self) -> FloatArray:
        """Returns the accuracy on held-out images, (1,)."""
        if self._pixels is None:
            self._pixels = self._held.pixels(self.classifier)
        return np.array([accuracy(self.model, self._pixels, self._held.labels)])

    def renew(self, seed: int) -> None:
        """Gives the model first weights of the seed, by its own library's rules."""
        self._unmarked = dataclasses.replace(self.classifier, model=copy.deepcopy(self.model))
        with quiet(), torch.random.fork_rng():
            torch.manual_seed(seed)
            first = type(self.model)(self.model.config)
        self.model.load_state_dict(first.state_dict())
        self._fresh = True

    def save(self, folder: Path, figures: Mapping[str, float], source: Path) -> None:
        """Writes a folder of an image classifier."""
        save_classifier(self.classifier, folder, self.card(figures, source))

    def read_identity(self, folder: Path) -> Identity:
        """Returns the manifest of a folder that was written."""
        return read_identity(folder)


def count_weights(model: torch.nn.Module) -> int:
    """Returns how many numbers a model has learned."""
    return sum(weight.numel() for weight in model.parameters())


def model_card(task: str, source: Path, what: str, rows: Mapping[str, str], *, fresh: bool = False) -> str:
    """Returns a model card in Markdown that says what was trained on and nothing secret.

    Args:
        task: name of what the model does, as model hubs have it.
        source: folder of the model before.
        what: the model in words.
        rows: of the card's table; the first is its head.
        fresh: whether the architecture alone was taken over.
    """
    name, done = source.resolve().name, "trained anew" if fresh else "fine-tuned"
    from_what = f"trained anew in the architecture of `{name}`" if fresh else f"fine-tuned from `{name}`"
    head, *body = [f"| {left} | {right} |\n" if right else f"| {left} | |\n" for left, right in rows.items()]
    return (
        f"---\nlibrary_name: transformers\npipeline_tag: {task}\n---\n\n# {name}, {done}\n\n"
        f"{what}, {from_what}.\n\n{head}|---|---|\n{''.join(body)}"
    )
