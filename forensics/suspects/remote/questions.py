"""What goes out: probes as texts, bodies as JSON bytes, and the options of a suspect's URI."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from forensics.errors import UsageError
from forensics.records import Probe

_EXTRA_TOKENS = 8
_TRUTH = {"true": True, "false": False}


def encode(body: Any) -> bytes:
    """Returns the JSON bytes of a request: UTF-8, no blanks, keys in the order given."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8")


def texts_of(probes: Sequence[Probe], scheme: str) -> list[str]:
    """Returns the texts of probes that want an answer.

    Raises:
        UsageError: a probe is no text, or asks for the score of a continuation.
    """
    if any(probe.operation != "answer" for probe in probes):
        raise UsageError(
            f"{scheme} cannot score continuations.", "Name an openai-completions or openai-chat suspect for that."
        )
    return [text_of(probe, scheme) for probe in probes]


def text_of(probe: Probe, scheme: str) -> str:
    """Returns a probe's text.

    Raises:
        UsageError: the probe is no UTF-8 text.
    """
    if probe.media_type != "text/plain":
        raise UsageError(f"{scheme} takes text, not {probe.media_type}.", "Name a suspect that takes such probes.")
    return utf8(probe.data)


def utf8(data: bytes) -> str:
    """Returns bytes as text.

    Raises:
        UsageError: they are not UTF-8.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError("A probe's text is not UTF-8.", "Make the key's pool again from UTF-8 texts.") from error


def units(probes: Sequence[Probe]) -> int:
    """Returns an upper limit of the tokens of probes: one a byte, and eight a probe for what a server adds."""
    return sum(len(probe.data) + len(probe.continuation) + _EXTRA_TOKENS for probe in probes)


def bearer(secret: str) -> Mapping[str, str]:
    """Returns the header that carries an API key in most protocols."""
    return {"Authorization": f"Bearer {secret}"}


def known_options(scheme: str, options: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """Returns the options.

    Raises:
        UsageError: one of them is not among the names.
    """
    for name in options:
        if name not in names:
            raise UsageError(
                f"{scheme} has no option '{name}'.", f"It has: {', '.join(names)}." if names else "It has none."
            )
    return dict(options)


def named_model(scheme: str, model: str | None) -> str:
    """Returns the model's name.

    Raises:
        UsageError: there is none.
    """
    if not model:
        raise UsageError(f"{scheme} needs the model's name.", f"Write {scheme}+https://host/path#model.")
    return model


def integer(options: Mapping[str, str], name: str, low: int, high: int) -> int | None:
    """Returns a whole number from the options, None where it is not given.

    Raises:
        UsageError: no whole number from `low` to `high`.
    """
    if name not in options:
        return None
    value = options[name]
    if not (value.isascii() and value.isdigit() and len(value) < 10 and low <= int(value) <= high):
        raise UsageError(f"'{name}={value[:40]}' is not a whole number from {low} to {high}.", "Correct the URI.")
    return int(value)


def truth(options: Mapping[str, str], name: str) -> bool | None:
    """Returns true or false from the options, None where it is not given.

    Raises:
        UsageError: neither `true` nor `false`.
    """
    if name not in options:
        return None
    return _TRUTH[choice(options, name, tuple(_TRUTH), "")]


def choice(options: Mapping[str, str], name: str, among: Sequence[str], default: str) -> str:
    """Returns one of several words from the options.

    Raises:
        UsageError: another word.
    """
    value = options.get(name, default)
    if value not in among:
        raise UsageError(f"'{name}={value[:40]}' is none of: {', '.join(among)}.", "Correct the URI.")
    return value


def given(**members: Any) -> dict[str, Any]:
    """Returns the members of a body that are not None."""
    return {name: value for name, value in members.items() if value is not None}


def positive(options: Mapping[str, str], name: str) -> float | None:
    """Returns a decimal number above zero from the options, None where it is not given.

    Raises:
        UsageError: no such number.
    """
    if name not in options:
        return None
    try:
        value = float(options[name])
    except ValueError:
        value = 0.0
    if not 0.0 < value < 1e9:
        raise UsageError(f"'{name}={options[name][:40]}' is no number above zero.", "Correct the URI.")
    return value


def shape_of(options: Mapping[str, str], name: str) -> tuple[int, ...]:
    """Returns whole numbers with commas between them; empty where the option is not given.

    Raises:
        UsageError: something else.
    """
    parts = options[name].split(",") if name in options else []
    if len(parts) > 7 or not all(part.isascii() and part.isdigit() and 0 < int(part[:9]) < 1 << 20 for part in parts):
        raise UsageError(f"'{name}={options[name][:40]}' is no shape.", "Write it like 3,224,224.")
    return tuple(map(int, parts))


def names_of(options: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Returns names with commas between them; empty where the option is not given.

    Raises:
        UsageError: a name is empty or occurs twice.
    """
    parts = tuple(options[name].split(",")) if name in options else ()
    if len(set(parts)) != len(parts) or "" in parts:
        raise UsageError(f"'{name}' names an empty label, or one twice.", "Name each label once, in column order.")
    return parts
