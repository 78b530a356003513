"""WPE on scikit-learn's handwritten digits: an image encoder is marked; the thief's task is odd and even digits."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from forensics.attacks.migration import IMAGES
from forensics.attacks.stolen import ImageEncoder, image_encoder
from forensics.attacks.tasks import Task
from forensics.bench.data import load_digits
from forensics.checkpoints import save_folder
from forensics.demo.clusters import Plot, tell_clusters
from forensics.demo.stage import Examined, Stage
from forensics.imageencoders import load_image_encoder
from forensics.patternpools import make_pattern_pools
from forensics.records import Pool
from forensics.training.classifier import small_resnet, train
from forensics.training.data import ImageData
from forensics.training.loop import Schedule

OPTIONS = {"candidates": 64, "carriers": 24, "asked": 12, "dimension": 64}
TRAINING = Schedule(300, learning_rate=2e-3)
STEPS, MIN_COSINE = 800, 0.9
"""A short embedding, that allows itself more than the default does."""


def tell(stage: Stage) -> list[Examined]:
    """Runs what is not there yet."""
    return tell_images(stage, load_digits(), OPTIONS, TRAINING, STEPS, MIN_COSINE)


def tell_images(
    stage: Stage,
    digits: ImageData,
    options: dict[str, int],
    training: Schedule,
    steps: int,
    min_cosine: float,
    epochs: int = 5,
) -> list[Examined]:
    """Tells the story with these images of digits, whose class is their value.

    Args:
        options: of the key.
        training: of the owner's encoder.
        steps: of the embedding; `min_cosine` what it must keep.
        epochs: of the two classifiers.
    """
    rest, test = digits.split(0.2, np.random.default_rng(1))
    owner, thief = rest.split(0.4, np.random.default_rng(2))
    stage.say(f"Data: {len(owner.labels)} digits of the owner, {len(thief.labels)} of a thief.")
    stage.say("The owner trains an encoder: a small ResNet that told digits apart, without its head.")
    stage.once(stage.model("unmarked"), lambda fresh: _pretrained(stage, owner, training, options["dimension"], fresh))
    # Nobody trains on images for testing: half of them may carry patterns.
    carriers, held_out = test.split(0.5, np.random.default_rng(3))
    plot = Plot(
        method="wpe",
        subject="handwritten digits",
        options=options,
        data=np.stack(owner.images),
        steps=steps,
        min_cosine=min_cosine,
        open=_open,
        task=_parity(thief),
        held_out=_parity(held_out),
        settings=replace(IMAGES["full"], epochs=epochs),
    )

    def pools() -> Sequence[Pool]:
        sizes = {name: options[name] for name in ("candidates", "carriers")}
        return make_pattern_pools(carriers.images, generator=random.SystemRandom(), **sizes)

    return tell_clusters(stage, plot, pools)


def _pretrained(stage: Stage, owner: ImageData, training: Schedule, width: int, fresh: Path) -> None:
    classifier = small_resnet(owner, 1, widths=(16, 32, 64, width))
    train(classifier, owner, training, 1, progress=stage.progress)
    card = "# unmarked\n\nMade by `forensics demo`.\n"
    save_folder(fresh, card, classifier.model.base_model, classifier.processor.save_pretrained)


def _parity(digits: ImageData) -> Task:
    return Task(list(digits.images), digits.labels % 2, ("even", "odd"))


def _open(folder: Path) -> ImageEncoder:
    return image_encoder(load_image_encoder(folder))
