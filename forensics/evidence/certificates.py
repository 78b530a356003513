"""Certificates as people name them: roots to trust, fingerprints to expect, and who a subject is."""

import re
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from forensics.errors import UsageError
from forensics.keys.timestamp import DEMONSTRATION

LARGEST = 1 << 20
"""Largest file of keys or certificates that is read, in bytes."""

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


def read_certificates(path: Path) -> list[x509.Certificate]:
    """Reads one certificate in DER form, or any number in PEM form.

    Raises:
        UsageError: the file cannot be read or holds none.
    """
    raw = read_small(path)
    try:
        if b"-----BEGIN" in raw:
            return x509.load_pem_x509_certificates(raw)
        return [x509.load_der_x509_certificate(raw)]
    except ValueError as error:
        raise UsageError(f"{path.name} holds no certificate.", "Give a certificate in PEM or DER form.") from error


def read_small(path: Path) -> bytes:
    """Reads a file of at most `LARGEST` bytes.

    Raises:
        UsageError: it cannot be read, or is larger.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.", "Check the name and the permissions.") from error
    if len(raw) > LARGEST:
        raise UsageError(f"{path} is too large for a key or certificate.", "Name the right file.")
    return raw


def parse_fingerprint(text: str) -> str:
    """Returns a SHA-256 fingerprint as 64 hexadecimal digits; colons, spaces and upper case are understood.

    Raises:
        UsageError: it is none.
    """
    digits = re.sub(r"[:\s]", "", text).lower()
    if not _FINGERPRINT.fullmatch(digits):
        raise UsageError("The expected fingerprint is no SHA-256 in hexadecimal digits.", "Give 64 digits.")
    return digits


def is_demonstration(certificate: x509.Certificate) -> bool:
    """Tells whether a certificate identifies nobody: made by the tool itself, or self-signed."""
    organisations = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    ours = any(str(name.value).casefold() == DEMONSTRATION for name in organisations)
    return ours or certificate.issuer == certificate.subject


def subject_name(certificate: x509.Certificate) -> str:
    """Returns a certificate's subject in one printable line (RFC 4514)."""
    return printable(certificate.subject.rfc4514_string())


def printable(text: str, longest: int = 400) -> str:
    """Returns text of unknown origin with everything that a terminal might obey replaced, and cut to a length."""
    shown = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text[: longest + 1])
    return shown if len(shown) <= longest else shown[: longest - 1] + "\N{HORIZONTAL ELLIPSIS}"
