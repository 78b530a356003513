"""The claim, its time stamps, the dates and the rule: section 5, what was fixed before anybody saw the suspect."""

from dataclasses import dataclass

from forensics.evidence.schema import Dated, Evidence, TokenRecord
from forensics.keys.claim import Claim
from forensics.report.language import Language
from forensics.report.recorded import recorded, sourced
from forensics.report.tables import Event, Row, Table, digest_row
from forensics.report.text import integer, power_of_two
from forensics.wording import Noun, noted

CONSEQUENCES = {
    "timestamped": noted(
        "The claim’s digest carries the time stamp shown, so the key existed, complete, at that time."
    ),
    "demonstration": noted(
        "The time stamp comes from the tool’s own demonstration authority, which nobody vouches for. It shows how the "
        "procedure works and proves no date."
    ),
    "self-dated": noted(
        "No time-stamping authority vouches for the key: its date is the owner’s word. A key made after the suspect "
        "was known would look the same. The best verdict open to such a key is INCONCLUSIVE, unless the instructions "
        "say that ownership of the key is not in dispute."
    ),
}


@dataclass(frozen=True)
class Registration:
    """Section 5."""

    claim: tuple[Row, ...]
    tokens: tuple[tuple[Row, ...], ...]
    rule: Table
    opened: str
    consequence: str


def make_events(evidence: Evidence, say: Language) -> tuple[Event, ...]:
    """Returns every dated fact of the case; the three that gate G1 compares are marked.

    The date of the release is that of the owner's record, before which nothing was there to be released.
    """
    dates, source = evidence.dates, marked(evidence, say)
    events = [
        Event(
            say("Key committed"),
            say.clean(str(evidence.claim.get("created", "")), 40) or None,
            say("claim, as the owner states it"),
        ),
        Event(say("Key time stamp"), dates.token.value, sourced(dates.token.source, say), decides=True),
        Event(
            say("Marked %(marked)s recorded; released not before", marked=source),
            dates.release.value,
            _recorded_by(evidence, say),
            decides=True,
        ),
        Event(say("Earliest evidence of suspect"), dates.suspect.value, _stated(dates.suspect, say), decides=True),
        Event(say("Answers acquired"), evidence.acquired.value, sourced(evidence.acquired.source, say)),
    ]
    if evidence.score:
        events.append(Event(say("Answers scored"), evidence.score.created, say("clock of the scoring computer")))
    return tuple(events)


def marked(evidence: Evidence, say: Language) -> Noun:
    """Returns what carries the owner's mark: a service where the claim names a target text, else a model."""
    return say.noun(_marked(evidence))


def named(text: str, evidence: Evidence) -> str:
    """Returns a recorded sentence with the right noun: the tool records one wording for marked models and services."""
    return text.replace("marked model", f"marked {_marked(evidence)}")


def make_registration(evidence: Evidence, claim: Claim, say: Language) -> Registration:
    """Returns section 5."""
    undisputed = evidence.score is not None and evidence.score.owner_undisputed
    consequence = say(CONSEQUENCES[evidence.binding])
    if undisputed:
        undisputed_too = say("The instructions state that it is not in dispute.")
        consequence = f"{consequence} {undisputed_too}"
    return Registration(
        claim=(
            Row(say("Owner named in the claim"), say.clean(claim.owner, 200)),
            Row(
                say("Method"),
                say(
                    "%(method)s, version %(version)s",
                    method=say.clean(claim.method, 40),
                    version=say.clean(claim.method_version, 40),
                ),
            ),
            Row(say("Claim made"), say("%(moment)s (as the owner states it)", moment=say.moment(claim.created))),
            digest_row(say("Digest C of the claim, SHA-256"), evidence.claim_digest),
            digest_row(say("Merkle root over the shares"), claim.shares.root),
        ),
        tokens=tuple(_token(token, say) for token in evidence.tokens),
        rule=_rule(claim, say),
        opened=_opened(evidence, claim, say),
        consequence=consequence,
    )


def _recorded_by(evidence: Evidence, say: Language) -> str:
    """Returns where the date of the marked model's record comes from, with the authority that dates it."""
    token = evidence.asset.token if evidence.asset else None
    by = [say("token of %(authority)s", authority=say.clean(token.authority, 80))] if token else []
    return say.clauses([sourced(named(evidence.dates.release.source, evidence), say), *by])


def _stated(date: Dated, say: Language) -> str:
    """Returns the source of a date that nobody but the examiner states."""
    source = sourced(date.source, say)
    return source if date.value is None else say("as stated by the examiner: %(source)s", source=source)


def _marked(evidence: Evidence) -> str:
    return noted("service") if evidence.claim.get("target_text") else noted("model")


def _opened(evidence: Evidence, claim: Claim, say: Language) -> str:
    if evidence.share is None:
        return say("No share has been opened: the secret is sealed, and only its holder can recompute the result.")
    return say(
        "Share %(index)s was opened (of %(count)s, counted from 0): its seed, salt, inclusion proof and pool are in "
        "evidence.json, so that anyone can derive the questions and the payload again.",
        index=integer(evidence.share.index),
        count=integer(claim.shares.count),
    )


def _token(token: TokenRecord, say: Language) -> tuple[Row, ...]:
    authority = say.clean(token.authority, 200)
    if token.demonstration:
        authority = say("%(authority)s (demonstration, not trusted)", authority=authority)
    return (
        Row(say("Authority"), authority),
        Row(say("Time"), say.moment(token.gen_time)),
        Row(say("Policy"), say.clean(token.policy, 80)),
        Row(say("Serial number"), say.clean(token.serial, 80)),
        digest_row(say("Certificate, SHA-256"), token.fingerprint),
    )


def _rule(claim: Claim, say: Language) -> Table:
    rule = claim.rule
    deciding = say.clauses(
        [
            say("with %(level)s: %(statistic)s", level=recorded(level, say, 40), statistic=recorded(name, say, 60))
            for level, name in sorted(rule.deciding.items())
        ]
    )
    prior = [(say("Prior of the Bayes factor"), recorded(rule.prior, say, 300))] if rule.prior != "none" else []
    rows = (
        (say("Deciding statistic"), deciding),
        (say("Which access level decides"), recorded(rule.access, say, 300)),
        (say("Number of units n"), integer(rule.n)),
        (say("Level α"), say.number(rule.alpha)),
        (say("Examinations allowed, M"), integer(rule.examinations)),
        (say("Allowance for undisclosed attempts"), f"{power_of_two(rule.grinding)} (g = {rule.grinding})"),
        (say("Minimum effect"), say.number(rule.minimum_effect)),
        (say("Ties"), recorded(rule.ties, say, 300)),
        (say("Missing answers"), recorded(rule.missing, say, 300)),
        (say("Missing answers allowed"), say.share(rule.missing_allowed)),
        (say("Stopping"), recorded(rule.stopping, say, 300)),
        *prior,
        (
            say("Independent references"),
            say(
                "at least %(least)s, margin %(margin)s",
                least=integer(rule.references.minimum),
                margin=say.number(rule.references.margin),
            ),
        ),
    )
    return Table((say("Rule"), say("As fixed in the claim")), rows)
