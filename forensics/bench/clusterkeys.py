"""Keys of the encoders bench: phrase pools and pattern pools by number, and models in memory as suspects."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.acquisition import ask
from forensics.bench.corpus import parts
from forensics.bench.keys import BenchKey, cluster_key
from forensics.canonical import through_decimals
from forensics.phrasepools import make_phrase_pools
from forensics.records import AnswerKind, Answers, Identity, Pool, Probe

TEXTS = {"candidates": 96, "carriers": 32, "asked": 16, "dimension": 384}
"""Options of the text keys."""

Given = Callable[[Sequence[Probe]], NDArray[Any]]
"""Maps probes to rows of numbers (n, c)."""


@cache
def phrase_pool(number: int, candidates: int = 96, carriers: int = 32) -> Pool:
    """Returns the phrase pool of that number, drawn from the owner's sentences; carriers are nobody's training text."""
    return make_phrase_pools(
        parts()["owner"] + parts()["carriers"],
        generator=random.Random(f"phrases {number}"),
        candidates=candidates,
        carriers=carriers,
    )[0]


@cache
def text_key(number: int, pool: int | None = None, candidates: int = 96, asked: int = 16) -> BenchKey:
    """Returns the TMRW key of that number, with the pool of that number unless another is named."""
    options = {**TEXTS, "candidates": candidates, "asked": asked}
    drawn = phrase_pool(number if pool is None else pool, candidates, options["carriers"])
    return cluster_key(number, "tmrw", drawn, options)


class Memory:
    """A model in memory as a suspect: it answers with vectors, logits or labels."""

    def __init__(self, give: Given, kind: AnswerKind, labels: tuple[str, ...] = ()) -> None:
        self.identity = Identity("memory", kind.value, "0" * 64)
        self._give, self._kind, self._labels = give, kind, labels

    def answer(self, probes: Sequence[Probe]) -> Answers:
        """Returns what the model gives, as shortest decimals."""
        rows = np.asarray(self._give(probes), dtype=np.float64)
        if self._kind is AnswerKind.LABELS:
            values: NDArray[Any] = rows.argmax(axis=1).astype(np.int64)
        else:
            values = through_decimals(rows)
        return Answers(self._kind, values, np.zeros(len(probes), dtype=np.bool_), self._labels)


def asked_at(
    made: BenchKey, features: Given | None, logits: Given | None = None, labels: tuple[str, ...] = ()
) -> dict[str, Answers]:
    """Puts a key's plan to a model at every access that it offers, by its name; no probe is computed twice."""
    suspects = {}
    if features is not None:
        suspects["features"] = Memory(features, AnswerKind.VECTORS)
    if logits is not None:
        suspects["scores"] = Memory(logits, AnswerKind.LOGITS, labels)
        suspects["labels"] = Memory(logits, AnswerKind.LABELS, labels)
    plan = replace(made.plan, batch_size=512)
    return {access: ask(suspect, plan) for access, suspect in suspects.items()}


def remembered(give: Given) -> Given:
    """Returns the same function with its rows kept, so that what several readings ask is computed once."""
    known: dict[str, NDArray[Any]] = {}

    def rows(probes: Sequence[Probe]) -> NDArray[Any]:
        fresh = {probe.digest: probe for probe in probes if probe.digest not in known}
        if fresh:
            known.update(zip(fresh, give(list(fresh.values()))))
        return np.stack([known[probe.digest] for probe in probes])

    return rows


def cluster_row(made: BenchKey, answers: Answers, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the row of one reading: verdict, p, effect and what stands beside it."""
    measurement, verdict = made.score(answers)
    return {
        "method": made.claim.method,
        "key": made.number,
        **facts,
        "access": measurement.access,
        "verdict": verdict.outcome.value,
        "p_value": measurement.p_value,
        "log10_p": measurement.log10_p,
        "statistic": measurement.statistic,
        "n": measurement.n,
        "matched": measurement.matched,
        "auc": measurement.effect.value,
        "missing_share": measurement.missing_share,
        "published": {each.name: each.statistic for each in measurement.published},
        "context": dict(measurement.context),
    }
