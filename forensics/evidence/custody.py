"""The custody log of a case: who did what to which item, when, with which tool, in a hash chain.

An entry may be signed: it names the SHA-256 of the signer's certificate, and a detached signature over its line lies
beside the log. Its sibling `entries` verifies those signatures.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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

SEAL, SUPERSEDE = "seal", "supersede"
ACTIONS = ("acquire", "score", "open", "add", SEAL, SUPERSEDE)
EXHIBITS = "data/exhibits/"
_ONCE = ("acquire", "score", "open")
"""Actions that write evidence.json, each once and in this order: nothing that was found is found anew."""

TOOL = f"model-forensics {__version__}"

_FIELDS = frozenset({"seq", "utc", "actor", "action", "item", "sha256", "tool", "prev"})
_SIGNER = "signer"
STAMPER, NOBODY = "stamped_by", "nobody"
"""Field of a seal's or a signed entry: SHA-256 of the certificate of who timestamps the signature; nobody may."""

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class EntrySigner:
    """Who signs an entry.

    Attributes:
        fingerprint: SHA-256 of the certificate, 64 hexadecimal digits; the entry names it, so that a signature taken
            away or exchanged is missed.
        introduce: returns the fingerprint of the certificate of who will timestamp the signature, or `NOBODY`.
        sign: returns a detached CAdES signature over some bytes, in DER, which say who timestamps it.
    """

    fingerprint: str
    introduce: Callable[[], str]
    sign: Callable[[bytes, str], bytes]


def record_custody(
    files: Mapping[str, bytes],
    *,
    actor: str,
    action: str,
    item: str,
    moment: datetime,
    signer: str | None = None,
    stamped_by: str | None = None,
) -> bytes:
    """Returns the case's custody log with one more entry.

    Args:
        files: the case's payload by path, already as it is after the action; the log in it may be absent.
        actor: who acted, as they wish to be named.
        action: one of `ACTIONS`.
        item: path of the file concerned: `data/evidence.json` for acquire, score and open, a new exhibit for add,
            `data` for seal.
        moment: when, UTC-aware.
        signer: fingerprint of the certificate whose signature over the entry will lie beside the log.
        stamped_by: of a seal or a signed entry: fingerprint of the certificate of the authority that will timestamp
            the signature, or `NOBODY`, so that a timestamp taken away or exchanged is missed.
    """
    if action not in ACTIONS:
        raise ValueError(f"unknown custody action {action!r}")
    if signer is not None and item == PAYLOAD:
        raise ValueError("an entry about the whole payload cannot be signed beside the log: that is what a seal is for")
    digest = payload_digest(files) if item == PAYLOAD else sha256(files[item])
    body = {"actor": actor, "action": action, "item": item, "sha256": digest, "tool": TOOL}
    named = {name: value for name, value in ((_SIGNER, signer), (STAMPER, stamped_by)) if value is not None}
    return append(files.get(CUSTODY, b""), {**body, **named}, moment)


def entry_lines(raw: bytes) -> list[bytes]:
    """Returns the lines of a log, each with its newline: the bytes that a signature of an entry is over."""
    return [line + b"\n" for line in raw.split(b"\n")[:-1]]


def signature_name(seq: int) -> str:
    """Returns the path of the signature over the entry with this number."""
    return f"data/custody/{seq:04d}.p7s"


def signed_entries(raw: bytes) -> dict[str, str]:
    """Returns the fingerprint of the certificate that each signed entry names, by the path of its signature.

    Raises:
        CheckFailed: the log is not as it was written.
    """
    return {signature_name(entry["seq"]): entry[_SIGNER] for entry in verify_chain(raw) if _SIGNER in entry}


def payload_digest(files: Mapping[str, bytes]) -> str:
    """Returns the SHA-256 of the lines `sha256  path` of every payload file but the custody log, by path."""
    names = sorted(name for name in files if name.startswith("data/") and name != CUSTODY)
    return sha256("".join(f"{sha256(files[name])}  {name}\n" for name in names).encode())


def verify_custody(files: Mapping[str, bytes]) -> tuple[dict[str, Any], ...]:
    """Reads the custody log and checks it against the files it speaks of; signatures are left to `entries`.

    Returns:
        The entries in order.

    Raises:
        CheckFailed: the chain breaks, an entry is malformed, it starts with something else than an acquisition,
            goes on after a seal with something else than a new case, an action is about another file than it may be
            or comes a second time or out of order, or the last entry about a file gives another digest than the file
            has.
    """
    entries = verify_chain(files[CUSTODY])
    latest: dict[str, str] = {}
    steps: list[str] = []
    for before, entry in zip((None, *entries), entries):
        if not _is_entry(entry):
            raise CheckFailed(f"Entry {entry['seq'] + 1} of the custody log is not one.", "Ask for the log as written.")
        sealed = before is not None and before["action"] == SEAL
        if sealed and entry["action"] != SUPERSEDE:
            raise CheckFailed("The custody log goes on after the case was sealed.", "Ask for the case as sealed.")
        if entry["action"] == SUPERSEDE:
            if not sealed:
                raise CheckFailed("The custody log supersedes a case that was not sealed.", "Ask for the complete log.")
            # The old seal was over the old payload; `supersede` compares what is left of it.
            del latest[PAYLOAD]
        _require_place(entry, latest, steps)
        latest[entry["item"]] = entry["sha256"]
    if not entries or entries[0]["action"] != "acquire":
        raise CheckFailed("The custody log does not begin with an acquisition.", "Ask for the complete log.")
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
    return bool(entries) and entries[-1].get("action") == SEAL


def _require_place(entry: Mapping[str, Any], latest: Mapping[str, str], steps: list[str]) -> None:
    """Refuses an entry about a file that its action does not write, or that was written before.

    Args:
        latest: digests by item, of the entries before.
        steps: actions of the entries before that wrote evidence.json; this one is added.
    """
    action, item, number = entry["action"], entry["item"], entry["seq"] + 1
    if (action in _ONCE and item != EVIDENCE) or (action == "add" and not item.startswith(EXHIBITS)):
        raise CheckFailed(
            f"Entry {number} of the custody log ({action}) is about {item}, which this action does not write.",
            "Ask for the log as it was written.",
        )
    if action == "add" and item in latest:
        raise CheckFailed(
            f"Entry {number} of the custody log adds {item} a second time.", "An exhibit is never replaced."
        )
    if action in _ONCE:
        if steps and _ONCE.index(action) <= _ONCE.index(steps[-1]):
            raise CheckFailed(
                f"Entry {number} of the custody log ({action}) comes after '{steps[-1]}': a case is acquired, scored "
                "and opened once, in this order.",
                "Findings were written anew; ask for the case as it was sealed.",
            )
        steps.append(action)


def _is_entry(entry: Mapping[str, Any]) -> bool:
    texts = all(isinstance(value, str) for name, value in entry.items() if name != "seq")
    known = entry.keys() - {_SIGNER, STAMPER} == _FIELDS and texts and entry["action"] in ACTIONS
    if not known or (entry["action"] == SEAL) != (entry["item"] == PAYLOAD):
        return False
    if STAMPER in entry and not _may_be_stamped(entry):
        return False
    return _SIGNER not in entry or (entry["action"] != SEAL and _FINGERPRINT.fullmatch(entry[_SIGNER]) is not None)


def _may_be_stamped(entry: Mapping[str, Any]) -> bool:
    """Whether an entry is signed, or a seal, and names who timestamps the signature in the one accepted form."""
    known = entry[STAMPER] == NOBODY or _FINGERPRINT.fullmatch(entry[STAMPER]) is not None
    return known and (entry["action"] == SEAL or _SIGNER in entry)
