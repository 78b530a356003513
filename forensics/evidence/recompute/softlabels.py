"""What `recompute.py` needs for both methods of keyed soft labels: coordinates along the families, shifts, ranks."""

# ruff: noqa: D103 - what a function does stands beside its name, to keep the script short

import math
from fractions import Fraction
from typing import Any

from forensics.evidence.recompute.common import Measured, Stream
from forensics.evidence.recompute.ofsw import column_of, dot, normals


def ranked(rows: Any, truth: list[int], probe: bytes, score: bytes, claim: Any, evidence: Any) -> Measured:
    f, classes, n, size = claim["parameters"]["families"], claim["parameters"]["classes"], len(rows), len(rows[0])
    rows, one = centred(rows, truth), [[float(i == j) for j in range(size)] for i in range(size)]
    columns: Any = list(zip(*rows))
    ridge = max(math.fsum(dot(column, column) for column in columns) / n / size / 64, 1.0)
    table = [[dot(a, b) / n + ridge * unit for b, unit in zip(columns, units)] for a, units in zip(columns, one)]
    white = list(map(list, zip(*orthonormal(one, table))))  # makes a family's coordinates of variance near 1
    drawn, order = normals(Stream(probe, "ksl/directions"), size * size), Stream(probe, "ksl/order").permutation(n)
    along = orthonormal([[dot(drawn[at * size : (at + 1) * size], each) for each in white] for at in range(f)], table)
    truth, places = [truth[at] for at in order], [[dot(rows[at], each) for each in along] for at in order]
    asked = [each["answers"] for each in (evidence, *evidence["references"])]  # the mean of the unmarked comes off
    o, *r = (shifts(each, claim["labels"], truth, places, any(x["kind"] == "labels" for x in asked)) for each in asked)
    found = [[round((a - sum(b) / len(b) * any(map(any, o))) * 2**20) / 2**20 for a, *b in zip(*x)] for x in zip(o, *r)]
    draw, told = Stream(score, "ksl/classes"), all(any(row is not None for row in each["values"]) for each in asked)
    choice = [draw.integer(classes) for _ in range(f)]
    ranks = [told * sum(each < row[at] for each in row) for row, at in zip(found, choice)]  # ties count against
    short = f * (classes - 1) - sum(ranks)  # how many vectors of ranks fall no further short, counted exactly
    ways = [(-1) ** j * math.comb(f, j) * math.comb(short - j * classes + f, f) for j in range(short // classes + 1)]
    return [each for row in found for each in row], choice, ranks.count(classes - 1), Fraction(sum(ways), classes**f)


def centred(rows: Any, truth: list[int]) -> list[list[float]]:  # each class of rows less its own mean
    own = {label: list(zip(*(row for row, each in zip(rows, truth) if each == label))) for label in set(truth)}
    means = {label: [math.fsum(column) / len(column) for column in columns] for label, columns in own.items()}
    return [[a - b for a, b in zip(row, means[label], strict=True)] for row, label in zip(rows, truth, strict=True)]


def orthonormal(rows: list[list[float]], table: list[list[float]]) -> list[list[float]]:  # in the table's inner product
    for i in range(len(rows)):
        size = dot(image := [dot(each, rows[i]) for each in table], rows[i])
        parts = [(at > i) * dot(each, image) / size if at != i else 1 - size**-0.5 for at, each in enumerate(rows)]
        rows = [[a - part * b for a, b in zip(each, rows[i])] for each, part in zip(rows, parts)]
    return rows


def shifts(answers: Any, labels: list[str], truth: list[int], places: Any, only_labels: bool) -> list[list[float]]:
    here, table = [at for at, row in enumerate(answers["values"]) if row is not None] or [0], []
    order = [column_of(answers, labels, index) for index in range(len(labels))]
    given = [read(answers["values"][at], answers["kind"], only_labels, order) for at in here]
    for raw, column in zip(zip(*given), map(list, zip(*centred(given, [truth[at] for at in here])))):
        spread = math.sqrt(dot(column, column) / len(here))  # a constant says nothing, rounded or not
        table.append([each / spread if spread > 1e-9 * max(1.0, *map(abs, raw)) else 0.0 for each in column])
    return [[dot(s, z) / len(here) for z in table] for s in map(list, zip(*(places[at] for at in here)))]


def read(row: Any, kind: str, only_labels: bool, own: list[int]) -> list[float]:  # log-probabilities, or 1 and 0
    values = [float(at == row) for at in range(len(own))] if row is None or kind == "labels" else list(map(float, row))
    top = values.index(max(values))
    scale = max(values) + math.log(math.fsum(math.exp(each - max(values)) for each in values))
    values = [math.exp(each - scale * (kind == "logits")) for each in values] if kind.startswith("log") else values
    return [float(top == at) if only_labels else math.log(min(max(values[at], 0.0), 1.0) + 1e-5) for at in own]
