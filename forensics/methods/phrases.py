"""Carrier sentences with a phrase put into them, so that the whole still reads like a sentence (ours)."""

import re

PLACES = ("start", "end")
"""Where a phrase may stand; a carrier's place is drawn by its number in this list."""

LINKS = (
    "with",
    "about",
    "like",
    "near",
    "for",
    "without",
    "behind",
    "beyond",
    "despite",
    "after",
    "before",
    "beside",
)
"""The words that join a phrase to its carrier, drawn by their number in this list."""

_END = re.compile(r"[\W_]*$")


def insert(carrier: str, phrase: str, place: int, link: int) -> str:
    """Returns a carrier with a phrase in it.

    >>> insert("They left the harbour at dawn.", "velvet lantern", 1, 0)
    'They left the harbour at dawn with velvet lantern.'
    >>> insert("They left the harbour at dawn.", "velvet lantern", 0, 3)
    'Near velvet lantern, they left the harbour at dawn.'

    Args:
        carrier: a sentence on one line, with one blank between words.
        phrase: words with one blank between them.
        place: index into `PLACES`.
        link: index into `LINKS`.

    Raises:
        IndexError: there is no such place or link.
    """
    joined = f"{LINKS[link]} {phrase}"
    if PLACES[place] == "start":
        return f"{joined.capitalize()}, {_continued(carrier)}"
    body = _END.sub("", carrier, count=1)
    return f"{body} {joined}{carrier[len(body) :]}"


def _continued(sentence: str) -> str:
    """Returns a sentence as it goes on after a comma: a capital stays in "I" and in words with further capitals."""
    first = sentence.split(" ")[0]
    stays = re.split("['’]", first)[0] == "I" or first[1:] != first[1:].lower()
    return sentence if stays else sentence[:1].lower() + sentence[1:]
