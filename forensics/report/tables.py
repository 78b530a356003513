"""The small printed forms that every section uses: tables, labelled rows, dated events."""

from dataclasses import dataclass
from typing import Literal

from forensics.report.text import clean


@dataclass(frozen=True)
class Table:
    """A printed table: all cells are text."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Row:
    """A labelled value; digests are printed in four groups of sixteen digits."""

    label: str
    value: str
    form: Literal["text", "digest"] = "text"


def digest_row(label: str, digest: str) -> Row:
    """Returns the row of a digest, cleaned and cut like any other text: a record may hold anything in its place."""
    return Row(label, clean(digest, 64), "digest")


@dataclass(frozen=True)
class Event:
    """A dated fact on the timeline; `value` is None where the date is unknown.

    Attributes:
        decides: whether gate G1 compares it.
    """

    label: str
    value: str | None
    source: str
    decides: bool = False
