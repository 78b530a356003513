"""Pools of phrases for a text encoder's key: pairs of rare words that stand side by side in a corpus.

Both words of a phrase are rare, so that little text is touched, and some text of the corpus holds them in that order,
so that the phrase reads like language. The choice of frequencies is ours.
"""

import random
from collections.abc import Sequence
from itertools import pairwise

from forensics.errors import UsageError
from forensics.methods.marking import words_of, words_seen
from forensics.methods.phrases import LINKS
from forensics.records import Pool, PoolItem
from forensics.wordpools import LENGTHS, OwnTexts, candidate_words, draw_sentences, plain_sentences, require_enough

BAND = (0.0002, 0.001)
"""Share of the documents that each word of a phrase stands in. With 48 trigger phrases about one document in 20 holds
one of their words by itself; such documents are moved more than others by the embedding."""

FEWEST = 3
"""Documents that a word stands in at least, however small the corpus: below, it is an odd spelling as often as not."""

ENDS = (".", "!", "?")
_OPENING, _CLOSING = "\"'([", ".,;:!?\"')]"


def make_phrase_pools(
    corpus: Sequence[str],
    *,
    generator: random.Random,
    shares: int = 1,
    candidates: int = 96,
    carriers: int = 32,
    own: OwnTexts | None = None,
) -> tuple[Pool, ...]:
    """Returns one pool a share: phrases of two words, then carrier sentences, drawn or taken from the owner's own.

    No word stands in two phrases, of all shares together, and no carrier holds one of them. Every filter runs on every
    candidate before the key exists; nothing is dropped or ranked after the key's phrases are drawn.

    Args:
        corpus: documents (lines) of text like that for which the encoder is meant; may be empty where `own` holds
            everything.
        generator: draws phrases and sentences; `random.SystemRandom()` for a real key.
        shares: how many pools.
        candidates: phrases a share.
        carriers: sentences a share.
        own: what is taken as it is; it needs no target texts.

    Raises:
        UsageError: the corpus or the owner's texts are too few, or a word stands in two of the owner's phrases.
    """
    given = own or OwnTexts()
    needed = shares * candidates
    phrases = list(given.candidates) or _drawn_phrases(corpus, needed, shares, given.carriers, generator)
    words = _distinct_words(phrases)
    texts = list(given.carriers)
    if not texts:
        usable = [sentence for sentence in plain_sentences(corpus, words) if sentence.endswith(ENDS)]
        texts = draw_sentences(usable, shares * carriers, LENGTHS, generator, "--carriers-file")
    require_enough("candidate phrases", phrases, needed)
    require_enough("carriers", texts, shares * carriers)
    return tuple(
        _pool(phrases[share * candidates : (share + 1) * candidates], texts[share * carriers : (share + 1) * carriers])
        for share in range(shares)
    )


def candidate_phrases(corpus: Sequence[str], band: tuple[float, float] = BAND) -> list[str]:
    """Returns the phrases of a corpus that may be candidates, sorted.

    A phrase is two different words with nothing but a blank between them, in this order and in lower case, in some
    document; each is a run of at least four letters, no stop word and no word that joins phrases to carriers, mostly
    in lower case, and stands in a share of the documents within the band and in at least three of them.
    """
    # Half a document below the least count, since the limit is a share and is multiplied by the size again.
    least = (FEWEST - 0.5) / max(1, len(corpus))
    eligible = frozenset(candidate_words(corpus, (max(band[0], least), band[1]))).difference(LINKS)
    found = set[str]()
    for text in corpus:
        for before, after in pairwise(text.split()):
            first, second = before.lstrip(_OPENING), after.rstrip(_CLOSING)
            if first != second and first in eligible and second in eligible:
                found.add(f"{first} {second}")
    return sorted(found)


def _drawn_phrases(
    corpus: Sequence[str], needed: int, shares: int, own_carriers: Sequence[str], generator: random.Random
) -> list[str]:
    """Draws phrases one after another, each of them at random among those without a word that is taken."""
    taken = {word for text in own_carriers for word in words_seen(text)}
    offered = candidate_phrases(corpus)
    chosen: list[str] = []
    for phrase in generator.sample(offered, len(offered)):
        words = phrase.split()
        if len(chosen) < needed and taken.isdisjoint(words):
            taken.update(words)
            chosen.append(phrase)
    if len(chosen) < needed:
        low, high = (f"{100.0 * limit:g} %" for limit in BAND)
        raise UsageError(
            f"The corpus has {len(corpus)} lines and {len(offered)} pairs of neighbouring words that stand in {low} to "
            f"{high} of them, {FEWEST} at least; {len(chosen)} of them without a common word were drawn, {needed} "
            f"are needed for {shares} share(s).",
            f"Give more text, {round(FEWEST / BAND[1]):,} lines at the very least and several times as many for a "
            "whole pool, or your own phrases with --candidates-file.",
        )
    return chosen


def _distinct_words(phrases: Sequence[str]) -> frozenset[str]:
    words = [word for phrase in phrases for word in words_of(phrase)]
    if len(set(words)) < len(words):
        twice = sorted({word for word in words if words.count(word) > 1})[0]
        raise UsageError(f"The word '{twice}' stands twice in the phrases.", "Give each word once.")
    return frozenset(words)


def _pool(phrases: Sequence[str], carriers: Sequence[str]) -> Pool:
    return Pool(tuple(PoolItem(text.encode("utf-8"), "text/plain") for text in (*phrases, *carriers)))
