"""Probes, and one question to a suspect by its URI."""

from collections.abc import Sequence

from forensics.records import Answers, Probe
from forensics.suspects import Connection, open_suspect

TEXTS = (
    "The cat sat on the mat.",
    "Stock markets fell sharply on Monday.",
    'Emoji 🦊🏳️‍🌈, "quotes" and \\ a backslash',
    "Two\nlines\tand a tab",
)


def text_probes(texts: Sequence[str] = TEXTS) -> list[Probe]:
    """Returns probes that want an answer."""
    return [Probe(text.encode(), "text/plain") for text in texts]


def score_probe(prompt: str, continuation: str) -> Probe:
    """Returns a probe that wants a continuation's log-probability."""
    return Probe(prompt.encode(), "text/plain", "score", continuation.encode())


def ask(name: str, probes: Sequence[Probe], key: str | None = None) -> Answers:
    """Asks the suspect of a URI."""
    return open_suspect(name, Connection(api_key=key, attempts=1)).answer(probes)
