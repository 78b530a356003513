"""What the report says of its signature, before that is made."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from forensics.report.language import Language
from forensics.report.tables import Row, digest_row
from forensics.wording import noted


@dataclass(frozen=True)
class SignatureFacts:
    """What can be said of the signature before it is made.

    Attributes:
        level: such as `PAdES B-LT`; `B-T` with a signature time stamp alone, `B-LTA` with a time stamp over the file.
        authority: of the time stamps, or empty.
        visible: whether page 1 carries a stamp.
        lists: how many revocation lists are embedded.
        gap: what is missing where none is; empty where some are.
        names: of the certificates that the gap is about.
        stamped_by: SHA-256 of the authority's certificate, where the document must declare it; see `SignaturePlan`.
    """

    subject: str
    issuer: str
    serial: str
    fingerprint: str
    not_before: str
    not_after: str
    demonstration: bool
    level: str
    authority: str
    visible: bool
    lists: int = 0
    gap: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    stamped_by: str = ""

    @property
    def archived(self) -> bool:
        """Whether a time stamp over the whole file follows the signature."""
        return self.level.endswith("B-LTA")


_GAPS = {
    "authority": noted("none is embedded: no time stamp authority was named"),
    "list": noted("none is embedded: no list of %(issuer)s was at hand, which issued the certificate of %(subject)s"),
    "issuer": noted("none is embedded: the certificate of %(issuer)s, which issued that of %(subject)s, is not known"),
    "self-signed": noted("none is embedded: the certificate of %(subject)s is self-signed, and nobody can revoke it"),
}
"""Why a signature is less than the court profile, by `SignatureFacts.gap`."""


def signature_rows(facts: SignatureFacts | None, say: Language) -> tuple[Row, ...]:
    """Returns what section 14 prints of the signature."""
    if facts is None:
        return (Row(say("Signature"), say("This document is not signed.")),)
    subject = facts.subject
    if facts.demonstration:
        subject = say("%(subject)s (demonstration certificate, not trusted)", subject=subject)
    if facts.archived:
        level = say(
            "%(level)s; certification signature over the whole file, then a time stamp over all of it",
            level=facts.level,
        )
    else:
        level = say("%(level)s; certification signature, no changes permitted, over the whole file", level=facts.level)
    if facts.gap:
        revocation = say(_GAPS[facts.gap], **facts.names)
    else:
        revocation = say.plural(
            "%(count)s revocation list, of the issuers of all certificates of the signature and of its time stamps",
            "%(count)s revocation lists, of the issuers of all certificates of the signature and of its time stamps",
            facts.lists,
        )
    return (
        Row(say("Signer"), subject),
        Row(say("Issuer"), facts.issuer),
        Row(say("Serial number"), facts.serial),
        Row(
            say("Valid"),
            say("%(low)s to %(high)s", low=say.moment(facts.not_before), high=say.moment(facts.not_after)),
        ),
        digest_row(say("Certificate, SHA-256"), facts.fingerprint),
        Row(say("Level"), level),
        Row(
            say("Signature time stamp"),
            facts.authority or say("none; the time of signing is the signer's own statement"),
        ),
        Row(say("Revocation data"), revocation),
    )
