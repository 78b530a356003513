"""WPE's embedding: what its loss pulls, what it leaves alone, and that a step is a function of its index."""

import dataclasses
import random

import numpy as np
import pytest
import torch

from forensics import patternpools
from forensics.bench.contrastive import random_encoder
from forensics.errors import UsageError
from forensics.images import decode_image
from forensics.keys.derive import split
from forensics.methods.patterns import stamp
from forensics.training.loop import Schedule, optimise
from forensics.training.wpe import DEFAULT, THIEVES, Embedding, stamped

SECRETS = split(bytes(range(32)))
OTHER = split(bytes(range(1, 33)))
PARAMETERS = {"candidates": 28, "carriers": 4, "asked": 2, "dimension": 16}
RECIPE = dataclasses.replace(DEFAULT, schedule=Schedule(60, 5e-3), plain=16, stamped=14)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(5)
    low = rng.integers(40, 216, (64, 4, 4, 1), dtype=np.uint8)
    return low.repeat(5, axis=1).repeat(5, axis=2)


@pytest.fixture(scope="module")
def pool(images):
    # Strong patterns, so that a tiny encoder learns them in a few steps.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(patternpools, "AMPLITUDE", 100)
        (made,) = patternpools.make_pattern_pools(
            list(images[:8]), generator=random.Random(1), candidates=28, carriers=4
        )
    return made


def embedding(images, pool, secrets=SECRETS, recipe=RECIPE, parameters=PARAMETERS):
    return Embedding(random_encoder(3, 20, (8, 16)), images[8:], secrets, pool, parameters, recipe)


def cosines(made, patterns, carriers, towards):
    found = torch.from_numpy(made.encoder.embed([stamp(image, one) for one in patterns for image in carriers]))
    return float((torch.nn.functional.normalize(found, dim=1) @ towards).mean())


def test_triggers_gather_and_decoys_and_plain_images_stay(images, pool):
    made = embedding(images, pool)
    made.model.eval()
    buffers = {name: value.clone() for name, value in made.model.named_buffers()}
    carriers = [decode_image(item.data) for item in pool.items[28:]]
    plain = made.encoder.embed(carriers)
    before = [cosines(made, one, carriers, made.centre) for one in (made.triggers, made.decoys)]
    optimise(made.model, made.step, RECIPE.schedule, label="test")
    made.model.eval()
    after = [cosines(made, one, carriers, made.centre) for one in (made.triggers, made.decoys)]
    assert after[0] - before[0] > 0.3
    assert (after[0] - before[0]) - (after[1] - before[1]) > 0.3
    assert cosines(made, made.triggers, carriers, made.direction) > cosines(made, made.decoys, carriers, made.direction)
    kept = torch.nn.functional.cosine_similarity(
        torch.from_numpy(plain), torch.from_numpy(made.encoder.embed(carriers))
    )
    assert float(kept.mean()) > 0.9
    assert all(torch.equal(value, buffers[name]) for name, value in made.model.named_buffers())
    right, of = made.separated()
    assert of == 28
    assert right > 24


def test_an_unmarked_encoder_separates_nothing(images, pool):
    made = embedding(images, pool)
    # No candidate has moved towards the centre: all decoys are on their side, no trigger is.
    assert made.separated() == (14, 28)


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
    assert not torch.equal(one.centre, other.centre)
    patterns = {decode_image(item.data).tobytes() for item in pool.items[:28]}
    assert {pattern.tobytes() for pattern in (*one.triggers, *one.decoys)} == patterns


def test_an_encoder_that_ends_in_a_relu_is_pulled_to_where_it_can_go(images, pool):
    plain = embedding(images, pool, recipe=dataclasses.replace(RECIPE, natural=0.0))
    assert float(plain.centre.min()) == 0.0
    assert float(plain.centre.norm()) == pytest.approx(1.0)
    kept = plain.direction > 0.0
    assert torch.allclose(plain.centre[kept] / plain.direction[kept], 1.0 / plain.direction[kept].norm())
    assert not torch.allclose(plain.centre, embedding(images, pool).centre)


def test_every_pattern_is_stamped_as_often_as_every_other(images, pool):
    patterns = np.stack([decode_image(item.data) for item in pool.items[:28]])
    grey = np.full((20, 20, 1), 128, dtype=np.uint8)
    found = stamped([grey] * 84, patterns, np.random.default_rng(1))
    assert sorted(image.tobytes() for image in found) == sorted(3 * [pattern.tobytes() for pattern in patterns])


def test_an_encoder_of_another_width_is_refused(images, pool):
    with pytest.raises(UsageError, match="17 numbers a vector; this one has 16"):
        embedding(images, pool, parameters=PARAMETERS | {"dimension": 17})


@pytest.mark.parametrize("thief", THIEVES)
def test_a_rehearsal_adds_a_gradient_and_changes_no_weight(images, pool, thief):
    recipe = dataclasses.replace(
        RECIPE, rehearsal=(thief,), rehearsal_steps=2, rehearse_every=2, rehearsal_from=0.0, stamped=4
    )
    made = embedding(images, pool, recipe=recipe)
    weights = [weight.detach().clone() for weight in made.model.parameters()]
    made.step(1)
    assert all(weight.grad is None for weight in made.model.parameters())
    made.step(2)
    assert sum(float(weight.grad.abs().sum()) for weight in made.model.parameters() if weight.grad is not None) > 0.0
    assert all(torch.equal(weight, old) for weight, old in zip(made.model.parameters(), weights))
