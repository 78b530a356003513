"""Training with keyed soft labels: targets follow an image's coordinates, also where the image is rolled."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from forensics.bench.keys import BenchKey, ksl_key
from forensics.checkpoints import Classifier
from forensics.methods.ksl import cells
from forensics.training.classifier import small_resnet
from forensics.training.ksl import DEFAULT, Embedding, Recipe, rolled, soft_labels
from tests.line import small_digits

DATA = small_digits(slice(0, 300))


@pytest.fixture(scope="module")
def made() -> BenchKey:
    return ksl_key(3, DATA, ["0" * 64], pool_seed=1, images=100)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return small_resnet(DATA, 0, widths=(4, 4), depths=(1, 1))


def embedding(made: BenchKey, classifier: Classifier, **changes: object) -> Embedding:
    recipe: Recipe = replace(DEFAULT, batch_size=16, **changes)
    return Embedding(classifier, DATA, made.secrets, made.pool, made.claim.parameters, recipe, seed=1)


def test_the_mass_follows_the_coordinates_of_a_class() -> None:
    places, drawn = np.array([[2.0, 0.0], [0.0, 0.0], [-2.0, 1.0]]), np.array([1, 2])
    found = soft_labels(places, np.array([0, 1, 2]), drawn, 3, 0.3, 1.0)
    assert found.sum(axis=1) == pytest.approx(1.0)
    assert found[1] == pytest.approx([0.1, 0.8, 0.1])
    assert found[0, 1] / found[0, 2] == pytest.approx(np.exp(2.0))
    assert found[2, 2] > 0.7


def test_images_that_are_not_moved_lie_where_they_lay(made: BenchKey, classifier: Classifier) -> None:
    marked, rows = embedding(made, classifier, shift=1), np.arange(12)
    marked.recipe = replace(marked.recipe, shift=0)
    pixels, places = marked._rolled(rows, np.random.default_rng(0))
    assert torch.equal(pixels, marked.clean[:12])
    assert places == pytest.approx(marked.places[:12], abs=1e-9)


def test_a_rolled_image_has_its_own_coordinates(made: BenchKey, classifier: Classifier) -> None:
    marked, rows = embedding(made, classifier, shift=2), np.arange(40)
    pixels, places = marked._rolled(rows, np.random.default_rng(0))
    again, images = rolled(classifier, DATA.images, rows, 2, np.random.default_rng(0))
    assert torch.equal(pixels, again)
    assert not torch.equal(pixels, marked.clean[:40])
    for row in (0, 7, 39):
        own = np.stack([cells(DATA.images[at], 7) for at in np.flatnonzero(DATA.labels == DATA.labels[row])])
        assert places[row] == pytest.approx(marked.directions @ (cells(images[row], 7) - own.mean(axis=0)))
    assert np.abs(places - marked.places[:40]).max() > 0.1


@pytest.mark.parametrize("shift", [0, 2])
def test_a_step_is_a_function_of_its_index(made: BenchKey, classifier: Classifier, shift: int) -> None:
    marked = embedding(made, classifier, shift=shift)
    found = [marked.step(index).item() for index in (0, 1, 0)]
    assert found[0] == pytest.approx(found[2], abs=1e-5)
    assert found[0] != pytest.approx(found[1], abs=1e-5)
