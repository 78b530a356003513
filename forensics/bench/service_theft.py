"""The thief's side of the services bench: what is asked, the attacks, and the training of a student."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from forensics.attacks import vectors as attacks
from forensics.bench import thieves
from forensics.bench.paraphrases import paraphrases
from forensics.bench.pools import sentences
from forensics.bench.vectors import Vectors, unit, vectors

SERVICE, THIEF = "minilm", "paraphrase-minilm"
"""The encoder behind the service, and the one from which thieves start."""

TRANSFORMER_QUERIES = 12_000

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

PARAPHRASED = "paraphrases averaged"
"""The one attack that asks the service more: two paraphrases of each text, their vectors averaged."""

STUDENTS: Mapping[str, tuple[str, ...]] = {
    "frozen features": (*BEFORE, PARAPHRASED),
    "transformer": ("none", "CSE, K = 50"),
}


def stolen(
    student: str, before: str, answer: Callable[[Sequence[str], Vectors], Vectors], seed: int, quick: bool
) -> thieves.Embed:
    """Attacks the returned vectors and trains the thief's student on what is left.

    Args:
        answer: what the service makes of texts and their vectors.
    """
    texts, features = queries(student, quick), thief_features(student, quick)
    returned, other = answer(texts, clean_queries(student, quick)), unit(features[:, -thieves.WIDTH :])
    if before == PARAPHRASED:
        asked = [paraphrases(texts, version) for version in (0, 1)]
        more = np.stack([answer(each, vectors(SERVICE, each, keep=not quick)) for each in asked], axis=1)
        likeness = np.stack([(vectors(THIEF, each, keep=not quick) * other).sum(axis=1) for each in asked], axis=1)
        wanted = attacks.average_paraphrases(returned, more, likeness)
    else:
        wanted = BEFORE[before](returned, other)
    if student == "transformer":
        return thieves.train_transformer(texts, features, wanted, seed)
    head = thieves.train_head(features, wanted, seed)
    return lambda asked: head(thieves.frozen_features(asked))


def queries(student: str, quick: bool) -> tuple[str, ...]:
    """Returns the texts that the thief asks: all of its part of the corpus, half of it for the transformer."""
    if quick:
        return sentences("queries", 320 if student == "transformer" else 1000)
    return sentences("queries", TRANSFORMER_QUERIES if student == "transformer" else None)


@cache
def clean_queries(student: str, quick: bool) -> Vectors:
    """Returns the service's unmarked vectors of the thief's texts."""
    if quick:
        return vectors(SERVICE, queries("frozen features", quick))[: len(queries(student, quick))]
    return vectors(SERVICE, sentences("queries"))[: len(queries(student, quick))]


@cache
def thief_features(student: str, quick: bool) -> NDArray[np.float32]:
    """Returns the public encoder's features of the thief's texts; the last 384 are that encoder's vectors."""
    found = thieves.frozen_features(queries("frozen features", quick), keep=not quick)
    return found[: len(queries(student, quick))]
