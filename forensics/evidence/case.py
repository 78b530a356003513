"""The case folder: written whole, replaced whole, never changed once it is sealed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from forensics.canonical import canonical_json, sha256
from forensics.errors import CaseError
from forensics.evidence.bag import MANIFEST, SIGNATURE, find_damage, is_payload, render_bag
from forensics.evidence.custody import (
    CUSTODY,
    EVIDENCE,
    EntrySigner,
    entry_lines,
    is_sealed,
    record_custody,
    signature_name,
    signed_entries,
)
from forensics.evidence.custody import EXHIBITS as EXHIBITS
from forensics.evidence.instructions import render_instructions
from forensics.evidence.recompute import render_recompute
from forensics.evidence.schema import Evidence, OpenedShare
from forensics.evidence.storage import create_folder, is_plain_name, read_folder, recover_folder, replace_folder
from forensics.records import Pool

TRANSCRIPT = "data/transcript.jsonl"
TRANSCRIPT_TOKEN = "data/transcript.tst"  # noqa: S105 - a file name
CLAIM = "data/claim/claim.json"
TOKENS = ("data/claim/claim.tst", "data/claim/claim.2.tst")
ASSET = "data/claim/asset.json"
ASSET_TOKEN = "data/claim/asset.tst"  # noqa: S105 - a file name
INSTRUCTIONS = "data/VERIFY.txt"
RECOMPUTE = "data/recompute.py"

SUFFIXES = {"image/png": "png", "text/plain": "txt"}
"""File name endings of probes and pool items by media type."""


@dataclass(frozen=True)
class CaseFolder:
    """A case as it lies on disk, intact when it was loaded.

    Attributes:
        path: the folder.
        content: every file by relative path, tag files included.
        evidence: the parsed `data/evidence.json`.
    """

    path: Path
    content: Mapping[str, bytes]
    evidence: Evidence

    @classmethod
    def load(cls, path: Path) -> "CaseFolder":
        """Reads a case, after finishing or rolling back a replacement that was interrupted.

        Raises:
            CaseError: there is no case, or a file does not have the digest that the manifests give.
        """
        recover_folder(path)
        if not path.is_dir():
            raise CaseError(f"There is no case at {path}.", "Check the name.")
        files = read_folder(path)
        damage = find_damage(files)
        if damage:
            raise CaseError(
                f"The case is damaged: {damage[0]}", "Restore it from a copy; `forensics check` shows more."
            )
        if EVIDENCE not in files:
            raise CaseError(f"{path} is no case: it has no evidence.json.", "Check the name.")
        return cls(path, files, Evidence.parse(files[EVIDENCE]))

    def files(self) -> dict[str, bytes]:
        """Returns a copy of the payload: content by path below `data/`, without tag files and signature."""
        return {name: content for name, content in self.content.items() if is_payload(name)}

    @property
    def opened(self) -> bool:
        """Whether a share is disclosed in the case."""
        return self.evidence.share is not None

    @property
    def closed(self) -> bool:
        """Whether the case was sealed: nothing in it may change any more."""
        return SIGNATURE in self.content or is_sealed(self.content.get(CUSTODY, b""))

    @property
    def manifest_sha256(self) -> str:
        """SHA-256 of the manifest, the number that a report prints."""
        return sha256(self.content[MANIFEST])


def compose_case(
    evidence: Evidence,
    files: Mapping[str, bytes],
    *,
    actor: str,
    action: str,
    moment: datetime,
    item: str = EVIDENCE,
    signer: EntrySigner | None = None,
    stamped_by: str | None = None,
) -> dict[str, bytes]:
    """Returns the payload of a case after an action, with its custody entry.

    Args:
        evidence: what `evidence.json` shall hold.
        files: the rest of the payload: a case's `files()`, or transcript and claim of a new one; with a share
            opened, `opened_files` too.
        actor: who acts, as they wish to be named.
        action: one of `custody.ACTIONS`.
        moment: when, UTC-aware.
        item: the file that the entry is about.
        signer: signs the entry; an entry may be left unsigned.
        stamped_by: of a seal; see `custody.record_custody`.
    """
    payload = {name: content for name, content in files.items() if is_payload(name)}
    payload[EVIDENCE] = evidence.core
    if evidence.share is not None:
        payload[share_folder(evidence.share.index) + "share.json"] = encode_share(evidence.share)
        payload[RECOMPUTE] = render_recompute(str(evidence.claim.get("method")))
    signed = signer is not None or bool(signed_entries(payload.get(CUSTODY, b"")))
    payload[INSTRUCTIONS] = render_instructions(evidence, signed_entries=signed)
    named = signer.fingerprint if signer is not None else None
    stamps = signer.introduce() if signer is not None else stamped_by
    log = record_custody(payload, actor=actor, action=action, item=item, moment=moment, signer=named, stamped_by=stamps)
    payload[CUSTODY] = log
    if signer is not None and stamps is not None:
        lines = entry_lines(log)
        payload[signature_name(len(lines) - 1)] = signer.sign(lines[-1], stamps)
    return payload


def write_case(path: Path, files: Mapping[str, bytes]) -> CaseFolder:
    """Writes a new case, atomically.

    Args:
        path: where it shall appear.
        files: the payload by path below `data/`.

    Raises:
        CaseError: something of that name exists, or the payload makes no case.
        StorageError: the disk is full or the place cannot be written.
    """
    evidence = _evidence(files)
    content = render_bag(files, evidence)
    create_folder(path, content)
    return CaseFolder(path, content, evidence)


def replace_case(path: Path, files: Mapping[str, bytes], *, signature: bytes | None = None) -> CaseFolder:
    """Replaces a case by a new state of it, atomically.

    Args:
        path: the case.
        files: the payload by path below `data/`.
        signature: CMS over the new tag manifest, when the case is being sealed.

    Raises:
        CaseError: there is no intact case, or it is closed, or the payload makes no case.
        StorageError: the disk is full or the place cannot be written; the case is unchanged.
    """
    if CaseFolder.load(path).closed:
        raise sealed_error(path)
    evidence = _evidence(files)
    content = render_bag(files, evidence)
    if signature is not None:
        content[SIGNATURE] = signature
    replace_folder(path, content)
    return CaseFolder(path, content, evidence)


def sealed_error(path: Path) -> CaseError:
    """Returns the error to raise where a sealed case would have to change."""
    return CaseError(
        f"{path} is sealed and cannot be changed.",
        "Make a new case that supersedes it: forensics case supersede CASE --case NEW --reason WHY.",
    )


def add_exhibit(
    path: Path, name: str, content: bytes, *, actor: str, moment: datetime, signer: EntrySigner | None = None
) -> CaseFolder:
    """Adds a file below `data/exhibits/` of a case that is not sealed.

    Args:
        path: the case.
        name: of the exhibit.
        content: its bytes.
        actor: who adds it, as they wish to be named.
        moment: when, UTC-aware.
        signer: signs the custody entry.

    Raises:
        CaseError: the name is odd or taken, or the case is closed.
        AuthorityError: the signer's timestamp authority failed; the case is unchanged.
    """
    case = CaseFolder.load(path)
    if case.closed:
        raise sealed_error(path)
    item = EXHIBITS + name
    if "/" in name or not is_plain_name(name):
        raise CaseError(f"An exhibit may not be named {name!a}.", "Use letters, digits, dots, dashes, underscores.")
    if item in case.content:
        raise CaseError(f"The case has an exhibit {name} already.", "Choose another name.")
    files = {**case.files(), item: content}
    payload = compose_case(case.evidence, files, actor=actor, action="add", moment=moment, item=item, signer=signer)
    return replace_case(path, payload)


def claim_files(
    claim: bytes, tokens: tuple[bytes, ...], asset: bytes | None = None, asset_token: bytes | None = None
) -> dict[str, bytes]:
    """Returns the public part of a key as files of a case.

    Args:
        claim: `claim.json`, canonical.
        tokens: timestamp tokens over it, DER, in the claim's order; at most two.
        asset: `asset.json` of the marked model, and its token.
    """
    files = {CLAIM: claim, **dict(zip(TOKENS, tokens))}
    if asset is not None:
        files[ASSET] = asset
    if asset_token is not None:
        files[ASSET_TOKEN] = asset_token
    return files


def share_folder(index: int) -> str:
    """Returns the path of an opened share's folder, with a trailing slash."""
    return f"data/opened/share-{index}/"


def encode_share(share: OpenedShare) -> bytes:
    """Returns the content of `share.json`: the same record as in `evidence.json`."""
    return canonical_json(share.model_dump(mode="json"))


def opened_files(index: int, pool: Pool) -> dict[str, bytes]:
    """Returns the pool of an opened share as files: `pool/0000.png` and so on, in pool order."""
    folder = share_folder(index)
    return {
        f"{folder}pool/{position:04d}.{SUFFIXES[item.media_type]}": item.data
        for position, item in enumerate(pool.items)
    }


def _evidence(files: Mapping[str, bytes]) -> Evidence:
    missing = [name for name in (EVIDENCE, TRANSCRIPT, CUSTODY, CLAIM) if name not in files]
    if missing:
        raise CaseError(f"A case needs {missing[0]}.", "Compose the payload before writing it.")
    return Evidence.parse(files[EVIDENCE])
