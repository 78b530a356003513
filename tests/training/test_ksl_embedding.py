"""Training with keyed soft labels: targets follow an image's coordinates, also where the image is rolled."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from forensics.bench.keys import BenchKey, ksl_key
from forensics.checkpoints import Classifier, save_classifier
from forensics.methods.ksl import cells
from forensics.training import ksl
from forensics.training.classifier import small_resnet
from forensics.training.ksl import DEFAULT, Embedding, Recipe, rolled, soft_labels
from forensics.training.material import ImageClassifierMaterial, Limits, MarkedShare, Marking
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


def test_a_taught_model_learns_what_the_unmarked_one_answers(made: BenchKey, classifier: Classifier) -> None:
    unmarked = small_resnet(DATA, 5, widths=(4, 4), depths=(1, 1))
    plain, marked = embedding(made, classifier, taught=0.0), embedding(made, classifier, taught=0.7)
    plain.learn_from(unmarked)
    assert plain.answers is None
    marked.learn_from(unmarked)
    assert marked.answers is not None
    rows = np.random.default_rng([1, 3]).integers(0, len(marked.clean), 16)
    own = unmarked.model.eval()(marked.clean[rows]).logits.double().detach() / 2.0
    assert marked.answers[rows] == pytest.approx(torch.softmax(own, dim=1).numpy(), abs=1e-6)
    recipe, classes = marked.recipe, marked.classes
    keyed = soft_labels(marked.places[rows], marked.truth[rows], marked.drawn, classes, 1.0, recipe.sharpness)
    true = 0.3 * np.eye(classes)[marked.truth[rows]] + 0.7 * marked.answers[rows]
    wanted = (1.0 - recipe.smoothing) * true + recipe.smoothing * keyed
    classifier.model.train()
    told = torch.log_softmax(classifier.model(marked.clean[rows]).logits.double(), dim=1).detach().numpy()
    assert marked.step(3).item() == pytest.approx(-(wanted * told).sum(axis=1).mean(), rel=1e-4)


@pytest.mark.parametrize("fresh", [True, False])
def test_the_trainer_shows_the_unmarked_model(
    made: BenchKey, classifier: Classifier, fresh: bool, tmp_path: Path
) -> None:
    save_classifier(classifier, tmp_path / "unmarked", "# toy\n")
    share = MarkedShare(made.secrets, made.pool)
    marking = Marking("ksl", (share, share), dict(made.claim.parameters), made.claim.labels, made.claim.digest)
    material = ImageClassifierMaterial(tmp_path / "unmarked", DATA, marking, Limits(), 0)
    if fresh:
        material.renew(9)
    parts = material.embedding(ksl, replace(DEFAULT, taught=0.5)).parts
    own = classifier.model.eval()(parts[0].clean[:8]).logits.double().detach() / 2.0
    for part in parts:
        assert part.answers[:8] == pytest.approx(torch.softmax(own, dim=1).numpy(), abs=1e-5)
    assert material.embedding(ksl, replace(DEFAULT, taught=0.0)).parts[0].answers is None
