"""Models of the benches, kept in a cache and rebuilt where they are gone."""

import copy
from collections.abc import Callable

import numpy as np

from forensics.bench.data import load_digits
from forensics.bench.results import cache_folder
from forensics.checkpoints import Classifier, load_classifier, save_classifier
from forensics.training.classifier import small_resnet, train
from forensics.training.data import ImageData
from forensics.training.loop import Schedule

BASE = Schedule(500, learning_rate=2e-3)
"""The owner's training of a small ResNet on digits."""


def cached(name: str, build: Callable[[], Classifier]) -> Classifier:
    """Returns the model of that name from the cache, or builds and keeps it."""
    folder = cache_folder() / "models-1" / name
    if not folder.exists():
        save_classifier(build(), folder, f"# {name}\n")
    return load_classifier(folder)


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
