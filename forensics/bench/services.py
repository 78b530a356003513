"""`bench services`: ESpeW on all-MiniLM-L6-v2, two thieves, their attacks, innocents, and the size of the tests.

Cells: a key's service marked, stolen and attacked; students of the unmarked service and real encoders through the same;
1,000 fresh keys from 50 pools on an innocent student; what the mark and the attacks cost.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.attacks import vectors as attacks
from forensics.bench import thieves
from forensics.bench.corpus import package_digest
from forensics.bench.encoders import Vectors, cached_rows, unit, vectors
from forensics.bench.keys import BenchKey, service_key
from forensics.bench.pools import Recipe, band_words, sentences, service_pool
from forensics.bench.results import Cell, Row, run_cells, single_thread
from forensics.bench.service_tables import table
from forensics.methods.embmarker import EmbMarker
from forensics.methods.espew import marker, split_pool, trigger_words
from forensics.methods.marking import Marker
from forensics.progress import Progress, silent
from forensics.records import AnswerKind, Answers
from forensics.statistics import ks_two_sample

__all__ = ["COMMAND", "KEYS", "RECIPE", "order", "run", "table"]

COMMAND = "forensics bench services"
KEYS = (100, 101, 102, 103, 104)
RECIPE = Recipe()
SERVICE, THIEF = "minilm", "paraphrase-minilm"
POOLS, KEYS_A_POOL, FIRST_NULL_KEY = 50, 20, 20_000
NULL_CARRIERS, BAGS, BAG_WORDS = (1, 10), (20, 200), 4
TRANSFORMER_QUERIES = 12_000
LIKENESS = 600
"""Texts of other customers on which a student is compared with the service."""

Change = Callable[[Vectors], Vectors]

AFTER: Mapping[str, Change] = {
    "none": lambda rows: rows,
    "25 % of dimensions dropped": partial(attacks.drop_dimensions, share=0.25, seed=1),
    "50 % of dimensions dropped": partial(attacks.drop_dimensions, share=0.5, seed=2),
    "75 % of dimensions dropped": partial(attacks.drop_dimensions, share=0.75, seed=3),
    "dimensions shuffled": partial(attacks.shuffle_dimensions, seed=4),
    "rotated": partial(attacks.rotate, seed=5),
    "noise, sd 0.02": partial(attacks.add_noise, deviation=0.02, seed=6),
    "rounded to int8": attacks.round_to_int8,
    "signs only": attacks.binarise,
}
"""What the thief does to the student's answers."""

FEW = ("none", "50 % of dimensions dropped")
"""Those that are also tried on students of attacked vectors."""

BEFORE: Mapping[str, Callable[[Vectors, Vectors], Vectors]] = {
    "none": lambda returned, _: returned,
    "CSE, K = 10": lambda returned, other: attacks.eliminate_shared(returned, other, 10, seed=7).vectors,
    "CSE, K = 50": lambda returned, other: attacks.eliminate_shared(returned, other, 50, seed=7).vectors,
    "CSE, K = 100": lambda returned, other: attacks.eliminate_shared(returned, other, 100, seed=7).vectors,
    "noise on returned vectors, sd 0.02": lambda returned, _: attacks.add_noise(returned, 0.02, seed=8),
    "returned vectors rounded to int8": lambda returned, _: attacks.round_to_int8(returned),
    "signs of returned vectors only": lambda returned, _: attacks.binarise(returned),
}
"""What the thief does to the returned vectors, with another encoder's vectors of the same texts, before training."""

STUDENTS: Mapping[str, tuple[str, ...]] = {
    "frozen features": tuple(BEFORE),
    "transformer": ("none", "CSE, K = 50"),
}
BASELINE = (("frozen features", "none"), ("frozen features", "CSE, K = 50"))
"""Where EmbMarker is tried beside ESpeW, for comparison."""

ENCODERS = ("minilm", "minilm-int8", "paraphrase-minilm")


def run(folder: Path | None, *, quick: bool, jobs: int, progress: Progress = silent) -> dict[str, Any]:
    """Runs what is missing and returns all rows.

    Args:
        quick: one key, small students, few fresh keys; nothing is kept.
    """
    single_thread()
    return run_cells("services", COMMAND, 2026, _cells(quick), None if quick else folder, jobs=jobs, progress=progress)


def order(names: Iterable[str]) -> list[str]:
    """Returns the names of cells in the order of the tables."""
    present = set(names)
    return [cell.name for cell in _cells(quick=False) if cell.name in present]


def _cells(quick: bool) -> list[Cell]:
    keys, pools = (KEYS[:1], 1) if quick else (KEYS, POOLS)
    cells = [Cell(f"cost-{key}", cost_cell, {"key": key, "quick": quick}) for key in keys]
    for student, before in STUDENTS.items():
        for attack in before[:2] if quick else before:
            name = f"{student}-{attack}".replace(" ", "-").replace(",", "").replace("=-", "").replace(".", "_")
            for mark in ("espew", "embmarker") if (student, attack) in BASELINE else ("espew",):
                cells += [
                    Cell(
                        f"{mark}-{key}-{name}",
                        guilt_cell,
                        {"key": key, "student": student, "before": attack, "mark": mark, "quick": quick},
                    )
                    for key in keys
                ]
            cells.append(
                Cell(f"innocent-{name}", innocent_cell, {"student": student, "before": attack, "quick": quick})
            )
    cells += [Cell(f"encoder-{name}", encoder_cell, {"name": name, "quick": quick}) for name in ENCODERS]
    return cells + [Cell(f"size-{pool:02d}", size_cell, {"pool": pool, "quick": quick}) for pool in range(pools)]


def guilt_cell(key: int, student: str, before: str, mark: str, quick: bool) -> list[Row]:
    """Marks the service with one key, lets a thief train on the returned vectors, and examines the student."""
    made = made_key(key, quick)

    def trained() -> thieves.Embed:
        returned = service(made, mark).mark(queries(student, quick), clean_queries(student, quick))
        return stolen(student, before, returned, 10 * key + 1, quick)

    return _rows(made, trained, student, before, mark, quick)


def innocent_cell(student: str, before: str, quick: bool) -> list[Row]:
    """Trains a student of the unmarked service in the same way and examines it with every key."""

    @cache
    def trained() -> thieves.Embed:
        return stolen(student, before, clean_queries(student, quick), 7, quick)

    keys = KEYS[:1] if quick else KEYS
    return [row for key in keys for row in _rows(made_key(key, quick), trained, student, before, "none", quick)]


def encoder_cell(name: str, quick: bool) -> list[Row]:
    """Examines a real encoder that was never marked with every key."""

    def model(texts: Sequence[str]) -> Vectors:
        return vectors(name, texts, keep=False)

    keys = KEYS[:1] if quick else KEYS
    return [row for key in keys for row in _rows(made_key(key, quick), lambda: model, name, "none", "none", quick)]


def cost_cell(key: int, quick: bool) -> list[Row]:
    """Measures what the mark costs the service's customers, and what CSE costs the thief."""
    made = made_key(key, quick)
    texts = sentences("traffic", 300 if quick else None)
    clean = vectors(SERVICE, texts)
    rows: list[Row] = []
    for mark in ("espew", "embmarker"):
        watermark = service(made, mark)
        given, hit = watermark.mark(texts, clean), watermark.triggered(texts)
        loss = 1.0 - (unit(given).astype(np.float64) * unit(clean)).sum(axis=1)
        rows.append(
            {
                "part": "cost",
                "method": mark,
                "key": key,
                "texts": len(texts),
                "marked": int(hit.sum()),
                "loss over traffic": float(loss.mean()),
                "loss on marked texts": float(loss[hit].mean()) if hit.any() else 0.0,
                "largest loss": float(loss.max()),
                "quick": quick,
            }
        )
    student = "frozen features"
    asked, own = queries(student, quick), clean_queries(student, quick)
    other = unit(thief_features(student, quick)[:, -thieves.WIDTH :])
    returned, hit = service(made, "espew").mark(asked, own), service(made, "espew").triggered(asked)
    for components in (10, 50, 100):
        cleansed = attacks.eliminate_shared(returned, other, components, seed=7)
        left = unit(clean - (clean @ cleansed.basis.T) @ cleansed.basis)
        rows.append(
            {
                "part": "price",
                "method": "espew",
                "key": key,
                "attack": f"CSE, K = {components}",
                "cosine": float((left * clean).sum(axis=1).mean()),
                **kept_structure(clean, left),
                "suspects": int(cleansed.suspects.sum()),
                "marked among suspects": float(hit[cleansed.suspects].mean()),
                "marked among all": float(hit.mean()),
                "quick": quick,
            }
        )
    return rows


def size_cell(pool: int, quick: bool) -> list[Row]:
    """Scores 20 fresh keys of one pool on a student of the unmarked service, by the deciding and the published test.

    A claim must name some encoder; here it is the thief's own first layer, which is fast enough for 1,000 keys.
    """
    recipe = Recipe(candidates=40 if quick else 200, words=8 if quick else 20, filtered=False, target="any")
    numbers = [FIRST_NULL_KEY + pool * KEYS_A_POOL + index for index in range(2 if quick else KEYS_A_POOL)]
    made: dict[tuple[int, int], BenchKey] = {}
    for carriers in NULL_CARRIERS:
        chosen = dataclasses.replace(recipe, carriers=carriers)
        drawn = service_pool(1000 + pool, chosen)
        for number in numbers:
            made[number, carriers] = service_key(number, drawn, chosen.options, package_digest(THIEF))
    bags = {number: published_bags(made[number, max(NULL_CARRIERS)], number) for number in numbers}
    # Keys of a pool ask many of the same texts; each is embedded once.
    texts = sorted({text for key in made.values() for text in texts_of(key)}.union(*bags.values()))
    place = {text: at for at, text in enumerate(texts)}
    features = thieves.frozen_features(texts, 1)
    first, student = unit(features[:, -thieves.WIDTH :]), small_student(quick)(features)
    rows: list[Row] = []
    for (_, carriers), key in made.items():
        asked = [place[text] for text in texts_of(key)]
        measurement, verdict = key.score(answers(student[asked]), answers(first[asked]))
        row = _row(key, "small student", "none", "none", "none", quick, measurement, verdict)
        rows.append({**row, "part": "size", "pool": pool, "probes": recipe.words * carriers})
    for number, asked_bags in bags.items():
        found = student[[place[text] for text in asked_bags]].astype(np.float64)
        sides = np.split(found[1:] @ found[0], 2)
        for count in BAGS:
            p_value = float(ks_two_sample(sides[0][:count], sides[1][:count]).pvalue)
            head = {"part": "published", "key": number, "pool": pool, "bags": count}
            rows.append({**head, "p_value": p_value, "quick": quick})
    return rows


def published_bags(made: BenchKey, seed: int) -> list[str]:
    """Returns the probes of the published test: target, bags of four trigger words, as many of the whole vocabulary."""
    _, _, target = split_pool(made.pool, made.claim.parameters)
    random = np.random.default_rng([2032, seed])
    sides = (np.array(trigger_words(made.secrets[1], made.pool, made.claim.parameters)), vocabulary())
    bags = [" ".join(random.choice(words, BAG_WORDS, replace=False)) for words in sides for _ in range(max(BAGS))]
    return [target, *bags]


def made_key(number: int, quick: bool) -> BenchKey:
    """Returns the key of that number with its own pool."""
    recipe = Recipe(candidates=40, words=8, carriers=2) if quick else RECIPE
    return service_key(number, service_pool(number, recipe), recipe.options, package_digest(SERVICE))


def service(made: BenchKey, mark: str) -> Marker | EmbMarker:
    """Returns the marking side of a key, by ESpeW or, for comparison, by EmbMarker with the same words and target."""
    target = vectors(SERVICE, split_pool(made.pool, made.claim.parameters)[2:], keep=False)[0]
    found = marker(made.secrets[1], made.pool, made.claim.parameters, target)
    return found if mark == "espew" else EmbMarker(found.words, found.target)


def stolen(student: str, before: str, returned: Vectors, seed: int, quick: bool) -> thieves.Embed:
    """Attacks the returned vectors and trains the thief's student on what is left."""
    texts, features = queries(student, quick), thief_features(student, quick)
    wanted = BEFORE[before](returned, unit(features[:, -thieves.WIDTH :]))
    if student == "transformer":
        return thieves.train_transformer(texts, features, wanted, seed)
    head = thieves.train_head(features, wanted, seed)
    return lambda asked: head(thieves.frozen_features(asked))


@cache
def small_student(quick: bool) -> Callable[[NDArray[np.float32]], Vectors]:
    """Returns a student of the unmarked service on the features of one frozen layer, a function of these features."""
    texts = queries("frozen features", quick)
    given = thieves.frozen_features(texts, 1, keep=not quick)
    return thieves.train_head(given, clean_queries("frozen features", quick), 3)


def queries(student: str, quick: bool) -> tuple[str, ...]:
    """Returns the texts that the thief asks: all of its part of the corpus, half of it for the transformer."""
    if quick:
        return sentences("queries", 320 if student == "transformer" else 1000)
    return sentences("queries", TRANSFORMER_QUERIES if student == "transformer" else None)


def clean_queries(student: str, quick: bool) -> Vectors:
    """Returns the service's unmarked vectors of the thief's texts."""
    if quick:
        return vectors(SERVICE, queries("frozen features", quick))[: len(queries(student, quick))]
    return vectors(SERVICE, sentences("queries"))[: len(queries(student, quick))]


def thief_features(student: str, quick: bool) -> NDArray[np.float32]:
    """Returns the public encoder's features of the thief's texts; the last 384 are that encoder's vectors."""
    found = thieves.frozen_features(queries("frozen features", quick), keep=not quick)
    return found[: len(queries(student, quick))]


def texts_of(made: BenchKey) -> tuple[str, ...]:
    """Returns the texts of a key's plan."""
    return tuple(probe.data.decode() for probe in made.plan.probes)


def clean_answers(made: BenchKey, quick: bool) -> Answers:
    """Returns what the service's encoder answers without a mark: the model that the claim names."""
    return answers(vectors(SERVICE, texts_of(made), keep=not quick))


def answers(rows: NDArray[Any]) -> Answers:
    """Returns vectors as a suspect's answers."""
    return Answers(AnswerKind.VECTORS, rows.astype(np.float64), np.zeros(len(rows), dtype=np.bool_))


def kept_structure(clean: Vectors, left: Vectors, neighbours: int = 10) -> dict[str, float]:
    """Returns how much of the vectors' use is left: rank correlation of similarities, and neighbours kept of ten."""
    from scipy.stats import spearmanr

    before, after = clean @ clean.T, left @ left.T
    pairs = np.triu_indices(len(clean), 1)
    some = np.random.default_rng(9).permutation(len(pairs[0]))[:100_000]
    chosen = (pairs[0][some], pairs[1][some])
    for similarities in (before, after):
        np.fill_diagonal(similarities, -np.inf)
    near = [np.argpartition(-similarities, neighbours, axis=1)[:, :neighbours] for similarities in (before, after)]
    kept = [len(set(one) & set(other)) for one, other in zip(near[0].tolist(), near[1].tolist())]
    return {
        "spearman": float(spearmanr(before[chosen], after[chosen]).statistic),
        "neighbours kept": float(np.mean(kept) / neighbours),
    }


@cache
def vocabulary() -> NDArray[np.str_]:
    """Returns all words of the owner's texts with at least four letters that stand in three texts or more."""
    return np.array(band_words(3 / len(sentences("owner")), 1.0))


def _rows(
    made: BenchKey, trained: Callable[[], thieves.Embed], suspect: str, before: str, mark: str, quick: bool
) -> list[Row]:
    """Asks a model once and examines its answers after every attack.

    Args:
        trained: makes the model; not called where its answers are in the cache.
    """
    asked, traffic = texts_of(made), sentences("traffic", LIKENESS)
    settings = (thieves.HeadSettings(), thieves.TransformerSettings(), TRANSFORMER_QUERIES)
    name = hashlib.sha256(repr((suspect, before, mark, made.number, settings)).encode()).hexdigest()[:16]
    found = cached_rows(f"answers-{name}", (*asked, *traffic), lambda: trained()([*asked, *traffic]), keep=not quick)
    plain, other = found[: len(asked)], found[len(asked) :]
    cosine = None
    if suspect not in ENCODERS and before == "none":
        cosine = float((other * vectors(SERVICE, traffic)).sum(axis=1).mean())
    rows: list[Row] = []
    for after in AFTER if before == "none" else FEW:
        measurement, verdict = made.score(answers(AFTER[after](plain)), clean_answers(made, quick))
        row = _row(made, suspect, before, after, mark, quick, measurement, verdict)
        rows.append({**row, "part": "attack", "cosine": cosine})
    return rows


def _row(
    made: BenchKey,
    suspect: str,
    before: str,
    after: str,
    mark: str,
    quick: bool,
    measurement: Any,
    verdict: Any,
) -> Row:
    return {
        "method": "espew",
        "mark": mark,
        "key": made.number,
        "suspect": suspect,
        "before": before,
        "attack": after,
        "access": measurement.access,
        "innocent": mark == "none",
        "verdict": verdict.outcome.value,
        "p_value": measurement.p_value,
        "log10_p": measurement.log10_p,
        "statistic": measurement.statistic,
        "n": measurement.n,
        "matched": measurement.matched,
        "auc": measurement.effect.value,
        "quick": quick,
    }
