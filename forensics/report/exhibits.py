"""Items, custody, pre-registration and annexes: what was examined, when, and which digests pin it down."""

from dataclasses import dataclass

from forensics.evidence.schema import Evidence, IdentityRecord, TokenRecord
from forensics.keys.claim import Claim
from forensics.report.details import Details
from forensics.report.figures import TIE, signed_scores
from forensics.report.people import make_handling
from forensics.report.tables import Event, Row, Table
from forensics.report.text import clean, fixed, groups, integer, moment, number, power_of_two, share

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
class Registration:
    """Section 5."""

    claim: tuple[Row, ...]
    tokens: tuple[tuple[Row, ...], ...]
    rule: Table
    opened: str
    consequence: str


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
        Compared(
            clean(one.identity.name, 80),
            f"named in the claim as {clean(one.role, 60)}",
            "",
            clean(one.identity.digest, 64),
        )
        for one in evidence.references
    ]
    compared += [
        Compared(
            clean(one.identity.name, 80),
            CONTROL_ROLES[one.role],
            clean(one.provenance, 300),
            clean(one.identity.digest, 64),
        )
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
            Row("Plan of questions, SHA-256", evidence.plan.digest, "digest"),
            Row("Head of the transcript’s hash chain", evidence.transcript_head, "digest"),
            Row("Transcript time-stamped", _stamped(evidence.transcript_token)),
        ),
        handling=make_handling(details),
    )


def make_events(evidence: Evidence) -> tuple[Event, ...]:
    """Returns every dated fact of the case; the three that gate G1 compares are marked."""
    dates = evidence.dates
    events = [
        Event(
            "Key committed", clean(str(evidence.claim.get("created", "")), 40) or None, "claim, as the owner states it"
        ),
        Event("Key time stamp", dates.token.value, clean(dates.token.source), decides=True),
        Event("Marked model released", dates.release.value, clean(dates.release.source), decides=True),
        Event("Earliest evidence of suspect", dates.suspect.value, clean(dates.suspect.source), decides=True),
        Event("Answers acquired", evidence.acquired.value, clean(evidence.acquired.source)),
    ]
    if evidence.asset:
        how = (
            f"token of {clean(evidence.asset.token.authority, 80)}"
            if evidence.asset.token
            else "as the owner states it"
        )
        when = evidence.asset.token.gen_time if evidence.asset.token else evidence.asset.created
        events.insert(2, Event("Marked model recorded", when, how))
    if evidence.score:
        events.append(Event("Answers scored", evidence.score.created, "clock of the scoring computer"))
    return tuple(events)


def make_registration(evidence: Evidence, claim: Claim) -> Registration:
    """Returns section 5."""
    share_text = (
        f"Share {integer(evidence.share.index)} was opened (of {integer(claim.shares.count)}, counted from 0): its seed, salt, inclusion proof "
        "and pool are in evidence.json, so that anyone can derive the questions and the payload again."
        if evidence.share
        else "No share has been opened: the secret is still sealed, and nobody but its holder can recompute the result."
    )
    undisputed = (
        " The instructions state that it is not in dispute."
        if evidence.score and evidence.score.owner_undisputed
        else ""
    )
    return Registration(
        claim=(
            Row("Owner named in the claim", clean(claim.owner, 200)),
            Row("Method", f"{clean(claim.method, 40)}, version {clean(claim.method_version, 40)}"),
            Row("Claim made", f"{moment(claim.created)} (as the owner states it)"),
            Row("Digest C of the claim, SHA-256", evidence.claim_digest, "digest"),
            Row("Merkle root over the shares", claim.shares.root, "digest"),
        ),
        tokens=tuple(_token(token) for token in evidence.tokens),
        rule=_rule(claim),
        opened=share_text,
        consequence=BINDING_CONSEQUENCES[evidence.binding] + undisputed,
    )


BINDING_CONSEQUENCES = {
    "timestamped": "The claim’s digest carries the time stamp shown, so the key existed, complete, at that time.",
    "demonstration": "The time stamp comes from the tool’s own demonstration authority, whose private key anyone may "
    "hold. It shows how the procedure works and proves no date.",
    "self-dated": "No time-stamping authority vouches for the key: its date is the owner’s word. A key made after the "
    "suspect was known would look the same. The best verdict open to such a key is INCONCLUSIVE, unless the "
    "instructions say that ownership of the key is not in dispute.",
}


def make_annex(evidence: Evidence, claim: Claim, details: Details, evidence_sha256: str, manifest_sha256: str) -> Annex:
    """Returns section 17."""
    digests = [
        Row("evidence.json (attached to this document)", evidence_sha256, "digest"),
        Row("manifest-sha256.txt of the case folder", manifest_sha256, "digest"),
        Row("Claim C", evidence.claim_digest, "digest"),
        Row("Merkle root over the shares", claim.shares.root, "digest"),
        *(Row(f"Pool of share {index}", pool.digest, "digest") for index, pool in enumerate(claim.pools[:8])),
        Row("Generator of secrets (specification)", claim.generator, "digest"),
        Row("Plan of questions", evidence.plan.digest, "digest"),
        Row("Head of the transcript", evidence.transcript_head, "digest"),
        Row("Suspect", evidence.suspect.digest, "digest"),
        *(Row(f"Reference: {clean(one.role, 60)}", one.identity.digest, "digest") for one in evidence.references),
    ]
    if evidence.asset:
        digests.append(Row("Marked model recorded by the owner", evidence.asset.digest, "digest"))
    measurement = evidence.score.measurement if evidence.score else None
    if measurement is None or measurement.items is None or measurement.target is None:
        bits, note = (
            (),
            "The item scores and the payload are not disclosed in this case, so no table of items is printed.",
        )
    else:
        signed = signed_scores(measurement.items, measurement.target)
        bits = tuple(
            (str(index), str(bit), fixed(score, 4), "yes" if value > TIE else "no")
            for index, (score, bit, value) in enumerate(
                zip(measurement.items[:_BITS], measurement.target, signed, strict=False), 1
            )
        )
        note = (
            ""
            if len(signed) <= _BITS
            else f"The first {_BITS} of {integer(len(signed))} items; all are in evidence.json."
        )
    return Annex(
        digests=tuple(digests),
        bits=bits,
        bits_note=note,
        changes=tuple(clean(text, 400) for text in details.report.changes[:40]) or ("This is the first version.",),
    )


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
            Row("SHA-256", identity.digest, "digest"),
            *facts,
        ),
        files=Table(("File", "Bytes", "SHA-256"), tuple((path, size, " ".join(rest)) for path, size, *rest in files))
        if files
        else None,
        more_files=f"{integer(more)} more files are listed in evidence.json." if more > 0 else "",
    )


def _token(token: TokenRecord) -> tuple[Row, ...]:
    return (
        Row(
            "Authority", clean(token.authority, 200) + (" (demonstration, not trusted)" if token.demonstration else "")
        ),
        Row("Time", moment(token.gen_time)),
        Row("Policy", clean(token.policy, 80)),
        Row("Serial number", clean(token.serial, 80)),
        Row("Certificate, SHA-256", token.fingerprint, "digest"),
    )


def _stamped(token: TokenRecord | None) -> str:
    if token is None:
        return "No time stamp over the transcript is recorded."
    note = " (demonstration, not trusted)" if token.demonstration else ""
    return f"{moment(token.gen_time)}, {clean(token.authority, 120)}{note}"


def _rule(claim: Claim) -> Table:
    rule = claim.rule
    deciding = "; ".join(f"with {clean(level, 40)}: {clean(name, 60)}" for level, name in sorted(rule.deciding.items()))
    rows = (
        ("Deciding statistic", deciding),
        ("Which access level decides", clean(rule.access, 300)),
        ("Number of units n", integer(rule.n)),
        ("Level α", number(rule.alpha)),
        ("Examinations allowed, M", integer(rule.examinations)),
        ("Allowance for undisclosed attempts", f"{power_of_two(rule.grinding)} (g = {rule.grinding})"),
        ("Minimum effect", share(rule.minimum_effect)),
        ("Ties", clean(rule.ties, 300)),
        ("Missing answers", clean(rule.missing, 300)),
        ("Missing answers allowed", share(rule.missing_allowed)),
        ("Stopping", clean(rule.stopping, 300)),
        ("Prior of the Bayes factor", clean(rule.prior, 300)),
        (
            "Independent references",
            f"at least {integer(rule.references.minimum)}, margin {number(rule.references.margin)}",
        ),
    )
    return Table(("Rule", "As fixed in the claim"), rows)
