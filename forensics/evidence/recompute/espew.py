"""What `recompute.py` needs for the method `espew`: the words' scores, their ranks, and the subset that was drawn."""

# ruff: noqa: D103 - what a function does stands beside its name, to keep the script short

import math
from fractions import Fraction
from typing import Any

from forensics.evidence.recompute.common import Measured, Stream


def measure(probe: bytes, score: bytes, claim: Any, share: Any, evidence: Any) -> Measured:
    n, k, carriers = (claim["parameters"][name] for name in ("candidates", "words", "carriers"))
    order, rows = Stream(probe, "espew/order").permutation(1 + carriers * (1 + n)), evidence["answers"]["values"]
    units = [unit for _, unit in sorted(zip(order, unit_vectors(rows), strict=True), key=lambda pair: pair[0])]
    cosines = [math.fsum(a * b for a, b in zip(v, units[0])) if v and units[0] else None for v in units]
    scores = [word_score(cosines, 1 + carriers * (1 + word), carriers) for word in range(n)]
    present = sorted(each for each in scores if each is not None) or [0.0]
    middle = (present[(len(present) - 1) // 2] + present[len(present) // 2]) / 2  # shown where all answers are missing
    ranks = [1 + sum(1 if None in (a, b) or a == b else 2 * (b < a) for b in scores) for a in scores]
    drawn = Stream(score, "espew/words").permutation(n)[:k]
    best = sorted(range(n), key=lambda word: (-ranks[word], word in drawn))[:k]  # ties count against the claim
    items = [middle if each is None else each for each in scores]
    return items, [int(word in drawn) for word in range(n)], len({*best} & {*drawn}), subset_tail(ranks, drawn)


def unit_vectors(rows: list[Any]) -> list[list[float]]:  # rows of the usual width and unit length; empty where missing
    widths = [len(row) for row in rows if row is not None]
    usual = min(set(widths), key=lambda width: (-widths.count(width), width), default=0)
    found = []
    for row in rows:
        vector = [float(text) for text in row] if row is not None and len(row) == usual else []
        largest = max(map(abs, vector), default=0.0) if all(map(math.isfinite, vector)) else 0.0
        length = math.sqrt(math.fsum((each / largest) ** 2 for each in vector)) if largest else 0.0
        found.append([each / largest / length for each in vector] if length else [])
    return found


def word_score(cosines: list[Any], first: int, carriers: int) -> Any:  # rounded to 2**-30, so that ties are the same
    pairs = zip(cosines[first : first + carriers], cosines[1 : 1 + carriers])
    moved = [marked - clean for marked, clean in pairs if None not in (marked, clean)]
    return round(math.fsum(moved) / len(moved) * 2**30) / 2**30 if moved else None


def subset_tail(ranks: list[int], drawn: list[int]) -> Fraction:  # share of all subsets with at least this rank sum
    n, k, steps = len(ranks), len(drawn), [max(ranks) - rank for rank in ranks]
    least, slot = sum(steps[word] for word in drawn), math.comb(n, k).bit_length()
    counts, mask = [1] + [0] * k, (1 << slot * (least + 1)) - 1  # counts[j]: subsets of j by sum, a slot of digits each
    for step in (each for each in steps if each <= least):
        counts = [counts[0]] + [(counts[j] + (counts[j - 1] << slot * step)) & mask for j in range(1, k + 1)]
    ways = sum(counts[k] >> slot * total & (1 << slot) - 1 for total in range(least + 1))
    return Fraction(ways, math.comb(n, k))
