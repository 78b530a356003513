"""Names of remote suspects: `PROTOCOL+http(s)://host[:port]/base?option=value#model`, or `json:FILE`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from forensics.canonical import canonical_json, sha256
from forensics.errors import UsageError
from forensics.plaintext import printable
from forensics.records import Identity
from forensics.suspects.remote.adapter import Adapter

_REMOTE = re.compile(r"([a-z0-9][a-z0-9-]*)\+(https?://.+)", re.DOTALL)
_EXAMPLE = "Write it like openai+https://api.example.com/v1#model-name."


@dataclass(frozen=True)
class SuspectUri:
    """A parsed name of a remote suspect.

    Attributes:
        scheme: of the protocol, such as `tei`.
        url: base URL without query, fragment and trailing slash.
        model: what stands behind `#`, or None.
        options: the query, one value a name.
    """

    scheme: str
    url: str
    model: str | None
    options: Mapping[str, str]


def is_remote(name: str) -> bool:
    """Tells whether a name means a suspect behind an API."""
    return name.startswith("json:") or _REMOTE.fullmatch(name) is not None


def parse_uri(name: str) -> SuspectUri:
    """Reads a suspect's URI.

    Raises:
        UsageError: it is none, or holds a password, an option twice, or a host or port that is none.
    """
    found = _REMOTE.fullmatch(name)
    if found is None or any(ord(letter) <= 32 or ord(letter) == 127 for letter in name):
        raise UsageError("The suspect's name is no URI of a protocol.", _EXAMPLE)
    scheme, rest = found.groups()
    try:
        parts = urlsplit(rest)
        host, _port = parts.hostname, parts.port
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True) if parts.query else []
    except ValueError as error:
        raise UsageError("The suspect's URI has no valid host, port or query.", _EXAMPLE) from error
    if not host:
        raise UsageError("The suspect's URI names no host.", _EXAMPLE)
    if "@" in parts.netloc:
        raise UsageError(
            "The suspect's URI holds a user name or a password, which would be recorded.",
            "Put the secret into a variable and name it with --api-key-env.",
        )
    options = dict(pairs)
    if len(options) != len(pairs):
        raise UsageError("The suspect's URI names an option twice.", "Name each option once.")
    url = urlunsplit((parts.scheme, parts.netloc.lower(), parts.path.rstrip("/"), "", ""))
    return SuspectUri(scheme, url, unquote(parts.fragment) or None, options)


def described_file(name: str) -> Path:
    """Returns the file that `json:FILE` names."""
    return Path(name.removeprefix("json:"))


def identify(name: str, url: str, model: str | None, adapter: Adapter) -> Identity:
    """Returns the identity of an end point as it is asked through an adapter.

    Args:
        name: the URI, without secrets.
        url: base URL.
    """
    described = {"scheme": adapter.scheme, "url": url, "model": model, "options": dict(adapter.options)}
    facts = {"protocol": adapter.scheme, "url": url}
    facts |= {"model asked for": model} if model else {}
    facts |= {f"option {key}": value for key, value in sorted(adapter.options.items())}
    facts = {key: printable(value, 1000) for key, value in facts.items()}
    return Identity(adapter.scheme, printable(name, 1000), sha256(canonical_json(described)), facts)
