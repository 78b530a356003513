"""A sealed case is never changed: a new one may supersede it, which names it, says why, and goes on from it.

The new case keeps the old one's evidence, manifests and seal, so that it shows by itself what the old one held, who
sealed it, that its own custody log continues the old one's, and that nothing that was found is told otherwise.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from forensics.canonical import canonical_json, parse_json, sha256, utc
from forensics.errors import CaseError, CheckFailed, UsageError
from forensics.evidence.bag import MANIFEST, SIGNATURE, TAGMANIFEST, manifest_entries
from forensics.evidence.case import INSTRUCTIONS, RECOMPUTE, CaseFolder, compose_case, write_case
from forensics.evidence.certificates import is_demonstration, subject_name
from forensics.evidence.chain import verify_chain
from forensics.evidence.custody import CUSTODY, EVIDENCE, SUPERSEDE, EntrySigner, entry_lines
from forensics.evidence.entries import is_stamped_as_named
from forensics.evidence.schema import Evidence
from forensics.keys.claim import Frozen, Hex
from forensics.keys.cms import read_cms
from forensics.keys.signed import SignedData
from forensics.plaintext import printable

LONGEST_REASON = 1000
_RECORD, _EVIDENCE = "record.json", "evidence.json"
_KEPT = {MANIFEST: MANIFEST, TAGMANIFEST: TAGMANIFEST, SIGNATURE: SIGNATURE, _EVIDENCE: EVIDENCE}
"""Where each file that is kept of the old case lay there, by its name in the new one's folder."""

_MAY_CHANGE = frozenset({EVIDENCE, CUSTODY, INSTRUCTIONS, RECOMPUTE})
"""Files that later work in the new case writes anew; everything else that the old case held stays as it was."""


class SupersedesRecord(Frozen):
    """`record.json`: which sealed case is superseded, by the SHA-256 of its manifest, and why."""

    format: Literal["forensics-supersedes/1"] = "forensics-supersedes/1"
    manifest_sha256: str = Hex
    reason: str

    @property
    def core(self) -> bytes:
        """The canonical bytes."""
        return canonical_json(self.model_dump(mode="json"))


@dataclass(frozen=True)
class Superseded:
    """A sealed case that a later one names; everything in it is verified but the trust in its signer.

    Attributes:
        number: which of those that are named, from 0, the earliest first.
        record: what the new case says of it.
        sealed: when its custody log says that it was sealed.
        superseded: when the new case was made from it.
        seal: the signature over its tag manifest.
        signature: the bytes of that signature.
        evidence: what it held.
    """

    number: int
    record: SupersedesRecord
    sealed: str
    superseded: str
    seal: SignedData
    signature: bytes
    evidence: Evidence

    @property
    def sentence(self) -> str:
        """What a check remarks."""
        return (
            f"This case supersedes a sealed one (manifest {self.record.manifest_sha256}), sealed {self.sealed} by "
            f"{subject_name(self.seal.signer)}, because: {self.record.reason}"
        )

    @property
    def row(self) -> dict[str, Any]:
        """What a check tells of it; JSON values."""
        stamp = self.seal.timestamp
        return {
            **self.record.model_dump(mode="json"),
            "sealed": self.sealed,
            "superseded": self.superseded,
            "sealed_by": subject_name(self.seal.signer),
            "fingerprint": self.seal.fingerprint,
            "demonstration": is_demonstration(self.seal.signer),
            "timestamp": utc(stamp.gen_time) if stamp is not None else None,
        }


def supersede_case(
    old: Path, new: Path, *, reason: str, actor: str, moment: datetime, signer: EntrySigner | None = None
) -> CaseFolder:
    """Makes a new, unsealed case from a sealed one, which stays as it is.

    Args:
        old: the sealed case.
        new: where the new one shall appear.
        reason: why, in a sentence.
        actor: who acts, as they wish to be named.
        moment: when, UTC-aware.
        signer: signs the custody entry.

    Raises:
        UsageError: no reason is given.
        CaseError: the old case is not intact or not sealed, or the new one exists or would lie inside the old one.
        CheckFailed: the old case's seal does not verify.
        AuthorityError: the signer's timestamp authority failed; nothing is written.
        StorageError: the disk is full or the place cannot be written.
    """
    why = printable(reason, LONGEST_REASON).strip()
    if not why:
        raise UsageError("It is not said why the case is superseded.", "Give --reason in a sentence.")
    case = CaseFolder.load(old)
    if not case.closed:
        raise CaseError(f"{old} is not sealed, so nothing need supersede it.", "Change it with `forensics case add`.")
    if SIGNATURE not in case.content:
        raise CaseError(f"The signature of {old} is missing.", "Ask for the case as it was sealed.")
    if new.resolve().is_relative_to(old.resolve()):
        raise CaseError(f"{new} lies inside the sealed case.", "Choose another --case.")
    _read_seal(case.content)
    record = SupersedesRecord(manifest_sha256=case.manifest_sha256, reason=why)
    place = _folder(sum(entry["action"] == SUPERSEDE for entry in verify_chain(case.content[CUSTODY])))
    kept = {place + name: case.content[source] for name, source in _KEPT.items()}
    files = {**case.files(), **kept, place + _RECORD: record.core}
    payload = compose_case(
        case.evidence, files, actor=actor, action=SUPERSEDE, moment=moment, item=place + _RECORD, signer=signer
    )
    return write_case(new, payload)


def superseded_files(log: bytes) -> set[str]:
    """Returns the paths that a custody log's supersessions call for.

    Raises:
        CheckFailed: the log is not as it was written.
    """
    count = sum(entry.get("action") == SUPERSEDE for entry in verify_chain(log))
    return {_folder(place) + name for place in range(count) for name in (*_KEPT, _RECORD)}


def read_superseded(files: Mapping[str, bytes]) -> tuple[Superseded, ...]:
    """Reads and verifies what a case says of those that it supersedes, the earliest first.

    Raises:
        CheckFailed: a record, manifest or seal is not right, the custody log does not continue the old one's, or a
            file of the old case is missing or was changed.
        CaseError: the evidence of an old case cannot be read.
        KeyError: a file is missing.
    """
    log = files[CUSTODY]
    return tuple(_read_all(files, verify_chain(log), entry_lines(log)))


def find_differences(found: tuple[Superseded, ...], old: CaseFolder) -> Iterator[str]:
    """Compares a sealed case with those that a new one names; yields a sentence where it is none of them.

    Args:
        found: from `read_superseded`.
        old: the case that is said to be superseded.
    """
    match = next((each for each in found if each.record.manifest_sha256 == old.manifest_sha256), None)
    if match is None:
        named = ", ".join(each.record.manifest_sha256[:16] for each in found) or "none"
        yield f"The case given as superseded (manifest {old.manifest_sha256[:16]}) is not one that is named: {named}."
    elif old.content.get(SIGNATURE) != match.signature:
        yield "The case given as superseded bears another seal than the one that is kept here."


def _read_all(
    files: Mapping[str, bytes], entries: tuple[dict[str, Any], ...], lines: list[bytes]
) -> Iterator[Superseded]:
    places = [seq for seq, entry in enumerate(entries) if entry.get("action") == SUPERSEDE]
    for number, seq in enumerate(places):
        place = _folder(number)
        if entries[seq]["item"] != place + _RECORD:
            raise _wrong(number, "its custody entry is about another file")
        record, kept = _parse_record(files[place + _RECORD]), {name: files[place + name] for name in _KEPT}
        listed, tags = manifest_entries(kept[MANIFEST]), manifest_entries(kept[TAGMANIFEST])
        if listed is None or tags is None or sha256(kept[MANIFEST]) != record.manifest_sha256:
            raise _wrong(number, "its manifest is not the one that is named")
        if tags.get(MANIFEST) != record.manifest_sha256:
            raise _wrong(number, "its seal is over another manifest")
        if seq == 0 or listed.get(CUSTODY) != sha256(b"".join(lines[:seq])):
            raise _wrong(number, "the custody log does not continue the one that was sealed")
        if listed.get(EVIDENCE) != sha256(kept[_EVIDENCE]):
            raise _wrong(number, "its evidence is not the one that was sealed")
        for name, digest in listed.items():
            if name not in files:
                raise _wrong(number, f"{name} is no longer there")
            if name not in _MAY_CHANGE and sha256(files[name]) != digest:
                raise _wrong(number, f"{name} is not as it was sealed")
        seal = _read_seal(kept)
        if not is_stamped_as_named(entries[seq - 1], seal):
            raise _wrong(number, "its seal has not the timestamp that the custody log names")
        moments, evidence = (entries[seq - 1]["utc"], entries[seq]["utc"]), Evidence.parse(kept[_EVIDENCE])
        yield Superseded(number, record, *moments, seal, kept[SIGNATURE], evidence)


def _read_seal(content: Mapping[str, bytes]) -> SignedData:
    tagmanifest = content[TAGMANIFEST]
    return read_cms(content[SIGNATURE], detached_digest=lambda name: hashlib.new(name, tagmanifest).digest())


def _parse_record(raw: bytes) -> SupersedesRecord:
    try:
        record = SupersedesRecord.model_validate(parse_json(raw))
    except (ValueError, RecursionError) as error:
        raise CheckFailed("The record of a superseded case cannot be read.", "Ask for the case as written.") from error
    if record.core != raw:
        raise CheckFailed("The record of a superseded case is not in canonical form.", "Ask for the case as written.")
    return record


def _folder(number: int) -> str:
    return f"data/supersedes/{number}/"


def _wrong(number: int, detail: str) -> CheckFailed:
    return CheckFailed(f"Superseded case {number + 1}: {detail}.", "Ask for the case as it was written.")
