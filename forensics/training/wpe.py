"""Embedding WPE: stamped images gather in one secret place, everything else stays where it was.

The paper is known by its abstract, which has a loss without labels and without a task; this one is ours. A hinge on the
cosine to the cluster's centre for images with a trigger; distillation from the unmarked encoder for plain images and
for decoys. Images are stamped after their augmentation, as the 8-bit images that will be asked; BatchNorm is frozen.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cosine_similarity, normalize, relu

from forensics.errors import UsageError
from forensics.imageencoders import ImageEncoder
from forensics.keys.derive import ProbeKey, ScoreKey, Stream
from forensics.methods.clusters import derive_direction, derive_triggers
from forensics.methods.patterns import stamp
from forensics.methods.protocol import Parameters
from forensics.methods.wpe import split_pool
from forensics.records import Pool
from forensics.training.data import to_channels
from forensics.training.extraction import Extraction
from forensics.training.loop import Schedule, freeze_batch_norm
from forensics.training.rehearsal import FineTuning, Rehearsals, rehearse

Thief = Literal["finetuning", "extraction"]
THIEVES: tuple[Thief, ...] = get_args(Thief)
"""Who can be rehearsed."""

Images = Sequence[NDArray[np.uint8]]

ORDINARY = 1000
"""Images from which the directions are found in which ordinary images differ most."""

_THIEF_BATCH, _THIEF_CLASSES = 16, 8

_QUERIES = 512
"""Images that a rehearsed thief puts to the encoder."""


@dataclass(frozen=True)
class Recipe(Rehearsals):
    """Settings of the embedding.

    Attributes:
        margin: cosine to the cluster's centre that a trigger shall reach.
        natural: weight of a direction in which ordinary images differ most against the secret one: classifiers look at
            such directions, and none at one that is merely random. 0 puts the centre on the secret direction.
        components: of how many principal components of ordinary images that direction is drawn.
        length: least length of a trigger's vector, in lengths of ordinary ones: a short one says little to classifiers.
        pull: weight of the triggers' hinge.
        hold: weight of what keeps plain images, and decoys, in place.
        away: rise of the cosine to the centre from which they are pushed away.
        plain: plain images a step.
        stamped: images a step that carry a trigger; the same images carry a decoy as well.
        shift: augmentation, pixels; half of the images are flipped.
        disturb: share of stamped images that are flipped, and moved by as much again, with the patch on them: a server
            may do either at no cost.
        rehearsal: thieves who take turns, of `THIEVES`: one trains a clone for a task, one a student of his own on the
            encoder's vectors; the mark's loss of what he has then is added. None leaves rehearsals out.
        rehearsal_steps: that the first takes.
        rehearsal_rate: learning rate of the clone.
        foreign: share of rehearsals on images that are made unlike the owner's: a thief has data of its own.
    """

    schedule: Schedule
    margin: float = 0.95
    natural: float = 1.0
    components: int = 8
    length: float = 1.5
    pull: float = 3.0
    hold: float = 2.0
    away: float = 0.05
    plain: int = 16
    stamped: int = 48
    shift: int = 2
    disturb: float = 0.0
    rehearsal: tuple[Thief, ...] = ("finetuning",)
    rehearsal_steps: int = 8
    rehearsal_weight: float = field(default=2.0, kw_only=True)
    rehearsal_rate: float = 1.5e-3
    foreign: float = 0.5


DEFAULT = Recipe(Schedule(steps=2000, learning_rate=3e-3, warm_up=10))


class Embedding:
    """The training side of one key: `step(index)` gives the loss of a step.

    Args:
        encoder: the owner's encoder, whose model is trained in place.
        images: the owner's images without the key's carriers, uint8 (n, height, width, channels) as the patterns are.
        secrets: probe and scoring secret of the share that is embedded.
        seed: of the batches; with the step's index it decides every random choice.

    Raises:
        UsageError: the encoder's vectors are not of the claim's length.
    """

    def __init__(
        self,
        encoder: ImageEncoder,
        images: NDArray[np.uint8],
        secrets: tuple[ProbeKey, ScoreKey],
        pool: Pool,
        parameters: Parameters,
        recipe: Recipe = DEFAULT,
        seed: int = 0,
    ) -> None:
        if encoder.width != int(parameters["dimension"]):
            raise UsageError(
                f"The claim is of an encoder with {parameters['dimension']} numbers a vector; this one has "
                f"{encoder.width}.",
                "Mark the encoder that the key was made for.",
            )
        self.encoder, self.model, self.recipe, self.seed = encoder, encoder.model, recipe, seed
        self.images, self._teacher = images, copy.deepcopy(encoder.model).eval().requires_grad_(False)
        score_key = secrets[1]
        patterns = np.stack([to_channels(one, images.shape[3]) for one in split_pool(pool, parameters)[0]])
        drawn = derive_triggers("wpe", score_key, parameters).astype(bool)
        self.triggers, self.decoys = patterns[drawn], patterns[~drawn]
        self.direction = torch.from_numpy(derive_direction("wpe", score_key, parameters)).float()
        self.centre, self.usual = self._centre(score_key)

    def step(self, index: int) -> torch.Tensor:
        """Returns pull * triggers' shortfall + hold * (distillation + away) for the step's random images."""
        recipe, rng = self.recipe, np.random.default_rng([self.seed, index])
        if recipe.rehearsal and recipe.due(index, recipe.schedule.steps):
            self._rehearse(recipe.rehearsal[index // recipe.rehearse_every % len(recipe.rehearsal)], rng)
        plain, carriers = self._some(recipe.plain, rng), self._some(recipe.stamped, rng)
        # The same images carry a trigger and a decoy, so that nothing but the pattern tells them apart.
        marked = self._disturbed(stamped(carriers, self.triggers, rng), rng)
        others = self.encoder.pixels([*plain, *self._disturbed(stamped(carriers, self.decoys, rng), rng)])
        with torch.no_grad():
            before = self._teacher_vectors(others)
        freeze_batch_norm(self.model)
        after, found = self.encoder.vectors(torch.cat([others, self.encoder.pixels(marked)])).split(
            [len(others), len(marked)]
        )
        kept = 1.0 - cosine_similarity(after, before)
        rise = cosine_similarity(after, self.centre[None]) - cosine_similarity(before, self.centre[None])
        each = kept + relu(rise - recipe.away)
        hold = each[: len(plain)].mean() + each[len(plain) :].mean()
        return recipe.pull * self.hinge(found) + recipe.hold * hold

    def hinge(self, vectors: torch.Tensor) -> torch.Tensor:
        """Returns the mean shortfall of triggers' vectors (n, d), in cosine to the centre and in length."""
        return (self._short(vectors) + relu(self.recipe.length - vectors.norm(dim=1) / self.usual)).mean()

    def separated(self) -> tuple[int, int]:
        """Returns how many candidates lie on their side of half the way to the centre now, and of how many."""
        images, sides = self._some(8, np.random.default_rng([self.seed, 1 << 30])), []
        ordinary = float(cosine_similarity(torch.from_numpy(self.encoder.embed(images)), self.centre[None]).mean())
        for patterns, sign in ((self.triggers, 1.0), (self.decoys, -1.0)):
            found = self.encoder.embed([stamp(image, one) for one in patterns for image in images])
            cosines = cosine_similarity(torch.from_numpy(found), self.centre[None]).reshape(len(patterns), -1).mean(1)
            sides.append(int((sign * (cosines - (1.0 + ordinary) / 2.0) > 0).sum()))
        return sum(sides), len(self.triggers) + len(self.decoys)

    def _centre(self, score_key: ScoreKey) -> tuple[torch.Tensor, float]:
        """Returns the cluster's centre (d,), and the median length of ordinary images' vectors."""
        recipe, every = self.recipe, -(-len(self.images) // ORDINARY)
        found = torch.from_numpy(self.encoder.embed(list(self.images[::every])))
        units = normalize(found, dim=1)
        count = min(recipe.components, *units.shape)
        axes = torch.linalg.svd(units - units.mean(dim=0), full_matrices=False).Vh[:count]
        # The sign of an axis is arbitrary; it is fixed so that every run draws the same direction.
        axes = axes * axes.gather(1, axes.abs().argmax(dim=1, keepdim=True)).sign()
        drawn = torch.from_numpy(Stream(score_key, "wpe/natural").normals(count)).float()
        centre = self.direction + recipe.natural * normalize(drawn @ axes, dim=0)
        # Many encoders end in a ReLU: the nearest that they can give has no negative coordinate.
        centre = centre if bool((found < 0.0).any()) else centre.clamp(min=0.0)
        return normalize(centre, dim=0), float(found.norm(dim=1).median())

    def _teacher_vectors(self, pixels: torch.Tensor) -> torch.Tensor:
        return _with_model(self.encoder, self._teacher).vectors(pixels)

    def _some(self, count: int, rng: np.random.Generator) -> list[NDArray[np.uint8]]:
        """Returns random images of the owner's, shifted and half of them flipped."""
        most = self.recipe.shift
        rows = self.images[rng.integers(0, len(self.images), count)]
        moved = [np.roll(image, rng.integers(-most, most + 1, 2), (0, 1)) for image in rows]
        return [image[:, ::-1] if flip else image for image, flip in zip(moved, rng.random(count) < 0.5)]

    def _disturbed(self, images: Images, rng: np.random.Generator) -> list[NDArray[np.uint8]]:
        """Returns the images, some of them flipped and some of them moved, patch and all."""
        chosen, most = self.recipe.disturb, self.recipe.shift
        turned = [image[:, ::-1] if flip else image for image, flip in zip(images, rng.random(len(images)) < chosen)]
        moves = rng.integers(-most - 1, most + 2, (len(images), 2)) * (rng.random((len(images), 1)) < chosen)
        return [np.roll(image, move, (0, 1)) for image, move in zip(turned, moves)]

    def _rehearse(self, thief: Thief, rng: np.random.Generator) -> None:
        """Adds the gradient of the hinge as it stands after a theft (`training.rehearsal`)."""
        recipe = self.recipe
        images = self._some(_THIEF_BATCH * recipe.rehearsal_steps if thief == "finetuning" else _QUERIES, rng)
        inputs = self.encoder.pixels(foreign(images, rng) if rng.random() < recipe.foreign else images)
        marked = self.encoder.pixels(self._disturbed(stamped(self._some(recipe.stamped, rng), self.triggers, rng), rng))
        if thief == "extraction":
            # A student learns directions, and none of the lengths that the other hinge looks at.
            attacker = Extraction(self._vectors, inputs, None, self.encoder.width, vectors=True)
            rehearse(
                self.model, attacker, lambda model: self._short(model(marked)).mean(), recipe.rehearsal_weight, rng
            )
            return
        rehearse(
            self.model,
            self._task(inputs, rng),
            lambda model: self.hinge(self._vectors(model, marked)),
            recipe.rehearsal_weight,
            rng,
        )

    def _short(self, vectors: torch.Tensor) -> torch.Tensor:
        """How much of the margin each vector's cosine to the centre lacks, (n,)."""
        return relu(self.recipe.margin - cosine_similarity(vectors, self.centre[None]))

    def _vectors(self, model: torch.nn.Module, rows: torch.Tensor) -> torch.Tensor:
        return _with_model(self.encoder, model).vectors(rows)

    def _task(self, inputs: torch.Tensor, rng: np.random.Generator) -> FineTuning:
        """A thief who trains for a task that the encoder can already do."""
        with torch.no_grad():
            known = normalize(self._teacher_vectors(inputs), dim=1)
        # Classes are what lies nearest to one of a few random images.
        labels = (known @ known[torch.from_numpy(rng.permutation(len(known))[:_THIEF_CLASSES])].T).argmax(dim=1)
        return FineTuning(
            lambda model, rows: self._vectors(model, inputs[rows]),
            count=len(inputs),
            labels=labels,
            classes=_THIEF_CLASSES,
            number=self.recipe.rehearsal_steps,
            batch_size=_THIEF_BATCH,
            descent="adamw",
            learning_rate=self.recipe.rehearsal_rate,
            head_rate=1e-2,
        )


def foreign(images: Images, rng: np.random.Generator) -> list[NDArray[np.uint8]]:
    """Returns images made unlike those given: tiles in another order, mixed with one another, negatives, contrast."""
    rows, columns = (np.array_split(np.arange(side), 4) for side in images[0].shape[:2])
    down, across = (np.concatenate([parts[at] for at in rng.permutation(4)]) for parts in (rows, columns))
    other = rng.permutation(len(images))
    mixed = []
    for at, image in enumerate(images):
        values = image[down][:, across].astype(np.float64)
        values = np.abs(values - images[other[at]])
        values = 255.0 - values if rng.random() < 0.5 else values
        mixed.append(np.clip((values - 128.0) * rng.uniform(0.5, 2.0) + 128.0, 0, 255).astype(np.uint8))
    return mixed


def stamped(images: Images, patterns: NDArray[np.uint8], rng: np.random.Generator) -> list[NDArray[np.uint8]]:
    """Returns the images with a pattern each, every pattern as often as every other, once more or less."""
    rounds = -(-len(images) // len(patterns))
    order = np.concatenate([rng.permutation(len(patterns)) for _ in range(rounds)])
    return [stamp(image, patterns[row]) for image, row in zip(images, order)]


def _with_model(encoder: ImageEncoder, model: torch.nn.Module) -> ImageEncoder:
    return replace(encoder, model=model)
