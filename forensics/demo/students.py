"""What the stories of marks against extraction share: a thief trains a new model on the marked model's answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from forensics.checkpoints import Classifier, load_classifier
from forensics.demo.stage import Examined, Stage
from forensics.methods.cleancheckpoint import CLEAN
from forensics.progress import Progress
from forensics.suspects import open_suspect
from forensics.suspects.remembered import RememberedSuspect
from forensics.training.classifier import small_resnet, train
from forensics.training.data import ImageData, load_images, save_images
from forensics.training.loop import Schedule, optimise, predict

Layout = tuple[tuple[int, ...], tuple[int, ...]]
"""Widths and depths of a small ResNet."""

REFERENCES = {
    "honest": "trained by this demonstration on the unmarked model's answers to the thief's images",
    "reference": "trained by this demonstration on the thief's images and their true labels, without the mark",
}
"""Independent models that must not respond; the claims of these demonstrations ask for one of them."""

_BATCH = 64


@dataclass(frozen=True)
class Plot:
    """What differs from one story to another.

    Attributes:
        method: of the key.
        families: that the key draws.
        suspects: what each is, by name.
        owners, thiefs: layouts of the owner's models and of those that others train.
        key: further arguments of `Stage.make_key`.
        mark: further arguments of `Stage.mark`.
        marking, theft, asking: sentences of the story.
    """

    method: str
    families: int
    suspects: Mapping[str, str]
    owners: Layout
    thiefs: Layout
    key: Mapping[str, Any]
    mark: Mapping[str, Any]
    marking: str
    theft: str
    asking: str


def tell_students(stage: Stage, digits: ImageData, plot: Plot, steps: int) -> list[Examined]:
    """Runs what is not there yet and returns the suspects in the order of the story.

    Args:
        steps: of every training whose length the plot does not say.
    """
    say, progress, model = stage.say, stage.progress, stage.model
    schedule = Schedule(steps, learning_rate=2e-3)
    owner, thief = stage.share_out(digits)
    stage.once(stage.out / "data" / "owner", partial(save_images, owner))
    say("The owner trains a model.")
    stage.classifier("unmarked", lambda: _trained(owner, plot.owners, 1, schedule, progress))
    say(f"The owner makes a key of {plot.families} families; a local demonstration authority timestamps the claim.")
    stage.make_key(
        plot.method,
        plot.suspects,
        least=1,
        options={"families": plot.families},
        pool=owner,
        references={CLEAN: model("unmarked")},
        **plot.key,
    )
    say(plot.marking)
    stage.mark(load_images(stage.out / "data" / "owner"), **plot.mark)
    say(plot.theft)
    for seed, (name, teacher) in enumerate({"stolen": "marked", "honest": "unmarked"}.items(), start=3):
        stage.classifier(name, partial(_student, model(teacher), thief, plot.thiefs, seed, schedule, progress))
    stage.classifier("reference", lambda: _trained(thief, plot.owners, 5, schedule, progress))
    say(plot.asking)
    clean = RememberedSuspect(open_suspect(str(model("unmarked"))))
    return stage.examine(plot.suspects, "handwritten digits", [clean], REFERENCES)


def _trained(data: ImageData, layout: Layout, seed: int, schedule: Schedule, progress: Progress) -> Classifier:
    classifier = small_resnet(data, seed, widths=layout[0], depths=layout[1])
    train(classifier, data, schedule, seed, batch_size=_BATCH, shift=0, progress=progress)
    return classifier


def _student(
    teacher: Path, data: ImageData, layout: Layout, seed: int, schedule: Schedule, progress: Progress
) -> Classifier:
    """A new model that learns a teacher's probabilities on the images; their true labels are not used."""
    taught, student = load_classifier(teacher), small_resnet(data, seed, widths=layout[0], depths=layout[1])
    answers, images = predict(taught.model, data.pixels(taught)).softmax(dim=1), data.pixels(student)

    def step(index: int) -> torch.Tensor:
        rows = torch.from_numpy(np.random.default_rng([seed, index]).integers(0, len(images), _BATCH))
        student.model.train()
        return cross_entropy(student.model(images[rows]).logits, answers[rows])

    optimise(student.model, step, schedule, label="Imitating", progress=progress)
    student.model.eval()
    return student
