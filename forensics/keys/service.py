"""The record of a service that carries a key's mark; it dates the release of what was marked."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from forensics.canonical import canonical_json, now, sha256
from forensics.keys.asset import Asset
from forensics.keys.folder import KeyFolder
from forensics.keys.timestamp import TimestampAuthority


def record_service(
    path: Path, description: Mapping[str, str], authority: TimestampAuthority | None, *, moment: datetime | None = None
) -> Asset:
    """Records the service that carries a key's mark, once; the same service again changes nothing.

    Its digest takes the place of a marked model's: it dates the release of what was marked.

    Args:
        path: of the key folder; no passphrase is needed.
        description: what the service is, such as upstream, model and options: strings, no secret among them.
        authority: dates the record; None for none.

    Raises:
        KeyFolderError: another service is recorded.
        AuthorityError: the authority failed; nothing is recorded.
    """
    return KeyFolder.open(path).record_asset(service_digest(description), moment or now(), authority)


def service_digest(description: Mapping[str, str]) -> str:
    """Returns the SHA-256 of a service's canonical description."""
    return sha256(canonical_json({"kind": "service", "description": dict(description)}))
