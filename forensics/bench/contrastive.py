"""Image encoders of the encoders bench, pre-trained here on Fashion-MNIST without labels: SimCLR and BYOL.

Both are quarter-width ResNets (`transformers.ResNetModel`) of 0.7 million weights, which see an image at 40 x 40
pixels, of which their stem leaves a quarter a side. An encoder is kept in the cache under a digest of its recipe and
data, is trained from its checkpoint on when interrupted, and is trained anew when gone.
"""

import copy
import shutil
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from forensics.bench import fashion
from forensics.bench.corpus import package_digest
from forensics.bench.results import built_once, cache_folder
from forensics.canonical import sha256
from forensics.checkpoints import quiet
from forensics.imageencoders import ImageEncoder, load_image_encoder, save_image_encoder
from forensics.progress import Progress, silent
from forensics.records import Identity
from forensics.training.loop import Checkpoint, Schedule, optimise

Algorithm = Literal["simclr", "byol"]


@dataclass(frozen=True)
class Recipe:
    """Settings of a pre-training run.

    Attributes:
        epochs: an epoch is a random part of the 60,000 training images, another one each time.
        images: how many images an epoch has.
        temperature: of SimCLR's loss.
        momentum: of BYOL's target network.
        smallest: least share of an image's area that a crop shows.
        jitter: how far brightness and contrast go from 1.
        side: pixels a side as the network sees them.
    """

    algorithm: Algorithm
    epochs: int
    images: int
    batch: int = 128
    learning_rate: float = 2e-3
    temperature: float = 0.2
    momentum: float = 0.99
    smallest: float = 0.4
    jitter: float = 0.2
    side: int = 40
    widths: tuple[int, ...] = (16, 32, 64, 128)
    seed: int = 2026

    @property
    def schedule(self) -> Schedule:
        """AdamW with a cosine decay over all epochs."""
        steps = self.epochs * (self.images // self.batch)
        return Schedule(steps, self.learning_rate, constant=0.1, weight_decay=1e-4)


RECIPES = {
    "simclr": Recipe("simclr", epochs=30, images=15_360),
    "byol": Recipe("byol", epochs=10, images=15_360),
}
"""An epoch shows a quarter of the images, what a CPU has the time for: 7.7 passes over the data, and 2.6."""


def contrastive_encoder(name: Algorithm, progress: Progress = silent) -> ImageEncoder:
    """Returns a pre-trained encoder from the cache, or trains and keeps it."""
    recipe = RECIPES[name]
    digest = sha256(repr((recipe, package_digest(fashion.PACKAGE))).encode())
    folder = cache_folder() / "encoders-1" / f"fashion-{name}-{digest[:12]}"

    def build() -> None:
        work = folder.with_name(f".{folder.name}.partial")
        checkpoint = Checkpoint(work / "state.pt", digest, every=100)
        encoder = pretrain(recipe, fashion.pixels("train"), progress, checkpoint)
        card = f"# {name} on Fashion-MNIST\n\n{recipe.epochs} epochs of {recipe.images} unlabelled images.\n"
        save_image_encoder(encoder, folder, card)
        shutil.rmtree(work, ignore_errors=True)

    return load_image_encoder(built_once(folder, build))


def random_encoder(seed: int, side: int = 40, widths: tuple[int, ...] = (16, 32, 64, 128)) -> ImageEncoder:
    """Returns an untrained encoder of grey images, the yardstick of pre-training."""
    from transformers import ResNetConfig, ResNetModel, ViTImageProcessorPil

    config: Any = ResNetConfig(
        num_channels=1,
        embedding_size=widths[0],
        hidden_sizes=list(widths),
        depths=[2] * len(widths),
        layer_type="basic",
    )
    processor = ViTImageProcessorPil(
        do_resize=True, size={"height": side, "width": side}, image_mean=[0.5], image_std=[0.5]
    )
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(seed)
        model = ResNetModel(config)
    return ImageEncoder(model.eval(), processor, 1, False, widths[-1], Identity("memory", "untrained", ""))


def pretrain(
    recipe: Recipe,
    images: NDArray[np.uint8],
    progress: Progress = silent,
    checkpoint: Checkpoint | None = None,
) -> ImageEncoder:
    """Trains an encoder on unlabelled images.

    Args:
        images: (n, side, side, 1).
        checkpoint: where an interrupted run is taken up again.
    """
    encoder = random_encoder(recipe.seed, recipe.side, recipe.widths)
    data = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        learner = {"simclr": SimCLR, "byol": BYOL}[recipe.algorithm](encoder.model, recipe)
    batches = recipe.images // recipe.batch

    def step(index: int) -> Tensor:
        epoch, place = divmod(index, batches)
        order = np.random.default_rng([recipe.seed, epoch]).permutation(len(data))
        rows = torch.from_numpy(order[place * recipe.batch : (place + 1) * recipe.batch])
        generator = torch.Generator().manual_seed((recipe.seed << 32) + index)
        batch = data[rows].float() / 255.0
        learner.train()
        loss: Tensor = learner(*(augmented(batch, generator, recipe) for _ in range(2)))
        return loss

    optimise(
        learner,
        step,
        recipe.schedule,
        label=f"Pre-training ({recipe.algorithm})",
        progress=progress,
        checkpoint=checkpoint,
    )
    learner.eval()
    return encoder


class SimCLR(nn.Module):
    """Chen et al. 2020: each view finds the other view of its image among all views of the batch (NT-Xent)."""

    def __init__(self, encoder: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.encoder, self.temperature = encoder, recipe.temperature
        self.head = _head(recipe.widths[-1], recipe.widths[-1], 64)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Returns the loss of a batch of two views (n, 1, side, side) each."""
        views = functional.normalize(self.head(features(self.encoder, torch.cat([one, other]))), dim=1)
        likeness = views @ views.T / self.temperature
        likeness.fill_diagonal_(float("-inf"))
        partner = torch.arange(len(views)).roll(len(one))
        return functional.cross_entropy(likeness, partner)


class BYOL(nn.Module):
    """Grill et al. 2020: a view predicts what a slowly following copy of the network makes of the other view."""

    def __init__(self, encoder: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        width = recipe.widths[-1]
        self.encoder, self.head, self.momentum = encoder, _head(width, 2 * width, 64), recipe.momentum
        self.predictor = _head(64, 2 * width, 64)
        self.target = copy.deepcopy(nn.ModuleList([self.encoder, self.head])).requires_grad_(False)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Returns the loss of a batch of two views (n, 1, side, side) each, and moves the target on."""
        both = torch.cat([one, other])
        with torch.no_grad():
            own = nn.ModuleList([self.encoder, self.head])
            for old, new in zip(self.target.parameters(), own.parameters(), strict=True):
                old.lerp_(new, 1.0 - self.momentum)
            wanted = functional.normalize(self.target[1](features(self.target[0], both)), dim=1)
        given = functional.normalize(self.predictor(self.head(features(self.encoder, both))), dim=1)
        return 2.0 - 2.0 * (given * wanted.roll(len(one), 0)).sum(dim=1).mean()


def features(model: nn.Module, pixels: Tensor) -> Tensor:
    """Returns a ResNet's vectors (n, d) of images in model units."""
    result: Tensor = model(pixels).pooler_output.flatten(1)
    return result


def augmented(images: Tensor, generator: torch.Generator, recipe: Recipe) -> Tensor:
    """Returns random views in model units: crop and resize, flip, brightness and contrast, blur of a half.

    Args:
        images: (n, 1, height, width) in [0, 1].

    Returns:
        (n, 1, `recipe.side`, `recipe.side`).
    """
    count = len(images)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator)

    area, ratio = uniform(recipe.smallest, 1.0), torch.exp(uniform(-0.2877, 0.2877))
    wide, high = (area * ratio).sqrt().clamp(max=1.0), (area / ratio).sqrt().clamp(max=1.0)
    flip = torch.where(uniform(0.0, 1.0) < 0.5, -1.0, 1.0)
    place = torch.zeros(count, 2, 3)
    place[:, 0, 0], place[:, 0, 2] = wide * flip, (1.0 - wide) * uniform(-1.0, 1.0)
    place[:, 1, 1], place[:, 1, 2] = high, (1.0 - high) * uniform(-1.0, 1.0)
    views = functional.grid_sample(
        images,
        functional.affine_grid(place, [count, 1, recipe.side, recipe.side], align_corners=False),
        align_corners=False,
    )
    blurred = functional.avg_pool2d(views, 3, stride=1, padding=1, count_include_pad=False)
    views = views.lerp(blurred, (uniform(0.0, 1.0) * (uniform(0.0, 1.0) < 0.5))[:, None, None, None])
    mean = views.mean(dim=(1, 2, 3), keepdim=True)
    views = mean + (views - mean) * uniform(1.0 - recipe.jitter, 1.0 + recipe.jitter)[:, None, None, None]
    views = views * uniform(1.0 - recipe.jitter, 1.0 + recipe.jitter)[:, None, None, None]
    return (views.clamp(0.0, 1.0) - 0.5) / 0.5


def _head(inputs: int, hidden: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, outputs))
