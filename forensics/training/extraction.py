"""A rehearsed thief who trains a model of his own on the owner's answers (ours; the principle is T2S's).

The student has random first weights and learns for a random number of ordinary steps ("its age"); then a few steps of
gradient descent are taken through which the mark's loss leads back to the owner's weights. Only the owner's answers
link the two models: with p the answers, s the student's, one step at the rate eta is

    phi' = phi - eta grad_phi KL(p || s) = phi + eta mean_x sum_c p_c(x) grad_phi log s_c(x).

- unrolled: all steps stay in the graph, so that the gradient is the derivative of the last student with respect to the
  owner's weights, by age and first weights held fixed.
- first order: each step's own dependence on the student's weights, the factor (I - eta H), is left out. What is left
  of dL/dp_c(x) is eta times the derivative of log s_c(x) along dL/dphi: one forward derivative a step and no second
  ones. For one step without fine-tuning this is exact.

Answers that name the top class alone have no derivative; that of the probabilities stands in (straight through).
Where the answers are vectors, unit vectors take the place of p and of log s: the student learns the cosine.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.func import functional_call, jvp
from torch.nn.functional import cross_entropy, normalize, one_hot

from forensics.training.rehearsal import Stolen

Weights = dict[str, torch.Tensor]
Builder = Callable[[tuple[int, int, int], int], torch.nn.Module]
"""Makes a student with random first weights from (channels, height, width) and a number of classes; logits (b, C).

It keeps no state between calls but its parameters: no BatchNorm, no dropout.
"""


def plain_cnn(shape: tuple[int, int, int], classes: int) -> torch.nn.Module:
    """Two strided convolutions and a linear layer."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(shape[0], 16, 3, stride=2, padding=1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 32, 3, stride=2, padding=1),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(4),
        torch.nn.Flatten(),
        torch.nn.Linear(32 * 16, classes),
    )


def perceptron(shape: tuple[int, int, int], classes: int) -> torch.nn.Module:
    """Two hidden layers."""
    return torch.nn.Sequential(
        torch.nn.Flatten(),
        torch.nn.Linear(shape[0] * shape[1] * shape[2], 128),
        torch.nn.ReLU(),
        torch.nn.Linear(128, 64),
        torch.nn.ReLU(),
        torch.nn.Linear(64, classes),
    )


class _Block(torch.nn.Module):
    """Two convolutions beside a shortcut, with GroupNorm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = torch.nn.Sequential(
            torch.nn.Conv2d(width, width, 3, padding=1),
            torch.nn.GroupNorm(4, width),
            torch.nn.ReLU(),
            torch.nn.Conv2d(width, width, 3, padding=1),
            torch.nn.GroupNorm(4, width),
        )

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Returns features of the same shape."""
        return torch.relu(rows + self.body(rows))


def residual(shape: tuple[int, int, int], classes: int) -> torch.nn.Module:
    """A strided convolution, two residual blocks, means over the image and a linear layer."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(shape[0], 16, 3, stride=2, padding=1),
        _Block(16),
        torch.nn.Conv2d(16, 32, 3, stride=2, padding=1),
        _Block(32),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(32, classes),
    )


ARCHITECTURES: Mapping[str, Builder] = {"cnn": plain_cnn, "mlp": perceptron, "resnet": residual}
"""Students that a thief may train; another is added by its name."""


class Student(torch.nn.Module):
    """A student with weights that are functions of the owner's."""

    def __init__(self, body: torch.nn.Module, weights: Weights) -> None:
        super().__init__()
        self.body, self.weights = body, weights

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Returns logits (b, C)."""
        logits: torch.Tensor = functional_call(self.body, self.weights, (rows,))
        return logits


@dataclass(frozen=True, eq=False)
class Extraction:
    """A thief who learns from the owner's answers; see the module's docstring. An `Attacker` of `rehearsal`.

    Attributes:
        answers: logits (b, C), or vectors, of the owner's model for inputs, with a gradient.
        queries: (n, channels, height, width) inputs that the thief puts to the model.
        truth: (n,) their true classes, for the fine-tuning after the extraction; None where there is no fine-tuning.
        classes: how many, or numbers of a vector.
        architectures: of which the student is one, drawn anew each time.
        ages: least and most ordinary steps (Adam) before those that lead back.
        age_rate: their learning rate.
        unrolled: K, steps of gradient descent that lead back.
        rate: their learning rate, eta.
        tuning: steps of gradient descent on true classes after them, at the same rate.
        hard: how often the thief sees the name of the top class alone.
        first_order: leave out the second derivatives.
        vectors: the answers are vectors, of which the direction is learnt; none are hard then.
    """

    answers: Callable[[torch.nn.Module, torch.Tensor], torch.Tensor]
    queries: torch.Tensor
    truth: torch.Tensor | None
    classes: int
    architectures: Sequence[Builder] = tuple(ARCHITECTURES.values())
    ages: tuple[int, int] = (10, 40)
    age_rate: float = 3e-3
    unrolled: int = 4
    rate: float = 5e-2
    tuning: int = 1
    hard: float = 0.25
    batch_size: int = 32
    first_order: bool = False
    vectors: bool = False

    def steal(self, model: torch.nn.Module, rng: np.random.Generator) -> Stolen:
        """Trains a student on the answers of the model in evaluation mode; the leads are the model's own parameters."""
        modes = {module: module.training for module in model.modules()}
        model.eval()
        try:
            student = self._student(model, rng)
        finally:
            for module, mode in modes.items():
                module.training = mode
        return Stolen(student, dict(model.named_parameters()))

    def _student(self, model: torch.nn.Module, rng: np.random.Generator) -> Student:
        builder = self.architectures[int(rng.integers(len(self.architectures)))]
        channels, height, width = self.queries.shape[1:]
        body = builder((channels, height, width), self.classes).to(self.queries.dtype)
        only_names = bool(rng.random() < self.hard) and not self.vectors
        self._age(body, model, int(rng.integers(self.ages[0], self.ages[1] + 1)), only_names, rng)
        rows = [self._some(rng) for _ in range(self.unrolled)]
        given = self._given(model, torch.cat(rows), only_names) if rows else None
        told = () if given is None else given.chunk(self.unrolled)
        later = [self._some(rng) for _ in range(self.tuning if self.truth is not None else 0)]
        weights = {name: weight.detach().clone().requires_grad_() for name, weight in body.named_parameters()}
        if self.first_order and given is not None:
            return Student(body, self._first_order(body, weights, rows, given, later))
        for at, answers in zip(rows, told):
            weights = self._step(body, weights, self._distance(body, weights, at, answers), graph=True)
        for at in later:
            weights = self._step(body, weights, self._error(body, weights, at), graph=True)
        return Student(body, weights)

    def _first_order(
        self,
        body: torch.nn.Module,
        weights: Weights,
        rows: Sequence[torch.Tensor],
        given: torch.Tensor,
        later: Sequence[torch.Tensor],
    ) -> Weights:
        path = []
        for at, answers in zip(rows, given.detach().chunk(len(rows))):
            path.append({name: weight.detach() for name, weight in weights.items()})
            weights = self._step(body, weights, self._distance(body, weights, at, answers), graph=False)
        for at in later:
            weights = self._step(body, weights, self._error(body, weights, at), graph=False)
        names = tuple(weights)

        def back(slopes: Sequence[torch.Tensor]) -> torch.Tensor:
            """The gradient on the answers, (K * b, C), of a gradient on the student's weights."""
            along = dict(zip(names, slopes))
            found = []
            for at, before in zip(rows, path):
                pair: Any = jvp(lambda moved, at=at: self._learnt(body, moved, at), (before,), (along,))
                found.append(self.rate / len(at) * pair[1])
            return torch.cat(found)

        apply: Callable[..., tuple[torch.Tensor, ...]] = _Learnt.apply
        return dict(zip(names, apply(back, given, *(weight.detach() for weight in weights.values()))))

    def _age(
        self, body: torch.nn.Module, model: torch.nn.Module, steps: int, only_names: bool, rng: np.random.Generator
    ) -> None:
        if not steps:
            return
        batches = [self._some(rng) for _ in range(steps)]
        asked, place = torch.cat(batches).unique(return_inverse=True)
        with torch.no_grad():
            given = self._given(model, asked, only_names)
        optimiser = torch.optim.Adam(body.parameters(), lr=self.age_rate)
        for at, known in zip(batches, place.chunk(steps)):
            optimiser.zero_grad(set_to_none=True)
            self._distance(body, dict(body.named_parameters()), at, given[known]).backward()
            optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    def _given(self, model: torch.nn.Module, rows: torch.Tensor, only_names: bool) -> torch.Tensor:
        """What the thief is told, (b, C): probabilities, the top class alone with their derivative, or unit vectors."""
        found = self.answers(model, self.queries[rows])
        if self.vectors:
            return normalize(found, dim=1)
        shares = found.softmax(dim=1)
        if not only_names:
            return shares
        return one_hot(shares.argmax(dim=1), self.classes).to(shares.dtype) + shares - shares.detach()

    def _some(self, rng: np.random.Generator) -> torch.Tensor:
        return torch.from_numpy(rng.integers(0, len(self.queries), self.batch_size))

    def _distance(
        self, body: torch.nn.Module, weights: Weights, rows: torch.Tensor, answers: torch.Tensor
    ) -> torch.Tensor:
        """KL(answers || student) but for the answers' own entropy, which the student's weights do not change.

        Of vectors: minus the cosine.
        """
        return -(answers * self._learnt(body, weights, rows)).sum(dim=1).mean()

    def _learnt(self, body: torch.nn.Module, weights: Weights, rows: torch.Tensor) -> torch.Tensor:
        """The student's log-probabilities (b, C), or unit vectors."""
        found: torch.Tensor = functional_call(body, weights, (self.queries[rows],))
        return normalize(found, dim=1) if self.vectors else found.log_softmax(dim=1)

    def _error(self, body: torch.nn.Module, weights: Weights, rows: torch.Tensor) -> torch.Tensor:
        assert self.truth is not None
        return cross_entropy(functional_call(body, weights, (self.queries[rows],)), self.truth[rows])

    def _step(self, body: torch.nn.Module, weights: Weights, loss: torch.Tensor, *, graph: bool) -> Weights:
        slopes = torch.autograd.grad(loss, list(weights.values()), create_graph=graph)
        moved = {name: weight - self.rate * slope for (name, weight), slope in zip(weights.items(), slopes)}
        return moved if graph else {name: weight.detach().requires_grad_() for name, weight in moved.items()}


class _Learnt(torch.autograd.Function):
    """Passes a student's weights on; their gradient goes to the answers that it learnt from."""

    @staticmethod
    def forward(ctx: Any, back: Callable[..., torch.Tensor], given: torch.Tensor, *weights: torch.Tensor) -> Any:
        """Returns the weights."""
        ctx.back = back
        return tuple(weight.clone() for weight in weights)

    @staticmethod
    def backward(ctx: Any, *slopes: torch.Tensor) -> Any:
        """Returns the gradient on the answers alone."""
        return None, ctx.back(slopes), *(None for _ in slopes)
