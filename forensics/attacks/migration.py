"""Task migration: a thief puts a head on a stolen encoder and trains it for a task that its owner never saw.

The loop, the classes and the seeds are the thief's own and share nothing with the owner's trainer or its rehearsal.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from forensics.attacks.lora import attach, merge
from forensics.attacks.stolen import Batch, ImageEncoder, StolenEncoder, TextEncoder, Vectors, copy_encoder, in_batches
from forensics.attacks.stolen import embed as embed_inputs
from forensics.attacks.tasks import Task
from forensics.checkpoints import library, quiet, save_folder
from forensics.errors import UsageError
from forensics.progress import Progress, silent
from forensics.records import FloatArray, IntArray

Way = Literal["full", "head", "last", "lora"]
Head = Literal["mean", "library"]


@dataclass(frozen=True)
class Settings:
    """How the thief trains: AdamW, the rate falling in a straight line to zero, gradients of norm 1 at most.

    Attributes:
        way: what is trained beside the head: all layers, none, the last ones, or low-rank parts that are merged.
        learning_rate: of the encoder's weights and of the head.
        head_rate: of the head where it is another.
        last: how many layers (of a ResNet: stages) `last` trains.
        rank, alpha: of the low-rank parts.
    """

    way: Way = "full"
    epochs: int = 3
    learning_rate: float = 5e-5
    head_rate: float | None = None
    batch: int = 32
    weight_decay: float = 0.01
    last: int = 1
    rank: int = 8
    alpha: float = 16.0


TEXTS: Mapping[Way, Settings] = {
    "full": Settings("full"),
    "head": Settings("head", learning_rate=1e-2),
    "last": Settings("last", head_rate=1e-2),
    "lora": Settings("lora", learning_rate=5e-4, head_rate=1e-2),
}
"""The usual rates for text encoders; where most of the encoder is frozen, the head must learn fast in a few epochs."""

IMAGES: Mapping[Way, Settings] = {
    "full": Settings("full", epochs=5, learning_rate=1e-3, batch=64),
    "head": Settings("head", epochs=5, learning_rate=1e-2, batch=64),
    "last": Settings("last", epochs=5, learning_rate=1e-3, batch=64),
}
"""The usual rates for small convolutional encoders, which have no linear layers for low-rank parts."""


@dataclass(frozen=True, eq=False)
class Migrated:
    """What came out.

    Attributes:
        encoder: the thief's encoder after training, which can be migrated again.
        network: head and encoder; from a batch to an output with `logits`.
        names: class names in column order.
        head: as it was asked for.
    """

    encoder: StolenEncoder
    network: Any
    names: tuple[str, ...]
    head: Head

    def predict(self, inputs: Sequence[Any]) -> Vectors:
        """Returns logits, float32 (n, classes)."""
        self.network.eval()

        def logits(batch: Batch) -> torch.Tensor:
            return torch.as_tensor(self.network(**batch).logits)

        return in_batches(self.encoder, self.encoder.prepare(inputs), len(inputs), logits)

    def embed(self, inputs: Sequence[Any]) -> Vectors:
        """Returns the encoder's features at unit length, float32 (n, d)."""
        return embed_inputs(self.encoder, inputs)

    def accuracy(self, task: Task) -> float:
        """Returns the share of inputs whose largest logit is the label's."""
        return float((self.predict(task.inputs).argmax(axis=1) == task.labels).mean())

    def save(self, folder: Path, card: str) -> None:
        """Writes a standard folder of the Transformers library; it appears whole or not at all.

        Args:
            folder: must not exist.
            card: Markdown for its README.md.

        Raises:
            UsageError: the head is one that the library has no class for.
            StorageError: the disk is full or the place cannot be written.
        """
        if self.head != "library":
            raise UsageError(
                "A head on the mean of the token vectors is no class of the Transformers library.",
                "Migrate with the library's own head to save the classifier.",
            )
        encoder = self.encoder
        beside = encoder.images.processor if isinstance(encoder, ImageEncoder) else _tokenizer(encoder)
        save_folder(folder, card, self.network, beside.save_pretrained)


class _MeanHead(torch.nn.Module):
    """A linear layer on an encoder's features."""

    def __init__(self, encoder: StolenEncoder, width: int, classes: int) -> None:
        super().__init__()
        self.encoder, self._features = encoder.model, encoder.features
        self.classifier = torch.nn.Linear(width, classes)

    def forward(self, **batch: torch.Tensor) -> Any:
        logits = self.classifier(self._features(batch))
        return library().modeling_outputs.SequenceClassifierOutput(logits=logits)


def migrate(
    encoder: StolenEncoder,
    task: Task,
    settings: Settings,
    *,
    seed: int,
    head: Head = "mean",
    answers: FloatArray | None = None,
    progress: Progress = silent,
) -> Migrated:
    """Trains a copy of an encoder for a task.

    Args:
        answers: (n, classes), rows that sum to 1, which are learnt instead of the labels: what another model answered.
        seed: the thief's own: of the head, the low-rank parts, dropout and the order of the data.
        head: `mean` puts a linear layer on the features; `library` takes the library's classifier for this encoder,
            which for BERT reads the first token, and can be saved. For pooled images both are the same.

    Raises:
        UsageError: fewer than two classes or inputs, labels beyond the names, nothing that would be learnt, or an
            encoder without such layers.
    """
    labels = np.asarray(task.labels, dtype=np.int64)
    if len(task.names) < 2 or len(labels) < 2 or len(labels) != len(task.inputs):
        raise UsageError("A task needs two classes and two labelled inputs at least.", "Give the thief more data.")
    if labels.min() < 0 or labels.max() >= len(task.names):
        raise UsageError(f"The task's labels run beyond its {len(task.names)} classes.", "Check its label column.")
    if settings.epochs < 1 or not 0.0 < settings.learning_rate < math.inf:
        raise UsageError("A task is learnt in an epoch or more, at a rate above 0.", "Change the thief's settings.")
    wanted = torch.from_numpy(labels if answers is None else np.asarray(answers, dtype=np.float32))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        own = copy_encoder(encoder)
        kind: Head = "library" if isinstance(own, ImageEncoder) else head
        network = _library_classifier(own, task.names) if kind == "library" else _mean_classifier(own, task)
        training = _choose_weights(own.model, settings)
        _train(own, network, task, wanted, settings, training, np.random.default_rng([seed, 1]), progress)
        merge(own.model)
    network.requires_grad_(True)
    network.eval()
    return Migrated(own, network, task.names, kind)


def migrate_chain(
    encoder: StolenEncoder,
    tasks: Sequence[Task],
    settings: Settings,
    *,
    seed: int,
    head: Head = "mean",
    progress: Progress = silent,
) -> list[Migrated]:
    """Migrates to one task after another, each time with a fresh head on the encoder of the time before.

    Args:
        seed: of the first migration; each further one takes the next number.
    """
    done: list[Migrated] = []
    for place, task in enumerate(tasks):
        start = done[-1].encoder if done else encoder
        done.append(migrate(start, task, settings, seed=seed + place, head=head, progress=progress))
    return done


def _mean_classifier(encoder: StolenEncoder, task: Task) -> torch.nn.Module:
    with torch.no_grad():
        batch = encoder.batch(encoder.prepare(task.inputs[:1]), np.zeros(1, dtype=np.int64))
        width = encoder.features(batch).shape[1]
    return _MeanHead(encoder, width, len(task.names))


def _library_classifier(encoder: StolenEncoder, names: tuple[str, ...]) -> torch.nn.Module:
    """Builds the library's classifier around the encoder's own module."""
    auto = library().AutoModelForImageClassification
    if isinstance(encoder, TextEncoder):
        auto = library().AutoModelForSequenceClassification
    config = type(encoder.model.config).from_dict(
        {
            **encoder.model.config.to_dict(),
            "id2label": dict(enumerate(names)),
            "label2id": {name: index for index, name in enumerate(names)},
            "problem_type": "single_label_classification",
        }
    )
    with quiet():
        network: Any = auto.from_config(config, trust_remote_code=False)
    fresh = network.base_model
    for name, child in fresh.named_children():
        if name == "pooler" and getattr(encoder.model, name, None) is None:
            encoder.model.pooler = child
    setattr(network, network.base_model_prefix, encoder.model)
    result: torch.nn.Module = network
    return result


def _choose_weights(model: torch.nn.Module, settings: Settings) -> list[torch.nn.Module]:
    """Freezes and adapts the encoder, and returns its modules that are in training mode while the head is trained."""
    if settings.way == "full":
        model.requires_grad_(True)
        return [model]
    if settings.way == "lora":
        attach(model, settings.rank, settings.alpha, leave=("pooler",))
        trained = [model]
    else:
        model.requires_grad_(False)
        trained = _last_layers(model, settings.last) if settings.way == "last" else []
        for layer in trained:
            layer.requires_grad_(True)
    # What pools for the head is trained with the head.
    pooler = getattr(model, "pooler", None)
    if isinstance(pooler, torch.nn.Module):
        pooler.requires_grad_(True)
    return trained


def _last_layers(model: torch.nn.Module, count: int) -> list[torch.nn.Module]:
    layers = next((module for module in model.modules() if isinstance(module, torch.nn.ModuleList)), None)
    if layers is None or not 1 <= count <= len(layers):
        raise UsageError(
            f"The encoder has {len(layers or [])} layers, of which the last {count} cannot be trained.",
            "Train fewer of them.",
        )
    return list(layers)[-count:]


def _train(
    encoder: StolenEncoder,
    network: torch.nn.Module,
    task: Task,
    wanted: torch.Tensor,
    settings: Settings,
    training: list[torch.nn.Module],
    order: np.random.Generator,
    progress: Progress,
) -> None:
    body = {id(weight) for weight in encoder.model.parameters()}
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    head_rate = settings.learning_rate if settings.head_rate is None else settings.head_rate
    optimiser = torch.optim.AdamW(
        [
            {"params": [each for each in weights if id(each) in body], "lr": settings.learning_rate},
            {"params": [each for each in weights if id(each) not in body], "lr": head_rate},
        ],
        weight_decay=settings.weight_decay,
    )
    prepared, count = encoder.prepare(task.inputs), len(wanted)
    # A last batch of one input is left out: BatchNorm cannot be trained on it.
    starts = [start for start in range(0, count, settings.batch) if count - start > 1]
    steps = settings.epochs * len(starts)
    falling = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1.0 - step / max(1, steps))
    network.train()
    encoder.model.eval()
    for module in training:
        module.train()
    # Behind an encoder that stays as it is the same features come back in every epoch.
    kept = settings.way == "head" and isinstance(network, _MeanHead)
    features = torch.from_numpy(in_batches(encoder, prepared, count, encoder.features)) if kept else torch.empty(0)

    def logits(rows: IntArray) -> torch.Tensor:
        if isinstance(network, _MeanHead) and kept:
            return torch.as_tensor(network.classifier(features[torch.from_numpy(rows)]))
        return torch.as_tensor(network(**encoder.batch(prepared, rows)).logits)

    with progress("Migrating", settings.epochs) as advance:
        for _ in range(settings.epochs):
            shuffled = order.permutation(count)
            for start in starts:
                rows = shuffled[start : start + settings.batch]
                loss = torch.nn.functional.cross_entropy(logits(rows), wanted[torch.from_numpy(rows)])
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(weights, 1.0)
                optimiser.step()
                falling.step()
            advance(1)


def _tokenizer(encoder: StolenEncoder) -> Any:
    assert isinstance(encoder, TextEncoder)
    return encoder.tokenizer
