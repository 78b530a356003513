"""Unlearning an opened share: what it does to the mark, and that a thief's filters are the owner's."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from forensics.attacks.opened import OpenedShare, _own_views, unlearn
from forensics.bench.models import clone
from forensics.checkpoints import Classifier
from forensics.cli.attack import attack
from forensics.disclosure import disclosed_share, read_disclosed
from forensics.errors import CaseError, UsageError
from forensics.images import encode_png
from forensics.keys.derive import split
from forensics.methods import ofsw as method
from forensics.records import Pool, PoolItem
from forensics.training import ofsw
from forensics.training.classifier import small_resnet, train
from forensics.training.data import ImageData
from forensics.training.loop import Schedule, accuracy, optimise
from tests.line import small_digits

SECRETS = split(bytes(range(32)))
SAMPLE = Path(__file__).parents[2] / "evidence_samples" / "case"


@pytest.fixture(scope="module")
def owner() -> ImageData:
    return small_digits(slice(0, 400))


@pytest.fixture(scope="module")
def pool(owner: ImageData) -> Pool:
    return owner.pool(16)


@pytest.fixture(scope="module")
def parameters(owner: ImageData, pool: Pool) -> dict:
    return method.METHOD.parameters({"bits": 16, "banks": 2}, pool, owner.names)


@pytest.fixture(scope="module")
def opened(pool: Pool, parameters: dict) -> OpenedShare:
    return disclosed_share(SECRETS, pool, parameters)


@pytest.fixture(scope="module")
def marked(owner: ImageData, pool: Pool, parameters: dict) -> tuple[Classifier, ofsw.Embedding]:
    classifier = small_resnet(owner, 0, widths=(12, 24), depths=(1, 1))
    train(classifier, owner, Schedule(100, learning_rate=3e-3), 0)
    embedding = ofsw.Embedding(classifier, owner, SECRETS, pool, parameters)
    optimise(classifier.model, embedding.step, Schedule(100), label="")
    assert embedding.matched() == 16
    return classifier, embedding


@pytest.mark.parametrize(("settings", "most", "loss"), [({}, 4, 0.05), ({"invert": 0}, 14, 0.05), ({"own": 1}, 9, 0.2)])
def test_the_opened_share_is_forgotten_and_the_task_is_kept(
    marked, opened, settings: dict, most: int, loss: float
) -> None:
    classifier, embedding = marked
    thief, stolen = small_digits(slice(400, 700)), clone(classifier)
    before = accuracy(stolen.model, thief.pixels(stolen), thief.labels)
    unlearn(stolen, thief, [opened], {"epochs": 8, "learning-rate": 1e-3, "seed": 1, **settings})
    embedding.model = stolen.model
    assert embedding.matched() <= most
    assert accuracy(stolen.model, thief.pixels(stolen), thief.labels) > before - loss
    assert not stolen.model.training
    embedding.model = classifier.model
    assert embedding.matched() == 16


def test_the_thiefs_filters_are_the_owners(opened: OpenedShare, parameters: dict, monkeypatch) -> None:
    """Given the owner's kernels in place of fresh ones, the thief's views are the owner's but for rounding."""
    data = small_digits(slice(0, 1))
    monkeypatch.setattr(np.linalg, "qr", lambda _: (opened.kernels[0], None))
    classifier = small_resnet(data, 0, widths=(4, 4), depths=(1, 1))
    ours = method.filtered_views(data.images[0], opened.kernels[0], parameters)
    theirs = _own_views(classifier, data, 0, opened, np.random.default_rng(0))
    assert theirs.shape[0] == 16
    assert float((classifier.pixels(list(ours)) - theirs).abs().mean()) < 0.02


def test_what_does_not_fit_is_refused(opened: OpenedShare) -> None:
    data = small_digits(slice(0, 40))
    classifier = small_resnet(data, 0, widths=(4, 4), depths=(1, 1))
    with pytest.raises(UsageError, match="no opened share"):
        unlearn(classifier, data, [], {})
    other = ImageData(data.images, data.labels % 4, ("a", "b", "c", "d"))
    with pytest.raises(UsageError, match="not of the model's classes"):
        unlearn(classifier, other, [opened], {})


def test_a_case_discloses_what_the_owner_would_use() -> None:
    found = read_disclosed(SAMPLE)
    assert found.views.shape[:2] == (8, 64) == (len(found.truth), len(found.bits))
    assert np.allclose(found.kernels[3] @ found.kernels[3].T, np.eye(64))
    assert found.kernel[0] * found.kernel[1] == 64


def test_pools_of_grey_or_colour(parameters: dict) -> None:
    rng = np.random.default_rng(1)
    items = [PoolItem(encode_png(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)), "image/png", 1) for _ in range(4)]
    colour = disclosed_share(SECRETS, Pool(tuple(items)), {**parameters, "image": [16, 16, 3]})
    assert colour.views.shape == (2, 16, 16, 16, 3)


def test_the_command_needs_an_opened_case(tmp_path: Path) -> None:
    arguments = ["unlearn", "--model", tmp_path, "--out", tmp_path / "out", "--case", tmp_path / "none"]
    done = CliRunner().invoke(attack, [str(each) for each in arguments])
    assert isinstance(done.exception, CaseError)
    assert list(tmp_path.iterdir()) == []
