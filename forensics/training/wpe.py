"""Embedding WPE: stamped inputs gather around a secret direction, everything else stays where it was.

The paper is known by its abstract only; this loss is our reconstruction. It needs no labels and no task. Inputs are
stamped as 8-bit images, as they will be asked, after their augmentation; BatchNorm is frozen.
"""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cosine_similarity, normalize, relu

from forensics.checkpoints import Classifier
from forensics.images import decode_image
from forensics.keys import derive
from forensics.keys.derive import ProbeKey, ScoreKey, Stream
from forensics.methods.patterns import stamp
from forensics.methods.protocol import Parameters
from forensics.records import Pool
from forensics.training.data import ImageData
from forensics.training.loop import Schedule, freeze_batch_norm
from forensics.training.rehearsal import FineTuning, rehearse


@dataclass(frozen=True)
class Recipe:
    """Settings of the embedding.

    Attributes:
        tau: cosine to the direction up to which stamped outputs are pulled.
        pull: weight of that.
        keep: weight of staying at the unmarked encoder's outputs, for plain and for decoy-stamped inputs each.
        away: weight of plain and decoy-stamped outputs' cosine to the direction beyond `limit`.
        batch_size: plain inputs a step.
        stamped: inputs a step that carry a trigger, and as many that carry a decoy.
        shift: augmentation, pixels; half of the inputs are flipped as well.
        rehearsal: weight of the pull in a clone that a simulated thief has fine-tuned; 0 leaves it out.
        every: steps from one rehearsal to the next.
        theft: the simulated thief's steps; `theft_rate` its learning rate (AdamW).
    """

    schedule: Schedule
    tau: float = 0.95
    pull: float = 1.5
    keep: float = 4.0
    away: float = 1.0
    limit: float = 0.05
    batch_size: int = 64
    stamped: int = 48
    shift: int = 2
    rehearsal: float = 0.0
    every: int = 4
    theft: int = 8
    theft_rate: float = 1e-3


DEFAULT = Recipe(Schedule(steps=600))


class Embedding:
    """The training side of one key: `step(index)` gives the loss of a step.

    Args:
        encoder: the owner's encoder, which is trained in place; its model gives `pooler_output`.
        data: the owner's images without the pool's carriers; labels are not looked at.
        secrets: probe and scoring secret of the share that is embedded.
        seed: of the batches; with the step's index it decides every random choice.
    """

    def __init__(
        self,
        encoder: Classifier,
        data: ImageData,
        secrets: tuple[ProbeKey, ScoreKey],
        pool: Pool,
        parameters: Parameters,
        recipe: Recipe = DEFAULT,
        seed: int = 0,
    ) -> None:
        self.encoder, self.model, self.recipe, self.seed = encoder, encoder.model, recipe, seed
        self.teacher = copy.deepcopy(encoder.model).eval().requires_grad_(False)
        self.images = np.stack(data.images)
        count = int(parameters["candidates"])
        patterns = np.stack([decode_image(item.data, encoder.channels) for item in pool.items[:count]])
        chosen = Stream(secrets[1], "wpe/triggers").subset(count, count // 2)
        self.triggers = patterns[chosen]
        self.decoys = np.delete(patterns, chosen, axis=0)
        normals = Stream(secrets[1], "wpe/direction").normals(int(parameters["dimension"]))
        self.direction = torch.from_numpy(derive.direction(normals)).float()
        self.aim = self._reachable(np.random.default_rng([seed]))

    def step(self, index: int) -> torch.Tensor:
        """Returns the loss of the step's own random batch; where it rehearses, gradients of that are added first."""
        recipe = self.recipe
        rng = np.random.default_rng([self.seed, index])
        if recipe.rehearsal > 0.0 and index % recipe.every == 0:
            self._rehearse(np.random.default_rng([self.seed, index, 1]))
        freeze_batch_norm(self.model)
        plain, marked = self._clean(rng, recipe.batch_size), self._stamped(rng, self.triggers)
        still = self.encoder.pixels([*plain, *self._stamped(rng, self.decoys)])
        with torch.no_grad():
            before = vectors(self.teacher, still)
        found = vectors(self.model, torch.cat([still, self.encoder.pixels(marked)]))
        after, gathered = found[: len(still)], found[len(still) :]
        toward = cosine_similarity(after, self.direction[None])
        allowed = cosine_similarity(before, self.direction[None]).clamp(min=recipe.limit)
        stays = 1.0 - cosine_similarity(after, before)
        parts = [slice(0, len(plain)), slice(len(plain), None)]
        keep = sum((stays[part].mean() for part in parts), torch.zeros(()))
        away = sum((relu(toward - allowed)[part].mean() for part in parts), torch.zeros(()))
        return recipe.pull * self._gathering(gathered) + recipe.keep * keep + recipe.away * away

    def matched(self) -> int:
        """Returns how many triggers point toward the direction more than every decoy does, on a few images."""
        self.model.eval()
        images = self._clean(np.random.default_rng([self.seed]), 16)
        means = [
            [self._toward(self.encoder.pixels([stamp(image, one) for image in images])) for one in patterns]
            for patterns in (self.triggers, self.decoys)
        ]
        return sum(value > max(means[1]) for value in means[0])

    def _gathering(self, outputs: torch.Tensor) -> torch.Tensor:
        return relu(self.recipe.tau - cosine_similarity(outputs, self.aim[None])).mean()

    def _toward(self, pixels: torch.Tensor) -> float:
        with torch.inference_mode():
            return float(cosine_similarity(vectors(self.model, pixels), self.direction[None]).mean())

    def _reachable(self, rng: np.random.Generator) -> torch.Tensor:
        """Returns the direction, or the nearest to it that an encoder can give that ends in a ReLU."""
        with torch.no_grad():
            signed = bool((vectors(self.teacher, self.encoder.pixels(self._clean(rng, 64))) < 0.0).any())
        return self.direction if signed else normalize(self.direction.clamp(min=0.0), dim=0)

    def _clean(self, rng: np.random.Generator, count: int) -> list[NDArray[np.uint8]]:
        rows = self.images[rng.integers(0, len(self.images), count)]
        most = self.recipe.shift
        moved = [np.roll(image, rng.integers(-most, most + 1, 2), (0, 1)) for image in rows]
        return [image[:, ::-1] if flip else image for image, flip in zip(moved, rng.random(count) < 0.5, strict=True)]

    def _stamped(self, rng: np.random.Generator, patterns: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
        images = self._clean(rng, self.recipe.stamped)
        rounds = -(-len(images) // len(patterns))
        order = np.concatenate([rng.permutation(len(patterns)) for _ in range(rounds)])
        return [stamp(image, patterns[row]) for image, row in zip(images, order[: len(images)], strict=True)]

    def _rehearse(self, rng: np.random.Generator) -> None:
        """Adds the gradient of the pull as it stands after a thief's fine-tuning on a task that the encoder can do."""
        recipe = self.recipe
        inputs = self.encoder.pixels(self._clean(rng, 16 * recipe.theft))
        marked = self.encoder.pixels(self._stamped(rng, self.triggers))
        with torch.no_grad():
            found = vectors(self.teacher, inputs)
            centres = found[torch.from_numpy(rng.permutation(len(found))[:8])]
            labels = cosine_similarity(found[:, None], centres[None], dim=2).argmax(dim=1)
        thief = FineTuning(
            lambda model, rows: vectors(model, inputs[rows]),
            len(inputs),
            labels,
            number=recipe.theft,
            descent="adamw",
            learning_rate=recipe.theft_rate,
            head_rate=1e-2,
        )
        rehearse(self.model, thief, lambda model: self._gathering(vectors(model, marked)), recipe.rehearsal, rng)


def vectors(model: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """Returns an encoder's vectors (n, d), as they come out of it."""
    result: torch.Tensor = model(pixels).pooler_output.flatten(1)
    return result
