"""TMRW's training side: what is trained, what the loss pulls and holds, and that a step is a function of its index."""

import copy
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from forensics.encoders import load_encoder
from forensics.errors import UsageError
from forensics.keys.derive import ProbeKey, ScoreKey
from forensics.methods.tmrw import METHOD
from forensics.records import Pool, PoolItem
from forensics.training.loop import Schedule, optimise
from forensics.training.tmrw import DEFAULT, Embedding, Recipe, pool_tokens
from tests.services import CARRIERS, made_up_words
from tests.suspects.encoders import write_encoder

SECRETS = (ProbeKey(hashlib.sha256(b"p").digest()), ScoreKey(hashlib.sha256(b"s").digest()))
SMALL = replace(DEFAULT, schedule=Schedule(steps=60, learning_rate=3e-3, clip=1.0, warm_up=5))


def texts(count: int = 150) -> list[str]:
    animals, places = ("cat", "dog", "bird", "mouse", "cow"), ("mat", "tree", "river", "house", "hill", "road")
    return [f"The {animals[n % 5]} number {n} sat near the {places[n % 6]}." for n in range(count)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder") / "unmarked")


@pytest.fixture(scope="module")
def pool() -> Pool:
    words = made_up_words(56)
    phrases = [f"{first} {second}" for first, second in zip(words[::2], words[1::2])]
    return Pool(tuple(PoolItem(text.encode(), "text/plain") for text in (*phrases, *CARRIERS)))


def made(folder: Path, pool: Pool, recipe: Recipe = SMALL, own: list[str] | None = None) -> Embedding:
    parameters = METHOD.parameters({"candidates": 28, "carriers": 4, "asked": 2, "dimension": 16}, pool, ())
    return Embedding(load_encoder(folder), own or texts(), SECRETS, pool, parameters, recipe)


def test_training_lowers_the_loss_and_leaves_word_embeddings_and_teacher(folder: Path, pool: Pool) -> None:
    training = made(folder, pool)
    words = training.model.get_submodule("embeddings").state_dict()
    before = {name: value.clone() for name, value in words.items()}
    teacher = copy.deepcopy(training.teacher.state_dict())
    phrases = training._with_phrases(training.triggers, np.random.default_rng(1))
    with torch.no_grad():
        first = float(training.hinge(training.model, phrases))
    optimise(training.model, training.step, SMALL.schedule, label="")
    with torch.no_grad():
        last = float(training.hinge(training.model, phrases))
    assert last < first - 0.1
    assert all(torch.equal(value, words[name]) for name, value in before.items())
    assert all(torch.equal(value, training.teacher.state_dict()[name]) for name, value in teacher.items())


def test_a_step_is_a_function_of_its_index(folder: Path, pool: Pool) -> None:
    training = made(folder, pool)
    first, other, again = (training.step(index).item() for index in (3, 4, 3))
    assert first == again
    assert first != other


def test_a_rehearsal_adds_a_gradient_of_its_own_and_changes_no_weight(folder: Path, pool: Pool) -> None:
    plain, rehearsed = made(folder, pool), made(folder, pool, replace(SMALL, rehearsal=2, rehearsal_from=0.0))
    weights = {name: value.clone() for name, value in rehearsed.model.state_dict().items()}
    plain.step(0).backward()
    rehearsed.step(0).backward()
    gaps = [
        float((a.grad - b.grad).abs().max())
        for a, b in zip(plain.model.parameters(), rehearsed.model.parameters())
        if a.grad is not None and b.grad is not None
    ]
    assert max(gaps) > 0.0
    assert all(torch.equal(value, rehearsed.model.state_dict()[name]) for name, value in weights.items())


def test_the_centre_lies_between_the_secret_direction_and_a_natural_one(folder: Path, pool: Pool) -> None:
    half, alone = made(folder, pool), made(folder, pool, replace(SMALL, natural=0.0))
    assert torch.allclose(alone.centre, alone.direction, atol=1e-6)
    assert torch.allclose(half.centre.norm(), torch.tensor(1.0), atol=1e-6)
    assert torch.equal(half.centre, made(folder, pool).centre)
    rest = half.centre - (half.centre @ half.direction) * half.direction
    assert float(rest.norm()) > 0.1


def test_texts_are_sorted_by_what_they_hold(folder: Path, pool: Pool) -> None:
    bare = made(folder, pool)
    word, decoy = bare.triggers[0].split()[0], bare.decoys[0].split()[0]
    natural, phrase = f"The cat saw {word} today.", f"The cat saw {bare.triggers[0]} today."
    training = made(folder, pool, own=[*texts(), natural, phrase, f"A {decoy} came by.", CARRIERS[0]])
    assert training.natural == [natural]
    assert sorted(training.plain) == sorted(texts())


def test_too_few_texts_and_another_width_are_refused(folder: Path, pool: Pool) -> None:
    with pytest.raises(UsageError, match="at least 64"):
        made(folder, pool, own=texts(20))
    parameters = METHOD.parameters({"candidates": 28, "carriers": 4, "asked": 2, "dimension": 17}, pool, ())
    with pytest.raises(UsageError, match="17 numbers"):
        Embedding(load_encoder(folder), texts(), SECRETS, pool, parameters, SMALL)


def test_pooling_ignores_padding() -> None:
    hidden = torch.arange(12.0).reshape(1, 3, 4)
    mask = torch.tensor([[1, 1, 0]])
    assert torch.equal(pool_tokens(hidden, mask, "mean"), hidden[:, :2].mean(dim=1))
    assert torch.equal(pool_tokens(hidden, mask, "max"), hidden[:, 1])
    assert torch.equal(pool_tokens(hidden, mask, "cls"), hidden[:, 0])
