"""A thief acted out while OFSW is embedded: fine-tuning, and a mark of his own."""

import copy
import dataclasses
import hashlib

import numpy as np
import pytest
import torch

from forensics.errors import UsageError
from forensics.images import decode_image
from forensics.keys.derive import ProbeKey, ScoreKey
from forensics.methods.ofsw import METHOD, derive_kernels, filtered_views
from forensics.training.classifier import small_resnet
from forensics.training.embed import Limits, MarkedShare, Marking, embed
from forensics.training.loop import Schedule
from forensics.training.ofsw import DEFAULT, THIEVES, Embedding, Recipe, filtered
from tests.line import Line, small_digits

SECRETS = (ProbeKey(hashlib.sha256(b"p").digest()), ScoreKey(hashlib.sha256(b"s").digest()))


@pytest.fixture(scope="module")
def parts():
    owner = small_digits(slice(0, 120))
    pool = owner.pool(8)
    return owner, pool, METHOD.parameters({"bits": 16, "banks": 2}, pool, owner.names)


def gradient(parts, recipe: Recipe, index: int = 0) -> torch.Tensor:
    """The gradient of one step, with weights and buffers found unchanged."""
    owner, pool, parameters = parts
    classifier = small_resnet(owner, 0, widths=(4, 4), depths=(1, 1))
    embedding = Embedding(classifier, owner, SECRETS, pool, parameters, recipe, 3)
    before = copy.deepcopy(classifier.model.state_dict())
    embedding.step(index).backward()
    after = classifier.model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    return torch.cat([weight.grad.flatten() for weight in classifier.model.parameters() if weight.grad is not None])


@pytest.mark.parametrize("thief", THIEVES)
def test_a_theft_adds_its_gradient_and_leaves_the_model_alone(parts, thief) -> None:
    recipe = dataclasses.replace(
        DEFAULT, schedule=Schedule(10), rehearsal=(thief,), rehearsal_from=0.0, rehearse_every=2, rehearsal_steps=2
    )
    plain = gradient(parts, dataclasses.replace(recipe, rehearsal=()), 1)
    assert torch.equal(gradient(parts, recipe, 1), plain)  # no rehearsal is due in every second step
    with_theft = gradient(parts, recipe, 2)
    assert torch.equal(gradient(parts, recipe, 2), with_theft)
    nothing = gradient(parts, dataclasses.replace(recipe, rehearsal_weight=0.0), 2)
    double = gradient(parts, dataclasses.replace(recipe, rehearsal_weight=2.0), 2)
    assert (with_theft - nothing).norm() > 1e-3
    assert torch.allclose(double - nothing, 2.0 * (with_theft - nothing), atol=1e-5)


def test_thieves_take_turns_and_begin_late(parts) -> None:
    both = dataclasses.replace(
        DEFAULT,
        schedule=Schedule(10),
        rehearsal=("finetuning", "overwriting"),
        rehearsal_from=0.4,
        rehearse_every=1,
        rehearsal_steps=1,
    )
    one = dataclasses.replace(both, rehearsal=("finetuning",))
    none = dataclasses.replace(both, rehearsal=())
    assert torch.equal(gradient(parts, both, 3), gradient(parts, none, 3))
    assert torch.equal(gradient(parts, both, 4), gradient(parts, one, 4))
    assert not torch.equal(gradient(parts, both, 5), gradient(parts, one, 5))


def test_a_thiefs_filters_are_those_of_the_method_but_for_rounding(parts) -> None:
    owner, pool, parameters = parts
    classifier = small_resnet(owner, 0, widths=(4, 4), depths=(1, 1))
    kernels = derive_kernels(SECRETS[0], parameters)[0]
    image = decode_image(pool.items[0].data, 1)
    views = classifier.pixels(list(filtered_views(image, kernels, parameters)))
    ours = filtered(classifier.pixels([image])[0], torch.from_numpy(kernels).float(), (4, 4), float(views.std()))
    each = [np.corrcoef(left.flatten(), right.flatten())[0, 1] for left, right in zip(ours.numpy(), views.numpy())]
    assert min(each) > 0.98


def test_embed_rehearses_the_thieves_it_is_told(parts, line: Line, tmp_path) -> None:
    owner, pool, parameters = parts
    marking = Marking("ofsw", (MarkedShare(SECRETS, pool),), parameters, owner.names, "0" * 64)
    digests = {
        thieves: embed(
            line.unmarked, owner, tmp_path / name, marking, limits=Limits(1.0), steps=6, rehearse=thieves
        ).identity.digest
        for name, thieves in (("plain", ()), ("tuned", ("finetuning",)), ("twice", ("finetuning", "finetuning")))
    }
    assert digests[()] != digests[("finetuning",)] == digests[("finetuning", "finetuning")]
    with pytest.raises(UsageError, match=r"'burglary'.*finetuning"):
        embed(line.unmarked, owner, tmp_path / "out", marking, steps=6, rehearse=("burglary",))
    assert not (tmp_path / "out").exists()
