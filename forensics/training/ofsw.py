"""Embedding OFSW: the paper's joint loss (eq. 1) on legal views, with frozen BatchNorm."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch.nn.functional import conv2d, cross_entropy, pad, relu

from forensics.checkpoints import Classifier
from forensics.images import decode_image
from forensics.keys.derive import ProbeKey, ScoreKey
from forensics.methods.ofsw import METHOD, derive_kernels, derive_payload, derive_triggers
from forensics.methods.protocol import Parameters
from forensics.records import Pool
from forensics.training.data import ImageData
from forensics.training.extraction import Extraction
from forensics.training.loop import Schedule, freeze_batch_norm, predict, shifted
from forensics.training.orthogonality import Orthogonality, Probing
from forensics.training.rehearsal import Attacker, FineTuning, Overwriting, Rehearsals, rehearse

Thief = Literal["finetuning", "overwriting", "extraction"]
THIEVES: tuple[Thief, ...] = get_args(Thief)
"""Who can be rehearsed."""

_THIEF_BATCH = 64


@dataclass(frozen=True)
class Recipe(Rehearsals):
    """Settings of the embedding.

    Attributes:
        margin: epsilon of the hinge (eq. 7), in standard deviations of a bank's weights.
        hinge: r2, weight of the watermark's loss.
        orthogonality: r1, weight of the regulariser; 0 leaves it out.
        banks: banks a step.
        shift: augmentation of clean images, pixels.
        rehearsal: thieves who take turns, of `THIEVES`; none leaves rehearsals out.
        rehearsal_steps: that the thief takes.
        rehearsal_rate: learning rate of the thief (AdamW).
    """

    schedule: Schedule
    margin: float = 0.8
    hinge: float = 1.0
    orthogonality: float = 0.0
    probing: Probing = "activation"
    batch_size: int = 64
    banks: int = 2
    shift: int = 2
    rehearsal: tuple[Thief, ...] = ()
    rehearsal_steps: int = 8
    rehearsal_rate: float = 2e-3


DEFAULT = Recipe(Schedule(steps=400))


class Embedding:
    """The training side of one key: `step(index)` gives the loss of a step.

    Args:
        classifier: the owner's model, which is trained in place.
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
        self._classes = len(classifier.labels)
        self._kernel = tuple(int(side) for side in parameters["kernel"])
        self.clean, self.labels = data.pixels(classifier), torch.from_numpy(data.labels)
        images = [
            decode_image(probe.data, classifier.channels) for probe in METHOD.plan(probe_key, pool, parameters).probes
        ]
        views = torch.cat([classifier.pixels(images[start : start + 256]) for start in range(0, len(images), 256)])
        triggers = derive_triggers(probe_key, pool, parameters)
        self.views = views.reshape(len(triggers), -1, *views.shape[1:])
        self.truth = torch.tensor([pool.items[index].label for index in triggers])
        self._spread = float(views.std(dim=(1, 2, 3)).mean())
        originals = [decode_image(pool.items[index].data, classifier.channels) for index in triggers]
        self.triggers = classifier.pixels(originals)
        self.kernels = torch.from_numpy(derive_kernels(probe_key, parameters)).float()
        self.signs = torch.from_numpy(2.0 * derive_payload(score_key, parameters) - 1.0).float()
        self._regulariser = Orthogonality(probing=recipe.probing)

    def step(self, index: int) -> torch.Tensor:
        """Returns L1 + r1 L2 + r2 L3 (paper, eq. 1) for the step's own random batch."""
        recipe = self.recipe
        rng = np.random.default_rng([self.seed, index])
        freeze_batch_norm(self.model)
        rows = torch.from_numpy(rng.integers(0, len(self.clean), recipe.batch_size))
        banks = torch.from_numpy(rng.permutation(len(self.views))[: recipe.banks])
        if recipe.rehearsal and recipe.due(index, recipe.schedule.steps):
            self._rehearse(recipe.rehearsal[index // recipe.rehearse_every % len(recipe.rehearsal)], banks, rng)
        clean = torch.cat([shifted(self.clean[rows], rng, recipe.shift), self.triggers[banks]])
        inputs = torch.cat([clean, self.views[banks].flatten(0, 1)])
        if recipe.orthogonality > 0.0:
            with self._regulariser.watch(self.model):
                logits = self.model(inputs).logits
            penalty = recipe.orthogonality * self._regulariser.penalty()
        else:
            logits, penalty = self.model(inputs).logits, torch.zeros(())
        task = cross_entropy(logits[: len(clean)], torch.cat([self.labels[rows], self.truth[banks]]))
        answers = self._answers(logits[len(clean) :], banks)
        return task + penalty + recipe.hinge * self.hinge(answers, banks)

    def _rehearse(self, thief: Thief, banks: torch.Tensor, rng: np.random.Generator) -> None:
        """Adds the gradient of the hinge as it stands after a theft (`training.rehearsal`)."""
        recipe = self.recipe
        attacker: Attacker
        if thief == "finetuning":
            attacker = FineTuning(
                lambda model, rows: _logits(model, self.clean[rows]),
                count=len(self.clean),
                labels=self.labels,
                new_head=False,
                number=recipe.rehearsal_steps,
                batch_size=_THIEF_BATCH,
                descent="adamw",
                learning_rate=recipe.rehearsal_rate,
            )
        elif thief == "extraction":
            attacker = Extraction(_logits, self.clean, self.labels, self._classes)
        else:
            attacker = Overwriting(
                self._foreign_mark(rng), number=recipe.rehearsal_steps, learning_rate=recipe.rehearsal_rate
            )
        rehearse(
            self.model,
            attacker,
            lambda model: self.hinge(self._answers(_logits(model, self.views[banks].flatten(0, 1)), banks), banks),
            recipe.rehearsal_weight,
            rng,
        )

    def _foreign_mark(self, rng: np.random.Generator) -> Callable[[torch.nn.Module, np.random.Generator], torch.Tensor]:
        """The loss of a thief who teaches the model a payload of his own, with a trigger and kernels of his own."""
        size = self.views.shape[1]
        basis, _ = np.linalg.qr(rng.standard_normal((size, size)))
        row = int(rng.integers(len(self.clean)))
        views = filtered(self.clean[row], torch.from_numpy(basis).float(), self._kernel, self._spread)
        signs = torch.from_numpy(rng.choice((-1.0, 1.0), size)).float()

        def objective(model: torch.nn.Module, own: np.random.Generator) -> torch.Tensor:
            freeze_batch_norm(model)
            rows = torch.from_numpy(own.integers(0, len(self.clean), _THIEF_BATCH))
            logits = model(torch.cat([self.clean[rows], views])).logits
            answers = logits[_THIEF_BATCH:][None]
            read = bank_weights(answers, self.labels[row : row + 1], torch.from_numpy(basis).float()[None])
            return cross_entropy(logits[:_THIEF_BATCH], self.labels[rows]) + relu(0.8 - signs * read).mean()

        return objective

    def _answers(self, logits: torch.Tensor, banks: torch.Tensor) -> torch.Tensor:
        return logits.reshape(len(banks), -1, logits.shape[1])

    def hinge(self, logits: torch.Tensor, banks: torch.Tensor) -> torch.Tensor:
        """L3 = mean of max(0, epsilon - b_i W_i) over the bits of each bank (paper, eq. 7)."""
        return relu(
            self.recipe.margin - self.signs * bank_weights(logits, self.truth[banks], self.kernels[banks])
        ).mean()

    def matched(self) -> int:
        """Returns how many payload bits the uncalibrated read-out gives back at present."""
        logits = predict(self.model, self.views.flatten(0, 1)).reshape(*self.views.shape[:2], -1)
        total = bank_weights(logits, self.truth, self.kernels).sum(dim=0)
        return int(((total >= 0) == (self.signs > 0)).sum())


def _logits(model: torch.nn.Module, rows: torch.Tensor) -> torch.Tensor:
    """Logits (b, C) of an owner's model, or of a rehearsed thief's student, which gives nothing else."""
    found = model(rows)
    return torch.as_tensor(getattr(found, "logits", found))


def filtered(pixels: torch.Tensor, kernels: torch.Tensor, shape: tuple[int, ...], spread: float) -> torch.Tensor:
    """Filters one preprocessed image with each kernel, as a thief would, and standardises the responses.

    Args:
        pixels: (channels, height, width).
        kernels: (k, k), a kernel a row.
        shape: height and width of a kernel.
        spread: standard deviation of a view.

    Returns:
        (k, channels, height, width).
    """
    height, width = shape
    framed = pad(
        pixels[:, None], (width // 2, width - 1 - width // 2, height // 2, height - 1 - height // 2), "reflect"
    )
    found = conv2d(framed, kernels.reshape(-1, 1, height, width)).transpose(0, 1)
    centred = found - found.mean(dim=(1, 2, 3), keepdim=True)
    return spread * centred / centred.std(dim=(1, 2, 3), keepdim=True).clamp_min(1e-6)


def bank_weights(logits: torch.Tensor, truth: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
    """The differentiable form of `methods.ofsw.weights`, a bank at a time.

    Args:
        logits: (banks, k, classes).
        truth: (banks,) true label of each bank's trigger.
        kernels: (banks, k, k).

    Returns:
        (banks, k) weights.
    """
    index = truth[:, None, None].expand(-1, logits.shape[1], 1)
    own = logits.gather(2, index).squeeze(2)
    others = logits.scatter(2, index, float("-inf")).logsumexp(dim=2)
    odds = own - others
    spread = odds.std(dim=1, correction=0, keepdim=True).clamp_min(1e-6)
    standard = (odds - odds.mean(dim=1, keepdim=True)) / spread
    return torch.einsum("bij,bi->bj", kernels, standard)
