"""Rehearsal: train on the mark's loss as it stands after an attack (ours; for T2S after Mei et al., ICASSP 2026).

An attacker makes a stolen model from the owner's, the mark's loss is taken on the stolen one, and its gradient is added
to the owner's weights. How the gradient comes back is the attacker's business (`Stolen.leads`):

- first order: the stolen model is a clone, phi_0 = theta, and phi_s is what s steps of the attack made of it. The owner
  gets g = dL/dphi at phi_s, weight by weight, as if phi_s = theta + constant. That is exact where an update does not
  depend on the weights. In general the exact gradient is (d phi_s/d theta)^T g, which for one step of gradient descent
  at the rate eta on a loss A is (I - eta H) g, with H the Hessian of A at theta.
- unrolled: the stolen model is computed from the owner's weights with a graph, and the gradient is the exact one
  (`extraction.Extraction`).
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch.nn.functional import cross_entropy

Rows = torch.Tensor
Loss = Callable[[torch.nn.Module], torch.Tensor]
"""The mark's loss of a model, a scalar; it may set the model's mode as it likes."""
Descent = Literal["sgd", "adamw"]


@dataclass(frozen=True, eq=False)
class Stolen:
    """What an attacker made.

    Attributes:
        model: what the mark's loss is taken on.
        leads: by the name of an owner's parameter, the tensor whose gradient that parameter gets: the clone's parameter
            (first order), or the owner's own, where a graph leads back to it (unrolled).
    """

    model: torch.nn.Module
    leads: Mapping[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Rehearsals:
    """When thefts are rehearsed, and how much they count: a part of a recipe.

    Attributes:
        rehearse_every: steps between two rehearsals.
        rehearsal_from: share of the steps after which rehearsals begin.
        rehearsal_weight: of the mark's loss after the theft.
    """

    rehearse_every: int = 4
    rehearsal_from: float = 0.2
    rehearsal_weight: float = 1.0

    def due(self, index: int, steps: int) -> bool:
        """Returns whether there is a rehearsal at a step, of so many."""
        return index >= self.rehearsal_from * steps and index % self.rehearse_every == 0


class Attacker(Protocol):
    """Makes a stolen model."""

    def steal(self, model: torch.nn.Module, rng: np.random.Generator) -> Stolen:
        """Attacks without touching the model; all randomness is `rng`'s, or torch's, which `rehearse` has seeded."""
        ...


class CloneAttacker(ABC):
    """An attacker of first order: it takes steps on a clone of the owner's model."""

    def steal(self, model: torch.nn.Module, rng: np.random.Generator) -> Stolen:
        """Clones, attacks the clone with all its weights trainable, and leaves it in evaluation mode.

        Leads are the parameters that the clone began with. A part that the attacker put in their place, such as a new
        head, has no counterpart: its gradient is dropped, and what it replaced gets none.
        """
        clone = copy.deepcopy(model)
        leads = {name: weight for name, weight in clone.named_parameters() if weight.is_floating_point()}
        for weight in leads.values():
            weight.requires_grad_(True)
        self.steps(clone, rng)
        return Stolen(clone.eval(), leads)

    @abstractmethod
    def steps(self, model: torch.nn.Module, rng: np.random.Generator) -> None:
        """Changes the clone's weights in place."""


def rehearse(model: torch.nn.Module, attacker: Attacker, loss: Loss, weight: float, rng: np.random.Generator) -> float:
    """Adds weight * gradient of the stolen model's loss to the `.grad` of the owner's parameters.

    The owner's weights, buffers (BatchNorm's statistics) and modes stay as they are, as does torch's own generator,
    which is seeded from `rng` for the time of the call. Called inside a step, between `zero_grad` and `backward`, it
    adds its part to the step's gradient.

    Args:
        model: whose trainable weights are all its own parameters; what a hook takes from outside is not attacked.
        attacker: makes the stolen model.
        loss: the mark's loss of a model.
        weight: of that loss in the step.
        rng: made from the run's seed and the step's index alone, so that a resumed run is the same run.

    Returns:
        the loss on the stolen model, without the weight.

    Raises:
        ValueError: no gradient leads from the loss to the owner's trainable parameters.
    """
    own = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**62)))
        stolen = attacker.steal(model, rng)
        value = loss(stolen.model)
        names = [name for name in own if name in stolen.leads]
        if not names or not value.requires_grad:
            raise ValueError("the loss of the stolen model depends on none of the owner's trainable parameters")
        gradients = torch.autograd.grad(weight * value, [stolen.leads[name] for name in names], allow_unused=True)
    if all(gradient is None for gradient in gradients):
        raise ValueError("no gradient leads from the stolen model to the owner's trainable parameters")
    for name, gradient in zip(names, gradients):
        if gradient is not None:
            before = own[name].grad
            own[name].grad = gradient.detach() if before is None else before + gradient
    return float(value.detach())


@dataclass(frozen=True, eq=False)
class FineTuning(CloneAttacker):
    """A thief who trains all layers on a small classification task.

    Attributes:
        outputs: differentiable, from a model and row numbers (b,) to features (b, d), or to logits without `new_head`.
        count: how many inputs the thief has.
        labels: (count,) classes; None draws them anew in each rehearsal, a random proxy task.
        classes: how many.
        new_head: put a fresh linear layer on the features; it is dropped afterwards.
        number: optimiser steps.
        learning_rate: of the model's layers.
        head_rate: of the fresh head.
    """

    outputs: Callable[[torch.nn.Module, Rows], torch.Tensor]
    count: int
    labels: torch.Tensor | None = None
    classes: int = 8
    new_head: bool = True
    number: int = 5
    batch_size: int = 16
    descent: Descent = "sgd"
    learning_rate: float = 1e-2
    head_rate: float = 1e-1

    def steps(self, model: torch.nn.Module, rng: np.random.Generator) -> None:
        """Takes the steps in training mode: dropout is on, BatchNorm's statistics move."""
        labels = self.labels
        if labels is None:
            labels = torch.from_numpy(rng.integers(0, self.classes, self.count))
        batches = [torch.from_numpy(rng.integers(0, self.count, self.batch_size)) for _ in range(self.number)]
        groups: list[dict[str, Any]] = [{"params": list(model.parameters()), "lr": self.learning_rate}]
        head: torch.nn.Module = torch.nn.Identity()
        if self.new_head:
            with torch.no_grad():
                width = self.outputs(model.eval(), torch.zeros(1, dtype=torch.int64)).shape[1]
            head = torch.nn.Linear(width, self.classes)
            groups.append({"params": list(head.parameters()), "lr": self.head_rate})
        model.train()
        _descend(
            groups, self.descent, (cross_entropy(head(self.outputs(model, rows)), labels[rows]) for rows in batches)
        )


@dataclass(frozen=True, eq=False)
class Overwriting(CloneAttacker):
    """A thief who trains something else into the model, such as a second key's mark.

    Attributes:
        objective: what is minimised, from the clone and the generator to a scalar; it sets the clone's mode.
        number: optimiser steps.
    """

    objective: Callable[[torch.nn.Module, np.random.Generator], torch.Tensor]
    number: int = 5
    descent: Descent = "adamw"
    learning_rate: float = 1e-3

    def steps(self, model: torch.nn.Module, rng: np.random.Generator) -> None:
        """Takes the steps."""
        model.train()
        groups = [{"params": list(model.parameters()), "lr": self.learning_rate}]
        _descend(groups, self.descent, (self.objective(model, rng) for _ in range(self.number)))


@dataclass(frozen=True)
class Pruning(CloneAttacker):
    """A thief who sets the smallest weights of each linear layer and convolution to zero.

    A pruned weight gets the gradient at zero (straight through), so that training can lift it over the threshold.

    Attributes:
        least, most: a layer's share is drawn between them, the same for all layers.
    """

    least: float = 0.1
    most: float = 0.6

    def steps(self, model: torch.nn.Module, rng: np.random.Generator) -> None:
        """Prunes once."""
        share = float(rng.uniform(self.least, self.most))
        with torch.no_grad():
            for module in model.modules():
                if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
                    ranks = module.weight.abs().flatten().argsort().argsort()
                    module.weight[(ranks < int(share * len(ranks))).reshape(module.weight.shape)] = 0.0


def _descend(groups: list[dict[str, Any]], descent: Descent, losses: Iterable[torch.Tensor]) -> None:
    """Takes a step for each loss; the iterable computes the next one only when the step before it is taken."""
    optimiser: torch.optim.Optimizer
    optimiser = torch.optim.SGD(groups) if descent == "sgd" else torch.optim.AdamW(groups)
    for loss in losses:
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    optimiser.zero_grad(set_to_none=True)
