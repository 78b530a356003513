"""What an owner chooses with the unmarked encoder before a key exists: a target far from all texts, and typical words.

A mark is found the better the farther its target lies from what texts say anyway, and the more alike the candidate
words are without it. Both are known before anything secret is drawn, and every word is treated alike, so no p-value
changes: the key then draws its words from what is left. The recipe is ours; `forensics bench services` measures it.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from forensics.errors import UsageError
from forensics.methods.marking import unit_rows
from forensics.records import FloatArray

Embed: TypeAlias = Callable[[Sequence[str]], FloatArray]
"""The unmarked encoder: n texts to float (n, d)."""

CARRIERS = 4
"""Carriers in which words are looked at without a mark; a few say enough."""

WORDS = 625
"""Words of the band that are looked at, if a key needs no more: 2,500 texts."""

TEXTS = 3000
"""Sentences that stand for all texts."""

OFFERED = 200
"""Sentences among which a share's target is chosen, at most. With many more it would be an oddity that a thief with the
same corpus could guess."""


def farthest(offered: Sequence[str], texts: Sequence[str], embed: Embed) -> str:
    """Returns the offered sentence whose vector lies farthest from the mean vector of the texts; the first in a tie.

    Raises:
        UsageError: the encoder gave no usable vectors.
    """
    mean = _units(embed, texts).mean(axis=0)
    return offered[int(np.argmin(_units(embed, offered) @ mean))]


def most_typical(words: Sequence[str], count: int, carriers: Sequence[str], target: str, embed: Embed) -> list[str]:
    """Returns the words that move carriers towards the target by nearest to the median of all, in their order.

    Each word is put into the middle of the first four carriers. The carriers' own cosines are the same for all words.

    Args:
        words: distinct words.
        count: how many to keep.
        carriers: sentences of at least two words.
        target: the target text.
        embed: the unmarked encoder.

    Raises:
        UsageError: the encoder gave no usable vectors.
    """
    halves = [carrier.split() for carrier in carriers[:CARRIERS]]
    texts = [" ".join([*half[: len(half) // 2], word, *half[len(half) // 2 :]]) for word in words for half in halves]
    cosines = _units(embed, texts) @ _units(embed, [target])[0]
    effects = cosines.reshape(len(words), len(halves)).mean(axis=1)
    kept = np.argsort(np.abs(effects - np.median(effects)), kind="stable")[:count]
    return [words[place] for place in np.sort(kept).tolist()]


def _units(embed: Embed, texts: Sequence[str]) -> FloatArray:
    vectors = np.asarray(embed(texts), dtype=np.float64)
    fits = vectors.ndim == 2 and len(vectors) == len(texts)
    units, length = unit_rows(vectors if fits else np.zeros((1, 1)))
    if not np.all(length > 0.0):
        raise UsageError(
            "The encoder gave no usable vector for some of the corpus' texts.",
            "Try it with a few sentences, or leave --reference-checkpoint out.",
        )
    return units
