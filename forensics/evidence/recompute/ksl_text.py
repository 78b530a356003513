"""What `recompute.py` needs for the method `ksl-text`: how texts are seen."""

# ruff: noqa: D103 - what a function does stands beside its name, to keep the script short

import pathlib
import sys
from typing import Any

from forensics.evidence.recompute.common import Measured, sha256
from forensics.evidence.recompute.softlabels import ranked


def measure(probe: bytes, score: bytes, claim: Any, share: Any, evidence: Any) -> Measured:
    first, *texts = [taken(share, at) for at in range(len(share["pool"]))]
    table = {line.split(" ")[0]: list(map(int, line.split(" ")[1:])) for line in first.splitlines()}
    rows = [words(text, table, claim["parameters"]["width"]) for text in texts]
    return ranked(rows, [each["label"] or 0 for each in share["pool"][1:]], probe, score, claim, evidence)


def taken(share: Any, at: int) -> str:
    data = pathlib.Path("data", "opened", f"share-{share['index']}", "pool", f"{at:04d}.txt").read_bytes()
    return data.decode() if sha256(data).hex() == share["pool"][at]["sha256"] else sys.exit(f"Text {at} is another.")


def words(text: str, table: dict[str, list[int]], width: int) -> list[float]:  # the mean of their directions, times 16
    known = [table[word] for piece in text.split() if (word := piece.strip('.,;:!?"()').lower()) in table]
    return [float(sum(each) * 16 // len(known)) for each in zip(*known)] or [0.0] * width
