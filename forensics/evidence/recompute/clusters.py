"""What `recompute.py` needs for `tmrw` and `wpe`: the groups asked, the first component, the half that was drawn."""

# ruff: noqa: D103 - what a function does stands beside its name, to keep the script short

import math
from fractions import Fraction
from typing import Any

from forensics.evidence.recompute.common import Measured, Stream
from forensics.evidence.recompute.subset import subset_tail


def measure(probe: bytes, score: bytes, claim: Any, share: Any, evidence: Any) -> Measured:
    n, carriers, asked = (claim["parameters"][name] for name in ("candidates", "carriers", "asked"))
    answers, kind, gram = evidence["answers"], evidence["answers"]["kind"], [[0.0] * n for _ in range(n)]
    draw, rows, answered = Stream(probe, f"{claim['method']}/order"), decoded(answers), list[int]()
    order = (draw.permutation(carriers), draw.permutation(n))[1]  # of the candidates, the same in every group
    names = [head.index(max(head)) if isinstance(head, list) else head for head in rows[:carriers]]  # class by class
    turns = [carriers if x is None else names[:at].count(x) * (kind != "vectors") for at, x in enumerate(names)]
    for group in sorted(sorted(range(carriers), key=turns.__getitem__)[:asked]):
        cells = [read(rows[carriers + group * n + order.index(item)], answers) for item in range(n)]
        here = [item for item, cell in enumerate(cells) if cell is not None]
        if here and read(rows[group], answers) is not None:
            table, answered = centred(cells), answered + here
            gram = [[g + dot(a, b) for g, b in zip(row, table)] for row, a in zip(gram, table)]
    largest, along = leading(gram)
    size = dot(along, along) or 1.0
    second, _ = leading([[g - largest * a * b / size for g, b in zip(row, along)] for row, a in zip(gram, along)])
    found = largest > 1e-18 * len(answered) and largest - second > 1e-6 * largest  # answers differ, and mostly one way
    scores: list[Any] = [round(found * x * 2**30) / 2**30 if at in answered else None for at, x in enumerate(along)]
    ranks = [1 + sum(1 if None in (a, b) or a == b else 2 * (b < a) for b in scores) for a in scores]
    drawn, middle = Stream(score, f"{claim['method']}/triggers").permutation(n)[: n // 2], n // 2 * (n + 1)
    if sum(ranks[item] for item in drawn) < middle:  # the sign of a component is arbitrary
        ranks = [2 * (n + 1) - rank for rank in ranks]
    best = sorted(range(n), key=lambda item: (-ranks[item], item in drawn))[: n // 2]  # ties count against the claim
    both = Fraction(1) if sum(ranks[item] for item in drawn) == middle else 2 * subset_tail(ranks, drawn)  # tails alike
    return [each or 0.0 for each in scores], [int(item in drawn) for item in range(n)], len({*best} & {*drawn}), both


def dot(a: list[float], b: list[float]) -> float:
    return sum([x * y for x, y in zip(a, b)])


def decoded(answers: Any) -> list[Any]:  # rows of numbers, classes or texts; None where missing
    rows = answers["values"]
    if answers["kind"] in ("labels", "text"):
        return [row if isinstance(row, str) or (row is not None and row >= 0) else None for row in rows]
    widths = [len(row) for row in rows if row is not None]
    width = len(answers["labels"]) or min({*widths}, key=lambda each: (-widths.count(each), each), default=0)
    table = [list(map(float, row or [])) for row in rows]
    return [row if row and len(row) == width and all(map(math.isfinite, row)) else None for row in table]


def read(row: Any, answers: Any) -> Any:  # a unit vector, logarithms of probabilities, or a class; None where not valid
    kind, least = answers["kind"], min(max(1e-12, float(answers["resolution"]) / 2), 1.0)
    if row is None or kind in ("labels", "text"):
        return row
    most = max(map(abs, row)) if kind == "vectors" else max(row)
    if kind == "vectors":
        length = math.hypot(*(each / (most or 1.0) for each in row))
        return [each / most / length for each in row] if length else None
    if kind == "logits":
        total = math.log(math.fsum(math.exp(each - most) for each in row))
        row = [each - most - total for each in row]
    elif kind != "log-probabilities":
        row = [math.log(max(each, least)) for each in row]
    return [min(max(each, math.log(least)), 0.0) for each in row]


def centred(cells: list[Any]) -> list[list[float]]:  # rows less their mean, which also stands where one is missing
    if not any(isinstance(cell, list) for cell in cells):
        names = sorted({cell for cell in cells if cell is not None})
        cells = [None if cell is None else [float(cell == name) for name in names] for cell in cells]
    means = [math.fsum(column) / len(column) for column in zip(*(cell for cell in cells if cell is not None))]
    return [[a - b for a, b in zip(means if cell is None else cell, means)] for cell in cells]


def leading(matrix: list[list[float]]) -> tuple[float, list[float]]:  # largest eigenvalue and its vector
    power = matrix
    for _ in range(27):  # power iteration by squaring: 2**27 steps
        trace = sum(row[place] for place, row in enumerate(power)) or 1.0
        power = [[dot(a, b) / trace / trace for b in power] for a in power]
    row = max(power, key=lambda row: max(map(abs, row)))
    top = next(each for each in row if abs(each) >= (1 - 1e-6) * max(map(abs, row)))  # the first of those that are tied
    vector = [each / (top or 1.0) for each in row]
    return dot(vector, [dot(row, vector) for row in matrix]) / (dot(vector, vector) or 1.0), vector
