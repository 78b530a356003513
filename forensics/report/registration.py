"""The claim, its time stamps, the dates and the rule: section 5, what was fixed before anybody saw the suspect."""

from dataclasses import dataclass

from forensics.evidence.schema import Evidence, TokenRecord
from forensics.keys.claim import Claim
from forensics.report.tables import Event, Row, Table, digest_row
from forensics.report.text import clean, integer, moment, number, power_of_two, share

CONSEQUENCES = {
    "timestamped": "The claim’s digest carries the time stamp shown, so the key existed, complete, at that time.",
    "demonstration": "The time stamp comes from the tool’s own demonstration authority, which nobody vouches for. It "
    "shows how the procedure works and proves no date.",
    "self-dated": "No time-stamping authority vouches for the key: its date is the owner’s word. A key made after the "
    "suspect was known would look the same. The best verdict open to such a key is INCONCLUSIVE, unless the "
    "instructions say that ownership of the key is not in dispute.",
}


@dataclass(frozen=True)
class Registration:
    """Section 5."""

    claim: tuple[Row, ...]
    tokens: tuple[tuple[Row, ...], ...]
    rule: Table
    opened: str
    consequence: str


def make_events(evidence: Evidence) -> tuple[Event, ...]:
    """Returns every dated fact of the case; the three that gate G1 compares are marked."""
    dates = evidence.dates
    events = [
        Event(
            "Key committed", clean(str(evidence.claim.get("created", "")), 40) or None, "claim, as the owner states it"
        ),
        Event("Key time stamp", dates.token.value, clean(dates.token.source), decides=True),
        Event(f"Marked {marked(evidence)} released", dates.release.value, release_source(evidence), decides=True),
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
        events.insert(2, Event(f"Marked {marked(evidence)} recorded", when, how))
    if evidence.score:
        events.append(Event("Answers scored", evidence.score.created, "clock of the scoring computer"))
    return tuple(events)


def marked(evidence: Evidence) -> str:
    """Returns what carries the owner's mark: a service where the claim names a target text, else a model."""
    return "service" if evidence.claim.get("target_text") else "model"


def release_source(evidence: Evidence) -> str:
    """Returns where the release date comes from."""
    return clean(named(evidence.dates.release.source, evidence))


def named(text: str, evidence: Evidence) -> str:
    """Returns a recorded sentence with the right noun: the tool records one wording for marked models and services."""
    return text.replace("marked model", f"marked {marked(evidence)}")


def make_registration(evidence: Evidence, claim: Claim) -> Registration:
    """Returns section 5."""
    undisputed = evidence.score is not None and evidence.score.owner_undisputed
    note = " The instructions state that it is not in dispute." if undisputed else ""
    return Registration(
        claim=(
            Row("Owner named in the claim", clean(claim.owner, 200)),
            Row("Method", f"{clean(claim.method, 40)}, version {clean(claim.method_version, 40)}"),
            Row("Claim made", f"{moment(claim.created)} (as the owner states it)"),
            digest_row("Digest C of the claim, SHA-256", evidence.claim_digest),
            digest_row("Merkle root over the shares", claim.shares.root),
        ),
        tokens=tuple(_token(token) for token in evidence.tokens),
        rule=_rule(claim),
        opened=_opened(evidence, claim),
        consequence=CONSEQUENCES[evidence.binding] + note,
    )


def _opened(evidence: Evidence, claim: Claim) -> str:
    if evidence.share is None:
        return "No share has been opened: the secret is sealed, and only its holder can recompute the result."
    return (
        f"Share {integer(evidence.share.index)} was opened (of {integer(claim.shares.count)}, counted from 0): its "
        "seed, salt, inclusion proof and pool are in evidence.json, so that anyone can derive the questions and the "
        "payload again."
    )


def _token(token: TokenRecord) -> tuple[Row, ...]:
    return (
        Row(
            "Authority", clean(token.authority, 200) + (" (demonstration, not trusted)" if token.demonstration else "")
        ),
        Row("Time", moment(token.gen_time)),
        Row("Policy", clean(token.policy, 80)),
        Row("Serial number", clean(token.serial, 80)),
        digest_row("Certificate, SHA-256", token.fingerprint),
    )


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
        ("Minimum effect", number(rule.minimum_effect)),
        ("Ties", clean(rule.ties, 300)),
        ("Missing answers", clean(rule.missing, 300)),
        ("Missing answers allowed", share(rule.missing_allowed)),
        ("Stopping", clean(rule.stopping, 300)),
        *([("Prior of the Bayes factor", clean(rule.prior, 300))] if rule.prior != "none" else []),
        (
            "Independent references",
            f"at least {integer(rule.references.minimum)}, margin {number(rule.references.margin)}",
        ),
    )
    return Table(("Rule", "As fixed in the claim"), rows)
