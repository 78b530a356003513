"""How often encoders that were never marked are rejected by TMRW's test, over 1,000 fresh keys from 50 pools."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.bench.clusterkeys import Given, asked_at, cluster_row, phrase_pool, remembered
from forensics.bench.keys import cluster_key
from forensics.bench.results import Row
from forensics.bench.tasks import task
from forensics.bench.vectors import vectors
from forensics.records import Probe

POOLS, KEYS_A_POOL, FIRST_NULL_KEY, FIRST_POOL = 50, 20, 30_000, 1000
ENCODERS = ("minilm", "minilm-int8", "paraphrase-minilm")
OPTIONS = {"candidates": 28, "carriers": 3, "asked": 2, "dimension": 384}
"""The fewest phrases that a key may have, since every key asks texts of its own: the test is the same for all sizes."""

TASK = "supersenses"


def size_cell(encoder: str, pool: int, quick: bool) -> list[Row]:
    """Scores 20 fresh keys of one pool on an unmarked encoder: by its vectors, and by the classes of a head on them."""
    drawn = phrase_pool(FIRST_POOL + pool, OPTIONS["candidates"], OPTIONS["carriers"])
    features = remembered(_asked(encoder))
    head, names = _head(encoder, quick)
    rows: list[Row] = []
    for index in range(2 if quick else KEYS_A_POOL):
        made = cluster_key(FIRST_NULL_KEY + pool * KEYS_A_POOL + index, "tmrw", drawn, OPTIONS)
        answered = asked_at(made, features, lambda probes: features(probes) @ head[:-1] + head[-1], names)
        facts = {"part": "size", "suspect": encoder, "attack": "none", "innocent": True, "pool": pool, "quick": quick}
        for access in ("features", "labels"):
            full = cluster_row(made, answered[access], facts)
            rows.append({name: value for name, value in full.items() if name not in ("published", "context")})
    return rows


def _asked(encoder: str) -> Given:
    def give(probes: Any) -> NDArray[Any]:
        texts = [probe.data.decode("utf-8") for probe in probes]
        return vectors(encoder, texts, keep=False)

    return give


@cache
def _head(encoder: str, quick: bool) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Returns a linear classifier on the frozen encoder, (d + 1, classes) with the constant last, and its classes."""
    from sklearn.linear_model import LogisticRegression

    texts, labels = task(TASK).train
    most = 96 if quick else None
    rows = _asked(encoder)([Probe(text.encode(), "text/plain") for text in texts[:most]])
    probe = LogisticRegression(C=10.0, max_iter=2000).fit(rows, labels[:most])
    return np.vstack([probe.coef_.T, probe.intercept_]), tuple(task(TASK).classes[at] for at in probe.classes_)
