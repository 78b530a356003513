"""Models and keys of the OFSW bench: owners, controls and innocents on Fashion-MNIST, marked models in the cache."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache, lru_cache
from typing import Literal

import numpy as np

from forensics.bench.fashion import Parts, share_out
from forensics.bench.keys import BenchKey, bench_key
from forensics.bench.models import clone, resumable
from forensics.bench.results import address
from forensics.canonical import sha256
from forensics.checkpoints import Classifier
from forensics.training.classifier import small_resnet, train
from forensics.training.data import ImageData
from forensics.training.loop import Checkpoint, Schedule, accuracy, optimise
from forensics.training.ofsw import DEFAULT, Embedding, Recipe

Width = Literal["quarter", "full"]
WIDTHS: dict[Width, tuple[int, ...]] = {"quarter": (16, 32, 64, 128), "full": (64, 128, 256, 512)}
BASE_STEPS: dict[Width, int] = {"quarter": 4000, "full": 1200}
BASE_BATCH = 128
BANKS = 8
RECIPE = replace(DEFAULT, schedule=Schedule(1200), rehearsal=("finetuning", "overwriting"))
"""The recipe of the bench: three times as long as the default, two thieves rehearsed in turn."""

RECIPES: dict[Width, Recipe] = {"quarter": RECIPE, "full": replace(RECIPE, schedule=Schedule(400))}
"""At full width a step takes ten times as long, so a third of the steps must do."""

Build = Callable[[Checkpoint | None], Classifier]
"""Makes a model; a training that is interrupted is taken up again from the checkpoint."""

THIEF = 10_000
"""Images of the thief, which the owner never uses."""

INNOCENTS = 5


@cache
def parts() -> Parts:
    """Returns the owner's 50,000, the thief's 10,000 and the test images."""
    order = np.random.default_rng(2026).permutation(60_000)
    owner, thief = np.sort(order[:-THIEF]), np.sort(order[-THIEF:])
    return share_out(owner, thief)


@lru_cache(maxsize=2)
def base(width: Width, quick: bool) -> Classifier:
    """Returns the owner's unmarked model."""
    return _trained("fashion-base", width, 0, parts().owner, quick)


@lru_cache(maxsize=2)
def innocent(index: int, quick: bool) -> Classifier:
    """Returns an independent model: own seed, on the owner's images or the thief's, quarter width."""
    data = parts().thief if index % 2 else parts().owner
    return _trained(f"fashion-innocent-{index}", "quarter", 100 + index, data, quick)


def _trained(name: str, width: Width, seed: int, data: ImageData, quick: bool) -> Classifier:
    schedule = Schedule(20 if quick else BASE_STEPS[width], learning_rate=2e-3)

    def build(checkpoint: Checkpoint | None) -> Classifier:
        classifier = small_resnet(data, seed, widths=WIDTHS[width])
        train(classifier, data, schedule, seed, batch_size=BASE_BATCH, checkpoint=checkpoint)
        return classifier

    return kept(f"{name}-{width}", (sha256(data.labels.tobytes()), schedule, seed), build, quick)


@lru_cache(maxsize=2)
def key_of(number: int, width: Width, bits: int, quick: bool) -> BenchKey:
    """Returns the key of that number for the owner's model of a width."""
    digest = "0" * 64 if quick else base(width, quick).identity.digest
    return bench_key(number, parts().owner, digest, pool_seed=number, bits=bits, banks=2 if quick else BANKS)


def recipe_of(width: Width, quick: bool) -> Recipe:
    """Returns the recipe for a width, or what is left of it in a quick run."""
    return Recipe(Schedule(20)) if quick else RECIPES[width]


@lru_cache(maxsize=2)
def marked(number: int, width: Width, bits: int, quick: bool, recipe: Recipe | None = None) -> Classifier:
    """Returns the owner's model with a key's mark, by the recipe for its width or by another."""
    made, settings = key_of(number, width, bits, quick), recipe or recipe_of(width, quick)

    def build(checkpoint: Checkpoint | None) -> Classifier:
        classifier = clone(base(width, quick))
        secrets, parameters = made.secrets, made.claim.parameters
        embedding = Embedding(classifier, parts().owner, secrets, made.pool, parameters, settings, number)
        optimise(classifier.model, embedding.step, settings.schedule, label="Embedding", checkpoint=checkpoint)
        classifier.model.eval()
        return classifier

    return kept(f"fashion-ofsw-{width}-{bits}-{number}", (made.claim.digest, settings), build, quick)


@lru_cache(maxsize=2)
def control(width: Width, quick: bool) -> Classifier:
    """Returns the owner's model trained on for as long without a mark."""
    schedule = recipe_of(width, quick).schedule

    def build(checkpoint: Checkpoint | None) -> Classifier:
        classifier = clone(base(width, quick))
        train(classifier, parts().owner, schedule, 7, frozen_norm=True, checkpoint=checkpoint)
        return classifier

    return kept(f"fashion-control-{width}", (base(width, quick).identity.digest, schedule), build, quick)


def tested(classifier: Classifier) -> float:
    """Returns the accuracy on the test images."""
    test = parts().test
    return accuracy(classifier.model, test.pixels(classifier), test.labels)


def kept(name: str, facts: object, build: Build, quick: bool) -> Classifier:
    """A model of the cache, under a name that changes with what it was made from."""
    if quick:
        return build(None)
    return resumable(f"{name}-{address(facts)}", build)
