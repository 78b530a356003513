"""Keeping secrets out of what is recorded: the API key wherever it turns up, and headers that carry credentials.

A secret is replaced where it stands plainly or in a usual encoding. Data that hold it, or the half of it, in a form
that cannot be replaced are not recorded at all. A server that means to smuggle it out finds other ways.
"""

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, unquote_to_bytes

from forensics.errors import UsageError

REDACTED = "[redacted]"
SECRET_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "www-authenticate", "cookie", "set-cookie", "set-cookie2", "x-api-key"}
    | {"api-key", "apikey", "x-goog-api-key", "ocp-apim-subscription-key", "x-amz-security-token", "x-auth-token"}
)
_SHORTEST = 6
_BLOCK, _TELLING, _ROUNDS = 8, 4, 3

# What numbers consist of, and in what base64's two alphabets differ: without it bodies are short and quickly searched.
_DULL = b"0123456789.,-+/_=[] \t\r\n\0"
_LOWER = bytes(range(256)).lower()
_BLANK = b" \t\r\n\0"
_ESCAPES = re.compile(rb"\\u00([0-9a-fA-F]{2})|\\([^u])")
_BREAKS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}


class Redactor:
    """Replaces a secret, in the forms in which a server may echo it."""

    def __init__(self, secret: str | None, carried: Iterable[str] = ()) -> None:
        """Prepares for a secret.

        Args:
            secret: the API key, or None.
            carried: values of the headers that carry it.

        Raises:
            UsageError: the key is too short to be told from other text, or cannot stand in a header.
        """
        if secret is not None and (
            len(secret) < _SHORTEST or not secret.isascii() or not secret.isprintable() or " " in secret
        ):
            raise UsageError(
                f"The API key is no key: it has fewer than {_SHORTEST} characters, or others than ASCII.",
                "Check the variable that holds it.",
            )
        forms: set[bytes] = set()
        for text in {secret, *carried} if secret is not None else ():
            if text is not None:
                forms |= _forms(text)
        self._forms = sorted(forms, key=lambda form: (-len(form), form))
        self._windows: list[bytes] = []
        self._blocks: list[bytes] = []
        self._telling: list[bytes] = []
        self._short: list[bytes] = []
        if secret is not None:
            self._look_for(secret.encode())
        self.reach = 8 * max((len(form) for form in forms), default=0)
        """No form of the secret is longer than so many bytes."""

    def _look_for(self, raw: bytes) -> None:
        """Collects the runs of the secret that give it away, and the blocks of which each of them holds one."""
        plain, most = raw.lower(), max(_BLOCK, len(raw) // 2)
        # Of hexadecimal nothing less than the whole is looked for: its pieces are too much like numbers.
        texts = [(plain, min(most, len(plain))), (raw.hex().encode(), 2 * len(raw))]
        for core in _cores(raw):
            text = core.lower().translate(None, b"+/-_")
            texts.append((text, min(most * 4 // 3, len(text))))
        windows: set[bytes] = set()
        blocks: set[bytes] = set()
        for text, run in texts:
            windows |= {text[start : start + run] for start in range(len(text) - run + 1)}
            size = min(_BLOCK, (run + 1) // 2) if run < len(text) else run
            blocks |= {text[start : start + size] for start in range(0, len(text) - size + 1, size)}
        self._windows, self._blocks = sorted(windows), sorted(blocks)
        for block in self._blocks:
            letters = block.translate(None, _DULL)
            if len(letters) >= _TELLING:
                self._telling.append(letters)
            else:
                self._short.append(block)

    def clean(self, data: bytes) -> tuple[bytes, bool]:
        """Returns bytes without the secret, and whether it was there; no bytes where it cannot be taken out."""
        if not self._forms or not self._is_suspicious(data):
            return data, False
        found = False
        for form in self._forms:
            if form in data:
                data, found = data.replace(form, REDACTED.encode()), True
        for view in _views(data):
            # Of base64 the alphabets are made one by leaving out in what they differ; the secret itself is not cut.
            for text in (view, view.translate(None, b"+/-_")):
                if any(block in text for block in self._blocks) and any(run in text for run in self._windows):
                    return b"", True
        return data, found

    def clean_text(self, text: str) -> str:
        """Returns a text without the secret."""
        clean, found = self.clean(text.encode("utf-8", "replace"))
        return REDACTED if found and not clean else clean.decode("utf-8", "replace")

    def clean_headers(self, headers: Iterable[tuple[bytes, bytes]]) -> list[list[str]]:
        """Returns header fields as text, in order, names in lower case, secret values replaced."""
        fields: list[list[str]] = []
        for name, value in headers:
            key = self.clean_text(name.decode("latin-1")).lower()
            shown = self.clean_text(value.decode("latin-1"))
            fields.append([key, REDACTED if key in SECRET_HEADERS else shown])
        return fields

    def _is_suspicious(self, data: bytes) -> bool:
        """Whether data may hold the secret in any form that is looked for; quick, and seldom true of answers."""
        rest = data.translate(_LOWER, _DULL)
        if b"\\" in rest or b"%" in rest or b"&" in rest or any(text in rest for text in self._telling):
            return True
        if not self._short:
            return False
        lower = data.lower()
        return any(block in lower for block in self._short)


def _forms(text: str) -> set[bytes]:
    raw = text.encode("utf-8")
    quoted = json.dumps(text)[1:-1]
    percent = quote(text, safe="")
    forms = {
        *(raw, raw.lower(), raw.upper(), raw.rstrip(b"=")),
        *(quoted.encode(), quoted.replace("/", "\\/").encode(), html.escape(text).encode()),
        *(percent.encode(), re.sub("%..", lambda found: found[0].lower(), percent).encode()),
        *(raw.hex().encode(), raw.hex().upper().encode()),
        *(base64.b64encode(raw), base64.urlsafe_b64encode(raw), base64.b64encode(raw).rstrip(b"=")),
        *_cores(raw),
    }
    return {form for form in forms if len(form) >= _SHORTEST - 1}


def _cores(raw: bytes) -> set[bytes]:
    """The base64 that a text gives within a longer one, wherever it begins: the letters that depend on it alone."""
    cores: set[bytes] = set()
    for before in range(3):
        code = base64.b64encode(b"\0" * before + raw)
        core = code[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
        cores |= {core, core.translate(bytes.maketrans(b"+/", b"-_"))}
    return {core for core in cores if len(core) >= _SHORTEST}


def _views(data: bytes) -> Iterator[bytes]:
    """What data say once escapes are undone, one time after the other; in lower case, without blanks."""
    for _ in range(_ROUNDS + 1):
        yield data.translate(_LOWER, _BLANK)
        plain = data
        if b"\\" in plain:
            plain = _ESCAPES.sub(_unescape, plain)
        if b"%" in plain:
            plain = unquote_to_bytes(plain)
        if b"&" in plain:
            plain = html.unescape(plain.decode("latin-1")).encode("latin-1", "replace")
        if plain == data:
            return
        data = plain


def _unescape(found: re.Match[bytes]) -> bytes:
    if found[1] is not None:
        return bytes.fromhex(found[1].decode())
    return _BREAKS.get(found[2], found[2])
