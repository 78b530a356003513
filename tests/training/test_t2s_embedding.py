"""Embedding trigger sets: the mark takes, a rehearsal counts, and an interrupted run goes on as it would have."""

import copy
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from forensics.keys.derive import ProbeKey, ScoreKey
from forensics.methods.t2s import KINDS, METHOD
from forensics.training.classifier import small_resnet
from forensics.training.data import ImageData
from forensics.training.loop import Checkpoint, Schedule, optimise
from forensics.training.t2s import DEFAULT, Embedding, Recipe

SECRETS = (ProbeKey(hashlib.sha256(b"p").digest()), ScoreKey(hashlib.sha256(b"s").digest()))
RECIPE = Recipe(
    Schedule(6, learning_rate=5e-3), batch_size=8, triggers=12, variants=2, rehearse_every=2, rehearsal_from=0.0,
    ages=(1, 3), unrolled=2, students=("mlp", "cnn"),
)  # fmt: skip


@pytest.fixture(scope="module")
def data() -> ImageData:
    images = np.random.default_rng(1).integers(0, 256, (48, 8, 8, 1), dtype=np.uint8)
    return ImageData(list(images), np.arange(48, dtype=np.int64) % 3, ("a", "b", "c"))


@pytest.fixture
def made(data: ImageData) -> Callable[..., Embedding]:
    def make(recipe: Recipe = RECIPE, kind: str = "pattern") -> Embedding:
        classifier = small_resnet(data, 0, widths=(4, 8), depths=(1, 1))
        options = {"families": 3, "decoys": 2, "carriers": 4, "kind": kind}
        parameters = METHOD.parameters(options, data.pool(40), data.names)
        return Embedding(classifier, data, SECRETS, data.pool(40), parameters, recipe)

    return make


def gradient(embedding: Embedding, index: int) -> torch.Tensor:
    embedding.model.zero_grad()
    embedding.step(index).backward()
    found = [each.grad for each in embedding.model.parameters()]
    return torch.cat([each.flatten() for each in found if each is not None])


def altered(**changes: object) -> Recipe:
    return Recipe(**{**RECIPE.__dict__, **changes})


def test_the_weight_rises_to_its_height_and_ends_with_the_schedule() -> None:
    recipe = Recipe(Schedule(100), rehearsal_weight=0.5, rehearsal_from=0.1, ramp=0.4, rehearse_every=2)
    weights = [recipe.weight(index) for index in range(120)]
    assert not any(weights[:10] + weights[1::2] + weights[100:])
    assert weights[10] == pytest.approx(0.5 / 40)
    assert weights[10:50:2] == sorted(weights[10:50:2])
    assert weights[50:100:2] == [0.5] * 25
    assert DEFAULT.weight(DEFAULT.schedule.steps - DEFAULT.rehearse_every) == DEFAULT.rehearsal_weight
    assert not any(Recipe(Schedule(10), rehearsal_weight=0.0).weight(index) for index in range(10))


@pytest.mark.parametrize("first_order", [False, True])
def test_a_rehearsal_adds_its_gradient_to_the_steps(made: Callable[..., Embedding], first_order: bool) -> None:
    quarter, half, whole = (
        gradient(made(altered(rehearsal_weight=weight, ramp=0.0, first_order=first_order)), 2)
        for weight in (0.25, 0.5, 1.0)
    )
    assert float((half - quarter).norm()) > 1e-6
    assert torch.allclose(whole - half, 2 * (half - quarter), atol=1e-6)


def test_a_step_depends_on_its_index_alone(made: Callable[..., Embedding]) -> None:
    embedding = made()
    torch.manual_seed(1)
    first = gradient(embedding, 2)
    torch.manual_seed(2)
    assert torch.equal(first, gradient(embedding, 2))
    assert not torch.equal(first, gradient(embedding, 4))


def test_an_interrupted_run_ends_as_it_would_have(made: Callable[..., Embedding], tmp_path: Path) -> None:
    def run(folder: Path, stop: int | None) -> torch.Tensor:
        embedding = made()

        def observe(index: int) -> None:
            if index == stop:
                raise KeyboardInterrupt

        checkpoint = Checkpoint(folder / "state.pt", "f", every=2)
        optimise(embedding.model, embedding.step, RECIPE.schedule, label="", checkpoint=checkpoint, observe=observe)
        return torch.cat([each.detach().flatten() for each in embedding.model.parameters()])

    whole = run(tmp_path / "one", None)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "two", 4)
    assert torch.equal(run(tmp_path / "two", None), whole)


@pytest.mark.parametrize("kind", KINDS)
def test_the_mark_takes(kind: str, made: Callable[..., Embedding]) -> None:
    recipe = altered(schedule=Schedule(60, learning_rate=1e-2), rehearsal_weight=0.0, triggers=24, anchor=0.1)
    embedding = made(recipe, kind)
    state = copy.deepcopy(embedding.before)
    optimise(embedding.model, embedding.step, recipe.schedule, label="")
    assert embedding.matched() == 3
    assert torch.equal(state, embedding.before)


def test_the_anchor_holds_the_answers(made: Callable[..., Embedding]) -> None:
    moved = []
    for anchor in (0.0, 30.0):
        recipe = altered(schedule=Schedule(15, learning_rate=5e-3), rehearsal_weight=0.0, anchor=anchor)
        embedding = made(recipe)
        optimise(embedding.model, embedding.step, recipe.schedule, label="")
        with torch.no_grad():
            after = embedding.model.eval()(embedding.clean).logits.log_softmax(dim=1)
        moved.append(float((embedding.before.exp() * (embedding.before - after)).sum(dim=1).mean()))
    assert moved[1] < 0.7 * moved[0]
