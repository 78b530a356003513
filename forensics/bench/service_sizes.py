"""How often never-marked students are rejected, over 1,000 fresh keys: the deciding test and the published one."""

import dataclasses
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from forensics.bench import thieves
from forensics.bench.corpus import package_digest
from forensics.bench.keys import BenchKey, service_key
from forensics.bench.pools import Recipe, band_words, sentences, service_pool
from forensics.bench.results import Row
from forensics.bench.service_rows import answers, one_row, texts_of
from forensics.bench.service_theft import SERVICE, clean_queries, queries
from forensics.bench.vectors import Vectors
from forensics.methods.espew import split_pool, trigger_words
from forensics.statistics import ks_two_sample

POOLS, KEYS_A_POOL, FIRST_NULL_KEY = 50, 20, 20_000
NULL_CARRIERS, BAGS, BAG_WORDS = (1, 10), (20, 200), 4


def size_cell(pool: int, quick: bool) -> list[Row]:
    """Scores 20 fresh keys of one pool on a student of the unmarked service, by the deciding and the published test.

    The claims name a second student of the unmarked service in its encoder's place, which would take a day for 1,000
    keys: whatever model is named, the test is exact.
    """
    recipe = Recipe(candidates=40 if quick else 200, words=8 if quick else 20, filtered=False, target="any")
    numbers = [FIRST_NULL_KEY + pool * KEYS_A_POOL + index for index in range(2 if quick else KEYS_A_POOL)]
    made: dict[tuple[int, int], BenchKey] = {}
    for carriers in NULL_CARRIERS:
        chosen = dataclasses.replace(recipe, carriers=carriers)
        drawn = service_pool(1000 + pool, chosen)
        for number in numbers:
            made[number, carriers] = service_key(number, drawn, chosen.options, package_digest(SERVICE))
    bags = {number: published_bags(made[number, max(NULL_CARRIERS)], number) for number in numbers}
    # Keys of a pool ask many of the same texts; each is embedded once.
    texts = sorted({text for key in made.values() for text in texts_of(key)}.union(*bags.values()))
    place = {text: at for at, text in enumerate(texts)}
    features = thieves.word_features(texts)
    named, student = small_student(4, quick)(features), small_student(3, quick)(features)
    rows: list[Row] = []
    for (_, carriers), key in made.items():
        asked = [place[text] for text in texts_of(key)]
        measurement, verdict = key.score(answers(student[asked]), answers(named[asked]))
        row = one_row(key, "bag of words", "none", "none", "none", quick, measurement, verdict)
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


@cache
def small_student(seed: int, quick: bool) -> Callable[[NDArray[np.float32]], Vectors]:
    """Returns a student of the unmarked service on the mean of word vectors alone, a function of that mean."""
    given = thieves.word_features(queries("frozen features", quick))
    return thieves.train_head(given, clean_queries("frozen features", quick), seed)


@cache
def vocabulary() -> NDArray[np.str_]:
    """Returns all words of the owner's texts with at least four letters that stand in three texts or more."""
    return np.array(band_words(3 / len(sentences("owner")), 1.0))
