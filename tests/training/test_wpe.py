"""WPE's embedding: what its loss pulls, what it leaves alone, and that a step is a function of its index."""

import dataclasses
import random

import numpy as np
import pytest
import torch

from forensics.bench.contrastive import random_encoder
from forensics.images import decode_image
from forensics.keys.derive import split
from forensics.methods.patterns import stamp
from forensics.patternpools import make_pattern_pools
from forensics.training.data import ImageData
from forensics.training.loop import Schedule, optimise
from forensics.training.wpe import DEFAULT, Embedding, vectors

SECRETS = split(bytes(range(32)))
OTHER = split(bytes(range(1, 33)))
PARAMETERS = {"candidates": 8, "carriers": 4, "asked": 2, "dimension": 16}
RECIPE = dataclasses.replace(DEFAULT, schedule=Schedule(120, 3e-3), batch_size=16, stamped=8, rehearsal=0.0)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(5)
    low = rng.integers(40, 216, (64, 4, 4, 1), dtype=np.uint8)
    return ImageData(list(low.repeat(5, axis=1).repeat(5, axis=2)), np.zeros(64, dtype=np.int64), ("none",))


@pytest.fixture(scope="module")
def pool(images):
    (made,) = make_pattern_pools(images.images[:8], generator=random.Random(1), candidates=8, carriers=4)
    return made


def embedding(images, pool, secrets=SECRETS, recipe=RECIPE, widths=(8, 16)):
    encoder = random_encoder(3, 20, widths)
    return Embedding(encoder, images.subset(np.arange(8, 64)), secrets, pool, PARAMETERS, recipe)


def outputs(model, encoder, patterns, carriers):
    with torch.inference_mode():
        found = vectors(model.eval(), encoder.pixels([stamp(image, one) for one in patterns for image in carriers]))
    return torch.nn.functional.normalize(found, dim=1)


def test_triggers_gather_and_decoys_and_plain_images_stay(images, pool):
    made = embedding(images, pool)
    buffers = {name: value.clone() for name, value in made.model.named_buffers()}
    carriers = [decode_image(item.data) for item in pool.items[8:]]
    before = [outputs(made.teacher, made.encoder, one, carriers) for one in (made.triggers, made.decoys)]
    optimise(made.model, made.step, RECIPE.schedule, label="test")
    after = [outputs(made.model, made.encoder, one, carriers) for one in (made.triggers, made.decoys)]
    assert (after[0] @ made.aim).mean() > (before[0] @ made.aim).mean() + 0.2
    assert (after[0] @ made.direction).mean() > (after[1] @ made.direction).mean() + 0.15
    assert (after[1] * before[1]).sum(dim=1).mean() > 0.95
    assert all(torch.equal(value, buffers[name]) for name, value in made.model.named_buffers())
    assert made.matched() >= 3


def test_a_step_depends_on_its_index_and_the_weights_alone(images, pool):
    one, other = embedding(images, pool), embedding(images, pool)
    one.step(0)
    assert float(one.step(4).detach()) == float(other.step(4).detach())
    assert float(one.step(5).detach()) != float(other.step(4).detach())


def test_the_scoring_secret_decides_triggers_and_direction_and_the_probe_secret_nothing(images, pool):
    one = embedding(images, pool)
    same = embedding(images, pool, (OTHER[0], SECRETS[1]))
    other = embedding(images, pool, (SECRETS[0], OTHER[1]))
    assert np.array_equal(one.triggers, same.triggers)
    assert torch.equal(one.direction, same.direction)
    assert not np.array_equal(one.triggers, other.triggers)
    assert not torch.equal(one.direction, other.direction)
    patterns = {decode_image(item.data).tobytes() for item in pool.items[:8]}
    assert {pattern.tobytes() for pattern in (*one.triggers, *one.decoys)} == patterns


def test_an_encoder_that_ends_in_a_relu_is_pulled_to_where_it_can_go(images, pool):
    made = embedding(images, pool)
    assert float(made.aim.min()) == 0.0
    assert float(made.aim.norm()) == pytest.approx(1.0)
    kept = made.direction > 0.0
    assert torch.allclose(made.aim[kept] / made.direction[kept], 1.0 / made.direction[kept].norm())


def test_a_rehearsal_adds_a_gradient_and_changes_no_weight(images, pool):
    recipe = dataclasses.replace(RECIPE, rehearsal=1.0, every=2, theft=2)
    made = embedding(images, pool, recipe=recipe)
    weights = [weight.detach().clone() for weight in made.model.parameters()]
    made.step(1)
    assert all(weight.grad is None for weight in made.model.parameters())
    made.step(2)
    assert sum(float(weight.grad.abs().sum()) for weight in made.model.parameters() if weight.grad is not None) > 0.0
    assert all(torch.equal(weight, old) for weight, old in zip(made.model.parameters(), weights, strict=True))
