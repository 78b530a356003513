"""What a thief can do to the vectors of an embedding service, or to those of a model trained on them.

No function here knows a key, a trigger word or a target. Rows are vectors; all results have unit rows (float32).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.records import BoolArray

Vectors = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Cleansed:
    """Vectors without the directions that looked suspicious.

    Attributes:
        vectors: (n, d) float32, unit rows.
        basis: (K, d) float64, the orthonormal directions that were removed.
        suspects: (n,) whose rows the directions were taken from.
    """

    vectors: Vectors
    basis: NDArray[np.float64]
    suspects: BoolArray


def eliminate_shared(
    vectors: NDArray[Any],
    reference: NDArray[Any],
    components: int,
    *,
    clusters: int = 20,
    share: float = 0.025,
    seed: int = 0,
) -> Cleansed:
    """CSE, the removal attack of WARDEN (Shetty et al., ACL 2024): clustering, selection, elimination.

    Within each cluster of the returned vectors, a pair of texts is the more suspicious the more the percentile of its
    cosine in the service exceeds that in another encoder; the leading directions of the texts in the most suspicious
    pairs are removed from all vectors.

    Args:
        vectors: (n, d) as the service returned them.
        reference: (n, e) vectors of the same texts by an encoder without a mark.
        components: K, how many directions are removed; fewer where fewer rows are suspected.
        clusters: of k-means.
        share: pairs kept, as a share of n.

    Raises:
        ValueError: no components, or as many as there are dimensions.
    """
    own, other = _unit(vectors), _unit(reference)
    n, width = own.shape
    if not 0 < components < width:
        raise ValueError(f"invalid components: {components} of {width} dimensions")
    wanted = max(1, round(share * n))
    group = k_means(own, clusters, seed=seed)
    firsts, seconds, excesses = [], [], []
    for cluster in range(clusters):
        members = np.flatnonzero(group == cluster)
        if len(members) < 2:
            continue
        row, column = np.triu_indices(len(members), 1)
        excess = _percentiles(own[members], row, column) - _percentiles(other[members], row, column)
        best = np.argpartition(-excess, min(wanted, len(excess)) - 1)[:wanted]
        firsts.append(members[row[best]])
        seconds.append(members[column[best]])
        excesses.append(excess[best])
    order = np.argsort(-np.concatenate(excesses), kind="stable")[:wanted]
    suspects = np.zeros(n, dtype=np.bool_)
    suspects[np.concatenate(firsts)[order]] = suspects[np.concatenate(seconds)[order]] = True
    basis = np.linalg.svd(own[suspects], full_matrices=False)[2][:components]
    return Cleansed(_single(own - (own @ basis.T) @ basis), basis, suspects)


def k_means(rows: NDArray[Any], clusters: int, *, seed: int = 0, rounds: int = 25) -> NDArray[np.int64]:
    """Returns a cluster number of each row (Lloyd's algorithm from random rows), shape (n,)."""
    points = np.asarray(rows, dtype=np.float64)
    centres = points[np.random.default_rng(seed).permutation(len(points))[:clusters]]
    group = np.full(len(points), -1, dtype=np.int64)
    for _ in range(rounds):
        nearest = np.argmax(points @ centres.T - (centres * centres).sum(axis=1) / 2, axis=1).astype(np.int64)
        if (nearest == group).all():
            break
        group = nearest
        for cluster in range(len(centres)):
            members = points[group == cluster]
            if len(members):
                centres[cluster] = members.mean(axis=0)
    return group


def average_paraphrases(
    vectors: NDArray[Any], paraphrases: NDArray[Any], similarity: NDArray[Any], least: float = 0.8
) -> Vectors:
    """Averages each text's vector with those of its paraphrases (the attack of WET, Shetty et al. 2024).

    Args:
        vectors: (n, d) returned for the texts.
        paraphrases: (n, P, d) returned for their paraphrases.
        similarity: (n, P) cosines of text and paraphrase by an encoder without a mark.
        least: paraphrases less similar than this are left out.
    """
    kept = (np.asarray(similarity) >= least)[:, :, None]
    return _single(_unit(vectors) + (np.where(kept, paraphrases, 0.0)).sum(axis=1))


def add_noise(vectors: NDArray[Any], deviation: float, *, seed: int = 0) -> Vectors:
    """Adds normal noise of that standard deviation a coordinate to unit rows."""
    own = _unit(vectors)
    return _single(own + np.random.default_rng(seed).normal(0.0, deviation, own.shape))


def drop_dimensions(vectors: NDArray[Any], share: float, *, seed: int = 0) -> Vectors:
    """Leaves out that share of the coordinates, the same ones in every row; the result is narrower."""
    width = np.asarray(vectors).shape[1]
    kept = np.sort(np.random.default_rng(seed).permutation(width)[: max(1, width - round(share * width))])
    return _single(_unit(vectors)[:, kept])


def shuffle_dimensions(vectors: NDArray[Any], *, seed: int = 0) -> Vectors:
    """Permutes the coordinates, alike in every row."""
    own = _unit(vectors)
    return _single(own[:, np.random.default_rng(seed).permutation(own.shape[1])])


def rotate(vectors: NDArray[Any], *, seed: int = 0) -> Vectors:
    """Turns all rows by one random orthogonal matrix (Haar)."""
    own = _unit(vectors)
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(own.shape[1], own.shape[1])))
    return _single(own @ (q * np.sign(np.diag(r))))


def whiten(vectors: NDArray[Any], components: int | None = None) -> Vectors:
    """Gives the vectors mean 0 and the same variance along each of their principal directions.

    Args:
        vectors: (n, d); directions in which they do not vary stay 0.
        components: how many principal directions are kept, largest first; the result has as many columns. None keeps d.
    """
    own = _unit(vectors)
    centred = own - own.mean(axis=0)
    _, spread, directions = np.linalg.svd(centred, full_matrices=False)
    kept = np.flatnonzero(spread > 1e-6 * spread.max(initial=1e-12))[:components]
    result = np.zeros((len(own), own.shape[1] if components is None else min(components, own.shape[1])))
    result[:, : len(kept)] = (centred @ directions[kept].T) / spread[kept]
    return _single(result)


def round_to_int8(vectors: NDArray[Any]) -> Vectors:
    """Rounds each row to 255 equal steps of its largest magnitude, as a vector store with int8 does."""
    own = _unit(vectors)
    step = np.maximum(np.abs(own).max(axis=1, keepdims=True), 1e-12) / 127.0
    return _single(np.rint(own / step))


def binarise(vectors: NDArray[Any]) -> Vectors:
    """Keeps only the sign of each coordinate (0 counts as positive), as a vector store with binary codes does."""
    return _single(np.where(np.asarray(vectors) >= 0.0, 1.0, -1.0))


def _percentiles(rows: NDArray[np.float64], row: NDArray[np.int64], column: NDArray[np.int64]) -> NDArray[np.float32]:
    """Rank percentile of each pair's cosine among the pairs given, in (0, 1]."""
    cosines = (rows @ rows.T)[row, column]
    ranks = np.empty(len(cosines), dtype=np.float32)
    ranks[np.argsort(cosines, kind="stable")] = np.arange(1, len(cosines) + 1, dtype=np.float32) / len(cosines)
    return ranks


def _unit(rows: NDArray[Any]) -> NDArray[np.float64]:
    wide = np.asarray(rows, dtype=np.float64)
    length: NDArray[np.float64] = np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)
    return wide / length


def _single(rows: NDArray[np.float64]) -> Vectors:
    return _unit(rows).astype(np.float32)
