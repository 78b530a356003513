"""Plain paraphrases for the services bench: a word left out, others replaced by synonyms of WordNet."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from forensics.bench.corpus import package

_PARTS = ("noun", "verb", "adj", "adv")
REPLACED, LEAST = 2, 4
"""Most words that are replaced, and fewest letters of such a word."""


@cache
def synonyms() -> Mapping[str, tuple[str, ...]]:
    """Returns the other single words of the synsets that each word stands in, sorted."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for part in _PARTS:
        for line in (package("wordnet") / f"data.{part}").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("  "):
                continue
            fields = line.split(" ")
            group = [word for word in fields[4 : 4 + 2 * int(fields[3], 16) : 2] if word.isalpha() and word.islower()]
            for word in group:
                found[word].update(group)
    return {word: tuple(sorted(group - {word})) for word, group in found.items() if len(group) > 1}


def paraphrases(texts: Sequence[str], version: int) -> tuple[str, ...]:
    """Returns one paraphrase of each text; the same for the same version."""
    known = synonyms()
    return tuple(paraphrase(text, known, np.random.default_rng([2033, version, at])) for at, text in enumerate(texts))


def paraphrase(text: str, known: Mapping[str, tuple[str, ...]], random: np.random.Generator) -> str:
    """Leaves out one short word and replaces up to two longer ones by synonyms."""
    words = text.split()
    short = [at for at, word in enumerate(words) if at and len(word) < LEAST]
    chosen = [at for at in random.permutation(len(words)).tolist() if len(words[at]) >= LEAST and words[at] in known]
    for at in chosen[:REPLACED]:
        words[at] = str(random.choice(known[words[at]]))
    if short:
        del words[int(random.choice(short))]
    return " ".join(words)
