"""Items, custody and annexes: what was examined, and which digests pin it down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forensics.conclusion import RANKS, SUBSET
from forensics.evidence.schema import (
    AnswersRecord,
    ControlRecord,
    Evidence,
    IdentityRecord,
    MeasurementRecord,
    TokenRecord,
)
from forensics.keys.claim import Claim
from forensics.nouns import Nouns, nouns_of
from forensics.report.custody import Custody, make_custody
from forensics.report.details import Details
from forensics.report.families import family_items
from forensics.report.figures import TIE, signed_scores
from forensics.report.language import Language
from forensics.report.material import Material
from forensics.report.passes import Questions
from forensics.report.people import make_handling
from forensics.report.recorded import recorded, sourced
from forensics.report.registration import marked
from forensics.report.remote import fact_rows, is_remote, transcript_rows
from forensics.report.tables import Row, Table, digest_row
from forensics.report.text import brief, clean, groups, integer
from forensics.wording import noted

_FACTS = 24
_FILES = 40
_LABELS = 30
_BITS = 1024
_WORD = 28

CONTROL_ROLES = {
    "positive": noted("marked by the owner (positive control)"),
    "predecessor": noted("its unmarked predecessor (negative control)"),
    "reference": noted("independent reference model"),
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
        custody: the case's own log.
    """

    questions: Questions
    suspect: Item
    compared: tuple[Compared, ...]
    acquisition: tuple[Row, ...]
    material: Material
    custody: Custody
    handling: tuple[Row, ...]


@dataclass(frozen=True)
class Annex:
    """Section 17.

    Attributes:
        items: of each unit its number, what the key drew or the word, the item score, yes or no, and the class of the
            last, which is the English word.
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
    say: Language,
) -> Exhibits:
    """Returns section 4.

    Args:
        material: texts of the disclosed pool.
        questions: how many were planned, asked and answered.
        files: content by path in the case folder.
    """
    compared = [
        _compared(one.identity, say("named in the claim as %(role)s", role=say.clean(one.role, 60)), "", say)
        for one in evidence.references
    ]
    compared += [
        _compared(one.identity, say(CONTROL_ROLES[one.role]), _provenance(one, say), say)
        for one in (evidence.score.controls if evidence.score else [])
    ]
    answers = evidence.answers
    labels = ", ".join(say.clean(label, 40) for label in answers.labels[:_LABELS]) or say("none")
    if len(answers.labels) > _LABELS:
        more = integer(len(answers.labels) - _LABELS)
        labels = say("%(shown)s, and %(more)s more", shown=labels, more=more)
    acquired = say(
        "%(moment)s (%(source)s)",
        moment=moment_of(evidence.acquired.value, say),
        source=sourced(evidence.acquired.source, say),
    )
    return Exhibits(
        questions=questions,
        suspect=_item(evidence.suspect, say),
        compared=tuple(compared),
        acquisition=(
            Row(say("Answers acquired"), acquired),
            *questions.rows(nouns_of(claim, say), say),
            *transcript_rows(evidence, files, say),
            Row(say("Kind of answer"), _kind(answers, say)),
            Row(say("Labels of the suspect"), labels),
            digest_row(say("Plan of questions, SHA-256"), evidence.plan.digest),
            digest_row(say("Head of the transcript’s hash chain"), evidence.transcript_head),
            Row(say("Transcript time-stamped"), _stamped(evidence.transcript_token, say)),
        ),
        material=material,
        custody=make_custody(files, say),
        handling=make_handling(details, say),
    )


def make_annex(
    evidence: Evidence,
    claim: Claim,
    details: Details,
    evidence_sha256: str,
    manifest_sha256: str,
    words: Sequence[str],
    say: Language,
) -> Annex:
    """Returns section 17."""
    digests = [
        digest_row(say("evidence.json (attached to this document)"), evidence_sha256),
        digest_row(say("manifest-sha256.txt of the case folder"), manifest_sha256),
        digest_row(say("Claim C"), evidence.claim_digest),
        digest_row(say("Merkle root over the shares"), claim.shares.root),
        *(
            digest_row(say("Pool of share %(index)s", index=index), pool.digest)
            for index, pool in enumerate(claim.pools[:8])
        ),
        digest_row(say("Generator of secrets (specification)"), claim.generator),
        digest_row(say("Plan of questions"), evidence.plan.digest),
        digest_row(say("Head of the transcript"), evidence.transcript_head),
        digest_row(say("Suspect"), evidence.suspect.digest),
        *(
            digest_row(say("Reference: %(role)s", role=say.clean(one.role, 60)), one.identity.digest)
            for one in evidence.references
        ),
    ]
    if evidence.asset:
        label = say("Marked %(marked)s recorded by the owner", marked=marked(evidence, say))
        digests.append(digest_row(label, evidence.asset.digest))
    measurement = evidence.score.measurement if evidence.score else None
    items, lead, columns, note = _items(measurement, words, nouns_of(claim, say), say)
    changes = tuple(say.clean(text, 400) for text in details.report.changes[:40])
    return Annex(
        digests=tuple(digests),
        items=items,
        items_lead=lead,
        items_columns=columns,
        items_note=note,
        changes=changes or (say("This is the first version."),),
    )


def _provenance(control: ControlRecord, say: Language) -> str:
    """Returns what is known of a control's origin, and who vouches for it."""
    known, origin = sourced(control.provenance, say, 300), control.origin
    if origin is None:
        return known
    if not control.documented:
        return say("%(known)s; its provenance is not documented", known=known)
    return say(
        "%(known)s; source: %(source)s; dated %(date)s; vouched for by %(person)s",
        known=known,
        source=say.clean(origin.source or "", 200),
        date=say.moment(origin.date or ""),
        person=say.clean(origin.vouched_by or "", 120),
    )


def moment_of(value: str | None, say: Language) -> str:
    """Returns a recorded time in words, or that it is not known."""
    return say.moment(value) if value else say("unknown")


def _items(
    measurement: MeasurementRecord | None, words: Sequence[str], nouns: Nouns, say: Language
) -> tuple[tuple[tuple[str, ...], ...], str, int, str]:
    """Returns the items of annex B with their lead, columns and note."""
    if measurement is None or measurement.items is None or measurement.target is None:
        if measurement is not None and measurement.test == SUBSET:
            hidden = say(
                "The item scores and the %(many)s are not disclosed in this case, so no table of items is printed.",
                many=nouns.many,
            )
        else:
            hidden = say(
                "The item scores and the payload are not disclosed in this case, so no table of items is printed."
            )
        return (), "", 4, hidden
    if measurement.test == RANKS:
        return *family_items(measurement.items, measurement.target, say), ""
    total, yes, no = len(measurement.items), say("yes"), say("no")
    note = (
        say("The first %(shown)s of %(total)s items; all are in evidence.json.", shown=_BITS, total=integer(total))
        if total > _BITS
        else ""
    )
    scores, target = measurement.items[:_BITS], measurement.target[:_BITS]
    if measurement.test == SUBSET:
        shown = [brief(word, _WORD) for word in words] if len(words) == total else [""] * total
        items = tuple(
            (str(index), word, say.fixed(score, 4), yes if drawn else "", "yes" if drawn else "")
            for index, (word, score, drawn) in enumerate(zip(shown, scores, target, strict=False), 1)
        )
        if not any(shown):
            lead = say("Number in the pool, item score, and whether the key chose it; read down each column.")
            return items, lead, 4, note
        lead = say(
            "Number in the pool, candidate %(one)s, item score, and whether the key chose it; read down each column.",
            one=nouns.one,
        )
        return items, lead, 3, note
    signed = signed_scores(scores, target)
    items = tuple(
        (str(index), str(bit), say.fixed(score, 4), *((yes, "yes") if value > TIE else (no, "no")))
        for index, (score, bit, value) in enumerate(zip(scores, target, signed, strict=False), 1)
    )
    lead = say(
        "Number of the bit, payload bit, item score, and whether the extracted bit agrees; read down each column."
    )
    return items, lead, 4, note


def _kind(answers: AnswersRecord, say: Language) -> str:
    kind = recorded(answers.kind, say, 40)
    width = next((len(row) for row in answers.values if isinstance(row, list)), 0)
    if not width or answers.kind != "vectors":
        return kind
    return say("%(kind)s, %(width)s numbers each", kind=kind, width=integer(width))


def _compared(identity: IdentityRecord, role: str, provenance: str, say: Language) -> Compared:
    return Compared(say.clean(identity.name, 80), role, provenance, clean(identity.digest, 64))


def _item(identity: IdentityRecord, say: Language) -> Item:
    remote = is_remote(identity)
    if remote:
        facts = fact_rows(identity.facts, _FACTS, say)
    else:
        known = sorted(identity.facts.items())[:_FACTS]
        facts = tuple(Row(say.clean(key, 60), say.clean(value, 300)) for key, value in known)
    files = [
        (say.clean(path, 120), integer(size), " ".join(groups(digest)))
        for path, (digest, size) in sorted(identity.files.items())[:_FILES]
    ]
    more = len(identity.files) - _FILES
    return Item(
        remote=remote,
        rows=(
            Row(say("Name given by the examiner"), say.clean(identity.name, 300)),
            Row(say("Protocol") if remote else say("Reached as"), say.clean(identity.kind, 40)),
            digest_row(say("Description, SHA-256") if remote else say("SHA-256"), identity.digest),
            *facts,
        ),
        files=Table((say("File"), say("Bytes"), say("SHA-256")), tuple(files)) if files else None,
        more_files=say("%(number)s more files are listed in evidence.json.", number=integer(more)) if more > 0 else "",
    )


def _stamped(token: TokenRecord | None, say: Language) -> str:
    if token is None:
        return say("No time stamp over the transcript is recorded.")
    when, authority = say.moment(token.gen_time), say.clean(token.authority, 120)
    if token.demonstration:
        return say("%(moment)s, %(authority)s (demonstration, not trusted)", moment=when, authority=authority)
    return f"{when}, {authority}"
