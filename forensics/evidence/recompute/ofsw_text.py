"""What `recompute.py` needs for the method `ofsw-text`: the read-out, and the bits that the scoring secret drew."""

# ruff: noqa: D103 - what a function does stands beside its name, to keep the script short

import math
from fractions import Fraction
from typing import Any

from forensics.evidence.recompute.common import Measured, Stream
from forensics.evidence.recompute.ofsw import binomial_tail, bits, dot, normals, orthonormal, weights


def measure(probe: bytes, score: bytes, claim: Any, share: Any, evidence: Any) -> Measured:
    banks, k = claim["parameters"]["banks"], claim["parameters"]["bits"]
    drawn = normals(Stream(probe, "ofsw/kernels"), banks * k * k)
    kernels = [orthonormal([drawn[(b * k + i) * k : (b * k + i + 1) * k] for i in range(k)]) for b in range(banks)]
    clean = next(each["answers"] for each in evidence["references"] if each["role"] == "clean-checkpoint")
    w, w0 = (weights(kernels, standardised(answers, k)) for answers in (evidence["answers"], clean))
    share_of_w0 = dot(w, w0) / dot(w0, w0) if dot(w0, w0) > 0 else 0.0
    items = [a - b * share_of_w0 for a, b in zip(w, w0, strict=True)]  # what an unmarked model says anyway is taken out
    payload = bits(Stream(score, "ofsw/bits"), k)
    matched = sum((2 * bit - 1) * item > 1e-9 for item, bit in zip(items, payload))  # nearer to zero than that: a miss
    return items, payload, matched, binomial_tail(matched, k, Fraction(1, 2))


def standardised(answers: Any, k: int) -> list[list[float]]:  # each bank's log-probabilities; 0 where missing
    banks = []
    for start in range(0, len(answers["values"]), k):
        found = [None if row is None else float(row[0]) for row in answers["values"][start : start + k]]
        present = [value for value in found if value is not None]
        mean = math.fsum(present) / max(len(present), 1)
        spread = math.sqrt(math.fsum((value - mean) ** 2 for value in present) / max(len(present), 1))
        flat = spread <= 1e-9 * max(map(abs, present), default=0.0)  # a constant says nothing, rounded or not
        banks.append([0.0 if value is None or flat else (value - mean) / spread for value in found])
    return banks
