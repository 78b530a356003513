"""The custody log of a case: who did what to which item, when, with which tool, in a hash chain."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from forensics import __version__
from forensics.canonical import sha256
from forensics.errors import CheckFailed
from forensics.evidence.chain import append, verify_chain

CUSTODY = "data/custody.jsonl"
EVIDENCE = "data/evidence.json"
PAYLOAD = "data"
"""Item of a `seal` entry: every payload file but the log itself."""

ACTIONS = ("acquire", "score", "open", "add", "seal")

TOOL = f"model-forensics {__version__}"

_FIELDS = frozenset({"seq", "utc", "actor", "action", "item", "sha256", "tool", "prev"})


def record_custody(files: Mapping[str, bytes], *, actor: str, action: str, item: str, moment: datetime) -> bytes:
    """Returns the case's custody log with one more entry.

    Args:
        files: the case's payload by path, already as it is after the action; the log in it may be absent.
        actor: who acted, as they wish to be named.
        action: one of `ACTIONS`.
        item: path of the file concerned (`data/evidence.json` for acquire, score and open), `data` for seal.
        moment: when, UTC-aware.
    """
    if action not in ACTIONS:
        raise ValueError(f"unknown custody action {action!r}")
    digest = payload_digest(files) if item == PAYLOAD else sha256(files[item])
    body = {"actor": actor, "action": action, "item": item, "sha256": digest, "tool": TOOL}
    return append(files.get(CUSTODY, b""), body, moment)


def payload_digest(files: Mapping[str, bytes]) -> str:
    """Returns the SHA-256 of the lines `sha256  path` of every payload file but the custody log, by path."""
    names = sorted(name for name in files if name.startswith("data/") and name != CUSTODY)
    return sha256("".join(f"{sha256(files[name])}  {name}\n" for name in names).encode())


def verify_custody(files: Mapping[str, bytes]) -> tuple[dict[str, Any], ...]:
    """Reads the custody log and checks it against the files it speaks of.

    Returns:
        The entries in order.

    Raises:
        CheckFailed: the chain breaks, an entry is malformed, it starts with something else than an acquisition,
            or the last entry about a file gives another digest than the file has.
    """
    entries = verify_chain(files[CUSTODY])
    latest: dict[str, str] = {}
    for entry in entries:
        if entry.keys() != _FIELDS or entry["action"] not in ACTIONS or not _are_strings(entry):
            raise CheckFailed(f"Entry {entry['seq'] + 1} of the custody log is not one.", "Ask for the log as written.")
        latest[entry["item"]] = entry["sha256"]
    if not entries or entries[0]["action"] != "acquire":
        raise CheckFailed("The custody log does not begin with an acquisition.", "Ask for the complete log.")
    if any(entry["action"] == "seal" for entry in entries[:-1]):
        raise CheckFailed("The custody log goes on after the case was sealed.", "Ask for the case as it was sealed.")
    for item, digest in latest.items():
        found = payload_digest(files) if item == PAYLOAD else sha256(files[item]) if item in files else None
        if found != digest:
            raise CheckFailed(
                f"The custody log's last entry about {item} does not describe the file in the case.",
                "Something was changed without an entry.",
            )
    if EVIDENCE not in latest:
        raise CheckFailed("The custody log never mentions evidence.json.", "Ask for the complete log.")
    return entries


def is_sealed(raw: bytes) -> bool:
    """Tells whether a custody log's last entry is a seal; False for anything unreadable."""
    try:
        entries = verify_chain(raw)
    except CheckFailed:
        return False
    return bool(entries) and entries[-1].get("action") == "seal"


def _are_strings(entry: Mapping[str, Any]) -> bool:
    return all(isinstance(value, str) for name, value in entry.items() if name != "seq")
