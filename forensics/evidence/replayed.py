"""A suspect that is the record of another case: it is one that was known by its files or by its address."""

from collections.abc import Iterator

from forensics.canonical import canonical_json, sha256
from forensics.evidence.consistency import Parts
from forensics.evidence.models import FILE_KINDS, manifest_digest
from forensics.evidence.schema import IdentityRecord

_OPTION = "option "


def find_odd_replay(parts: Parts) -> Iterator[str]:
    """Yields a sentence where a replayed suspect's digest is neither that of its files nor that of its address."""
    suspect = parts.evidence.suspect
    if suspect.kind != "replay":
        return
    by_address = suspect.facts.get("replayed from", "folder") not in FILE_KINDS and not suspect.files
    if (_address_digest(suspect) if by_address else manifest_digest(suspect)) != suspect.digest:
        yield "The digest of the replayed suspect is neither that of a list of files nor that of an address."


def _address_digest(identity: IdentityRecord) -> str:
    """Returns the digest of a suspect behind an API, as it follows from the facts that are recorded of it."""
    facts = identity.facts
    options = {name.removeprefix(_OPTION): text for name, text in facts.items() if name.startswith(_OPTION)}
    described = {
        "scheme": facts.get("protocol"),
        "url": facts.get("url"),
        "model": facts.get("model asked for"),
        "options": options,
    }
    return sha256(canonical_json(described))
