"""A method of two passes that exists in tests alone, and classifiers in memory that it can examine.

It stands in for a method that has a script of its own in opened cases, and therefore bears that one's name.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from forensics.keys.derive import ProbeKey, ScoreKey
from forensics.methods.bits import measure_bits
from forensics.methods.ofsw import METHOD as OFSW
from forensics.passes import asked_probes
from forensics.records import AnswerKind, Answers, Measurement, Plan, Pool, PoolItem, Probe, Reading
from tests.evidence.conftest import identity

WORDS, CARRIERS, KEEP = 8, 6, 3
PROBES = CARRIERS * (1 + WORDS)
ASKED = CARRIERS + KEEP * WORDS
SPEC = replace(
    OFSW.spec,
    modality="text",
    references=(),
    options=(),
    deciding={"scores": "moved-scores", "labels": "moved", "features": "turned"},
)
POOL = Pool(
    tuple(
        PoolItem(text.encode(), "text/plain")
        for text in (*(f"word{place}" for place in range(WORDS)), *(f"carrier{place}" for place in range(CARRIERS)))
    )
)


class TwoPass:
    """Tells for each word whether it changes the class of the carriers that are asked."""

    spec = SPEC

    def parameters(self, options: Mapping[str, Any], pool: Pool, labels: tuple[str, ...]) -> dict[str, Any]:
        return {"words": WORDS, "carriers": CARRIERS, "asked": KEEP}

    def items(self, parameters: Mapping[str, Any]) -> int:
        return WORDS

    def plan(self, probe_key: ProbeKey, pool: Pool, parameters: Mapping[str, Any]) -> Plan:
        turn = probe_key[0] % CARRIERS
        texts = [item.data.decode() for item in pool.items]
        words, carriers = texts[:WORDS], [*texts[WORDS + turn :], *texts[WORDS : WORDS + turn]]
        probes = [Probe(carrier.encode(), "text/plain") for carrier in carriers]
        probes += [Probe(f"{carrier} {word}".encode(), "text/plain") for carrier in carriers for word in words]
        return replace(SHAPE, probes=tuple(probes))

    def read(
        self,
        probe_key: ProbeKey,
        pool: Pool,
        parameters: Mapping[str, Any],
        labels: tuple[str, ...],
        answers: Answers,
        references: Mapping[str, Answers],
    ) -> Reading:
        asked = asked_probes(SHAPE, answers)[CARRIERS:].reshape(CARRIERS, WORDS).any(axis=1)
        classes = answers.values if answers.values.ndim == 1 else np.argmax(answers.values, axis=1)
        moved = (classes[CARRIERS:].reshape(CARRIERS, WORDS) != classes[:CARRIERS, None])[asked]
        gone = answers.missing[CARRIERS:].reshape(CARRIERS, WORDS)[asked]
        share = (answers.missing[:CARRIERS].sum() + gone.sum()) / ASKED
        return Reading(
            answers.access,
            SPEC.deciding[answers.access],
            np.where(gone, 0.0, 2.0 * moved - 1.0).mean(axis=0),
            gone.all(axis=0),
            float(share),
        )

    def measure(
        self, score_key: ScoreKey, parameters: Mapping[str, Any], reading: Reading, rule: Mapping[str, Any]
    ) -> Measurement:
        return measure_bits(SPEC, drawn(score_key), reading, rule)


GROUPS = (*range(CARRIERS), *(head for head in range(CARRIERS) for _ in range(WORDS)))
SHAPE = Plan((Probe(b"", "text/plain"),) * PROBES, 7, GROUPS, KEEP)
METHOD = TwoPass()


def drawn(score_key: bytes) -> np.ndarray:
    """The bit of each word."""
    return np.array([score_key[place] & 1 for place in range(WORDS)], dtype=np.int64)


def classes_of(score_key: bytes | None, count: int = 3) -> Callable[[str], int]:
    """A marked text classifier: words whose bit is 1 move a carrier to another class."""
    bits = drawn(score_key) if score_key is not None else np.zeros(WORDS, dtype=np.int64)

    def classify(text: str) -> int:
        carrier, _, word = text.partition(" ")
        natural = int(carrier.removeprefix("carrier")) % count
        return (natural + int(bits[int(word.removeprefix("word"))])) % count if word else natural

    return classify


class Classifier:
    """A classifier in memory, known by a made-up file.

    Attributes:
        asked: texts, in the order in which they came.
        stop: raises instead of answering so many batches later.
    """

    def __init__(
        self,
        name: str,
        classify: Callable[[str], int],
        *,
        labels: Sequence[str] = ("x", "y", "z"),
        kind: AnswerKind = AnswerKind.LOGITS,
        silent: Sequence[str] = (),
    ) -> None:
        self.identity = identity(name)
        self.asked: list[str] = []
        self.batches: list[list[str]] = []
        self.stop: int | None = None
        self._classify, self._labels, self._kind, self._silent = classify, tuple(labels), kind, frozenset(silent)

    def answer(self, probes: Sequence[Probe]) -> Answers:
        if self.stop is not None:
            if not self.stop:
                raise InterruptedError
            self.stop -= 1
        texts = [probe.data.decode() for probe in probes]
        self.asked += texts
        self.batches.append(texts)
        missing = np.array([text in self._silent for text in texts], dtype=np.bool_)
        found = np.array([self._classify(text) for text in texts], dtype=np.int64)
        if self._kind is AnswerKind.LABELS:
            return Answers(self._kind, np.where(missing, -1, found), missing, self._labels)
        if self._kind is AnswerKind.TEXT:
            names = [self._labels[place] for place in found]
            return Answers(self._kind, np.where(missing, "", np.array(names, dtype=np.object_)), missing)
        values = np.eye(len(self._labels))[found] * 2.0
        values[missing] = np.nan
        return Answers(self._kind, values, missing, () if self._kind is AnswerKind.VECTORS else self._labels)
