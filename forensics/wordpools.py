"""Pools of a service's key: candidate words of like frequency, carrier sentences and target texts, from a corpus."""

import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from forensics.errors import UsageError
from forensics.methods.espew import text_pool
from forensics.methods.marking import words_of
from forensics.records import Pool

BAND = (0.002, 0.01)
"""Share of the documents that a candidate word stands in: rare enough to leave most traffic unmarked, frequent enough
for a thief's copy to learn it."""

LENGTHS = (7, 18)
"""Fewest and most words of a carrier or target sentence."""

SHORTEST = 4
"""Fewest letters of a candidate word."""

LOWER_CASE = 0.8
"""Share of its occurrences in which a candidate stands in lower case; below it is mostly a name."""

_RUN = re.compile(r"[^\W\d_]+")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[^\W\d_a-z])")
_STOP_WORDS = """
about above after again against although among around aren because been before being below between both cannot
could couldn despite didn does doesn doing done down during each either else ever every everything except from hadn
hasn have haven having hence here hers herself himself however indeed instead into itself just least less many might
mine more moreover most much mustn myself needn neither never nevertheless none nothing often once only other others
otherwise ours ourselves over perhaps quite rather same several shall should shouldn since some something sometimes
somewhat such than that their theirs them themselves then there thereby therefore these they this those though
through thus together too toward towards unless until upon very wasn were weren what whatever when whenever where
whereas wherever whether which while whom whose will with within without would wouldn your yours yourself
"""
_STOP = frozenset(words_of(_STOP_WORDS))


@dataclass(frozen=True)
class OwnTexts:
    """What the owner brings instead of having it drawn; empty where it shall be drawn from the corpus.

    Attributes:
        candidates: words, those of the first share first.
        carriers: sentences, those of the first share first.
        targets: one text a share.
    """

    candidates: tuple[str, ...] = ()
    carriers: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()


def read_lines(path: Path) -> tuple[str, ...]:
    """Returns the lines of a UTF-8 text file that are not blank, with single blanks between words.

    Raises:
        UsageError: the file cannot be read or is no UTF-8.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as UTF-8 text.", "Give a text file, one entry a line.") from error
    return tuple(text for text in (" ".join(line.split()) for line in lines) if text)


def make_pools(
    corpus: Sequence[str],
    *,
    generator: random.Random,
    shares: int = 1,
    candidates: int = 200,
    carriers: int = 4,
    band: tuple[float, float] = BAND,
    own: OwnTexts | None = None,
) -> tuple[Pool, ...]:
    """Returns disjoint pools, one a share, drawn from a corpus or taken from the owner's own texts.

    All draws are made before the key exists; nothing is dropped or ranked after its words are drawn.

    Args:
        corpus: documents (lines) of text like that of the service; may be empty where `own` holds everything.
        generator: draws words and sentences; `random.SystemRandom()` for a real key.
        shares: how many pools.
        candidates: words a share.
        carriers: sentences a share.
        band: least and largest share of the documents that a candidate stands in.
        own: what is taken as it is.

    Raises:
        UsageError: the corpus or the owner's texts are too few.
    """
    given = own or OwnTexts()
    words = list(given.candidates) or _drawn_words(corpus, shares * candidates, shares, band, generator)
    wanted = 0 if given.carriers else shares * carriers
    sentences = _drawn_sentences(corpus, wanted + (0 if given.targets else shares), words, given, generator)
    targets = list(given.targets) or [sentences.pop() for _ in range(shares)]
    texts = list(given.carriers) or sentences
    for name, found, needed in (
        ("candidate words", words, shares * candidates),
        ("carriers", texts, shares * carriers),
        ("target texts", targets, shares),
    ):
        if len(found) < needed:
            raise UsageError(f"There are {len(found)} {name}; {needed} are needed.", "Give more, or fewer shares.")
    return tuple(
        text_pool(
            words[index * candidates : (index + 1) * candidates],
            texts[index * carriers : (index + 1) * carriers],
            targets[index],
        )
        for index in range(shares)
    )


def candidate_words(corpus: Iterable[str], band: tuple[float, float] = BAND) -> list[str]:
    """Returns the words of a corpus that may be candidates, sorted.

    A word is a run of at least four letters, no stop word, mostly in lower case (no name), and stands in a share of
    the documents within the band.
    """
    documents, lower, total, size = Counter[str](), Counter[str](), Counter[str](), 0
    for text in corpus:
        runs = _RUN.findall(text)
        documents.update(set(map(str.lower, runs)))
        total.update(map(str.lower, runs))
        lower.update(run for run in runs if run.islower())
        size += 1
    low, high = band
    return sorted(
        word
        for word, count in documents.items()
        if low * size <= count <= high * size
        and len(word) >= SHORTEST
        and word not in _STOP
        and lower[word] >= LOWER_CASE * total[word]
        and words_of(word) == [word]
    )


def plain_sentences(corpus: Iterable[str], avoided: Iterable[str]) -> list[str]:
    """Returns the sentences of 7 to 18 words that hold none of the words to be avoided; sorted, none twice.

    Every blank-separated piece of such a sentence holds a letter.
    """
    never, found = frozenset(avoided), set[str]()
    for text in corpus:
        for sentence in _SENTENCE.split(text):
            tokens = sentence.split()
            if LENGTHS[0] <= len(tokens) <= LENGTHS[1] and all(map(_RUN.search, tokens)):
                line = " ".join(tokens)
                if never.isdisjoint(words_of(line)):
                    found.add(line)
    return sorted(found)


def _drawn_words(
    corpus: Sequence[str], needed: int, shares: int, band: tuple[float, float], generator: random.Random
) -> list[str]:
    found = candidate_words(corpus, band)
    if len(found) < needed:
        low, high = (f"{100.0 * limit:g} %" for limit in band)
        raise UsageError(
            f"The corpus has {len(corpus)} lines and {len(found)} words that stand in {low} to {high} of them; "
            f"{needed} are needed for {shares} share(s).",
            "Give more text, or your own words with --candidates-file.",
        )
    return generator.sample(found, needed)


def _drawn_sentences(
    corpus: Sequence[str], needed: int, words: Sequence[str], given: OwnTexts, generator: random.Random
) -> list[str]:
    if needed == 0:
        return []
    taken = {*given.carriers, *given.targets}
    found = [sentence for sentence in plain_sentences(corpus, words) if sentence not in taken]
    if len(found) < needed:
        raise UsageError(
            f"The corpus has {len(found)} sentences of {LENGTHS[0]} to {LENGTHS[1]} words without a candidate word; "
            f"{needed} are needed.",
            "Give more text, or your own sentences with --carriers-file and --target-file.",
        )
    return generator.sample(found, needed)
