"""What `recompute.py` needs for the method `t2s`: the mean answers, family by family, and the drawn classes."""

# ruff: noqa: D103 - what a function does stands beside its name, to keep the script short

import math
from fractions import Fraction
from typing import Any

from forensics.evidence.recompute.common import Measured, Stream
from forensics.evidence.recompute.ofsw import column_of


def measure(probe: bytes, score: bytes, claim: Any, share: Any, evidence: Any) -> Measured:
    f, decoys, m, classes = (claim["parameters"][name] for name in ("families", "decoys", "carriers", "classes"))
    order = Stream(probe, "t2s/order").permutation((f + decoys) * m)  # which trigger is asked at each place
    place = {trigger: at for at, trigger in enumerate(order)}
    both = [evidence["answers"], evidence["references"][0]["answers"]]  # of the suspect, of the clean checkpoint
    only_labels = any(each["kind"] == "labels" for each in both)
    rows = [[place[one * m + at] for at in range(m)] for one in range(f + decoys)]
    rows = [[at for at in row if all(each["values"][at] is not None for each in both)] for row in rows]
    own, natural = (shifts(each, claim["labels"], rows, f, only_labels) for each in both)  # the latter comes off
    found = [[a - b * any(map(any, own)) for a, b in zip(*each)] for each in zip(own[:f], natural)]
    draw = Stream(score, "t2s/classes")
    choice = [draw.integer(classes) for _ in range(f)]
    seen = [bool(row) and any(rows[f:]) for row in rows[:f]]  # a family without an answer has rank 0
    ranks = [here * sum(each < row[at] for each in row) for row, at, here in zip(found, choice, seen)]
    short = f * (classes - 1) - sum(ranks)  # how many vectors of ranks fall no further short, counted exactly
    ways = [(-1) ** j * math.comb(f, j) * math.comb(short - j * classes + f, f) for j in range(short // classes + 1)]
    return [each for row in found for each in row], choice, ranks.count(classes - 1), Fraction(sum(ways), classes**f)


def shifts(answers: Any, labels: list[str], rows: list[list[int]], f: int, only_labels: bool) -> list[list[float]]:
    own = [column_of(answers, labels, index) for index in range(len(labels))]
    given = [[read(answers["values"][at], answers["kind"], only_labels, own) for at in row] for row in rows]
    usual = [each for row in given[f:] for each in row]  # of the decoys, of which nothing was trained
    if not usual:
        return [[0.0] * len(labels) for _ in rows]
    pairs = [[(mean(column), mean(base)) for column, base in zip(zip(*row), zip(*usual))] for row in given]
    return [[round((a - b) * 2**20) / 2**20 for a, b in row] or [0.0] * len(labels) for row in pairs]


def mean(values: Any) -> float:
    return math.fsum(values) / len(values)


def read(row: Any, kind: str, only_labels: bool, own: list[int]) -> list[float]:  # log-probabilities, or 1 and 0
    values = [float(at == row) for at in range(len(own))] if kind == "labels" else list(map(float, row))
    top = values.index(max(values))
    scale = max(values) + math.log(math.fsum(math.exp(each - max(values)) for each in values))
    values = [math.exp(each - scale * (kind == "logits")) for each in values] if kind.startswith("log") else values
    return [float(top == at) if only_labels else math.log(min(max(values[at], 0.0), 1.0) + 1e-5) for at in own]
