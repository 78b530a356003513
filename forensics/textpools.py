"""Pools of labelled texts for a text classifier's key: a table of word directions, and texts with their classes.

All is chosen from the owner's data and the unmarked model's own word vectors before the key exists. The table holds
common words in their order; like the cells of an image it is no secret, and all shares have the same.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from forensics.errors import UsageError
from forensics.methods.wordtable import WordTable, make_table
from forensics.records import FloatArray, Pool, PoolItem

Vectors = Callable[[Sequence[str]], FloatArray]
"""Returns the unmarked model's input vectors (n, d) of words, NaN for a word that it cannot read."""

WORDS, WIDTH = 4096, 32
"""Words of the table at the most, and how many principal coordinates of their vectors are kept."""

TEXTS = 500
"""Texts a share."""

FEWEST_KNOWN = 3
"""Words of the table that a text of a pool has at least."""

_MARKS = '.,;:!?"()'


def make_text_pools(
    texts: Sequence[str],
    labels: Sequence[int],
    vectors: Vectors,
    *,
    generator: random.Random,
    shares: int = 1,
    size: int = TEXTS,
    words: int = WORDS,
    width: int = WIDTH,
) -> tuple[Pool, ...]:
    """Returns one pool a share: the table, then texts drawn at random with their classes, none of them twice.

    Args:
        texts: of the classifier's task; white space is made even.
        labels: class of each text.
        vectors: of the owner's unmarked model.
        generator: draws the texts; `random.SystemRandom()` for a real key.
        size: texts a share.

    Raises:
        UsageError: too few words or texts.
    """
    plain = [" ".join(text.split()) for text in texts]
    table = word_table(plain, vectors, words, width)
    known = {
        text: label
        for text, label in zip(plain, labels, strict=True)
        if len(table.rows(text)) >= FEWEST_KNOWN and text.isprintable()
    }
    if len(known) < shares * size:
        raise UsageError(
            f"The data has {len(known)} different texts with {FEWEST_KNOWN} common words or more; "
            f"{shares} shares of {size} need {shares * size}.",
            "Give more, or a smaller --pool-size.",
        )
    chosen = generator.sample(sorted(known), shares * size)
    items = [PoolItem(text.encode(), "text/plain", int(known[text])) for text in chosen]
    return tuple(Pool((table.item(), *items[start : start + size])) for start in range(0, len(items), size))


def word_table(texts: Sequence[str], vectors: Vectors, words: int = WORDS, width: int = WIDTH) -> WordTable:
    """Returns the table of the commonest words that consist of ASCII letters.

    Raises:
        UsageError: there are fewer than twice as many as a direction has coordinates.
    """
    counts = Counter(word for text in texts for piece in text.split() if _is_word(word := piece.strip(_MARKS).lower()))
    ordered = [word for word, _ in sorted(counts.items(), key=lambda each: (-each[1], each[0]))][:words]
    rows = vectors(ordered) if ordered else np.empty((0, width))
    usable = np.flatnonzero(np.isfinite(rows).all(axis=1))
    if len(usable) < 2 * width:
        raise UsageError(f"The texts have {len(usable)} common words that the model can read.", "Give more texts.")
    return make_table([ordered[row] for row in usable], rows[usable], width)


def _is_word(word: str) -> bool:
    return word.isascii() and word.isalpha()
