"""What a report says of a test of drawn classes, in words and rows; its figures are in `familyfigures`."""

from collections.abc import Sequence

from forensics.evidence.schema import MeasurementRecord
from forensics.report.familyfigures import drawn_ranks
from forensics.report.language import Language
from forensics.report.tables import Row
from forensics.report.text import integer
from forensics.wording import Noun


def family_rows(measurement: MeasurementRecord, say: Language) -> tuple[Row, ...]:
    """Returns what was counted, one a row."""
    most = measurement.n * (_classes(measurement) - 1)
    return (
        Row(say("Families, n"), integer(measurement.n)),
        Row(say("Families in which the drawn class leads"), integer(measurement.matched)),
        Row(
            say("Sum of the drawn classes’ ranks, T"),
            say("%(sum)s of at most %(most)s", sum=say.number(measurement.value), most=integer(most)),
        ),
    )


def found_in_families(measurement: MeasurementRecord, say: Language) -> str:
    """Returns what was counted as a sentence."""
    return say(
        "In %(matched)s of %(n)s families the class that the key drew stands alone at the top.",
        matched=integer(measurement.matched),
        n=integer(measurement.n),
    )


def families_in_plain_words(measurement: MeasurementRecord, suspect: Noun, say: Language) -> str:
    """Returns what was counted for somebody who has read nothing else."""
    return say(
        "For each of %(n)s secret directions in which pictures differ, the key drew one of %(classes)s classes by lot. "
        "Without knowledge of the draw, the classes were put in order for each direction: by how much surer of them "
        "the %(suspect)s becomes along it. For a %(suspect)s that has nothing to do with the key the drawn class "
        "stands anywhere in that order, and first in about one of %(classes)s directions.",
        n=integer(measurement.n),
        classes=integer(_classes(measurement)),
        suspect=suspect,
    )


def family_items(
    shifts: Sequence[str], target: Sequence[int], say: Language
) -> tuple[tuple[tuple[str, ...], ...], str, int]:
    """Returns the rows of annex B with their lead and the number of columns.

    Args:
        shifts: of all classes, family by family, as decimal strings.
        target: (L,) drawn class of each family.
    """
    ranks = drawn_ranks(shifts, target) or []
    classes = len(shifts) // max(len(target), 1)
    items = tuple(
        (
            str(number),
            str(drawn + 1),
            say.fixed(shifts[(number - 1) * classes + drawn], 4),
            str(rank),
            "yes" if rank == classes - 1 else "no",
        )
        for number, (drawn, rank) in enumerate(zip(target, ranks, strict=False), 1)
    )
    lead = say(
        "Number of the family, number of the class that the key drew, its shift, and how many of the other classes it "
        "exceeds; read down each column. The shifts of all classes are in evidence.json."
    )
    return items, lead, 4


def _classes(measurement: MeasurementRecord) -> int:
    """Returns the number of classes.

    Raises:
        ValueError: the evidence does not say it.
    """
    return int(float(measurement.context.get("classes", "")))
