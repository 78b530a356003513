"""Pools of passages for a language model's key: a table of word vectors and natural texts with what follows them.

All is chosen from a corpus and the unmarked model's own word vectors before the key exists. Only words that the owner's
tokenizer reads as one token are in the table, so that a view made of them survives the tokenizer there and back.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from forensics.errors import UsageError
from forensics.methods.ofsw_text import Passage
from forensics.methods.wordtable import WordTable, make_table
from forensics.records import FloatArray, Pool

Vectors = Callable[[Sequence[str]], FloatArray]
"""Returns the unmarked model's input vectors (n, d) of words, NaN for a word that is not one token of its tokenizer."""

WORDS, WIDTH = 1024, 32
"""Words of the table, and how many principal coordinates of their vectors are kept."""

PASSAGES = 32
"""Passages a share."""

CONTINUATION = 1
"""Words that follow a passage and are scored: one is one token, and one query shows it, echoed or listed."""


def make_passage_pools(
    corpus: Sequence[str],
    vectors: Vectors,
    *,
    generator: random.Random,
    shares: int = 1,
    passages: int = PASSAGES,
    length: int = 16,
    continuation: int = CONTINUATION,
    words: int = WORDS,
    width: int = WIDTH,
) -> tuple[Pool, ...]:
    """Returns one pool a share: a table of words drawn at random, then passages; no passage stands in two of them.

    Args:
        corpus: documents of natural text on which the model is not trained.
        generator: draws words and passages; `random.SystemRandom()` for a real key.
        passages: a share.
        length: words of the table that a passage holds before its continuation.
        words: of a table.

    Raises:
        UsageError: the corpus has too few words or passages.
    """
    common, rows = _common_words(corpus, vectors, words, width)
    left, pools = sorted(set(corpus)), []
    for share in range(shares):
        # A table of its own, so that a share that is opened shows no other's.
        drawn = sorted(generator.sample(range(len(common)), min(words, len(common) * 3 // 4)))
        table = make_table([common[row] for row in drawn], rows[drawn], width)
        found = {text: passage for text in left if (passage := _passage(text, table, length, continuation))}
        if len(found) < passages:
            raise UsageError(
                f"The corpus has {len(found)} documents with {length} words of the table and {continuation} after them "
                f"for share {share}; {passages} are needed.",
                "Give more text, or ask for shorter views or a smaller --pool-size.",
            )
        chosen = generator.sample(sorted(found), passages)
        left = [text for text in left if text not in set(chosen)]
        pools.append(Pool((table.item(), *(found[text].item() for text in chosen))))
    return tuple(pools)


def _common_words(corpus: Sequence[str], vectors: Vectors, words: int, width: int) -> tuple[list[str], FloatArray]:
    """Returns the commonest words that are one token, twice as many as a table has if there are, with their vectors."""
    counts = Counter(word for text in corpus for word in text.split() if word.isascii() and word.isalpha())
    ordered = [word for word, _ in sorted(counts.items(), key=lambda each: (-each[1], each[0])) if word.islower()]
    ordered = ordered[: 8 * words]
    rows = vectors(ordered) if ordered else np.empty((0, width))
    usable = np.flatnonzero(np.isfinite(rows).all(axis=1))[: 2 * words]
    if len(usable) < max(2 * width, words // 8):
        raise UsageError(
            f"The corpus has {len(usable)} common words that are one token of the model's tokenizer.", "Give more text."
        )
    return [ordered[row] for row in usable], rows[usable]


def _passage(text: str, table: WordTable, length: int, continuation: int) -> Passage | None:
    """Returns the beginning of a document up to where it holds enough words and known words alone follow."""
    known, pieces, seen = table.numbers.keys(), text.split(), 0
    for place, piece in enumerate(pieces):
        follow = pieces[place : place + continuation]
        if seen >= length and len(follow) == continuation and known >= set(follow):
            return Passage(" ".join(pieces[:place]), " ".join(follow))
        seen += len(table.rows(piece))
    return None
