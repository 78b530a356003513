"""Signatures that outlive their certificates (PAdES B-LT and B-LTA): planning one, and verifying what it embeds.

What is embedded stands in the revision that the examiner signs: the certificates of the signer's and of the timestamp
authority's chain up to their roots, and for each but the roots one revocation list that shows it to be unrevoked.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Literal

from cryptography import x509

from forensics.canonical import utc
from forensics.errors import UsageError
from forensics.evidence.certificates import printable, subject_name
from forensics.evidence.revocation import (
    RevocationFault,
    RevocationList,
    issued_by,
    path_to_root,
    prove,
    prove_paths,
)
from forensics.keys.signed import SignedData, TimestampToken
from forensics.keys.timestamp import TimestampAuthority, verify_token

Profile = Literal["court", "archive"]
Level = Literal["B-B", "B-T", "B-LT", "B-LTA"]

LEVELS: dict[Profile, Level] = {"court": "B-LT", "archive": "B-LTA"}
"""The level that each profile stands for."""

Fetch = Callable[[Sequence[x509.Certificate]], list[RevocationList]]
"""Gets the revocation lists that certificates name."""


@dataclass(frozen=True)
class ValidationData:
    """Certificates and the revocation lists that show them to be valid."""

    certificates: tuple[x509.Certificate, ...] = ()
    lists: tuple[RevocationList, ...] = ()


@dataclass(frozen=True)
class SignatureOptions:
    """What a user wants of a signature and brings along for it.

    Attributes:
        profile: must be reached; None means the court profile, or less with a sentence that says why.
        given: revocation lists, and certificates of issuers that came neither with the key nor with a timestamp.
        fetch: gets lists that are not among those; None means that nothing is fetched.
    """

    profile: Profile | None = None
    given: ValidationData = ValidationData()
    fetch: Fetch | None = None


USUAL = SignatureOptions()
"""What applies where a user wants nothing in particular."""


@dataclass(frozen=True)
class SignaturePlan:
    """How a document is going to be signed.

    Attributes:
        level: the PAdES level that the document declares.
        authority: of the timestamps; None for B-B.
        embedded: what goes into the signed revision; empty below B-LT.
        gap: why it is less than the court profile; None where it is not.
        stamped_by: of B-T: SHA-256 of the certificate of the authority, which the document declares, so that its
            timestamp cannot be exchanged for another authority's; longer-lived levels embed that certificate.
    """

    level: Level
    authority: TimestampAuthority | None
    embedded: ValidationData = ValidationData()
    gap: RevocationFault | None = None
    stamped_by: str = ""

    @property
    def missing(self) -> str:
        """Why it is less than the court profile: a sentence, or empty."""
        return f"No revocation data is embedded: {self.gap.cause}." if self.gap is not None else ""

    @property
    def archived(self) -> bool:
        """Whether a timestamp over the whole file follows the signature."""
        return self.level == "B-LTA"


def plan_signature(
    chain: Sequence[x509.Certificate],
    authority: TimestampAuthority | None,
    options: SignatureOptions = USUAL,
    *,
    at: datetime,
) -> SignaturePlan:
    """Decides the level of a signature from what is at hand; the authority is asked once, to learn its certificate.

    Args:
        chain: the signer's certificate and the issuers that came with it.
        authority: None gives B-B.
        at: time of signing, aware.

    Raises:
        UsageError: a certificate is revoked, a list is foreign, stale or limited, or the profile that was asked for
            cannot be reached.
        AuthorityError: an authority failed.
    """
    profile, given = options.profile, options.given
    if authority is None:
        unnamed = RevocationFault("no timestamp authority was named", "authority")
        if profile is not None:
            raise _unreached(profile, unnamed, "Name one with --tsa.")
        return SignaturePlan("B-B", None, gap=unnamed)
    digest = secrets.token_bytes(32)
    unit = verify_token(authority.stamp(digest), digest).token.signed
    others = [*chain, *unit.chain, *given.certificates]
    paths = [path_to_root(leaf, others) for leaf in (chain[0], unit.signer)]
    _refuse_foreign(given.lists, paths)
    lists = [*given.lists, *_own_lists(authority)]
    if options.fetch is not None:
        lists += options.fetch(_unproved(paths, lists, at))
    try:
        proofs = prove_paths(paths, lists, at)
    except RevocationFault as fault:
        if fault.gap is None:
            raise UsageError(
                f"The report cannot be signed: {fault.cause}.", "Use a certificate and lists that are valid now."
            ) from fault
        if profile is not None:
            advice = "Give lists with --crl or --fetch-revocation, and certificates of issuers with --chain."
            raise _unreached(profile, fault, advice) from fault
        return SignaturePlan("B-T", authority, gap=fault, stamped_by=unit.fingerprint)
    certificates = tuple(dict.fromkeys(each for path in paths for each in path))
    return SignaturePlan(LEVELS[profile or "court"], authority, ValidationData(certificates, tuple(proofs)))


def verify_embedded(signature: SignedData, embedded: ValidationData, archive: TimestampToken | None = None) -> None:
    """Verifies that what a signed revision embeds shows all its certificates to be valid when it was timestamped.

    Nothing but what shows it may be embedded, and both timestamps must come from the very certificate that is: with
    another one's, somebody else could replace them. Whether the roots are to be trusted is another question.

    Args:
        archive: the timestamp over the whole file.

    Raises:
        RevocationFault: any of it fails.
    """
    stamp = signature.timestamp
    if stamp is None:
        raise RevocationFault("the signature has no timestamp")
    stamps = [stamp] if archive is None else [stamp, archive]
    if any(each.signed.signer not in embedded.certificates for each in stamps):
        raise RevocationFault("a timestamp comes from another authority than the document's author used")
    leaves = [signature.signer, *(each.signed.signer for each in stamps)]
    paths = [path_to_root(leaf, embedded.certificates) for leaf in leaves]
    proofs = prove_paths(paths, embedded.lists, stamp.gen_time)
    used = {each for path in paths for each in path}
    if set(embedded.certificates) != used or len(embedded.certificates) != len(used):
        raise RevocationFault("a certificate is embedded that belongs to neither chain, or one twice")
    if sorted(each.der for each in embedded.lists) != sorted(each.der for each in proofs):
        raise RevocationFault("a revocation list is embedded that shows nothing, or one twice")
    for each in used:
        if not each.not_valid_before_utc <= stamp.gen_time <= each.not_valid_after_utc:
            raise RevocationFault(f"the certificate of {subject_name(each)} was not valid at {utc(stamp.gen_time)}")


def _own_lists(authority: TimestampAuthority) -> list[RevocationList]:
    """The list that a demonstration authority has of itself; a real one publishes its lists elsewhere."""
    from forensics.keys.demonstration import DemonstrationAuthority

    return [RevocationList(authority.crl, authority.name)] if isinstance(authority, DemonstrationAuthority) else []


def _unproved(
    paths: Sequence[Sequence[x509.Certificate]], lists: Sequence[RevocationList], at: datetime
) -> list[x509.Certificate]:
    """The certificates whose lists are not at hand, each once."""
    found: dict[x509.Certificate, None] = {}
    for certificate, issuer in (pair for path in paths for pair in pairwise(path)):
        try:
            prove(certificate, issuer, lists, at)
        except RevocationFault as fault:
            if fault.gap is not None:
                found[certificate] = None
    return list(found)


def _refuse_foreign(lists: Sequence[RevocationList], paths: Sequence[Sequence[x509.Certificate]]) -> None:
    issuers = [certificate for path in paths for certificate in path[1:]]
    for each in lists:
        if not any(issued_by(each, issuer) for issuer in issuers):
            named = printable(each.crl.issuer.rfc4514_string())
            raise UsageError(
                f"The revocation list {each.source} does not belong to this signature: {named} issued none of its "
                "certificates, or did not sign the list.",
                "Give the lists of those who issued the signer's and the timestamp authority's certificates.",
            )


def _unreached(profile: Profile, fault: RevocationFault, next_step: str) -> UsageError:
    return UsageError(f"The profile {profile} cannot be reached: {fault.cause}.", next_step)
