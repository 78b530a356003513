"""Loading a signer as the command line names it."""

import os
from pathlib import Path
from typing import Any

from forensics.cli.common import SIGNER_PASSPHRASE, read_passphrase
from forensics.evidence.signer import load_signer


def open_signer(path: Path, passphrase_file: Path | None, certificate: Path | None = None) -> Any:
    """Returns a loaded signer; a PEM key that is not encrypted needs no passphrase.

    Raises:
        UsageError: the file, the passphrase or the certificate is not right.
    """
    plain = path.is_file() and b"PRIVATE KEY-----" in path.read_bytes()[:4096]
    encrypted = plain and b"ENCRYPTED" in path.read_bytes()[:4096]
    if plain and not encrypted and passphrase_file is None and SIGNER_PASSPHRASE not in os.environ:
        return load_signer(path, None, certificate=certificate)
    secret = read_passphrase(passphrase_file, SIGNER_PASSPHRASE, "signer")
    return load_signer(path, secret, certificate=certificate)
