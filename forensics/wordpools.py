"""Pools of a service's key: candidate words of like frequency, carrier sentences and target texts, from a corpus."""

import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from forensics.errors import UsageError
from forensics.methods.espew import text_pool
from forensics.methods.marking import letters_of, words_of, words_seen
from forensics.records import Pool
from forensics.wordchoice import OFFERED, TEXTS, WORDS, Embed, farthest, most_typical

BAND = (0.0022, 0.0055)
"""Share of the documents that a candidate word stands in: rare enough to leave most traffic unmarked, frequent enough
for a thief's copy to learn it."""

LENGTHS = (7, 18)
"""Fewest and most words of a target sentence."""

CARRIER_LENGTHS = (7, 9)
"""Fewest and most words of a carrier: in a short one a single word counts for more."""

SHORTEST = 4
"""Fewest letters of a candidate word."""

LOWER_CASE = 0.8
"""Share of its occurrences in which a candidate stands in lower case; below it is mostly a name."""

_FILES = "--carriers-file and --target-file"
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
        candidates: words or phrases, those of the first share first.
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
    if not path.exists():
        raise UsageError(f"{path} does not exist.", "Name a text file, one entry a line.")
    if not path.is_file():
        raise UsageError(f"{path} is no file.", "Name a text file, one entry a line.")
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
    carriers: int = 10,
    band: tuple[float, float] = BAND,
    own: OwnTexts | None = None,
    embed: Embed | None = None,
) -> tuple[Pool, ...]:
    """Returns disjoint pools, one a share, drawn from a corpus or taken from the owner's own texts.

    With the unmarked encoder a share's target is the sentence farthest from the mean of all texts among a random tenth
    of the usable ones, and its candidates are the words of the band whose effect without a mark lies nearest the
    median; without it both are drawn at random. All of that happens before the key exists, alike for every word;
    nothing is dropped or ranked after the key's words are drawn.

    Args:
        corpus: documents (lines) of text like that of the service; may be empty where `own` holds everything.
        generator: draws words and sentences; `random.SystemRandom()` for a real key.
        shares: how many pools.
        candidates: words a share.
        carriers: sentences a share.
        band: least and largest share of the documents that a candidate stands in.
        own: what is taken as it is.
        embed: the unmarked encoder of the service, n texts to (n, d).

    Raises:
        UsageError: the corpus or the owner's texts are too few, or the encoder gave no usable vectors.
    """
    given = own or OwnTexts()
    needed = shares * candidates
    looked_at = needed if embed is None else max(needed, WORDS)
    words = list(given.candidates) or _drawn_words(corpus, needed, looked_at, shares, band, given, generator)
    sentences = _usable(corpus, words, given)
    texts = list(given.carriers) or draw_sentences(sentences, shares * carriers, CARRIER_LENGTHS, generator, _FILES)
    free = sorted(set(sentences).difference(texts))
    tenth = 1 if embed is None else min(OFFERED, max(1, len(free) // max(10, shares)))
    targets = list(given.targets) or draw_sentences(free, shares * tenth, LENGTHS, generator, _FILES)
    require_enough("candidate words", words, needed)
    require_enough("carriers", texts, shares * carriers)
    require_enough("target texts", targets, shares)
    if embed is not None and not given.targets:
        everything = plain_sentences(corpus, ())
        average = generator.sample(everything, min(TEXTS, len(everything)))
        targets = [farthest(targets[start : start + tenth], average, embed) for start in range(0, len(targets), tenth)]
    pools = []
    for index in range(shares):
        own_texts = texts[index * carriers : (index + 1) * carriers]
        if embed is None or given.candidates:
            chosen = words[index * candidates : (index + 1) * candidates]
        else:
            chosen = most_typical(words[index::shares], candidates, own_texts, targets[index], embed)
        pools.append(text_pool(chosen, own_texts, targets[index]))
    return tuple(pools)


def candidate_words(corpus: Iterable[str], band: tuple[float, float] = BAND) -> list[str]:
    """Returns the words of a corpus that may be candidates, sorted.

    A word is a run of at least four letters, no stop word, mostly in lower case (no name), and stands in a share of
    the documents within the band.
    """
    documents, lower, total, size = Counter[str](), Counter[str](), Counter[str](), 0
    for text in corpus:
        runs = letters_of(text)
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
                if never.isdisjoint(words_seen(line)):
                    found.add(line)
    return sorted(found)


def draw_sentences(
    sentences: Sequence[str], needed: int, lengths: tuple[int, int], generator: random.Random, files: str
) -> list[str]:
    """Returns that many of the sentences whose number of words lies within the limits.

    Args:
        files: options that bring the owner's own, for the error's next step.

    Raises:
        UsageError: there are too few.
    """
    found = [sentence for sentence in sentences if lengths[0] <= len(sentence.split()) <= lengths[1]]
    if len(found) < needed:
        raise UsageError(
            f"The corpus has {len(found)} sentences of {lengths[0]} to {lengths[1]} words without a candidate word; "
            f"{needed} are needed.",
            f"Give more text, or your own sentences with {files}.",
        )
    return generator.sample(found, needed)


def require_enough(name: str, found: Sequence[str], least: int) -> None:
    """Refuses own texts that are fewer than the shares need.

    Raises:
        UsageError: there are too few.
    """
    if len(found) < least:
        raise UsageError(f"There are {len(found)} {name}; {least} are needed.", "Give more, or fewer shares.")


def _drawn_words(
    corpus: Sequence[str],
    needed: int,
    most: int,
    shares: int,
    band: tuple[float, float],
    given: OwnTexts,
    generator: random.Random,
) -> list[str]:
    taken = {word for text in (*given.carriers, *given.targets) for word in words_seen(text)}
    found = [word for word in candidate_words(corpus, band) if word not in taken]
    if len(found) < needed:
        low, high = (f"{100.0 * limit:g} %" for limit in band)
        raise UsageError(
            f"The corpus has {len(corpus)} lines and {len(found)} words that stand in {low} to {high} of them; "
            f"{needed} are needed for {shares} share(s).",
            "Give more text, or your own words with --candidates-file.",
        )
    return generator.sample(found, min(most, len(found)))


def _usable(corpus: Sequence[str], words: Sequence[str], given: OwnTexts) -> list[str]:
    """Returns the corpus' sentences without a word that is or may become a candidate; none where none is needed."""
    if given.carriers and given.targets:
        return []
    taken = {*given.carriers, *given.targets}
    return [sentence for sentence in plain_sentences(corpus, words) if sentence not in taken]
