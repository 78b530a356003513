"""Models of the benches, kept in a cache and rebuilt where they are gone."""

import copy
from collections.abc import Callable

import numpy as np

from forensics.bench.data import load_digits
from forensics.bench.results import built_once, cache_folder
from forensics.checkpoints import Classifier, load_classifier, save_classifier
from forensics.training.classifier import small_resnet, train
from forensics.training.data import ImageData
from forensics.training.loop import Checkpoint, Schedule

BASE = Schedule(500, learning_rate=2e-3)
"""The owner's training of a small ResNet on digits."""


def cached(name: str, build: Callable[[], Classifier]) -> Classifier:
    """Returns the model of that name from the cache, or builds and keeps it; another process waits meanwhile."""
    folder = cache_folder() / "models-1" / name
    return load_classifier(built_once(folder, lambda: save_classifier(build(), folder, f"# {name}\n")))


def resumable(name: str, build: Callable[[Checkpoint], Classifier]) -> Classifier:
    """As `cached`, for a training that is long: interrupted, it goes on from a checkpoint beside the model's folder."""
    saved = Checkpoint(cache_folder() / "models-1" / f"{name}.state.pt", name)
    found = cached(name, lambda: build(saved))
    saved.path.unlink(missing_ok=True)
    return found


def clone(classifier: Classifier) -> Classifier:
    """Returns an independent copy."""
    return Classifier(
        copy.deepcopy(classifier.model),
        classifier.processor,
        classifier.channels,
        classifier.labels,
        classifier.identity,
    )


def digit_parts(split: int) -> tuple[ImageData, ImageData, ImageData]:
    """Returns the owner's, the thief's and the test images of a stratified split: 48, 32 and 20 per cent."""
    rest, test = load_digits().split(0.2, np.random.default_rng([2026, split]))
    owner, thief = rest.split(0.4, np.random.default_rng([2027, split]))
    return owner, thief, test


def digit_base(split: int) -> Classifier:
    """Returns the owner's unmarked model of a split."""
    owner = digit_parts(split)[0]

    def build() -> Classifier:
        classifier = small_resnet(owner, split)
        train(classifier, owner, BASE, split)
        return classifier

    return cached(f"digits-base-{split}", build)
