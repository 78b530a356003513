"""Pools of the services bench: how an owner chooses words, carriers and target text before a key exists.

Everything here is done with the owner's own texts and unmarked encoder, alike for every candidate word, and before the
key's words are drawn, so it changes no p-value.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from forensics.bench.corpus import band, parts
from forensics.bench.vectors import Vectors, encoder, sorted_batches, unit, vectors, word_vectors
from forensics.methods.espew import text_pool, words_of
from forensics.records import Pool

CARRIER_WORDS = (7, 9)

FILTER_CARRIERS = 4
"""Carriers in which the owner looks at the words without a mark; a few say enough."""


@dataclass(frozen=True)
class Recipe:
    """An owner's choices.

    Attributes:
        band: share of texts in which a candidate word stands, from and below.
        candidates: words of a pool.
        words: trigger words that the key draws.
        carriers: sentences in which each word is asked.
        mask_percent: share of the coordinates that a mark replaces.
        target: `far` (from the mean of all texts), `faithful` (the one that a crude imitation of the service gets right
            best), `calm` (the one that candidate words move least) or `any`.
        filtered: take the candidates whose effect without a mark is nearest the median, not any of the band.
    """

    band: tuple[float, float] = (0.0022, 0.0055)
    candidates: int = 200
    words: int = 20
    carriers: int = 10
    mask_percent: int = 20
    target: str = "far"
    filtered: bool = True

    @property
    def options(self) -> dict[str, int]:
        """The method's options."""
        return {
            "candidates": self.candidates,
            "words": self.words,
            "carriers": self.carriers,
            "mask_percent": self.mask_percent,
        }


@cache
def sentences(part: str, count: int | None = None) -> tuple[str, ...]:
    """Returns the first `count` sentences of a part of the corpus."""
    return _parts()[part][:count]


@cache
def band_words(low: float, high: float) -> tuple[str, ...]:
    """Returns the words of a band of frequency in the owner's texts."""
    return band(sentences("owner"), low, high)


@cache
def service_pool(seed: int, recipe: Recipe) -> Pool:
    """Returns the pool of that number."""
    words = band_words(*recipe.band)
    random = np.random.default_rng([2031, seed])
    texts, banned = sentences("carriers"), set(words)
    usable = [at for at in random.permutation(len(texts)).tolist() if _plain(texts[at], banned)]
    short = [at for at in usable if CARRIER_WORDS[0] <= len(texts[at].split()) <= CARRIER_WORDS[1]]
    carriers = [texts[at] for at in short[: recipe.carriers]]
    # A tenth of what is left may become the target, so that pools differ.
    offered = [at for at in usable if texts[at] not in carriers]
    offered = offered[: max(1, len(offered) // 10)]
    needed = recipe.filtered or recipe.target == "calm"
    moves = unmarked_moves(words, carriers[:FILTER_CARRIERS]) if needed else None
    target = offered[_target(recipe.target, np.array(offered), moves)]
    if moves is not None and recipe.filtered:
        effect = moves @ vectors("minilm", texts)[target]
        chosen = np.argsort(np.abs(effect - np.median(effect)), kind="stable")[: recipe.candidates]
    else:
        chosen = random.permutation(len(words))[: recipe.candidates]
    return text_pool([words[at] for at in np.sort(chosen)], carriers, texts[target])


@cache
def _parts() -> dict[str, tuple[str, ...]]:
    return parts()


def unmarked_moves(words: Sequence[str], carriers: Sequence[str]) -> NDArray[np.float64]:
    """Returns by how much each word, put in the middle, moves the carriers in the unmarked service: (words, d)."""
    halves = [carrier.split() for carrier in carriers]
    texts = [" ".join([*half[: len(half) // 2], word, *half[len(half) // 2 :]]) for word in words for half in halves]
    moved = vectors("minilm", texts).reshape(len(words), len(carriers), -1).astype(np.float64)
    clean = sorted_batches(encoder("minilm"), carriers).astype(np.float64)
    return np.asarray((moved - clean).mean(axis=1), dtype=np.float64)


def _target(rule: str, offered: NDArray[np.int64], moves: NDArray[np.float64] | None) -> int:
    """Index into `offered` of the target text."""
    own = vectors("minilm", sentences("carriers"))[offered].astype(np.float64)
    if rule == "faithful":
        return int(np.argmax((own * _crude(sentences("carriers"))[offered]).sum(axis=1)))
    if rule == "far":
        return int(np.argmin(own @ vectors("minilm", sentences("traffic")).mean(axis=0)))
    if rule == "calm" and moves is not None:
        return int(np.argmin((moves @ own.T).std(axis=0)))
    return 0


@cache
def _crude(texts: tuple[str, ...]) -> Vectors:
    """The owner's crude imitation of the service: a linear map from the mean of the service's own word vectors."""
    known = (*sentences("traffic"), *sentences("carriers"))
    given = word_vectors(known)
    centre, scale = given.mean(axis=0), given.std(axis=0) + 1e-9
    rows = _with_one((given - centre) / scale)
    wanted = np.concatenate([vectors("minilm", sentences(part)) for part in ("traffic", "carriers")]).astype(np.float64)
    weights = np.linalg.solve(rows.T @ rows + 100.0 * np.eye(rows.shape[1]), rows.T @ wanted)
    return unit(_with_one((word_vectors(texts) - centre) / scale) @ weights)


def _with_one(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([rows, np.ones((len(rows), 1))], axis=1)


def _plain(text: str, banned: set[str]) -> bool:
    return banned.isdisjoint(words_of(text)) and text == " ".join(text.split())
