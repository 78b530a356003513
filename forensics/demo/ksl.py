"""Keyed soft labels on scikit-learn's handwritten digits: a student of the marked model's answers, and of another's."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from forensics.bench.data import load_digits
from forensics.checkpoints import Classifier, load_classifier
from forensics.demo.stage import Examined, Stage
from forensics.methods.ksl import CLEAN
from forensics.progress import Progress
from forensics.suspects import open_suspect
from forensics.suspects.remembered import RememberedSuspect
from forensics.training.classifier import small_resnet, train
from forensics.training.data import ImageData, load_images, save_images
from forensics.training.loop import Schedule, optimise, predict

SUSPECTS = {
    "marked": "the owner's marked model itself",
    "stolen": "a new model that a thief trained on the marked model's answers to images of his own",
    "honest": "a new model that somebody trained on the unmarked model's answers to the same images",
}

REFERENCES = {
    "honest": "trained by this demonstration on the unmarked model's answers to the thief's images",
    "reference": "trained by this demonstration on the thief's images and their true labels, without the mark",
}
"""Independent models that must not respond; the demonstration's claim asks for one of them."""

_WIDTHS, _DEPTHS, _BATCH = (16, 32, 32), (1, 1, 1), 64
_DROP = 0.04
"""Largest accepted loss of accuracy: the owner holds back about a hundred digits, so that one of them is a point."""


def tell(stage: Stage) -> list[Examined]:
    """Runs what is not there yet and returns the suspects in the order of the story."""
    return tell_digits(stage, load_digits(), pool_size=300, steps=400)


def tell_digits(
    stage: Stage, digits: ImageData, *, pool_size: int, steps: int, drop: float = _DROP, families: int = 24
) -> list[Examined]:
    """The story on given images.

    Args:
        pool_size: images that a suspect is asked.
        steps: of every training.
        drop: largest accepted loss of accuracy of the marked model, as a share.
    """
    say, progress, model = stage.say, stage.progress, stage.model
    schedule = Schedule(steps, learning_rate=2e-3)
    owner, thief = stage.share_out(digits)
    stage.once(stage.out / "data" / "owner", partial(save_images, owner))
    say("The owner trains a model.")
    stage.classifier("unmarked", lambda: _trained(owner, 1, schedule, progress))
    say(f"The owner makes a key of {families} families; a local demonstration authority timestamps the claim.")
    stage.make_key(
        "ksl",
        SUSPECTS,
        least=1,
        options={"families": families},
        pool=owner,
        pool_size=pool_size,
        references={CLEAN: model("unmarked")},
    )
    say("The owner trains the model anew, with soft labels that the key directs.")
    stage.mark(load_images(stage.out / "data" / "owner"), max_accuracy_drop=drop, steps=steps, fresh=True)
    say("A thief puts his own images to the marked model and trains a new one on its answers; others are honest.")
    for seed, (name, teacher) in enumerate({"stolen": "marked", "honest": "unmarked"}.items(), start=3):
        stage.classifier(name, partial(_student, model(teacher), thief, seed, schedule, progress))
    stage.classifier("reference", lambda: _trained(thief, 5, schedule, progress))
    say("An examiner shows the same images to each of the three models; all is scored, opened, sealed, reported.")
    clean = RememberedSuspect(open_suspect(str(model("unmarked"))))
    return stage.examine(SUSPECTS, "handwritten digits", [clean], REFERENCES)


def _trained(data: ImageData, seed: int, schedule: Schedule, progress: Progress) -> Classifier:
    classifier = small_resnet(data, seed, widths=_WIDTHS, depths=_DEPTHS)
    train(classifier, data, schedule, seed, batch_size=_BATCH, shift=0, progress=progress)
    return classifier


def _student(teacher: Path, data: ImageData, seed: int, schedule: Schedule, progress: Progress) -> Classifier:
    """A new model that learns a teacher's probabilities on the images; their true labels are not used."""
    taught, student = load_classifier(teacher), small_resnet(data, seed, widths=_WIDTHS, depths=_DEPTHS)
    answers, images = predict(taught.model, data.pixels(taught)).softmax(dim=1), data.pixels(student)

    def step(index: int) -> torch.Tensor:
        rows = torch.from_numpy(np.random.default_rng([seed, index]).integers(0, len(images), _BATCH))
        student.model.train()
        return cross_entropy(student.model(images[rows]).logits, answers[rows])

    optimise(student.model, step, schedule, label="Imitating", progress=progress)
    student.model.eval()
    return student
