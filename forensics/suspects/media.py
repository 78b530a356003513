"""A local suspect's probes as texts or images, and its numbers as answers.

Probes of another medium are refused by naming the suspects that take it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from forensics.canonical import through_decimals
from forensics.errors import UsageError
from forensics.images import decode_image
from forensics.records import AnswerKind, Answers, Probe

_NO_TEXT = "A probe is no UTF-8 text.", "Make the kit again."
_NAMES = {"image/png": "images", "text/plain": "texts"}
_TAKERS = {
    "image/png": "Name an image encoder or an image classifier as the suspect, or use a key for texts.",
    "text/plain": "Name a text encoder or a text classifier as the suspect, or use a key for images.",
}


def take_texts(probes: Sequence[Probe], suspect: str) -> list[str]:
    """Returns the texts of probes.

    Args:
        suspect: what the suspect is, such as `a text encoder`.

    Raises:
        UsageError: they are images, ask for scores, or are no UTF-8.
    """
    _judge(probes, "text/plain", suspect)
    try:
        return [probe.data.decode("utf-8") for probe in probes]
    except UnicodeDecodeError as error:
        raise UsageError(*_NO_TEXT) from error


def take_continuations(probes: Sequence[Probe], suspect: str) -> tuple[list[str], list[str]]:
    """Returns the prompts of probes and the continuations whose scores they ask for.

    Args:
        suspect: what the suspect is, such as `a language model`.

    Raises:
        UsageError: they are images, ask for answers, or are no UTF-8.
    """
    for probe in probes:
        if probe.operation != "score" or probe.media_type != "text/plain":
            raise UsageError(
                f"The probes do not ask for the scores of continuations; the suspect is {suspect}.",
                "Use a key for language models, or name another kind of suspect.",
            )
    try:
        return [probe.data.decode("utf-8") for probe in probes], [
            probe.continuation.decode("utf-8") for probe in probes
        ]
    except UnicodeDecodeError as error:
        raise UsageError(*_NO_TEXT) from error


def take_images(probes: Sequence[Probe], channels: int, suspect: str) -> list[NDArray[np.uint8]]:
    """Returns the images of probes, uint8 (height, width, channels).

    Args:
        channels: 1 or 3, what the suspect takes.
        suspect: what it is, such as `an image encoder`.

    Raises:
        UsageError: they are texts, ask for scores, or cannot be decoded.
    """
    _judge(probes, "image/png", suspect)
    return [decode_image(probe.data, channels) for probe in probes]


def numbers(kind: AnswerKind, rows: NDArray[np.float32], labels: tuple[str, ...] = ()) -> Answers:
    """Returns a local model's numbers (n, c) as answers: shortest decimals; rows that are not finite are missing."""
    values = through_decimals(rows)
    missing = ~np.isfinite(values).all(axis=1)
    values[missing] = np.nan
    return Answers(kind, values, missing, labels)


def _judge(probes: Sequence[Probe], wanted: str, suspect: str) -> None:
    for probe in probes:
        if probe.operation != "answer":
            raise UsageError(
                f"The probes ask for the scores of continuations; the suspect is {suspect}.",
                "Name a language model as the suspect.",
            )
        if probe.media_type != wanted:
            found = _NAMES.get(probe.media_type, "of another medium")
            raise UsageError(
                f"The probes are not {_NAMES[wanted]} but {found}; the suspect is {suspect}.",
                _TAKERS.get(probe.media_type, "Make the kit again."),
            )
