"""What `recompute.py` needs for the method `ofsw`: the read-out, and the bits that the scoring secret drew."""

# ruff: noqa: D103 - what a function does stands beside its name, to keep the script short

import math
from fractions import Fraction
from typing import Any

from forensics.evidence.recompute.common import Measured, Stream


def measure(probe: bytes, score: bytes, claim: Any, share: Any, evidence: Any) -> Measured:
    banks, k, pool = claim["parameters"]["banks"], claim["parameters"]["bits"], share["pool"]
    truth = [pool[place]["label"] for place in Stream(probe, "ofsw/triggers").permutation(len(pool))[:banks]]
    drawn = normals(Stream(probe, "ofsw/kernels"), banks * k * k)
    kernels = [orthonormal([drawn[(b * k + i) * k : (b * k + i + 1) * k] for i in range(k)]) for b in range(banks)]
    suspect = evidence["answers"]
    clean = next(each["answers"] for each in evidence["references"] if each["role"] == "clean-checkpoint")
    only_labels = "labels" in (suspect["kind"], clean["kind"])
    w = weights(kernels, evaluations(suspect, truth, claim["labels"], only_labels))
    w0 = weights(kernels, evaluations(clean, truth, claim["labels"], only_labels))
    share_of_w0 = dot(w, w0) / dot(w0, w0) if dot(w0, w0) > 0 else 0.0
    items = [a - b * share_of_w0 for a, b in zip(w, w0, strict=True)]  # what an unmarked model says anyway is taken out
    payload = bits(Stream(score, "ofsw/bits"), k)
    matched = sum((2 * bit - 1) * item > 1e-9 for item, bit in zip(items, payload))  # nearer to zero than that: a miss
    return items, payload, matched, binomial_tail(matched, k, Fraction(1, 2))


def bits(stream: Stream, count: int) -> list[int]:  # most significant bit of each byte first
    return [byte >> (7 - place) & 1 for byte in stream.take(-(-count // 8)) for place in range(8)][:count]


def normals(stream: Stream, count: int) -> list[float]:  # Marsaglia's polar method
    values: list[float] = []
    while len(values) < count:
        x, y = (2 * ((int.from_bytes(stream.take(8), "big") >> 11) + 0.5) * 2.0**-53 - 1 for _ in range(2))
        if 0 < x * x + y * y < 1:
            factor = math.sqrt(-2 * math.log(x * x + y * y) / (x * x + y * y))
            values += [x * factor, y * factor]
    return values[:count]


def column_of(answers: Any, labels: list[str], index: int) -> int:  # by name or number, else by position
    theirs, numbers = answers["labels"], [str(number) for number in range(len(labels))]
    known = [names for names in (labels, numbers, [f"LABEL_{i}" for i in numbers]) if sorted(theirs) == sorted(names)]
    return int(theirs.index(known[0][index])) if known and len(set(theirs)) == len(theirs) else index


def binomial_tail(matched: int, n: int, chance: Fraction) -> Fraction:  # P(Binomial(n, chance) >= matched), exactly
    return sum((math.comb(n, i) * chance**i * (1 - chance) ** (n - i) for i in range(matched, n + 1)), Fraction(0))


def dot(a: list[float], b: list[float]) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def orthonormal(rows: list[list[float]]) -> list[list[float]]:  # modified Gram-Schmidt
    for i, row in enumerate(rows):
        length = math.sqrt(dot(row, row))
        rows[i] = unit = [value / length for value in row]
        for j in range(i + 1, len(rows)):
            part = dot(rows[j], unit)
            rows[j] = [a - part * b for a, b in zip(rows[j], unit, strict=True)]
    return rows


def evaluations(answers: Any, truth: list[int], labels: list[str], only_labels: bool) -> list[list[float]]:
    views, banks = len(answers["values"]) // len(truth), []
    for bank, label in enumerate(truth):  # how well each view fits the true label, standardised; 0 where missing
        rows, own = answers["values"][bank * views : (bank + 1) * views], column_of(answers, labels, label)
        found = [None if row is None else evaluate(row, own, answers, only_labels) for row in rows]
        present = [value for value in found if value is not None]
        mean = math.fsum(present) / max(len(present), 1)
        spread = math.sqrt(math.fsum((value - mean) ** 2 for value in present) / max(len(present), 1))
        flat = spread <= 1e-9 * max(map(abs, present), default=0.0)  # a constant says nothing, rounded or not
        banks.append([0.0 if value is None or flat else (value - mean) / spread for value in found])
    return banks


def evaluate(row: Any, own: int, answers: Any, only_labels: bool) -> float:  # log-odds, or 1 and 0, of the true label
    if answers["kind"] == "labels":
        return float(row == own)
    values = [float(text) for text in row]
    if only_labels:
        return float(values.index(max(values)) == own)
    if answers["kind"] == "logits":
        others = values[:own] + values[own + 1 :]
        return values[own] - max(others) - math.log(math.fsum(math.exp(each - max(others)) for each in others))
    half = max(float(answers["resolution"]) / 2, 1e-12)
    chance = math.exp(values[own]) if answers["kind"] == "log-probabilities" else values[own]
    chance = min(max(chance, half), 1 - half)
    return math.log(chance) - math.log1p(-chance)


def weights(kernels: list[list[list[float]]], banks: list[list[float]]) -> list[float]:  # sum over banks of M^T z
    rows = [(row, z) for kernel, zs in zip(kernels, banks, strict=True) for row, z in zip(kernel, zs, strict=True)]
    return [math.fsum(row[j] * z for row, z in rows) for j in range(len(kernels[0]))]
