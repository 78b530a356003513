"""The blind examiner's kit: everything needed to ask, nothing that says what would count as a hit."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from forensics.canonical import canonical_json, parse_json, sha256
from forensics.errors import CaseError, KeyFolderError
from forensics.evidence.case import SUFFIXES
from forensics.evidence.storage import create_folder, read_folder, recover_folder
from forensics.keys.claim import Claim, Frozen, Sparse
from forensics.methods import load_method
from forensics.passes import find_fault
from forensics.records import Plan, Probe

FORMAT = "forensics-kit/1"
_CLAIM, _PLAN, _MANIFEST = "claim.json", "plan.json", "manifest-sha256.txt"
_TOKENS = ("claim.tst", "claim.2.tst")


class ProbeEntry(Frozen):
    """One probe of a kit, in the order of the plan; `continuation` is null but for `score` probes."""

    digest: str
    file: str
    media_type: Literal["image/png", "text/plain"]
    operation: Literal["answer", "score"]
    continuation: str | None


class KitPlan(Sparse):
    """The content of `plan.json`; `groups` and `keep` are there only where the plan has two passes."""

    absent = frozenset({"groups", "keep"})

    format: Literal["forensics-kit/1"]
    claim: str
    share: int = Field(ge=0)
    plan: str
    batch_size: int = Field(ge=1)
    probes: list[ProbeEntry]
    groups: list[int] | None = None
    keep: int | None = None


@dataclass(frozen=True)
class Kit:
    """A kit that was read and verified.

    Attributes:
        tokens: timestamp tokens over the claim, DER, as they lie in the kit; not verified here.
        share: index of the share whose probes these are.
    """

    claim: Claim
    tokens: tuple[bytes, ...]
    share: int
    plan: Plan


def expected_labels(claim: Claim) -> tuple[str, ...] | None:
    """Returns the label list that a claim's suspects must have; None where any classes will do.

    A claim without a list whose method reads classes is about whatever classes a model has. Without a list and a method
    that reads them, none may be there.
    """
    any_will_do = not claim.labels and "labels" in load_method(claim.method).spec.deciding
    return None if any_will_do else claim.labels


def write_kit(path: Path, claim: Claim, tokens: tuple[bytes, ...], share: int, plan: Plan) -> None:
    """Writes a kit, atomically. It holds neither a secret nor the pool nor its labels.

    Raises:
        CaseError: something of that name exists.
        StorageError: the disk is full or the place cannot be written.
    """
    files: dict[str, bytes] = {_CLAIM: claim.core, **dict(zip(_TOKENS, tokens))}
    entries: list[ProbeEntry] = []
    for index, probe in enumerate(plan.probes):
        name = f"probes/{index:05d}.{SUFFIXES[probe.media_type]}"
        files[name] = probe.data
        continuation = f"probes/{index:05d}.continuation.txt" if probe.operation == "score" else None
        if continuation:
            files[continuation] = probe.continuation
        entries.append(
            ProbeEntry.model_validate(
                {
                    "digest": probe.digest,
                    "file": name,
                    "media_type": probe.media_type,
                    "operation": probe.operation,
                    "continuation": continuation,
                }
            )
        )
    record = KitPlan(
        format="forensics-kit/1",
        claim=claim.digest,
        share=share,
        plan=plan.digest,
        batch_size=plan.batch_size,
        probes=entries,
        groups=list(plan.groups) or None,
        keep=plan.keep if plan.groups else None,
    )
    files[_PLAN] = canonical_json(record.model_dump(mode="json"))
    files[_MANIFEST] = _manifest(files)
    create_folder(path, files)


def read_kit(path: Path) -> Kit:
    """Reads a kit and verifies every digest in it.

    Raises:
        CaseError: there is no kit, or a byte of it is not as it was written.
    """
    recover_folder(path)
    if not path.is_dir():
        raise CaseError(f"There is no kit at {path}.", "Make one with `forensics probes KEY --out KIT`.")
    files = read_folder(path)
    found = files.pop(_MANIFEST, b"")
    if not {_CLAIM, _PLAN} <= files.keys() or found != _manifest(files):
        raise CaseError(
            f"The kit at {path} is incomplete or was changed.",
            f"Run `sha256sum -c {_MANIFEST}` in it to see which file, and ask for it again.",
        )
    try:
        record = KitPlan.model_validate(parse_json(files[_PLAN]))
        claim = Claim.parse(files[_CLAIM])
        groups, keep = tuple(record.groups or ()), record.keep or 0
        plan = Plan(tuple(_probe(entry, files) for entry in record.probes), record.batch_size, groups, keep)
    except (ValueError, RecursionError, KeyError, KeyFolderError) as error:
        raise CaseError(f"The kit at {path} cannot be read: {type(error).__name__}.", "Ask for it again.") from error
    if fault := find_fault(groups, keep, len(plan.probes)):
        raise CaseError(f"The plan of the kit at {path} cannot be asked: {fault}.", "Ask for the kit again.")
    expected = {_CLAIM, _PLAN, *_TOKENS}.union(*({entry.file, entry.continuation} for entry in record.probes))
    digests = [entry.digest for entry in record.probes]
    if (
        record.claim != claim.digest
        or record.plan != plan.digest
        or digests != [probe.digest for probe in plan.probes]
        or canonical_json(record.model_dump(mode="json")) != files[_PLAN]
        or not files.keys() <= expected
    ):
        raise CaseError(f"The kit at {path} contradicts itself.", "Ask for it again.")
    tokens = tuple(files[name] for name in _TOKENS if name in files)
    return Kit(claim, tokens, record.share, plan)


def _probe(entry: ProbeEntry, files: Mapping[str, bytes]) -> Probe:
    continuation = files[entry.continuation] if entry.continuation is not None else b""
    return Probe(files[entry.file], entry.media_type, entry.operation, continuation)


def _manifest(files: Mapping[str, bytes]) -> bytes:
    return "".join(f"{sha256(files[name])}  {name}\n" for name in sorted(files)).encode("ascii")
