"""Items, custody and annexes: what was examined, and which digests pin it down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forensics.conclusion import SUBSET
from forensics.evidence.schema import AnswersRecord, Evidence, IdentityRecord, MeasurementRecord, TokenRecord
from forensics.keys.claim import Claim
from forensics.nouns import Nouns, nouns_of
from forensics.report.details import Details
from forensics.report.figures import TIE, signed_scores
from forensics.report.material import Material
from forensics.report.passes import Questions
from forensics.report.people import make_handling
from forensics.report.registration import marked
from forensics.report.remote import fact_rows, is_remote, transcript_rows
from forensics.report.tables import Row, Table, digest_row
from forensics.report.text import brief, clean, fixed, groups, integer, moment

_FACTS = 24
_FILES = 40
_LABELS = 30
_BITS = 1024
_WORD = 28

CONTROL_ROLES = {
    "positive": "marked by the owner (positive control)",
    "predecessor": "its unmarked predecessor (negative control)",
    "reference": "independent reference model",
}


@dataclass(frozen=True)
class Item:
    """The suspect; every text is cleaned.

    Attributes:
        remote: whether it was reached over a network.
    """

    remote: bool
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
    """Section 4.

    Attributes:
        questions: how many were planned, asked and answered.
    """

    questions: Questions
    suspect: Item
    compared: tuple[Compared, ...]
    acquisition: tuple[Row, ...]
    material: Material
    handling: tuple[Row, ...]


@dataclass(frozen=True)
class Annex:
    """Section 17.

    Attributes:
        items: of each unit its number, what the key drew or the word, the item score, and yes or no.
        items_lead: what the four texts of an item are; empty without items.
        items_columns: how many items stand in a line.
    """

    digests: tuple[Row, ...]
    items: tuple[tuple[str, ...], ...]
    items_lead: str
    items_columns: int
    items_note: str
    changes: tuple[str, ...]


def make_exhibits(
    evidence: Evidence,
    claim: Claim,
    details: Details,
    material: Material,
    questions: Questions,
    files: Mapping[str, bytes],
) -> Exhibits:
    """Returns section 4.

    Args:
        material: texts of the disclosed pool.
        questions: how many were planned, asked and answered.
        files: content by path in the case folder.
    """
    compared = [
        _compared(one.identity, f"named in the claim as {clean(one.role, 60)}", "") for one in evidence.references
    ]
    compared += [
        _compared(one.identity, CONTROL_ROLES[one.role], clean(one.provenance, 300))
        for one in (evidence.score.controls if evidence.score else [])
    ]
    answers = evidence.answers
    labels = [clean(label, 40) for label in answers.labels[:_LABELS]]
    if len(answers.labels) > _LABELS:
        labels.append(f"and {integer(len(answers.labels) - _LABELS)} more")
    return Exhibits(
        questions=questions,
        suspect=_item(evidence.suspect),
        compared=tuple(compared),
        acquisition=(
            Row(
                "Answers acquired",
                f"{moment(evidence.acquired.value or 'unknown')} ({clean(evidence.acquired.source)})",
            ),
            *questions.rows(nouns_of(claim)),
            *transcript_rows(evidence, files),
            Row("Kind of answer", _kind(answers)),
            Row("Labels of the suspect", ", ".join(labels) or "none"),
            digest_row("Plan of questions, SHA-256", evidence.plan.digest),
            digest_row("Head of the transcript’s hash chain", evidence.transcript_head),
            Row("Transcript time-stamped", _stamped(evidence.transcript_token)),
        ),
        material=material,
        handling=make_handling(details),
    )


def make_annex(
    evidence: Evidence,
    claim: Claim,
    details: Details,
    evidence_sha256: str,
    manifest_sha256: str,
    words: Sequence[str],
) -> Annex:
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
        digests.append(digest_row(f"Marked {marked(evidence)} recorded by the owner", evidence.asset.digest))
    items, lead, columns, note = _items(evidence.score.measurement if evidence.score else None, words, nouns_of(claim))
    return Annex(
        digests=tuple(digests),
        items=items,
        items_lead=lead,
        items_columns=columns,
        items_note=note,
        changes=tuple(clean(text, 400) for text in details.report.changes[:40]) or ("This is the first version.",),
    )


def _items(
    measurement: MeasurementRecord | None, words: Sequence[str], nouns: Nouns
) -> tuple[tuple[tuple[str, ...], ...], str, int, str]:
    """Returns the items of annex B with their lead, columns and note."""
    if measurement is None or measurement.items is None or measurement.target is None:
        hidden = f"the {nouns.many}" if measurement is not None and measurement.test == SUBSET else "the payload"
        return (
            (),
            "",
            4,
            f"The item scores and {hidden} are not disclosed in this case, so no table of items is printed.",
        )
    total = len(measurement.items)
    note = f"The first {_BITS} of {integer(total)} items; all are in evidence.json." if total > _BITS else ""
    scores, target = measurement.items[:_BITS], measurement.target[:_BITS]
    if measurement.test == SUBSET:
        shown = [brief(word, _WORD) for word in words] if len(words) == total else [""] * total
        items = tuple(
            (str(index), word, fixed(score, 4), "yes" if drawn else "")
            for index, (word, score, drawn) in enumerate(zip(shown, scores, target, strict=False), 1)
        )
        given = f"candidate {nouns.one}, " if any(shown) else ""
        lead = f"Number in the pool, {given}item score, and whether the key chose it; read down each column."
        return items, lead, 3 if any(shown) else 4, note
    signed = signed_scores(scores, target)
    items = tuple(
        (str(index), str(bit), fixed(score, 4), "yes" if value > TIE else "no")
        for index, (score, bit, value) in enumerate(zip(scores, target, signed, strict=False), 1)
    )
    lead = "Number of the bit, payload bit, item score, and whether the extracted bit agrees; read down each column."
    return items, lead, 4, note


def _kind(answers: AnswersRecord) -> str:
    kind = clean(answers.kind, 40)
    width = next((len(row) for row in answers.values if isinstance(row, list)), 0)
    return f"{kind}, {integer(width)} numbers each" if width and answers.kind == "vectors" else kind


def _compared(identity: IdentityRecord, role: str, provenance: str) -> Compared:
    return Compared(clean(identity.name, 80), role, provenance, clean(identity.digest, 64))


def _item(identity: IdentityRecord) -> Item:
    remote = is_remote(identity)
    plain = tuple(Row(clean(key, 60), clean(value, 300)) for key, value in sorted(identity.facts.items())[:_FACTS])
    facts = fact_rows(identity.facts, _FACTS) if remote else plain
    files = [
        (clean(path, 120), integer(size), *groups(digest))
        for path, (digest, size) in sorted(identity.files.items())[:_FILES]
    ]
    more = len(identity.files) - _FILES
    return Item(
        remote=remote,
        rows=(
            Row("Name given by the examiner", clean(identity.name, 300)),
            Row("Protocol" if remote else "Reached as", clean(identity.kind, 40)),
            digest_row("Description, SHA-256" if remote else "SHA-256", identity.digest),
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
