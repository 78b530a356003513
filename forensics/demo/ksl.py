"""Keyed soft labels on scikit-learn's handwritten digits: a student of the marked model's answers, and of another's."""

from forensics.bench.data import load_digits
from forensics.demo.stage import Examined, Stage
from forensics.demo.students import Plot, tell_students
from forensics.training.data import ImageData

SUSPECTS = {
    "marked": "the owner's marked model itself",
    "stolen": "a new model that a thief trained on the marked model's answers to images of his own",
    "honest": "a new model that somebody trained on the unmarked model's answers to the same images",
}

_LAYOUT = ((16, 32, 32), (1, 1, 1))
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
    plot = Plot(
        "ksl",
        families,
        SUSPECTS,
        owners=_LAYOUT,
        thiefs=_LAYOUT,
        key={"pool_size": pool_size},
        mark={"max_accuracy_drop": drop, "steps": steps, "fresh": True},
        marking="The owner trains the model anew, with soft labels that the key directs.",
        theft="A thief puts his own images to the marked model and trains a new one on its answers; others are honest.",
        asking="An examiner shows the same images to each of the three models; all is scored, opened, sealed, "
        "reported.",
    )
    return tell_students(stage, digits, plot, steps)
