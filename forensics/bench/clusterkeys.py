"""Keys of the encoders bench: phrase pools and pattern pools by number, and models in memory as suspects."""

import math
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
from forensics.methods.clusters import arrange, components, derive_direction, derive_order, derive_triggers, gram
from forensics.phrasepools import make_phrase_pools
from forensics.records import AnswerKind, Answers, Identity, Pool, Probe
from forensics.statistics import midranks, subset_test

TEXTS = {"candidates": 96, "carriers": 32, "asked": 16, "dimension": 384}
"""Options of the text keys."""

SMALLER, DRAWS = (24, 48), 20
"""Sizes of the parts of a pool that are tested by themselves, and how many parts of each size."""

QUICK = {"candidates": 28, "carriers": 6, "asked": 3}
"""What a quick run's keys have instead."""

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
def text_key(number: int, quick: bool = False) -> BenchKey:
    """Returns the TMRW key of that number, with the pool of that number; a quick one asks the least."""
    options = TEXTS | QUICK if quick else TEXTS
    return cluster_key(number, "tmrw", phrase_pool(number, options["candidates"], options["carriers"]), options)


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


def reading_rows(
    keys: Sequence[BenchKey],
    facts: Mapping[str, Any],
    features: Given | None,
    logits: Given | None = None,
    classes: int = 0,
    *,
    pools: bool = False,
) -> list[dict[str, Any]]:
    """Examines one model at every access that it offers, with each of the keys.

    Args:
        facts: columns of every row.
        classes: how many numbers `logits` gives.
        pools: test parts of the pool as well.
    """
    labels = tuple(str(each) for each in range(classes))
    rows: list[dict[str, Any]] = []
    for made in keys:
        kept = None if features is None else remembered(features), None if logits is None else remembered(logits)
        for answers in asked_at(made, *kept, labels).values():
            rows.append(cluster_row(made, answers, facts))
            if pools:
                rows += smaller_pools(made, answers, facts)
    return rows


def arm_cosines(made: BenchKey, answers: Answers) -> dict[str, float]:
    """Returns the cosines of asked triggers' and decoys' vectors to the secret direction: mean and worst of each."""
    method, parameters = made.claim.method, made.claim.parameters
    drawn = derive_triggers(method, made.secrets[1], parameters).astype(bool)
    direction = derive_direction(method, made.secrets[1], parameters)
    order = derive_order(method, made.secrets[0], parameters).items
    rows = (answers.values[made.plan.heads :] @ direction).reshape(made.plan.heads, -1)
    asked = rows[~np.isnan(rows).any(axis=1)]
    found = {}
    for name, wanted in (("triggers", drawn[order]), ("decoys", ~drawn[order])):
        cosines = asked[:, wanted]
        found[f"{name} cosine to direction"] = float(cosines.mean())
        found[f"{name} cosine, worst"] = float(cosines.min() if name == "triggers" else cosines.max())
    return found


def probe_loss(marked: NDArray[np.bool_], unmarked: NDArray[np.bool_]) -> dict[str, float]:
    """Returns accuracies of two linear probes on the same inputs, and the paired loss in points with its interval."""
    lost = 100.0 * (unmarked.astype(np.float64) - marked)
    return {
        "probe accuracy": float(marked.mean()),
        "probe accuracy, unmarked": float(unmarked.mean()),
        "probe loss, points": float(lost.mean()),
        "probe loss, half width of 95 %": float(1.96 * lost.std(ddof=1) / np.sqrt(len(lost))),
        "probe inputs": float(len(lost)),
    }


def smaller_pools(made: BenchKey, answers: Answers, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Tests random parts of a pool, half of each triggers: what a key with fewer candidates would have given.

    The parts are of one marked model: its trigger clusters were trained with the whole pool.
    """
    method, parameters = made.claim.method, made.claim.parameters
    table = arrange(answers, derive_order(method, made.secrets[0], parameters), int(parameters["asked"]))
    products = gram(table)
    drawn = derive_triggers(method, made.secrets[1], parameters).astype(bool)
    rows = []
    for size in SMALLER:
        logs = []
        for draw in range(DRAWS):
            random = np.random.default_rng([made.number, size, draw])
            half = [random.choice(np.flatnonzero(side), size // 2, replace=False) for side in (drawn, ~drawn)]
            at = np.sort(np.concatenate(half))
            centring = np.eye(size) - 1.0 / size
            along, _ = components(centring @ products[np.ix_(at, at)] @ centring, int(table.usable[:, at].sum()))
            logs.append(subset_test(midranks(along), drawn[at], two_sided=True).log10_p)
        rows.append(
            {
                "method": method,
                "key": made.number,
                "part": "pool",
                **facts,
                "access": answers.access,
                "candidates": size,
                "log10_p, median": float(np.median(logs)),
                "log10_p, worst": float(max(logs)),
                "log10_p, least possible": float(np.log10(2.0) - np.log10(float(math.comb(size, size // 2)))),
            }
        )
    return rows


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
        **facts,
        **made.figures(measurement, verdict),
        "auc": measurement.effect.value,
        "missing_share": measurement.missing_share,
        "published": {each.name: each.statistic for each in measurement.published},
        "context": dict(measurement.context),
    }
