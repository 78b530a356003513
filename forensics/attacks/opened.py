"""Removal by somebody who has seen shares of an OFSW key opened: he knows what was asked and what counted as a hit.

Written apart from the owner's trainer (ours): the thief's own epochs, his own read-out in torch, his own filters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import conv2d, cross_entropy, pad

from forensics.attacks.finetuning import BATCH
from forensics.checkpoints import Classifier
from forensics.errors import UsageError
from forensics.progress import Progress, silent
from forensics.records import FloatArray, IntArray
from forensics.training.data import ImageData, to_channels
from forensics.training.loop import freeze_batch_norm

SETTINGS: Mapping[str, float] = {
    **{"epochs": 10, "learning-rate": 1e-4, "seed": 0},
    **{"weight": 1, "invert": 1, "own": 0, "freeze": 0},
}
"""Names and defaults: `weight` of what removes the mark against the task's loss; `invert` 1 teaches the payload's
opposite, 0 random bits; `own` is the number of the thief's images a step whose freshly filtered views are to be
answered all alike, against shares that are still closed; `freeze` 1 keeps the running statistics of BatchNorm, which
views would spoil for ordinary images."""

BANKS = 2
"""Opened banks a step."""

MARGIN = 0.8
"""How far a wrong bit is pushed, in standard deviations of a bank's weights."""


@dataclass(frozen=True, eq=False)
class OpenedShare:
    """What an opened share tells of the mark.

    Attributes:
        views: uint8 (banks, k, height, width, channels), the images that are asked.
        truth: (banks,) true class of each bank's image.
        kernels: (banks, k, k) orthonormal rows.
        bits: (k,) the payload, 0 or 1.
        kernel: height and width of a filter; their product is k.
        contrast: standard deviation of a view, in 8-bit steps.
    """

    views: NDArray[np.uint8]
    truth: IntArray
    kernels: FloatArray
    bits: IntArray
    kernel: tuple[int, int]
    contrast: float


def unlearn(
    classifier: Classifier,
    data: ImageData,
    opened: Sequence[OpenedShare],
    settings: Mapping[str, float],
    progress: Progress = silent,
) -> None:
    """Trains the mark of opened shares away while the thief's own images keep the task, in place.

    Args:
        data: the thief's labelled images.
        opened: at least one share, of the model's classes.
        settings: overrides of `SETTINGS`.

    Raises:
        UsageError: no share is given, or data or shares are of other classes than the model.
    """
    classes, chosen = len(classifier.labels), {**SETTINGS, **settings}
    if not opened:
        raise UsageError("There is no opened share to unlearn.", "Name a case whose share was opened with --case.")
    if len(data.names) != classes or any(int(share.truth.max()) >= classes for share in opened):
        raise UsageError("The data or the share is not of the model's classes.", "Use those of the model's task.")
    model, rng = classifier.model, np.random.default_rng(int(chosen["seed"]))
    inputs, targets = data.pixels(classifier), torch.as_tensor(data.labels)
    banks = _banks(classifier, opened, rng, invert=chosen["invert"] > 0.0)
    optimiser = torch.optim.AdamW(model.parameters(), lr=chosen["learning-rate"])
    model.train()
    if chosen["freeze"] > 0.0:
        freeze_batch_norm(model)
    with progress("Unlearning", int(chosen["epochs"])) as advance:
        for _ in range(int(chosen["epochs"])):
            for rows in torch.as_tensor(rng.permutation(len(inputs))).split(BATCH):
                if len(rows) < 2:
                    continue
                loss = cross_entropy(model(pixel_values=inputs[rows]).logits, targets[rows])
                picked = [banks[at] for at in rng.permutation(len(banks))[:BANKS]]
                wrong = [torch.relu(MARGIN - bank.taught * bank.read(model)).mean() for bank in picked]
                loss = loss + chosen["weight"] * torch.stack(wrong).mean()
                if chosen["own"] >= 1.0:
                    spread = [
                        log_odds(
                            model(pixel_values=_own_views(classifier, data, row, opened[0], rng)).logits, truth
                        ).std()
                        for row, truth in _some(data, int(chosen["own"]), rng)
                    ]
                    loss = loss + chosen["weight"] * torch.stack(spread).mean()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            advance(1)
    model.eval()


@dataclass(frozen=True, eq=False)
class Bank:
    """One filtered image: its views as inputs, its class, its kernels, and the signs that are taught."""

    views: torch.Tensor
    truth: int
    kernels: torch.Tensor
    taught: torch.Tensor

    def read(self, model: torch.nn.Module) -> torch.Tensor:
        """Returns the weights (k,) that the owner would read from this bank."""
        odds = log_odds(model(pixel_values=self.views).logits, self.truth)
        return self.kernels.T @ ((odds - odds.mean()) / odds.std(correction=0).clamp_min(1e-6))


def _banks(
    classifier: Classifier, opened: Sequence[OpenedShare], rng: np.random.Generator, *, invert: bool
) -> list[Bank]:
    found = []
    for share in opened:
        taught = 1 - share.bits if invert else rng.integers(0, 2, len(share.bits))
        wrong = torch.as_tensor(2.0 * taught - 1.0, dtype=torch.float32)
        for views, truth, kernels in zip(share.views, share.truth, share.kernels, strict=True):
            pixels = classifier.pixels([to_channels(view, classifier.channels) for view in views])
            found.append(Bank(pixels, int(truth), torch.as_tensor(kernels, dtype=torch.float32), wrong))
    return found


def log_odds(logits: torch.Tensor, truth: int) -> torch.Tensor:
    """Returns the log-odds (n,) of one class."""
    others = torch.cat([logits[:, :truth], logits[:, truth + 1 :]], dim=1)
    return logits[:, truth] - others.logsumexp(dim=1)


def _some(data: ImageData, count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Returns positions and classes of random images."""
    return [(int(row), int(data.labels[row])) for row in rng.integers(0, len(data.labels), count)]


def _own_views(
    classifier: Classifier, data: ImageData, row: int, like: OpenedShare, rng: np.random.Generator
) -> torch.Tensor:
    """Returns inputs (k, channels, height, width): an image of the thief's through fresh filters like the owner's."""
    size = like.kernel[0] * like.kernel[1]
    filters = np.linalg.qr(rng.standard_normal((size, size)))[0]
    image = to_channels(data.images[row], like.views.shape[4])
    return filter_image(classifier, image, filters, like.kernel, like.contrast)


def filter_image(
    classifier: Classifier, image: NDArray[np.uint8], filters: FloatArray, kernel: tuple[int, int], contrast: float
) -> torch.Tensor:
    """Returns an image through filters as the model's inputs, (k, channels, height, width).

    Args:
        image: uint8 (height, width, channels).
        filters: (k, k), one a row.
        kernel: height and width of a filter.
        contrast: standard deviation of what comes out, in 8-bit steps around mid-grey.
    """
    height, width = kernel
    shown = torch.as_tensor(image.astype(np.float32)).permute(2, 0, 1)[:, None]
    framed = pad(shown, (width // 2, width - 1 - width // 2, height // 2, height - 1 - height // 2), mode="reflect")
    found = conv2d(framed, torch.as_tensor(filters).float().reshape(-1, 1, height, width)).permute(1, 2, 3, 0)
    mean, spread = found.mean(dim=(1, 2, 3), keepdim=True), found.std(dim=(1, 2, 3), keepdim=True).clamp_min(1e-6)
    views = (128.5 + contrast * (found - mean) / spread).clamp(0, 255).to(torch.uint8).numpy()
    return classifier.pixels([to_channels(view, classifier.channels) for view in views])
