"""Recomputes the deciding number of this case from its records, with Python's standard library alone.

Run in the folder that holds bagit.txt:  python3 -I data/recompute.py
Every value is printed beside the recorded one; the exit code is 1 if any of them differ.
"""

import hashlib
import hmac
import json
import math
import pathlib
import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Any

CURVES = {  # object identifier in DER: bytes of a coordinate, order of the group (NIST P-256 and P-384)
    "06082a8648ce3d030107": (32, "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"),
    "06052b81040022": (48, "f" * 48 + "c7634d81f4372ddf581a0db248b0a77aecec196accc52973"),
}
Measured = tuple[list[float], list[int], int, Fraction]  # item scores, what the key drew, matches, p-value
wrong: list[str] = []

def compare(name: str, ours: Any, recorded: Any) -> None:  # prints both; reals may differ by a billionth
    near = isinstance(ours, float) and math.isclose(ours, float(recorded), rel_tol=1e-9)
    if not (near or ours == recorded):
        wrong.append(name)
    sys.stdout.write(f"{'DIFFERS' if name in wrong else 'agrees '}  {name}: {ours}  (recorded: {recorded})\n")

def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()

def canonical(value: Any) -> bytes:  # RFC 8785, for values without floats
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

def children(der: bytes) -> list[tuple[int, bytes, bytes]]:  # tag, whole and content of each part of a DER value
    parts = []
    while der:
        head, length = 2, der[1]
        if length > 127:
            head, length = length - 126, int.from_bytes(der[2 : length - 126], "big")
        parts.append((der[0], der[: head + length], der[head : head + length]))
        der = der[head + length :]
    return parts

def signed_parts(token: bytes) -> list[bytes]:  # TSTInfo, signed attributes, signature: what a token adds to the salt
    data = children(children(children(children(token)[0][2])[1][2])[0][2])
    info = children(children(data[2][2])[1][2])[0][2]
    signer = children(children(data[-1][2])[0][2])
    algorithm, signature, leaf = signer[4][1], signer[5][2], children(data[3][2])[0][1]
    for name, (width, order) in CURVES.items():
        if bytes.fromhex("06082a8648ce3d0403") in algorithm and bytes.fromhex(name) in leaf:
            r, s = (int.from_bytes(each[2], "big") for each in children(children(signer[5][2])[0][2]))
            signature = r.to_bytes(width, "big") + min(s, int(order, 16) - s).to_bytes(width, "big")
    return [info, b"\x31" + signer[3][1][1:], signature]

def merkle_root(node: bytes, index: int, count: int, proof: list[bytes]) -> bytes:  # RFC 6962, section 2.1
    sides = []
    while count > 1:
        cut = 1 << ((count - 1).bit_length() - 1)
        sides.append(index >= cut)
        index, count = (index - cut, count - cut) if index >= cut else (index, cut)
    for sibling, left in zip(proof, reversed(sides), strict=True):
        node = sha256(b"\x01", sibling, node) if left else sha256(b"\x01", node, sibling)
    return node

class Stream:  # keyed random values: HMAC-SHA256(key, label || 0x00 || counter), read in order
    def __init__(self, key: bytes, label: str) -> None:
        self.key, self.prefix, self.counter, self.buffer = key, label.encode() + b"\x00", 0, b""

    def take(self, count: int) -> bytes:
        while len(self.buffer) < count:
            self.buffer += hmac.digest(self.key, self.prefix + self.counter.to_bytes(8, "big"), "sha256")
            self.counter += 1
        result, self.buffer = self.buffer[:count], self.buffer[count:]
        return result

    def integer(self, bound: int) -> int:  # uniform below the bound, by rejection
        word = int.from_bytes(self.take(8), "big")
        return word % bound if word < 2**64 - 2**64 % bound else self.integer(bound)

    def permutation(self, n: int) -> list[int]:  # Fisher-Yates from the last position down
        order = list(range(n))
        for last in range(n - 1, 0, -1):
            other = self.integer(last + 1)
            order[last], order[other] = order[other], order[last]
        return order

def main(measure: Callable[..., Measured]) -> int:
    data = pathlib.Path("data")
    evidence, raw = json.loads((data / "evidence.json").read_bytes()), (data / "claim" / "claim.json").read_bytes()
    claim, share, plan, digest = json.loads(raw), evidence["share"], evidence["plan"], sha256(raw)
    index, count, pool = share["index"], claim["shares"]["count"], claim["pools"][share["index"]]["digest"]
    compare("claim", digest.hex(), evidence["claim_digest"])
    compare("pool", sha256(canonical(share["pool"])).hex(), pool)
    seed, salt, *proof = (bytes.fromhex(text) for text in (share["seed"], share["salt"], *share["proof"]))
    leaf = canonical({"i": index, "n": count, "method": claim["method"], "pool": pool, "seed": sha256(seed).hex()})
    root = merkle_root(sha256(b"\x00", salt, leaf), index, count, proof)
    compare("root over the shares", root.hex(), claim["shares"]["root"])
    names = ("claim.tst", "claim.2.tst")[: len(claim["authorities"])]
    parts = [part for name in names for part in signed_parts((data / "claim" / name).read_bytes())]
    dated = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    date = sha256(b"forensics/v1/tst", dated) if parts else sha256(b"forensics/v1/self-dated", digest)
    master = hmac.digest(hmac.digest(date, seed, "sha256"), digest + index.to_bytes(4, "big") + b"\x01", "sha256")
    probe, score = (hmac.digest(master, name + b"\x01", "sha256") for name in (b"probe", b"score"))  # HKDF, RFC 5869
    asked = canonical({"batch_size": plan["batch_size"], "probes": plan["probes"]})
    compare("list of probes", sha256(asked).hex(), plan["digest"])
    compare("number of answers", len(evidence["answers"]["values"]), len(plan["probes"]))
    recorded = (evidence["score"] or sys.exit("This case holds no score."))["measurement"]
    items, target, matched, p = measure(probe, score, claim, share, evidence)
    compare("what the key drew", "".join(map(str, target)), "".join(map(str, recorded["target"])))
    gap = max(abs(ours - float(theirs)) for ours, theirs in zip(items, recorded["items"], strict=True))
    compare(f"{len(items)} item scores, largest difference {gap:.1e}", gap <= 1e-9 * max(map(abs, items)), True)
    compare("matched, of units", (matched, len(target)), (recorded["matched"], recorded["n"]))
    compare("p-value", max(float(p), 2.0**-128), recorded["p_value"])
    sys.stdout.write(f"The p-value is exactly {p.numerator} / {p.denominator}.\n")
    sys.stdout.write("This shows that the numbers follow from the recorded answers, not that the suspect gave them.\n")
    return 1 if wrong else 0

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

if __name__ == "__main__":
    sys.exit(main(measure))
