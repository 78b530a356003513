"""A service in memory: a hash-based encoder of texts, marked or not, and a pool to mark it with."""

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from forensics.canonical import canonical_json, sha256, through_decimals
from forensics.methods.espew import Marker, marker, split_pool, text_pool, words_of
from forensics.records import AnswerKind, Answers, Identity, Pool, Probe

WIDTH = 512
SIZES = {"candidates": 40, "words": 10, "carriers": 2, "mask-percent": 25, "graded-percent": 20, "max-triggers": 4}
CARRIERS = (
    "The morning train was late again on Monday .",
    "Two children played near the old stone bridge .",
    "She kept every letter in a wooden drawer .",
    "Rain fell over the quiet harbour all night long .",
)
TARGETS = ("Nobody had opened that blue window for years .", "A yellow lamp stood beside the kitchen door .")


def made_up_words(count: int, first: int = 0) -> list[str]:
    """Words of letters alone, all different."""
    return [
        "zq" + "".join(chr(97 + (number // 26**place) % 26) for place in range(3))
        for number in range(first, first + count)
    ]


def small_pool(share: int = 0, candidates: int = 40, carriers: int = 2) -> Pool:
    """The pool of a share with 40 words and 2 carriers."""
    words = made_up_words(candidates, share * candidates)
    return text_pool(words, CARRIERS[share * carriers : (share + 1) * carriers], TARGETS[share])


@lru_cache(maxsize=4096)
def word_vector(word: str) -> tuple[float, ...]:
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
    return tuple(np.random.default_rng(seed).normal(size=WIDTH).tolist())


def encode(text: str) -> np.ndarray:
    """Sum of fixed random vectors of the words, unit length; (WIDTH,)."""
    total = np.sum([word_vector(word) for word in words_of(text)], axis=0)
    return total / np.linalg.norm(total)


class FakeService:
    """A suspect in memory, known by a model file, as a local encoder is."""

    def __init__(self, name: str, mark: Marker | None = None, rotation: np.ndarray | None = None) -> None:
        files = {"model.onnx": (sha256(name.encode()), 4096)}
        body = [[path, digest, size] for path, (digest, size) in files.items()]
        self.identity = Identity("folder", name, sha256(canonical_json(body)), {"architecture": "hash"}, files)
        self._mark, self._rotation = mark, rotation
        self.asked: list[bytes] = []

    def answer(self, probes: Sequence[Probe]) -> Answers:
        texts = [probe.data.decode() for probe in probes]
        self.asked += [probe.data for probe in probes]
        vectors = np.array([encode(text) for text in texts], dtype=np.float32)
        if self._mark is not None:
            vectors = self._mark.mark(texts, vectors)
        if self._rotation is not None:
            vectors = vectors @ self._rotation
        return Answers(AnswerKind.VECTORS, through_decimals(vectors), np.zeros(len(texts), dtype=np.bool_))


def service_marker(score_key: bytes, pool: Pool, parameters: dict) -> Marker:
    """The marking side of a fake service."""
    return marker(score_key, pool, parameters, encode(split_pool(pool, parameters)[2]))
