"""The gradient through a rehearsed thief's training is the derivative, and is not zero."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from forensics.training.extraction import ARCHITECTURES, Extraction, Student
from forensics.training.rehearsal import Attacker, rehearse

SHAPE, CLASSES = (1, 8, 8), 3


def smooth(shape: tuple[int, int, int], classes: int) -> torch.nn.Module:
    """A student without corners, so that finite differences are sharp."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(shape[0], 3, 3, stride=2), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(27, classes)
    )


def owner() -> torch.nn.Module:
    torch.manual_seed(5)
    layers = torch.nn.Flatten(), torch.nn.Linear(64, 4), torch.nn.BatchNorm1d(4), torch.nn.Tanh(), torch.nn.Dropout(0.5)
    return torch.nn.Sequential(*layers, torch.nn.Linear(4, CLASSES)).double().train()


def some(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


QUERIES, TRIGGERS = some(40, 1), some(12, 2)
TRUTH, WANTED = torch.arange(40) % CLASSES, torch.arange(12) % CLASSES
THIEF = Extraction(
    lambda model, rows: model(rows), QUERIES, TRUTH, CLASSES, [smooth], ages=(5, 9), unrolled=3, rate=0.3, tuning=1,
    hard=0.0, batch_size=8,
)  # fmt: skip


def loss(student: torch.nn.Module) -> torch.Tensor:
    return cross_entropy(student(TRIGGERS), WANTED)


def rng() -> np.random.Generator:
    return np.random.default_rng([3, 1])


def gradient(model: torch.nn.Module, attacker: Attacker) -> torch.Tensor:
    model.zero_grad()
    rehearse(model, attacker, loss, 1.0, rng())
    return torch.cat([each.grad.flatten() for each in model.parameters()])


class Aged(Extraction):
    """Ages its students on answers that stay as they are, so that only the unrolled steps depend on the owner."""

    def steal(self, model: torch.nn.Module, rng: np.random.Generator):
        self.__dict__.setdefault("teacher", copy.deepcopy(model).eval())
        return super().steal(model, rng)

    def _age(
        self, body: torch.nn.Module, model: torch.nn.Module, steps: int, only_names: bool, rng: np.random.Generator
    ) -> None:
        super()._age(body, self.__dict__["teacher"], steps, only_names, rng)


def aged(**changes: object) -> Aged:
    fields = {field.name: getattr(THIEF, field.name) for field in dataclasses.fields(THIEF)}
    return Aged(**{**fields, **changes})


def numeric(model: torch.nn.Module, attacker: Attacker, along: torch.Tensor, step: float = 1e-6) -> float:
    """Central difference of the stolen model's loss along a direction of the owner's weights."""
    start, found = torch.nn.utils.parameters_to_vector(model.parameters()).detach(), []
    for sign in (1.0, -1.0):
        moved = copy.deepcopy(model)
        torch.nn.utils.vector_to_parameters(start + sign * step * along, moved.parameters())
        found.append(rehearse(moved, attacker, loss, 1.0, rng()))
    return (found[0] - found[1]) / (2 * step)


def cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(one, other, dim=0))


@pytest.mark.parametrize("changes", [{}, {"vectors": True}, {"vectors": True, "truth": None}])
def test_the_unrolled_gradient_is_the_derivative_and_not_zero(changes: dict[str, object]) -> None:
    model, attacker = owner(), aged(**changes)
    found = gradient(model, attacker)
    for along in torch.randn(12, len(found), dtype=torch.float64, generator=torch.Generator().manual_seed(8)):
        assert float(found @ along) == pytest.approx(numeric(model, attacker, along), abs=1e-7)
    assert float(found.norm()) > 1e-3


@pytest.mark.parametrize("vectors", [False, True])
def test_first_order_is_exact_for_one_step_and_close_for_several(vectors: bool) -> None:
    model = owner()
    once = {"unrolled": 1, "tuning": 0, "vectors": vectors}
    assert torch.allclose(gradient(model, aged(**once, first_order=True)), gradient(model, aged(**once)), atol=1e-12)
    several, exact = gradient(model, aged(first_order=True)), gradient(model, aged())
    assert cosine(several, exact) > 0.9
    assert not torch.allclose(several, exact, rtol=1e-3)


def test_both_ways_end_at_the_same_student() -> None:
    """Leaving out second derivatives changes what comes back, not what the thief has."""
    students = []
    for first_order in (False, True):
        torch.manual_seed(2)
        students.append(aged(first_order=first_order).steal(owner(), rng()).model(TRIGGERS))
    assert torch.allclose(*students, atol=1e-12)


@pytest.mark.parametrize("first_order", [False, True])
def test_a_detached_answer_is_caught(first_order: bool) -> None:
    def detached(model: torch.nn.Module, rows: torch.Tensor) -> torch.Tensor:
        return model(rows).detach()

    attacker = dataclasses.replace(THIEF, answers=detached, first_order=first_order)
    with pytest.raises(ValueError, match=r"no gradient leads|none of the owner's"):
        rehearse(owner(), attacker, loss, 1.0, rng())


def test_a_detached_student_is_caught() -> None:
    class Detached(Extraction):
        def steal(self, model: torch.nn.Module, rng: np.random.Generator):
            stolen = super().steal(model, rng)
            student = stolen.model
            kept = Student(student.body, {name: each.detach() for name, each in student.weights.items()})
            return dataclasses.replace(stolen, model=kept)

    fields = {field.name: getattr(THIEF, field.name) for field in dataclasses.fields(THIEF)}
    with pytest.raises(ValueError, match=r"no gradient leads|none of the owner's"):
        rehearse(owner(), Detached(**fields), loss, 1.0, rng())


def test_a_thief_who_takes_no_step_gives_no_gradient() -> None:
    with pytest.raises(ValueError, match="no gradient leads"):
        rehearse(owner(), dataclasses.replace(THIEF, unrolled=0), loss, 1.0, rng())


@pytest.mark.parametrize("first_order", [False, True])
def test_names_of_classes_alone_still_give_a_gradient(first_order: bool) -> None:
    model = owner()
    soft, hard = (gradient(model, aged(hard=share, first_order=first_order)) for share in (0.0, 1.0))
    assert float(hard.norm()) > 1e-4
    assert not torch.allclose(soft, hard)


def test_the_thief_is_told_the_top_class_alone() -> None:
    model = owner().eval()
    given = THIEF._given(model, torch.arange(40), True)
    assert torch.equal(given.argmax(dim=1), model(QUERIES).argmax(dim=1))
    assert torch.allclose(given.max(dim=1).values, torch.ones(40, dtype=torch.float64))


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("first_order", [False, True])
def test_every_architecture_learns_and_leads_back(name: str, first_order: bool) -> None:
    builder = ARCHITECTURES[name]
    thief = dataclasses.replace(THIEF, architectures=[builder], first_order=first_order)
    assert float(gradient(owner(), thief).norm()) > 1e-4
    taught = owner().eval()
    with torch.no_grad():
        answers = taught(QUERIES).mul_(3.0).softmax(dim=1)
    far = {}
    for age in (0, 60):
        torch.manual_seed(1)
        known = dataclasses.replace(
            thief, ages=(age, age), tuning=0, answers=lambda model, rows: 3.0 * model(rows), age_rate=1e-2
        )
        student = known.steal(taught, rng()).model
        far[age] = float(-(answers * student(QUERIES).log_softmax(dim=1)).sum(dim=1).mean().detach())
    assert far[60] < far[0] - 0.02


def test_the_owner_is_untouched_and_a_step_is_repeatable() -> None:
    model = owner()
    state, modes = copy.deepcopy(model.state_dict()), [module.training for module in model.modules()]
    thief = dataclasses.replace(THIEF, architectures=tuple(ARCHITECTURES.values()), hard=0.5)
    torch.manual_seed(0)
    first = gradient(model, thief)
    torch.manual_seed(99)
    assert torch.equal(first, gradient(model, thief))
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    assert modes == [module.training for module in model.modules()]


def test_true_classes_are_learnt_by_fine_tuning() -> None:
    found = {}
    for tuning in (0, 40):
        torch.manual_seed(4)
        student = dataclasses.replace(THIEF, tuning=tuning, batch_size=40).steal(owner(), rng()).model
        found[tuning] = float(cross_entropy(student(QUERIES), TRUTH).detach())
    assert found[40] < 0.7 * found[0]
