"""Trigger sets on scikit-learn's handwritten digits: the marked model, a thief's student of it, and an honest one."""

from forensics.bench.data import load_digits
from forensics.demo.stage import Examined, Stage
from forensics.demo.students import Plot, tell_students
from forensics.training.data import ImageData

SUSPECTS = {
    "marked": "the owner's marked model itself",
    "stolen": "a new model of another make that a thief trained on the marked model's answers to images of his own",
    "honest": "a new model of that other make that somebody trained on the unmarked model's answers to the same images",
}

FAMILIES = 12
"""Enough for the rule that the demonstration's claim has; eight, the default, could decide nothing."""

_DROP = 0.06
"""Largest accepted loss of accuracy: the owner holds back about a hundred digits, so that one of them is a point."""


def tell(stage: Stage) -> list[Examined]:
    """Runs what is not there yet and returns the suspects in the order of the story."""
    return tell_digits(stage, load_digits(), steps=300, marking=200)


def tell_digits(
    stage: Stage, digits: ImageData, *, steps: int, marking: int, drop: float = _DROP, families: int = FAMILIES
) -> list[Examined]:
    """The story on given images.

    Args:
        steps: of every training but the marked model's.
        marking: steps of the marked model's.
        drop: largest accepted loss of accuracy of the marked model, as a share.
    """
    plot = Plot(
        "t2s",
        families,
        SUSPECTS,
        owners=((16, 32, 32), (1, 1, 1)),
        thiefs=((24, 48), (2, 1)),
        key={},
        mark={"max_accuracy_drop": drop, "steps": marking},
        marking="The owner trains the triggers into the model, and again and again acts out a thief who learns from "
        "it.",
        theft="A thief puts his own images to the marked model and trains another on its answers; others are honest.",
        asking="An examiner asks each of the three models the same pictures; all is scored, opened, sealed, reported.",
    )
    return tell_students(stage, digits, plot, steps)
