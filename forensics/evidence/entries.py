"""The signatures over entries of the custody log: made when something is added, verified strictly by a check."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from forensics.canonical import now, utc
from forensics.errors import CheckFailed
from forensics.evidence.certificates import is_demonstration, subject_name
from forensics.evidence.chain import CLOCKS, verify_chain
from forensics.evidence.custody import CUSTODY, NOBODY, STAMPER, EntrySigner, entry_lines, signature_name
from forensics.keys.chain import trusted_by
from forensics.keys.cms import read_cms
from forensics.keys.signed import CmsError, SignedData, TimestampToken
from forensics.keys.timestamp import TimestampAuthority

if TYPE_CHECKING:
    from pyhanko.sign.signers import Signer

UNSIGNED = ("add", "supersede")
"""Actions whose entries are remarked upon where nobody signed them."""


@dataclass
class EntryFindings:
    """What a check found of the entries.

    Attributes:
        problems: signatures that do not verify, or are not those that their entries name.
        remarks: who signed what, and what nobody signed.
        rows: one for each entry: the entry's own fields, and who signed it and when; JSON values.
        stamps: timestamps over the signatures.
    """

    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    stamps: list[TimestampToken] = field(default_factory=list)


def check_entries(files: Mapping[str, bytes], roots: Sequence[x509.Certificate] | None = None) -> EntryFindings:
    """Verifies each signature over an entry of the custody log.

    Args:
        files: the case's payload.
        roots: certificates that are trusted, if any; whoever signed an entry need not be who sealed the case.

    Raises:
        CheckFailed: the log is not as it was written.
    """
    found, raw = EntryFindings(), files.get(CUSTODY, b"")
    for entry, line in zip(verify_chain(raw), entry_lines(raw)):
        row = {name: entry[name] for name in ("seq", "utc", "actor", "action", "item", "sha256")}
        named, der = entry.get("signer"), files.get(signature_name(entry["seq"]))
        what = f"Entry {entry['seq'] + 1} of the custody log ({entry['action']} {entry['item']}, by {entry['actor']})"
        if named is not None and der is not None:
            try:
                signed = _verified(line, der, entry)
            except CmsError as error:
                found.problems.append(f"{what} bears a signature that is not right: {error.detail}.")
            else:
                row |= _describe(found, what, signed, roots)
        elif named is None and entry["action"] in UNSIGNED:
            found.remarks.append(f"{what} is not signed: nothing but the log says who made it.")
        found.rows.append(row)
    return found


def entry_signer(signer: "Signer", authority: TimestampAuthority | None, moment: datetime) -> EntrySigner:
    """Returns a loaded signer in the form in which the custody log takes it (CAdES-B, or -T with an authority).

    Args:
        signer: from `signer.load_signer`.
        authority: stamps the signature value.
        moment: of the entry, UTC-aware.

    Raises:
        UsageError: the certificate is not one for signatures at that time.
    """
    from forensics.evidence.seal import introduce, sign_detached
    from forensics.evidence.signer import require_signing, signer_certificate

    certificate = signer_certificate(signer)
    require_signing(certificate, moment)
    fingerprint = certificate.fingerprint(hashes.SHA256()).hex()

    def sign(line: bytes, stamped_by: str) -> bytes:
        return sign_detached(line, signer, authority, moment, stamped_by=stamped_by)

    return EntrySigner(fingerprint, lambda: introduce(authority), sign)


def is_stamped_as_named(entry: Mapping[str, Any], signed: SignedData) -> bool:
    """Tells whether a signature bears a timestamp of the authority that its custody entry names, or none where none is.

    Entries of older versions name nothing, and anything goes.
    """
    stamp = signed.timestamp
    return entry.get(STAMPER) in (None, NOBODY if stamp is None else stamp.signed.fingerprint)


def read_last(log: bytes) -> Mapping[str, Any]:
    """Returns the last entry of a custody log, which is the seal's in a sealed case; empty where it cannot be read."""
    try:
        entries = verify_chain(log)
    except CheckFailed:
        return {}
    return entries[-1] if entries else {}


def _verified(line: bytes, der: bytes, entry: Mapping[str, Any]) -> SignedData:
    """Returns a signature over an entry, whose certificate, time and place are those that the entry names."""
    signed = read_cms(der, detached_digest=lambda name: hashlib.new(name, line).digest())
    if signed.fingerprint != entry["signer"]:
        raise CmsError("it is by another certificate than the entry names")
    if not is_stamped_as_named(entry, signed):
        raise CmsError("its timestamp is not the one that the entry names: it was taken away or exchanged")
    if signed.signing_time is None or utc(signed.signing_time) != entry["utc"]:
        raise CmsError("it states another time than the entry")
    if not signed.signer.not_valid_before_utc <= signed.signing_time <= signed.signer.not_valid_after_utc:
        raise CmsError("its certificate was not valid at that time")
    if signed.timestamp is not None and signed.signing_time > signed.timestamp.gen_time + CLOCKS:
        raise CmsError("its timestamp lies before the entry")
    return signed


def _describe(
    found: EntryFindings, what: str, signed: SignedData, roots: Sequence[x509.Certificate] | None
) -> dict[str, Any]:
    stamp, trusted = signed.timestamp, None
    if stamp is not None:
        found.stamps.append(stamp)
    if roots is not None:
        trusted = trusted_by(signed, roots, at=_moment(stamp, roots), purpose="signature")
        if not trusted:
            found.remarks.append(f"{what} is signed by somebody whose certificate leads to no root that you trust.")
    return {
        "signed_by": subject_name(signed.signer),
        "fingerprint": signed.fingerprint,
        "demonstration": is_demonstration(signed.signer),
        "timestamp": utc(stamp.gen_time) if stamp is not None else None,
        "trusted": trusted,
    }


def _moment(stamp: TimestampToken | None, roots: Sequence[x509.Certificate]) -> datetime:
    """The time at which the certificate must be valid: that of a trusted timestamp, else now."""
    dated = stamp is not None and trusted_by(stamp.signed, roots, at=stamp.gen_time, purpose="timestamp")
    return stamp.gen_time if stamp is not None and dated else now()
