"""Items, custody and annexes: what was examined, and which digests pin it down."""

from dataclasses import dataclass

from forensics.evidence.schema import Evidence, IdentityRecord, TokenRecord
from forensics.keys.claim import Claim
from forensics.report.details import Details
from forensics.report.figures import TIE, signed_scores
from forensics.report.people import make_handling
from forensics.report.tables import Row, Table, digest_row
from forensics.report.text import clean, fixed, groups, integer, moment

_FACTS = 24
_FILES = 40
_LABELS = 30
_BITS = 1024

CONTROL_ROLES = {
    "positive": "the owner’s marked model (positive control)",
    "predecessor": "its unmarked predecessor (negative control)",
    "reference": "independent reference model",
}


@dataclass(frozen=True)
class Item:
    """The suspect; every text is cleaned."""

    rows: tuple[Row, ...]
    files: Table | None
    more_files: str


@dataclass(frozen=True)
class Compared:
    """A reference or control model."""

    name: str
    role: str
    provenance: str
    digest: str


@dataclass(frozen=True)
class Exhibits:
    """Section 4."""

    suspect: Item
    compared: tuple[Compared, ...]
    acquisition: tuple[Row, ...]
    handling: tuple[Row, ...]


@dataclass(frozen=True)
class Annex:
    """Section 17."""

    digests: tuple[Row, ...]
    bits: tuple[tuple[str, ...], ...]
    bits_note: str
    changes: tuple[str, ...]


def make_exhibits(evidence: Evidence, details: Details) -> Exhibits:
    """Returns section 4."""
    compared = [
        _compared(one.identity, f"named in the claim as {clean(one.role, 60)}", "") for one in evidence.references
    ]
    compared += [
        _compared(one.identity, CONTROL_ROLES[one.role], clean(one.provenance, 300))
        for one in (evidence.score.controls if evidence.score else [])
    ]
    answers = evidence.answers
    missing = sum(row is None for row in answers.values)
    labels = [clean(label, 40) for label in answers.labels[:_LABELS]]
    if len(answers.labels) > _LABELS:
        labels.append(f"and {integer(len(answers.labels) - _LABELS)} more")
    return Exhibits(
        suspect=_item(evidence.suspect),
        compared=tuple(compared),
        acquisition=(
            Row(
                "Answers acquired",
                f"{moment(evidence.acquired.value or 'unknown')} ({clean(evidence.acquired.source)})",
            ),
            Row("Questions asked", integer(len(evidence.plan.probes))),
            Row("Answers recorded", f"{integer(len(answers.values) - missing)}; missing: {integer(missing)}"),
            Row("Kind of answer", clean(answers.kind, 40)),
            Row("Labels of the suspect", ", ".join(labels) or "none"),
            digest_row("Plan of questions, SHA-256", evidence.plan.digest),
            digest_row("Head of the transcript’s hash chain", evidence.transcript_head),
            Row("Transcript time-stamped", _stamped(evidence.transcript_token)),
        ),
        handling=make_handling(details),
    )


def make_annex(evidence: Evidence, claim: Claim, details: Details, evidence_sha256: str, manifest_sha256: str) -> Annex:
    """Returns section 17."""
    digests = [
        digest_row("evidence.json (attached to this document)", evidence_sha256),
        digest_row("manifest-sha256.txt of the case folder", manifest_sha256),
        digest_row("Claim C", evidence.claim_digest),
        digest_row("Merkle root over the shares", claim.shares.root),
        *(digest_row(f"Pool of share {index}", pool.digest) for index, pool in enumerate(claim.pools[:8])),
        digest_row("Generator of secrets (specification)", claim.generator),
        digest_row("Plan of questions", evidence.plan.digest),
        digest_row("Head of the transcript", evidence.transcript_head),
        digest_row("Suspect", evidence.suspect.digest),
        *(digest_row(f"Reference: {clean(one.role, 60)}", one.identity.digest) for one in evidence.references),
    ]
    if evidence.asset:
        digests.append(digest_row("Marked model recorded by the owner", evidence.asset.digest))
    measurement = evidence.score.measurement if evidence.score else None
    if measurement is None or measurement.items is None or measurement.target is None:
        bits: tuple[tuple[str, ...], ...] = ()
        note = "The item scores and the payload are not disclosed in this case, so no table of items is printed."
    else:
        signed = signed_scores(measurement.items, measurement.target)
        bits = tuple(
            (str(index), str(bit), fixed(score, 4), "yes" if value > TIE else "no")
            for index, (score, bit, value) in enumerate(
                zip(measurement.items[:_BITS], measurement.target, signed, strict=False), 1
            )
        )
        more = f"The first {_BITS} of {integer(len(signed))} items; all are in evidence.json."
        note = more if len(signed) > _BITS else ""
    return Annex(
        digests=tuple(digests),
        bits=bits,
        bits_note=note,
        changes=tuple(clean(text, 400) for text in details.report.changes[:40]) or ("This is the first version.",),
    )


def _compared(identity: IdentityRecord, role: str, provenance: str) -> Compared:
    return Compared(clean(identity.name, 80), role, provenance, clean(identity.digest, 64))


def _item(identity: IdentityRecord) -> Item:
    facts = [Row(clean(key, 60), clean(value, 300)) for key, value in sorted(identity.facts.items())[:_FACTS]]
    files = [
        (clean(path, 120), integer(size), *groups(digest))
        for path, (digest, size) in sorted(identity.files.items())[:_FILES]
    ]
    more = len(identity.files) - _FILES
    return Item(
        rows=(
            Row("Name given by the examiner", clean(identity.name, 300)),
            Row("Reached as", clean(identity.kind, 40)),
            digest_row("SHA-256", identity.digest),
            *facts,
        ),
        files=Table(("File", "Bytes", "SHA-256"), tuple((path, size, " ".join(rest)) for path, size, *rest in files))
        if files
        else None,
        more_files=f"{integer(more)} more files are listed in evidence.json." if more > 0 else "",
    )


def _stamped(token: TokenRecord | None) -> str:
    if token is None:
        return "No time stamp over the transcript is recorded."
    note = " (demonstration, not trusted)" if token.demonstration else ""
    return f"{moment(token.gen_time)}, {clean(token.authority, 120)}{note}"
