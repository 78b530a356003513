"""Keys, answers and rows of the services bench."""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.bench import thieves
from forensics.bench.corpus import package_digest
from forensics.bench.keys import BenchKey, service_key
from forensics.bench.pools import Recipe, sentences, service_pool
from forensics.bench.results import Row
from forensics.bench.service_theft import AFTER, FEW, SERVICE, STUDENTS, TRANSFORMER_QUERIES
from forensics.bench.vectors import cached_rows, vectors
from forensics.methods.embmarker import EmbMarker
from forensics.methods.espew import marker, split_pool
from forensics.methods.marking import Marker
from forensics.records import AnswerKind, Answers, Measurement, Verdict

RECIPE = Recipe()
QUICK = Recipe(candidates=40, words=8, carriers=2, target="any", filtered=False)
LIKENESS = 600
"""Texts of other customers on which a student is compared with the service."""


def made_key(number: int, quick: bool) -> BenchKey:
    """Returns the key of that number with its own pool."""
    recipe = QUICK if quick else RECIPE
    return service_key(number, service_pool(number, recipe), recipe.options, package_digest(SERVICE))


def service(made: BenchKey, mark: str) -> Marker | EmbMarker:
    """Returns the marking side of a key, by ESpeW or, for comparison, by EmbMarker with the same words and target."""
    target = vectors(SERVICE, split_pool(made.pool, made.claim.parameters)[2:], keep=False)[0]
    found = marker(made.secrets[1], made.pool, made.claim.parameters, target)
    return found if mark == "espew" else EmbMarker(found.words, found.target)


def texts_of(made: BenchKey) -> tuple[str, ...]:
    """Returns the texts of a key's plan."""
    return tuple(probe.data.decode() for probe in made.plan.probes)


def clean_answers(made: BenchKey, quick: bool) -> Answers:
    """Returns what the service's encoder answers without a mark: the model that the claim names."""
    return answers(vectors(SERVICE, texts_of(made), keep=not quick))


def answers(rows: NDArray[Any]) -> Answers:
    """Returns vectors as a suspect's answers."""
    return Answers(AnswerKind.VECTORS, rows.astype(np.float64), np.zeros(len(rows), dtype=np.bool_))


def attack_rows(
    made: BenchKey, trained: Callable[[], thieves.Embed], suspect: str, before: str, mark: str, quick: bool
) -> list[Row]:
    """Asks a model once and examines its answers after every attack.

    Args:
        trained: makes the model; not called where its answers are in the cache.
    """
    asked, traffic = texts_of(made), sentences("traffic", LIKENESS) if suspect in STUDENTS else ()
    settings = (thieves.HeadSettings(), thieves.TransformerSettings(), TRANSFORMER_QUERIES)
    name = hashlib.sha256(repr((suspect, before, mark, made.number, settings)).encode()).hexdigest()[:16]
    found = cached_rows(f"answers-{name}", (*asked, *traffic), lambda: trained()([*asked, *traffic]), keep=not quick)
    plain, other = found[: len(asked)], found[len(asked) :]
    cosine = None
    if suspect in STUDENTS and before == "none":
        cosine = float((other * vectors(SERVICE, traffic)).sum(axis=1).mean())
    rows: list[Row] = []
    for after in AFTER if before == "none" else FEW:
        measurement, verdict = made.score(answers(AFTER[after](plain)), clean_answers(made, quick))
        row = one_row(made, suspect, before, after, mark, quick, measurement, verdict)
        rows.append({**row, "part": "attack", "cosine": cosine})
    return rows


def one_row(
    made: BenchKey,
    suspect: str,
    before: str,
    after: str,
    mark: str,
    quick: bool,
    measurement: Measurement,
    verdict: Verdict,
) -> Row:
    """Returns the row of one examination."""
    return {
        **made.figures(measurement, verdict),
        "mark": mark,
        "suspect": suspect,
        "before": before,
        "attack": after,
        "innocent": mark == "none",
        "auc": measurement.effect.value,
        "quick": quick,
    }
