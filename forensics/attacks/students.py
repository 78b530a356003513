"""Models that a thief trains from first weights: the teacher's architecture, or others."""

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch

from forensics.checkpoints import quiet
from forensics.errors import UsageError

STUDENTS = ("same", "smaller", "cnn", "mlp", "vit")

_WIDTHS = ("embedding_size", "hidden_size", "hidden_sizes", "intermediate_size", "neck_hidden_sizes")


class PlainNet(torch.nn.Module):
    """A convolutional net of two layers, or a fully connected one, called as those of the Transformers library are.

    Args:
        kind: `cnn` or `mlp`.
        shape: channels, height and width of what it takes.
        classes: that it tells apart.
    """

    def __init__(self, kind: str, shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        self.kind, self.shape, self.classes = kind, shape, classes
        if kind == "cnn":
            layers: tuple[torch.nn.Module, ...] = (
                torch.nn.Conv2d(shape[0], 16, 3, padding=1),
                *(torch.nn.ReLU(), torch.nn.MaxPool2d(2)),
                torch.nn.Conv2d(16, 32, 3, padding=1),
                *(torch.nn.ReLU(), torch.nn.AdaptiveMaxPool2d(7), torch.nn.Flatten()),
                torch.nn.Linear(32 * 49, 128),
            )
        else:
            layers = (
                torch.nn.Flatten(),
                torch.nn.Linear(math.prod(shape), 256),
                torch.nn.ReLU(),
                torch.nn.Linear(256, 128),
            )
        self.body = torch.nn.Sequential(*layers, torch.nn.ReLU(), torch.nn.Linear(128, classes))

    def forward(self, pixel_values: torch.Tensor) -> Any:
        """Returns an object with `logits`, (n, classes)."""
        return _output(self.body(pixel_values))


class Average(torch.nn.Module):
    """Answers the mean of two models' probabilities."""

    def __init__(self, first: torch.nn.Module, second: torch.nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, pixel_values: torch.Tensor) -> Any:
        """Returns an object with `logits`, (n, classes), the logarithms of the mean probabilities."""
        both = [torch.log_softmax(model(pixel_values=pixel_values).logits, 1) for model in (self.first, self.second)]
        return _output(torch.logaddexp(*both) - math.log(2.0))


def fresh_model(
    student: str, teacher: torch.nn.Module, shape: tuple[int, int, int], labels: Sequence[str]
) -> torch.nn.Module:
    """Returns an untrained student; first weights are drawn from torch's generator as it stands.

    Args:
        student: one of `STUDENTS`.
        shape: channels, height and width of what the teacher is given.
        labels: class names.

    Raises:
        UsageError: the teacher's architecture is not known, or has no widths to halve.
    """
    if student in ("cnn", "mlp"):
        return PlainNet(student, shape, len(labels))
    if student == "vit":
        return _vit(shape, labels)
    while isinstance(teacher, Average):
        teacher = teacher.first
    if isinstance(teacher, PlainNet) and student == "same":
        return PlainNet(teacher.kind, teacher.shape, teacher.classes)
    config: Any = copy.deepcopy(getattr(teacher, "config", None))
    if config is None:
        raise UsageError(f"No '{student}' student can be made from this model.", "Choose the student cnn, mlp or vit.")
    if student == "smaller":
        _halve(config)
    build: Any = type(teacher)
    with quiet():
        model: torch.nn.Module = build(config)
    return model


def is_saved(student: str) -> bool:
    """Tells whether such a student can be written as a folder of the Transformers library."""
    return student not in ("cnn", "mlp")


def _halve(config: Any) -> None:
    stated = config.to_dict()
    widths = [name for name in _WIDTHS if name in stated and stated[name] is not None]
    if not widths:
        raise UsageError("The teacher's configuration names no widths.", "Choose the student same, cnn, mlp or vit.")
    for name in widths:
        value = stated[name]
        setattr(config, name, [max(1, each // 2) for each in value] if isinstance(value, list) else max(1, value // 2))


def _vit(shape: tuple[int, int, int], labels: Sequence[str]) -> torch.nn.Module:
    from transformers import ViTConfig, ViTForImageClassification

    channels, height, width = shape
    if height != width:
        raise UsageError(
            f"A vit student needs square images, not {width} x {height} pixels.", "Choose another student."
        )
    config: Any = ViTConfig(
        image_size=height,
        patch_size=max(size for size in range(1, max(1, height // 4) + 1) if height % size == 0),
        num_channels=channels,
        hidden_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=128,
        id2label=dict(enumerate(labels)),
        label2id={name: index for index, name in enumerate(labels)},
    )
    with quiet():
        return ViTForImageClassification(config)


def _output(logits: torch.Tensor) -> Any:
    from transformers.modeling_outputs import ImageClassifierOutput

    return ImageClassifierOutput(logits=logits)
