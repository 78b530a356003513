"""Keeping secrets out of what is recorded: the API key wherever it turns up, and headers that carry credentials."""

import base64
import json
from collections.abc import Iterable
from urllib.parse import quote

from forensics.errors import UsageError

REDACTED = "[redacted]"
SECRET_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "www-authenticate", "cookie", "set-cookie", "set-cookie2", "x-api-key"}
    | {"api-key", "apikey", "x-goog-api-key", "ocp-apim-subscription-key", "x-amz-security-token", "x-auth-token"}
)
_SHORTEST = 6


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

    def clean(self, data: bytes) -> tuple[bytes, bool]:
        """Returns bytes without the secret, and whether it was there."""
        found = False
        for form in self._forms:
            if form in data:
                data, found = data.replace(form, REDACTED.encode()), True
        return data, found

    def clean_text(self, text: str) -> str:
        """Returns a text without the secret."""
        return self.clean(text.encode("utf-8", "replace"))[0].decode("utf-8", "replace")

    def clean_headers(self, headers: Iterable[tuple[bytes, bytes]]) -> list[list[str]]:
        """Returns header fields as text, in order, names in lower case, secret values replaced."""
        fields: list[list[str]] = []
        for name, value in headers:
            key = self.clean(name)[0].decode("latin-1").lower()
            shown, _ = self.clean(value)
            fields.append([key, REDACTED if key in SECRET_HEADERS else shown.decode("latin-1")])
        return fields


def _forms(text: str) -> set[bytes]:
    raw = text.encode("utf-8")
    quoted = json.dumps(text)[1:-1]
    forms = {
        raw,
        quoted.encode(),
        quoted.replace("/", "\\/").encode(),
        quote(text, safe="").encode(),
        raw.hex().encode(),
    }
    forms |= {base64.b64encode(raw), base64.urlsafe_b64encode(raw), base64.b64encode(raw).rstrip(b"=")}
    return forms
