"""What a report says of a test of drawn classes, in words and rows; its figures are in `familyfigures`."""

from collections.abc import Sequence

from forensics.decoys import BELOW, DECOYS, SUCCESS
from forensics.evidence.schema import MeasurementRecord
from forensics.report.familyfigures import drawn_ranks
from forensics.report.language import Language
from forensics.report.tables import Row
from forensics.report.text import integer
from forensics.wording import Noun


def family_rows(measurement: MeasurementRecord, say: Language) -> tuple[Row, ...]:
    """Returns what was counted, one a row."""
    most = measurement.n * (_classes(measurement) - 1)
    decoys = _decoys(measurement)
    return (
        Row(say("Families, n"), integer(measurement.n)),
        Row(say("Families in which the drawn class leads"), integer(measurement.matched)),
        Row(
            say("Sum of the drawn classes’ ranks, T"),
            say("%(sum)s of at most %(most)s", sum=say.number(measurement.value), most=integer(most)),
        ),
        *(_beside(measurement, decoys, say) if decoys else ()),
    )


def told_as_families(name: str) -> bool:
    """Tells whether a figure of a measurement's context stands among the rows of `family_rows`."""
    return name in (DECOYS, SUCCESS) or name.startswith(BELOW.format(""))


def _beside(measurement: MeasurementRecord, decoys: int, say: Language) -> tuple[Row, ...]:
    """What is told of the decoy families and of the triggers one by one; it decides nothing."""
    names = (BELOW.format(number) for number in range(1, measurement.n + 1))
    below = [_whole(measurement, name) for name in names]
    return (
        Row(
            say("Trigger success (decides nothing)"),
            say(
                "%(share)s of the families’ triggers get the drawn class",
                share=say.share(measurement.context.get(SUCCESS, "nan")),
            ),
        ),
        Row(
            say("Rank of each family’s drawn class among %(decoys)s decoys (decides nothing)", decoys=integer(decoys)),
            say("%(ranks)s; %(all)s exceed every decoy", ranks=", ".join(map(str, below)), all=below.count(decoys)),
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
    if _decoys(measurement):
        return say(
            "For each of %(n)s secret sets of pictures the key drew one of %(classes)s classes by lot. Without "
            "knowledge of the draw, the classes were put in order for each set: by how much surer of them the "
            "%(suspect)s is at its pictures than at those of sets for which nothing was trained. For a %(suspect)s "
            "that has nothing to do with the key the drawn class stands anywhere in that order, and first in about "
            "one of %(classes)s sets.",
            n=integer(measurement.n),
            classes=integer(_classes(measurement)),
            suspect=suspect,
        )
    return say(
        "For each of %(n)s secret directions in which questions differ, the key drew one of %(classes)s classes by lot."
        " Without knowledge of the draw, the classes were put in order for each direction: by how much surer of them "
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


def _decoys(measurement: MeasurementRecord) -> int:
    """Returns the number of decoy families; 0 in a method that has none."""
    return _whole(measurement, DECOYS)


def _whole(measurement: MeasurementRecord, name: str) -> int:
    """Returns a count of the context; 0 where it is not there or is none."""
    value = float(measurement.context.get(name, "0"))
    return int(value) if value.is_integer() and value > 0 else 0


def _classes(measurement: MeasurementRecord) -> int:
    """Returns the number of classes.

    Raises:
        ValueError: the evidence does not say it.
    """
    return int(float(measurement.context.get("classes", "")))
