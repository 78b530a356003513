"""Text that strangers wrote, made safe to show."""

import unicodedata

# Cc: control and escape characters; Cs: lone surrogates; Zl, Zp: line and paragraph separators.
_DROPPED = frozenset({"Cc", "Cs", "Zl", "Zp"})
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")


def printable(text: str, limit: int) -> str:
    """Returns one line of text that cannot steer a terminal, reorder what is read, or fail to encode.

    Args:
        text: anything; line breaks and tabs become blanks, other control characters and direction marks are dropped.
        limit: most characters in the result; a longer text ends in three dots.
    """
    # What is cut off cannot matter, so a text of megabytes costs no more than its start.
    clean = "".join(map(_safe, text[: 16 * limit + 64]))
    return clean if len(clean) <= limit else clean[: max(limit - 3, 0)] + "..."


def _safe(character: str) -> str:
    if character in _DIRECTIONS:
        return ""
    if unicodedata.category(character) in _DROPPED:
        return " " if character.isspace() else ""
    return character
