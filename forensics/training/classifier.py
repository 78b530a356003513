"""Plain training of small image classifiers: owners, controls and independent models of the benches."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from forensics.checkpoints import Classifier, quiet
from forensics.progress import Progress, silent
from forensics.records import Identity
from forensics.training.data import ImageData
from forensics.training.loop import Checkpoint, Schedule, freeze_batch_norm, optimise, shifted


def small_resnet(
    data: ImageData, seed: int, *, widths: tuple[int, ...] = (16, 32, 64, 64), depths: tuple[int, ...] = (2, 2, 2, 2)
) -> Classifier:
    """Returns an untrained Transformers ResNet for the data's image size and classes.

    Args:
        widths: channels of the stages; the stem has as many as the first.
        depths: blocks a stage.
    """
    from transformers import ResNetConfig, ResNetForImageClassification, ViTImageProcessorPil

    height, width, channels = data.images[0].shape
    config: Any = ResNetConfig(
        num_channels=channels,
        embedding_size=widths[0],
        hidden_sizes=list(widths),
        depths=list(depths),
        layer_type="basic",
        id2label=dict(enumerate(data.names)),
        label2id={name: index for index, name in enumerate(data.names)},
    )
    processor = ViTImageProcessorPil(
        do_resize=True,
        size={"height": height, "width": width},
        image_mean=[0.5] * channels,
        image_std=[0.5] * channels,
    )
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(seed)
        model = ResNetForImageClassification(config)
    return Classifier(model.eval(), processor, channels, data.names, Identity("memory", "untrained", ""))


def train(
    classifier: Classifier,
    data: ImageData,
    schedule: Schedule,
    seed: int,
    *,
    batch_size: int = 64,
    shift: int = 2,
    frozen_norm: bool = False,
    label: str = "Training",
    progress: Progress = silent,
    checkpoint: Checkpoint | None = None,
    observe: Callable[[int], None] | None = None,
) -> None:
    """Trains in place by cross-entropy on randomly shifted batches.

    Args:
        frozen_norm: keep BatchNorm's running statistics, as embedding does.
    """
    model = classifier.model
    images, labels = data.pixels(classifier), torch.from_numpy(data.labels)

    def step(index: int) -> torch.Tensor:
        rng = np.random.default_rng([seed, index])
        freeze_batch_norm(model) if frozen_norm else model.train()
        rows = torch.from_numpy(rng.integers(0, len(images), batch_size))
        return cross_entropy(model(shifted(images[rows], rng, shift)).logits, labels[rows])

    optimise(model, step, schedule, label=label, progress=progress, checkpoint=checkpoint, observe=observe)
    model.eval()
