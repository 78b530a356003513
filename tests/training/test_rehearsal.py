import copy
import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch

from forensics.training.rehearsal import CloneAttacker, FineTuning, Overwriting, Pruning, Stolen, rehearse


class Small(torch.nn.Module):
    """Linear, BatchNorm, dropout, linear, in float64 so that finite differences are sharp."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = torch.nn.Linear(5, 6), torch.nn.BatchNorm1d(6)
        self.dropout, self.last = torch.nn.Dropout(0.3), torch.nn.Linear(6, 3)
        self.double()

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.last(self.dropout(torch.tanh(self.norm(self.first(rows)))))


@pytest.fixture
def model() -> Small:
    torch.manual_seed(3)
    return Small().train()


INPUTS = torch.randn(20, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
TARGET = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def mark(model: torch.nn.Module) -> torch.Tensor:
    return (model.eval()(INPUTS) - TARGET).square().mean()


def gradient(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in model.parameters()])


def numeric(model: torch.nn.Module, function: Callable[[torch.nn.Module], float], step: float = 1e-5) -> torch.Tensor:
    """Central differences of a function of the model in every weight."""
    slopes = []
    moved = copy.deepcopy(model)
    for parameter in moved.parameters():
        flat = parameter.data.view(-1)
        for index in range(len(flat)):
            before = float(flat[index])
            flat[index] = before + step
            above = function(moved)
            flat[index] = before - step
            slopes.append((above - function(moved)) / (2 * step))
            flat[index] = before
    return torch.tensor(slopes, dtype=torch.float64)


def rng(index: int) -> np.random.Generator:
    return np.random.default_rng([7, index])


ATTACKERS = {
    "fine-tuning": FineTuning(lambda m, rows: m(INPUTS[rows]), len(INPUTS), new_head=False, classes=3, number=3),
    "overwriting": Overwriting(lambda m, r: (m(INPUTS) - r.normal()).square().mean(), number=3),
    "pruning": Pruning(),
}


class Features(torch.nn.Module):
    """An encoder: its outputs get a head from the attacker."""

    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Linear(5, 6), torch.nn.Dropout(0.2), torch.nn.Linear(6, 3))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.body(rows.float())


ENCODER_TUNING = FineTuning(lambda m, rows: m(INPUTS[rows]), len(INPUTS), number=4, descent="adamw", learning_rate=1e-3)


def test_the_gradient_is_exact_where_the_attack_is_a_step_along_a_fixed_direction(model: Small) -> None:
    """A loss linear in the weights has a constant gradient, so first order is the whole derivative."""
    fixed = {name: torch.randn_like(value) for name, value in model.named_parameters()}

    def linear(m: torch.nn.Module, _: np.random.Generator) -> torch.Tensor:
        return sum(((fixed[name] * value).sum() for name, value in m.named_parameters()), torch.zeros(()))

    attacker = Overwriting(linear, number=1, descent="sgd", learning_rate=0.05)

    def after(start: torch.nn.Module) -> float:
        clone = copy.deepcopy(start)
        with torch.no_grad():
            for name, value in clone.named_parameters():
                value -= 0.05 * fixed[name]
            return float(mark(clone))

    value = rehearse(model, attacker, mark, 0.5, rng(0))
    assert value == pytest.approx(after(model), rel=1e-9)
    assert torch.allclose(gradient(model), 0.5 * numeric(model, after), atol=1e-8)
    assert float(gradient(model).norm()) > 0.01


def test_what_first_order_leaves_out_is_the_hessian_of_the_attack(model: Small) -> None:
    """One step on A = |theta|^2 / 2 has H = I: the exact derivative is (1 - eta) g, first order gives g."""

    def shrink(m: torch.nn.Module, _: np.random.Generator) -> torch.Tensor:
        return sum((value.square().sum() / 2 for value in m.parameters()), torch.zeros(()))

    def after(start: torch.nn.Module) -> float:
        clone = copy.deepcopy(start)
        with torch.no_grad():
            for value in clone.parameters():
                value *= 0.8
            return float(mark(clone))

    rehearse(model, Overwriting(shrink, number=1, descent="sgd", learning_rate=0.2), mark, 1.0, rng(0))
    assert torch.allclose(0.8 * gradient(model), numeric(model, after), atol=1e-8)


class Student(torch.nn.Module):
    """Weights that are functions of the owner's."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return rows @ self.weight


class Extraction:
    """A student that begins at zero and takes differentiable steps towards the owner's answers."""

    def __init__(self, detached: bool = False) -> None:
        self.detached = detached

    def student(self, model: torch.nn.Module) -> torch.Tensor:
        answers = model.eval()(INPUTS)
        weight = torch.zeros(5, 3, dtype=torch.float64, requires_grad=True)
        for _ in range(2):
            distance = (INPUTS @ weight - answers).square().mean()
            weight = weight - 0.5 * torch.autograd.grad(distance, weight, create_graph=True)[0]
        return weight.detach().requires_grad_() if self.detached else weight

    def steal(self, model: torch.nn.Module, rng: np.random.Generator) -> Stolen:
        return Stolen(Student(self.student(model)), dict(model.named_parameters()))


def test_an_unrolled_attack_gives_the_exact_gradient(model: Small) -> None:
    model.eval()
    rehearse(model, Extraction(), mark, 1.0, rng(0))
    wanted = numeric(model, lambda m: mark(Student(Extraction().student(m))).item())
    assert torch.allclose(gradient(model), wanted, atol=1e-8)
    assert float(wanted.norm()) > 1e-3


def test_a_detached_unrolled_attack_is_refused(model: Small) -> None:
    with pytest.raises(ValueError, match="no gradient leads"):
        rehearse(model, Extraction(detached=True), mark, 1.0, rng(0))
    with pytest.raises(ValueError, match="none of the owner's"):
        rehearse(model, Pruning(), lambda m: mark(m).detach(), 1.0, rng(0))


@pytest.mark.parametrize("name", ATTACKERS)
def test_the_owner_is_untouched(model: Small, name: str) -> None:
    model.last.eval()
    model.norm.weight.requires_grad_(False)
    state = copy.deepcopy(model.state_dict())
    modes = [module.training for module in model.modules()]
    generator = torch.get_rng_state()
    rehearse(model, ATTACKERS[name], mark, 1.0, rng(0))
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())
    assert modes == [module.training for module in model.modules()]
    assert torch.equal(generator, torch.get_rng_state())
    assert model.norm.weight.grad is None
    assert float(model.first.weight.grad.norm()) > 0


@pytest.mark.parametrize("name", ATTACKERS)
def test_a_step_is_repeatable_and_its_index_counts(model: Small, name: str) -> None:
    found = []
    for index, noise in ((4, 0), (4, 1), (5, 0)):
        torch.manual_seed(noise)  # whatever ran before must not matter
        model.zero_grad()
        rehearse(model, ATTACKERS[name], mark, 1.0, rng(index))
        found.append(gradient(model))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_the_gradient_is_added(model: Small) -> None:
    rehearse(model, ATTACKERS["fine-tuning"], mark, 1.0, rng(0))
    alone = gradient(model).clone()
    model.zero_grad()
    mark(model).backward()
    plain = gradient(model).clone()
    rehearse(model, ATTACKERS["fine-tuning"], mark, 2.0, rng(0))
    assert torch.allclose(gradient(model), plain + 2 * alone)


def test_a_fresh_head_is_the_attackers_own(model: Small) -> None:
    encoder = Features()
    rehearse(encoder, ENCODER_TUNING, lambda m: m(INPUTS).square().mean(), 1.0, rng(0))
    assert all(parameter.grad is not None for parameter in encoder.parameters())
    assert [name for name, _ in encoder.named_parameters()] == [
        "body.0.weight", "body.0.bias", "body.2.weight", "body.2.bias",
    ]  # fmt: skip


def test_an_attack_of_no_steps_gives_the_plain_gradient() -> None:
    encoder = Features().eval()
    encoder(INPUTS).square().mean().backward()
    plain = gradient(encoder).clone()
    encoder.zero_grad()
    attacker = dataclasses.replace(ENCODER_TUNING, number=0)
    rehearse(encoder, attacker, lambda m: m(INPUTS).square().mean(), 1.0, rng(0))
    assert torch.allclose(gradient(encoder), plain)


def test_a_head_that_the_attacker_replaced_gives_nothing_back(model: Small) -> None:
    class NewHead(CloneAttacker):
        def steps(self, model: torch.nn.Module, rng: np.random.Generator) -> None:
            model.last = torch.nn.Linear(6, 3).double()

    rehearse(model, NewHead(), mark, 1.0, rng(0))
    assert model.last.weight.grad is None
    assert float(model.first.weight.grad.norm()) > 0


def test_the_attack_takes_effect_and_given_labels_are_learnt() -> None:
    encoder = Features()
    labels = (INPUTS[:, 0] > 0).long()
    losses = {}
    for number in (0, 60):
        attacker = FineTuning(
            lambda m, rows: m(INPUTS[rows]), 20, labels, 3, False, number=number, learning_rate=0.3, batch_size=20
        )
        stolen = attacker.steal(encoder, rng(0)).model
        losses[number] = float(torch.nn.functional.cross_entropy(stolen(INPUTS), labels).detach())
        assert not stolen.training
    assert losses[60] < 0.5 * losses[0]


def test_pruning_zeroes_the_share_of_each_layer(model: Small) -> None:
    clone = Pruning(0.5, 0.5).steal(model, rng(0)).model
    assert int((clone.first.weight == 0).sum()) == 15
    sizes = model.first.weight.detach().abs()
    assert float(sizes[clone.first.weight == 0].max()) <= float(sizes[clone.first.weight != 0].min())
