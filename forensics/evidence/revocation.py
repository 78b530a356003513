"""Revocation lists (RFC 5280): reading them, and what one says of a certificate at a time.

A list counts only if the certificate's own issuer signed it, it covers the time in question, and nothing in it limits
what it covers in a way that is not understood here. Lists that another authority signs for the issuer (indirect
ones) and changes to an earlier list (delta lists) are refused.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from forensics.canonical import utc
from forensics.errors import UsageError
from forensics.evidence.certificates import printable, subject_name
from forensics.keys.chain import issued

LARGEST = 32 << 20
"""Largest revocation list that is read, in bytes; those of large authorities hold many megabytes."""

_PEM = b"-----BEGIN X509 CRL-----"
_SKEW = timedelta(minutes=5)
_BROKEN_HASHES = (hashes.MD5, hashes.SHA1)
_UNDERSTOOD = (x509.CRLNumber, x509.AuthorityKeyIdentifier, x509.IssuingDistributionPoint)


Gap = Literal["authority", "list", "issuer", "self-signed"]
"""What can be missing: a timestamp authority, a revocation list, the issuer's certificate, or any issuer at all."""


@dataclass(frozen=True)
class RevocationList:
    """A list as an authority issued it; nothing is verified yet.

    Attributes:
        source: where it came from, for messages.
    """

    crl: x509.CertificateRevocationList
    source: str

    @property
    def der(self) -> bytes:
        """The list's encoding."""
        return self.crl.public_bytes(Encoding.DER)


class RevocationFault(Exception):  # noqa: N818 - says what was found
    """A certificate's state at a time cannot be shown, or it was revoked.

    Args:
        cause: a clause with the places `%(subject)s` and `%(issuer)s`.
        gap: what more data would mend; None where nothing would.
        subject: of the certificate in question.
        issuer: of that certificate.
    """

    def __init__(self, cause: str, gap: Gap | None = None, *, subject: str = "", issuer: str = "") -> None:
        self.gap = gap
        self.names = {"subject": subject, "issuer": issuer}
        self.cause = cause % self.names
        super().__init__(self.cause)


def read_lists(paths: Iterable[Path]) -> list[RevocationList]:
    """Reads revocation lists in PEM or DER form from files, and from every file of folders.

    Raises:
        UsageError: a file cannot be read or holds none.
    """
    found: list[RevocationList] = []
    for path in paths:
        files = sorted(each for each in path.iterdir() if each.is_file()) if path.is_dir() else [path]
        if not files:
            raise UsageError(f"{path} holds no revocation list.", "Name a file or folder that does.")
        for file in files:
            found += parse_lists(_read(file), file.name)
    return found


def parse_lists(raw: bytes, source: str) -> list[RevocationList]:
    """Parses one list in DER form, or any number in PEM form.

    Raises:
        UsageError: there is none.
    """
    try:
        if _PEM in raw:
            blocks = [_PEM + block for block in raw.split(_PEM)[1:]]
            return [RevocationList(x509.load_pem_x509_crl(block), source) for block in blocks]
        return [RevocationList(x509.load_der_x509_crl(raw), source)]
    except ValueError as error:
        raise UsageError(f"{source} holds no revocation list.", "Give a list in PEM or DER form.") from error


def prove_paths(
    paths: Sequence[Sequence[x509.Certificate]], lists: Sequence[RevocationList], at: datetime
) -> list[RevocationList]:
    """Returns the lists that show every certificate of the paths but the roots to be unrevoked at a time, each once.

    Args:
        paths: each from a certificate up to its root, as `path_to_root` gives them.

    Raises:
        RevocationFault: a certificate is revoked or not covered at that time, or a path ends before its root; what
            cannot be mended by more data is reported first.
    """
    faults: list[RevocationFault] = []
    proofs: dict[bytes, RevocationList] = {}
    for path in paths:
        last = subject_name(path[-1])
        if not issued(path[-1], path[-1]):
            faults.append(
                RevocationFault(
                    "the certificate of %(issuer)s, which issued that of %(subject)s, is not known",
                    "issuer",
                    subject=last,
                    issuer=printable(path[-1].issuer.rfc4514_string()),
                )
            )
        elif len(path) == 1:
            faults.append(
                RevocationFault(
                    "the certificate of %(subject)s is self-signed, so that nobody can revoke it",
                    "self-signed",
                    subject=last,
                )
            )
        for certificate, issuer in pairwise(path):
            try:
                proof = prove(certificate, issuer, lists, at)
                proofs[proof.der] = proof
            except RevocationFault as fault:
                faults.append(fault)
    if faults:
        raise min(faults, key=lambda fault: fault.gap is not None)
    return list(proofs.values())


def path_to_root(leaf: x509.Certificate, others: Sequence[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """Returns the certificate and its issuers, as far as they are among others; names and signatures fit."""
    path, rest = [leaf], [each for each in others if each != leaf]
    while path[-1].issuer != path[-1].subject:
        issuer = next((each for each in rest if issued(path[-1], each)), None)
        if issuer is None:
            break
        path.append(issuer)
        rest = [each for each in rest if each != issuer]
    return tuple(path)


def prove(
    certificate: x509.Certificate, issuer: x509.Certificate, lists: Sequence[RevocationList], at: datetime
) -> RevocationList:
    """Returns the newest list of the issuer that shows a certificate to be unrevoked at a time.

    A certificate that any of the issuer's lists names is refused, whatever the date and the reason.

    Raises:
        RevocationFault: it is revoked, or no list covers it at that time.
    """
    subject = subject_name(certificate)
    own = [each for each in lists if issued_by(each, issuer)]
    if not own:
        raise RevocationFault(
            "there is no revocation list of %(issuer)s, which issued the certificate of %(subject)s",
            "list",
            subject=subject,
            issuer=subject_name(issuer),
        )
    for each in own:
        entry = each.crl.get_revoked_certificate_by_serial_number(certificate.serial_number)
        if entry is not None:
            revoked = utc(entry.revocation_date_utc)
            raise RevocationFault(f"the certificate of %(subject)s was revoked on {revoked}", subject=subject)
    usable = [each for each in own if _covers(each.crl, certificate)]
    if not usable:
        raise RevocationFault(
            "the revocation list of %(issuer)s covers not all certificates, and not that of %(subject)s",
            subject=subject,
            issuer=subject_name(issuer),
        )
    current = [each for each in usable if _current(each.crl, at)]
    if not current:
        raise RevocationFault(
            f"the revocation list of %(issuer)s is not one for {utc(at)}: {_span(usable[-1])}",
            subject=subject,
            issuer=subject_name(issuer),
        )
    return max(current, key=lambda each: each.crl.last_update_utc)


def issued_by(found: RevocationList, issuer: x509.Certificate) -> bool:
    """Says whether the issuer, who may sign such lists, signed this one with a hash that still counts."""
    if found.crl.issuer != issuer.subject or isinstance(found.crl.signature_hash_algorithm, _BROKEN_HASHES):
        return False
    try:
        usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
        if not usage.crl_sign:
            return False
    except x509.ExtensionNotFound:
        pass
    except (ValueError, x509.DuplicateExtension):
        return False
    try:
        return found.crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False


def distribution_points(certificate: x509.Certificate) -> list[str]:
    """Returns the addresses at which a certificate's revocation list is published, in order."""
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return []
    names = [name for point in points for name in point.full_name or [] if point.crl_issuer is None]
    return [name.value for name in names if isinstance(name, x509.UniformResourceIdentifier)]


def _covers(crl: x509.CertificateRevocationList, certificate: x509.Certificate) -> bool:
    """Whether the list is a complete one and its scope, where it names one, includes the certificate."""
    try:
        extensions = list(crl.extensions)
        constraints = _constraints(certificate)
    except (ValueError, x509.DuplicateExtension):
        return False
    if any(extension.critical and not isinstance(extension.value, _UNDERSTOOD) for extension in extensions):
        return False
    scope = next((each.value for each in extensions if isinstance(each.value, x509.IssuingDistributionPoint)), None)
    if scope is None:
        return True
    if scope.indirect_crl or scope.only_some_reasons or scope.only_contains_attribute_certs or scope.relative_name:
        return False
    is_ca = constraints is not None and constraints.ca
    if (scope.only_contains_user_certs and is_ca) or (scope.only_contains_ca_certs and not is_ca):
        return False
    published = {name.value for name in scope.full_name or []}
    return not published or bool(published & set(distribution_points(certificate)))


def _constraints(certificate: x509.Certificate) -> x509.BasicConstraints | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return None


def _current(crl: x509.CertificateRevocationList, at: datetime) -> bool:
    return crl.next_update_utc is not None and crl.last_update_utc - _SKEW <= at <= crl.next_update_utc


def _span(found: RevocationList) -> str:
    until = found.crl.next_update_utc
    return f"it covers {utc(found.crl.last_update_utc)} to {utc(until) if until else 'no stated time'}"


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            raw = stream.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.", "Check the name and the permissions.") from error
    if len(raw) > LARGEST:
        raise UsageError(f"{path} is too large for a revocation list.", "Name the right file.")
    return raw
