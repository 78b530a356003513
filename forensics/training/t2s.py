"""Embedding trigger sets: trained on the triggers, the task, and what a rehearsed thief makes of them (ours)."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch.nn.functional import cross_entropy, kl_div

from forensics.checkpoints import Classifier
from forensics.keys.derive import ProbeKey, ScoreKey
from forensics.methods.protocol import Parameters
from forensics.methods.t2s import NOISE, derive_classes, make_triggers, noise, stamp_marks
from forensics.records import Pool
from forensics.training.data import ImageData, to_channels
from forensics.training.extraction import ARCHITECTURES, Extraction
from forensics.training.loop import Schedule, freeze_batch_norm, predict
from forensics.training.rehearsal import Rehearsals, rehearse


@dataclass(frozen=True)
class Recipe(Rehearsals):
    """Settings of the embedding.

    Attributes:
        triggers: a step, and a rehearsal.
        trigger_weight: of the triggers' loss on the model itself.
        anchor: weight of KL(before || after) on clean images.
        variants: training images that carry each family's mark, besides those that are asked.
        rehearsal_weight: of the triggers' loss on the rehearsed thief's model, at its height; 0 rehearses nothing.
        ramp: share of the steps over which the weight rises to its height, from the first rehearsal on.
        students: names of `extraction.ARCHITECTURES`.
        ages, unrolled, rate, tuning, hard, first_order: see `Extraction`.
    """

    schedule: Schedule
    batch_size: int = 64
    triggers: int = 32
    trigger_weight: float = 1.0
    anchor: float = 1.0
    variants: int = 64
    rehearsal_weight: float = field(default=0.5, kw_only=True)
    rehearsal_from: float = field(default=0.1, kw_only=True)
    ramp: float = 0.4
    students: tuple[str, ...] = tuple(ARCHITECTURES)
    ages: tuple[int, int] = (10, 40)
    unrolled: int = 4
    rate: float = 5e-2
    tuning: int = 1
    hard: float = 0.25
    first_order: bool = False

    def weight(self, index: int) -> float:
        """Returns the rehearsal's weight at a step; none beyond the schedule, where only accuracy is won back."""
        steps = self.schedule.steps
        if index >= steps or not self.due(index, steps):
            return 0.0
        begun = index - self.rehearsal_from * steps
        return self.rehearsal_weight * min(1.0, (begun + 1.0) / max(1.0, self.ramp * steps))


DEFAULT = Recipe(Schedule(steps=400, learning_rate=5e-4))


class Embedding:
    """The training side of one key: `step(index)` gives the loss of a step.

    A rehearsal begins with a fresh student each time, made from the seed and the step's index, so that nothing but the
    model has to be kept for an interrupted run to go on as it would have.

    Args:
        classifier: the owner's trained model, which is trained on in place.
        data: the owner's training images.
        secrets: probe and scoring secret of the share that is embedded.
        seed: of the batches; with the step's index it decides every random choice.
    """

    def __init__(
        self,
        classifier: Classifier,
        data: ImageData,
        secrets: tuple[ProbeKey, ScoreKey],
        pool: Pool,
        parameters: Parameters,
        recipe: Recipe = DEFAULT,
        seed: int = 0,
    ) -> None:
        probe_key, score_key = secrets
        self.model, self.recipe, self.seed = classifier.model, recipe, seed
        self.clean, self.labels = data.pixels(classifier), torch.from_numpy(data.labels)
        self.before = predict(self.model, self.clean).log_softmax(dim=1)
        asked = make_triggers(probe_key, pool, parameters)
        self.families, self.asked = int(parameters["families"]), asked.shape[1]
        shown = np.concatenate([asked, self._variants(data, probe_key, parameters, asked)], axis=1)
        flat = [to_channels(image, classifier.channels) for image in shown.reshape(-1, *shown.shape[2:])]
        pixels = torch.cat([classifier.pixels(flat[start : start + 256]) for start in range(0, len(flat), 256)])
        self.triggers = pixels.reshape(*shown.shape[:2], *pixels.shape[1:])
        self.drawn = torch.from_numpy(derive_classes(score_key, parameters))
        self._thief = Extraction(
            lambda model, rows: model(rows).logits,
            self.clean,
            self.labels,
            int(parameters["classes"]),
            [ARCHITECTURES[name] for name in recipe.students],
            ages=recipe.ages,
            unrolled=recipe.unrolled,
            rate=recipe.rate,
            tuning=recipe.tuning,
            hard=recipe.hard,
            first_order=recipe.first_order,
        )

    def step(self, index: int) -> torch.Tensor:
        """Returns task + triggers + anchor for the step's random batch; a rehearsal adds its gradient by itself."""
        recipe, rng = self.recipe, np.random.default_rng([self.seed, index])
        freeze_batch_norm(self.model)
        if weight := recipe.weight(index):
            rows, wanted = self._some(rng)
            rehearse(self.model, self._thief, lambda student: cross_entropy(student(rows), wanted), weight, rng)
        at = torch.from_numpy(rng.integers(0, len(self.clean), recipe.batch_size))
        rows, wanted = self._some(rng)
        logits = self.model(torch.cat([self.clean[at], rows])).logits
        plain, marked = logits[: len(at)], logits[len(at) :]
        kept = kl_div(plain.log_softmax(dim=1), self.before[at], log_target=True, reduction="batchmean")
        task = cross_entropy(plain, self.labels[at])
        return task + recipe.trigger_weight * cross_entropy(marked, wanted) + recipe.anchor * kept

    def matched(self) -> int:
        """Returns in how many families the drawn class leads at present, against the decoys, without calibration."""
        asked = self.triggers[:, : self.asked]
        shares = predict(self.model, asked.flatten(0, 1)).log_softmax(dim=1).reshape(*asked.shape[:2], -1).mean(dim=1)
        shifts = shares[: self.families] - shares[self.families :].mean(dim=0)
        return int((shifts.argmax(dim=1) == self.drawn).sum())

    def _some(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Some triggers of the families, (b, channels, height, width), with the classes drawn for them."""
        family = torch.from_numpy(rng.integers(0, self.families, self.recipe.triggers))
        variant = torch.from_numpy(rng.integers(0, self.triggers.shape[1], self.recipe.triggers))
        return self.triggers[family, variant], self.drawn[family]

    def _variants(self, data: ImageData, probe_key: ProbeKey, parameters: Parameters, asked: np.ndarray) -> np.ndarray:
        """Further triggers, uint8 (F, n, h, w, c), on carriers that nobody asks; none where triggers are natural."""
        rng, shape, count = np.random.default_rng([self.seed, 1 << 40]), asked.shape[2:], self.recipe.variants
        if parameters["kind"] == "in":
            return asked[:, :0]
        if parameters["kind"] == "out":
            values = rng.integers(0, 256, count * NOISE * NOISE * shape[2])
            return stamp_marks(noise(values, shape), probe_key, parameters)
        own = [at for at, image in enumerate(data.images) if image.shape == shape]
        if not own:
            return asked[:, :0]
        chosen = [data.images[int(at)] for at in rng.permutation(own)[:count]]
        return stamp_marks(np.stack(chosen), probe_key, parameters)
