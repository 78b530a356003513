"""Keyed soft labels in text classifiers: as `ksl`, with texts seen through the directions of their words (ours).

A table of common words, each with a direction in whole numbers, is committed as the first item of the pool; a text is
seen as the mean of the directions of those of its words that are in the table. The probes are ordinary texts of the
classifier's task, the same whichever classes the key drew.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from forensics.errors import UsageError
from forensics.methods.cleancheckpoint import FURTHER
from forensics.methods.protocol import Option, Parameters
from forensics.methods.ranks import drawn_class_spec
from forensics.methods.sizes import checked_sizes, chosen_sizes
from forensics.methods.softlabels import MOST_CLASSES, MOST_FAMILIES, PARTS, SoftLabels
from forensics.methods.wordtable import WordTable, read_table
from forensics.records import IntArray, Pool, PoolItem

SPEC = drawn_class_spec(
    "ksl-text",
    "Keyed soft labels in text classifiers",
    "ours; label smoothing whose mass a secret projection of the words directs",
    "a missing answer counts as the mean of its class; with no answer at all every rank is 0",
    modality="text",
    pool="labelled texts",
    most_items=MOST_FAMILIES,
    optional_references=FURTHER,
    options=(Option("families", 24, "secret directions, each with a class of its own; at most 32"),),
)


class KeyedTextLabels(SoftLabels):
    """The verification side of keyed soft labels for texts."""

    spec = SPEC
    inputs = "texts"

    def parameters(self, options: Mapping[str, Any], pool: Pool, labels: tuple[str, ...]) -> dict[str, Any]:
        """Returns the numbers of families, of classes and of a word's coordinates."""
        width = _table(pool).vectors.shape[1]
        self.require_labelled(pool, labels, width)
        return dict(_sizes({**chosen_sizes(SPEC, options), "classes": len(labels), "width": width}))

    def asked(self, pool: Pool) -> tuple[PoolItem, ...]:
        """Returns the texts, which stand behind the table."""
        return pool.items[1:]

    def see(self, pool: Pool, parameters: Parameters) -> IntArray:
        """Returns the mean directions of the texts' words, (n, width)."""
        if not all(item.data for item in pool.items):
            raise UsageError("The texts of the pool are not there, and without them nothing can be read.", "Add them.")
        table = _table(pool)
        if table.vectors.shape[1] != _sizes(parameters)["width"]:
            raise UsageError("The pool's word table has another width than the claim's.", "Use the claim's own pool.")
        try:
            texts = [item.data.decode("utf-8") for item in self.asked(pool)]
        except UnicodeDecodeError as error:
            raise UsageError("A text of the pool is no UTF-8.", "Use the claim's own pool.") from error
        return see_texts(texts, table)


METHOD = KeyedTextLabels()


def see_texts(texts: list[str], table: WordTable) -> IntArray:
    """Returns how texts are seen, (n, width): sixteenths of the mean of their words' directions, rounded down.

    Words that are not in the table do not count; a text without any is seen as 0.
    """
    seen = np.zeros((len(texts), table.vectors.shape[1]), dtype=np.int64)
    for row, text in enumerate(texts):
        if known := table.rows(text):
            seen[row] = table.vectors[known].sum(axis=0).astype(np.int64) * PARTS // len(known)
    return seen


def _table(pool: Pool) -> WordTable:
    if not pool.items:
        raise UsageError("The pool is empty.", "Make it from labelled texts.")
    return read_table(pool.items[0].data)


def _sizes(parameters: Parameters) -> dict[str, int]:
    sizes = checked_sizes(
        parameters,
        {"families": 1, "classes": 2, "width": 1},
        {"families": MOST_FAMILIES, "classes": MOST_CLASSES, "width": MOST_FAMILIES},
    )
    if sizes["families"] > sizes["width"]:
        raise UsageError(
            f"{sizes['families']} families do not fit among {sizes['width']} coordinates of a word.", "Ask for fewer."
        )
    return sizes
