"""What `recompute.py` needs for the method `espew`: the words' scores, their ranks, and the subset that was drawn."""

# ruff: noqa: D103 - what a function does stands beside its name, to keep the script short

import math
from typing import Any

from forensics.evidence.recompute.common import Measured, Stream
from forensics.evidence.recompute.subset import subset_tail


def measure(probe: bytes, score: bytes, claim: Any, share: Any, evidence: Any) -> Measured:
    n, k, carriers = (claim["parameters"][name] for name in ("candidates", "words", "carriers"))
    order, named = Stream(probe, "espew/order").permutation(1 + carriers * (1 + n)), evidence["references"]
    units, clean = arranged(evidence["answers"], order), arranged(named[0]["answers"], order) if named else []
    moved, expected = moves(units, n, carriers), moves(clean, n, carriers) if named else []
    target, match = clean[0] if named else [], matched(moved, expected)
    if target and match:  # the encoder's moves and target in the suspect's coordinates
        target, *expected = ([row[place] * sign for place, sign in match] if row else [] for row in (target, *expected))
    along = target if target and match else units[0]
    raw = [dot(move, along) if move and along else None for move in moved]
    raw = calibrated(raw, expected, target) if named else raw
    scores: list[Any] = [None if each is None else round(each * 2**30) / 2**30 for each in raw]  # so that ties agree
    present = sorted(each for each in scores if each is not None) or [0.0]
    middle = (present[(len(present) - 1) // 2] + present[len(present) // 2]) / 2  # shown where all answers are missing
    ranks = [1 + sum(1 if None in (a, b) or a == b else 2 * (b < a) for b in scores) for a in scores]
    drawn = Stream(score, "espew/words").permutation(n)[:k]
    best = sorted(range(n), key=lambda word: (-ranks[word], word in drawn))[:k]  # ties count against the claim
    items = [middle if each is None else each for each in scores]
    return items, [int(word in drawn) for word in range(n)], len({*best} & {*drawn}), subset_tail(ranks, drawn)


def dot(a: list[float], b: list[float]) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def unit(vector: list[float]) -> list[float]:  # of length 1; empty where it is zero or not finite
    largest = max(map(abs, vector), default=0.0) if all(map(math.isfinite, vector)) else 0.0
    length = math.sqrt(math.fsum((each / largest) ** 2 for each in vector)) if largest else 0.0
    return [each / largest / length for each in vector] if length else []


def centred(values: Any) -> list[float]:
    return [each - math.fsum(values) / len(values) for each in values]


def arranged(answers: Any, order: list[int]) -> list[list[float]]:  # unit vectors by number of the text; [] if missing
    widths = [len(row) for row in answers["values"] if row is not None]
    usual = min(set(widths), key=lambda width: (-widths.count(width), width), default=0)
    rows = [list(map(float, row)) if row is not None and len(row) == usual else [] for row in answers["values"]]
    return [unit(row) for _, row in sorted(zip(order, rows, strict=True))]


def moves(units: list[list[float]], n: int, carriers: int) -> list[list[float]]:  # by word: mean over valid carriers
    found = []
    for first in range(1 + carriers, 1 + carriers * (1 + n), carriers):
        pairs = [(a, b) for a, b in zip(units[first : first + carriers], units[1 : 1 + carriers]) if a and b]
        found.append([math.fsum(x - y for x, y in column) / len(pairs) for column in zip(*(zip(*p) for p in pairs))])
    return found


def matched(moved: list[list[float]], expected: list[list[float]]) -> list[tuple[int, float]]:
    both = [(a, b) for a, b in zip(moved, expected) if a and b]  # each coordinate goes to the encoder's most alike one
    ours, theirs = ([unit(centred(c)) or [0.0] * len(c) for c in zip(*side)] for side in zip(*both or [([], [])]))
    found = []
    for column in ours:
        likeness = [sum(map(float.__mul__, column, each)) for each in theirs]
        place = max(range(len(likeness)), key=lambda place: abs(likeness[place]))
        found.append((place, likeness[place]))
    enough = found and round(math.fsum(abs(alike) for _, alike in found) / len(found) * 2**30) >= 2**29
    return [(place, math.copysign(1.0, alike)) for place, alike in found if enough]


def calibrated(scores: list[Any], expected: list[list[float]], target: list[float]) -> list[Any]:
    both = [place for place, score in enumerate(scores) if score is not None and expected[place] and target]
    s = centred([scores[place] for place in both])
    x = centred([dot(expected[place], target) for place in both])
    s = [a - b * dot(s, x) / dot(x, x) for a, b in zip(s, x)] if dot(x, x) else s  # what its target's cosines explain
    rows = list(zip(*map(centred, zip(*(expected[place] for place in both)))))
    gram = [[sum(map(float.__mul__, a, b)) for b in rows] for a in rows]
    scale = math.fsum(gram[place][place] for place in range(len(gram))) / (len(gram) or 1) or 1.0
    table = [[g / scale + (i == j) for j, g in enumerate(row)] + [s[i]] for i, row in enumerate(gram)]
    for i, pivot in enumerate(table):  # (G + 1) r = s, by elimination
        pivot[i:] = [each / pivot[i] for each in pivot[i:]]
        for row in (each for each in table if each is not pivot):
            row[i:] = [a - b * row[i] for a, b in zip(row[i:], pivot[i:])]
    return [table[both.index(place)][-1] if place in both else None for place in range(len(scores))]
