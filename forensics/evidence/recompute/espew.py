"""What `recompute.py` needs for the method `espew`: the words' scores, their ranks, and the subset that was drawn."""

# ruff: noqa: D103 - what a function does stands beside its name, to keep the script short

import math
from fractions import Fraction
from typing import Any

from forensics.evidence.recompute.common import Measured, Stream


def measure(probe: bytes, score: bytes, claim: Any, share: Any, evidence: Any) -> Measured:
    n, k, carriers = (claim["parameters"][name] for name in ("candidates", "words", "carriers"))
    order = Stream(probe, "espew/order").permutation(1 + carriers * (1 + n))
    units, named = arranged(evidence["answers"], order), evidence["references"]
    clean = arranged(named[0]["answers"], order) if named else []  # the unmarked encoder, where the claim names one
    pairs = [dot(a, b) for a, b in zip(units, clean) if len(a) == len(b) > 0]
    shared = max(map(len, units)) == max(map(len, clean), default=0) and math.fsum(pairs) >= 0.3 * len(pairs) > 0
    raw = [shift(units, clean[0] if shared else units[0], 1 + carriers * (1 + word), carriers) for word in range(n)]
    if named:
        raw = calibrated(raw, [shift(clean, clean[0], 1 + carriers * (1 + word), carriers) for word in range(n)])
    scores: list[Any] = [
        None if each is None else round(each * 2**30) / 2**30 for each in raw
    ]  # so that ties are the same
    present = sorted(each for each in scores if each is not None) or [0.0]
    middle = (present[(len(present) - 1) // 2] + present[len(present) // 2]) / 2  # shown where all answers are missing
    ranks = [1 + sum(1 if None in (a, b) or a == b else 2 * (b < a) for b in scores) for a in scores]
    drawn = Stream(score, "espew/words").permutation(n)[:k]
    best = sorted(range(n), key=lambda word: (-ranks[word], word in drawn))[:k]  # ties count against the claim
    items = [middle if each is None else each for each in scores]
    return items, [int(word in drawn) for word in range(n)], len({*best} & {*drawn}), subset_tail(ranks, drawn)


def dot(a: list[float], b: list[float]) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def arranged(answers: Any, order: list[int]) -> list[list[float]]:  # unit vectors by number of the text; [] if missing
    rows, found = answers["values"], {}
    widths = [len(row) for row in rows if row is not None]
    usual = min(set(widths), key=lambda width: (-widths.count(width), width), default=0)
    for number, row in zip(order, rows, strict=True):
        vector = [float(text) for text in row] if row is not None and len(row) == usual else []
        largest = max(map(abs, vector), default=0.0) if all(map(math.isfinite, vector)) else 0.0
        length = math.sqrt(math.fsum((each / largest) ** 2 for each in vector)) if largest else 0.0
        found[number] = [each / largest / length for each in vector] if length else []
    return [found[number] for number in range(len(order))]


def shift(units: list[list[float]], target: list[float], first: int, carriers: int) -> Any:  # None: no valid pair
    pairs = zip(units[first : first + carriers], units[1 : 1 + carriers])
    moved = [dot(word, target) - dot(clean, target) for word, clean in pairs if word and clean and target]
    return math.fsum(moved) / len(moved) if moved else None


def calibrated(scores: list[Any], clean: list[Any]) -> list[Any]:  # less what the unmarked encoder's scores explain
    both = [(x, y) for x, y in zip(clean, scores, strict=True) if None not in (x, y)]
    mean_x, mean_y = (math.fsum(each) / len(both) for each in zip(*both, strict=True)) if both else (0.0, 0.0)
    spread = math.fsum((x - mean_x) ** 2 for x, _ in both)
    slope = math.fsum((x - mean_x) * (y - mean_y) for x, y in both) / spread if spread else 0.0
    return [None if None in (x, y) else y - slope * x for x, y in zip(clean, scores, strict=True)]


def subset_tail(ranks: list[int], drawn: list[int]) -> Fraction:  # share of all subsets with at least this rank sum
    n, k, steps = len(ranks), len(drawn), [max(ranks) - rank for rank in ranks]
    least, slot = sum(steps[word] for word in drawn), math.comb(n, k).bit_length()
    counts, mask = [1] + [0] * k, (1 << slot * (least + 1)) - 1  # counts[j]: subsets of j by sum, a slot of digits each
    for step in (each for each in steps if each <= least):
        counts = [counts[0]] + [(counts[j] + (counts[j - 1] << slot * step)) & mask for j in range(1, k + 1)]
    ways = sum(counts[k] >> slot * total & (1 << slot) - 1 for total in range(least + 1))
    return Fraction(ways, math.comb(n, k))
