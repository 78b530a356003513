"""What `recompute.py` needs for the method `ksl`: how images are seen."""

# ruff: noqa: D103 - what a function does stands beside its name, to keep the script short

import pathlib
import sys
from typing import Any

from forensics.evidence.recompute.common import Measured, sha256
from forensics.evidence.recompute.softlabels import ranked


def measure(probe: bytes, score: bytes, claim: Any, share: Any, evidence: Any) -> Measured:
    grid, place = claim["parameters"]["grid"], pathlib.Path("data", "opened", f"share-{share['index']}", "pool")
    rows = [cells(place / f"{at:04d}.png", each["sha256"], grid) for at, each in enumerate(share["pool"])]
    return ranked(rows, [each["label"] or 0 for each in share["pool"]], probe, score, claim, evidence)


def cells(path: pathlib.Path, digest: str, g: int) -> list[int]:  # brightness of g x g parts, in sixteenths of a grey
    data = path.read_bytes() if sha256(path.read_bytes()).hex() == digest else sys.exit(f"{path} is another image.")
    w, h, c = *(int.from_bytes(data[at : at + 4], "big") for at in (16, 20)), 3 if data[25] == 2 else 1
    raw = b"".join(data[43:-20][at + 5 : at + 65540] for at in range(0, len(data) - 63, 65540))  # not compressed
    grey = [[sum(raw[at : at + c]) for at in range(y + 1, y + 1 + w * c, c)] for y in range(0, len(raw), 1 + w * c)]
    tall, wide = ([[sum((x * g + k) // s == i for k in range(g)) for x in range(s)] for i in range(g)] for s in (h, w))
    rows = [[sum(map(int.__mul__, line, part)) for part in wide] for line in grey]
    return [sum(map(int.__mul__, a, b)) * 16 // (h * w * c) for a in tall for b in zip(*rows)]
