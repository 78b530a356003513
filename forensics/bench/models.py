"""Models of the benches, kept in a cache and rebuilt where they are gone."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from forensics.bench.data import load_digits
from forensics.bench.results import built_once, cache_folder
from forensics.checkpoints import Classifier, load_classifier, save_classifier
from forensics.training.classifier import small_resnet, train
from forensics.training.data import ImageData
from forensics.training.loop import Checkpoint, Schedule

Model = TypeVar("Model")

BASE = Schedule(500, learning_rate=2e-3)
"""The owner's training of a small ResNet on digits."""


@dataclass(frozen=True)
class Shelf(Generic[Model]):
    """Where models of a kind are kept.

    Attributes:
        name: of the folder in the cache.
        load: reads a model's folder.
        save: writes it, with a card.
    """

    name: str
    load: Callable[[Path], Model]
    save: Callable[[Model, Path, str], None]

    def cached(self, name: str, build: Callable[[], Model]) -> Model:
        """Returns the model of that name from the cache, or builds and keeps it; another process waits meanwhile."""
        folder = cache_folder() / self.name / name
        return self.load(built_once(folder, lambda: self.save(build(), folder, f"# {name}\n")))

    def resumable(self, name: str, build: Callable[[Checkpoint], Model]) -> Model:
        """As `cached`, for a long training: interrupted, it goes on from a checkpoint beside the model's folder."""
        saved = Checkpoint(cache_folder() / self.name / f"{name}.state.pt", name)
        found = self.cached(name, lambda: build(saved))
        saved.path.unlink(missing_ok=True)
        return found


IMAGES: Shelf[Classifier] = Shelf("models-1", load_classifier, save_classifier)
cached, resumable = IMAGES.cached, IMAGES.resumable


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
