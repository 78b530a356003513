"""Certificate chains: who issued whom, what a certificate may be used for, and whether a root is trusted."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeVar

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from forensics.keys.der import BIT_STRING, SEQUENCE, tlv

if TYPE_CHECKING:
    from forensics.keys.signed import SignedData

Purpose = Literal["timestamp", "signature"]
_Extension = TypeVar("_Extension", bound=x509.ExtensionType)

_UNDERSTOOD = (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage, x509.CertificatePolicies)
_BROKEN_HASHES = (hashes.MD5, hashes.SHA1)


class UnaccountedError(ValueError):
    """An embedded certificate is unused, unverifiable, doubled, or not in canonical form."""


def issuer_chain(
    signer: x509.Certificate, embedded: Sequence[x509.Certificate], listed: frozenset[bytes]
) -> tuple[x509.Certificate, ...]:
    """Returns the chain from the signer up, after accounting for every byte of every embedded certificate.

    Each certificate is verified by the next one; the last is self-signed, or its digest is signed.

    Args:
        signer: the leaf; its digest is among `listed`.
        embedded: all certificates of the structure, the signer among them.
        listed: SHA-256, SHA-384 or SHA-512 digests of certificates that the signed attributes name.

    Raises:
        UnaccountedError: a certificate is unused, unverifiable, doubled, or not in canonical form.
    """
    chain, rest = [signer], [certificate for certificate in embedded if certificate != signer]
    if len(rest) != len(embedded) - 1:
        raise UnaccountedError("the signer's certificate is embedded twice")
    while chain[-1].issuer != chain[-1].subject:
        issuers = [certificate for certificate in rest if issued(chain[-1], certificate)]
        if not issuers:
            break
        chain.append(issuers[0])
        rest.remove(issuers[0])
    if rest:
        raise UnaccountedError(
            "an embedded certificate does not belong to the signer's chain, or its issuer's signature fails"
        )
    last = chain[-1]
    if not issued(last, last) and not certificate_digests(last) & listed:
        raise UnaccountedError("the last embedded certificate is verified by nothing: embed its root or leave it out")
    for certificate in chain:
        if not _canonical(certificate):
            raise UnaccountedError("an embedded certificate names two signature algorithms or is not in DER form")
    return tuple(chain)


def verifiable_chain(
    signer: x509.Certificate, others: Sequence[x509.Certificate], listed: frozenset[bytes] = frozenset()
) -> tuple[x509.Certificate, ...]:
    """Returns the longest chain that `issuer_chain` accepts: to a self-signed or listed one, or the leaf.

    Args:
        signer: the leaf.
        others: candidates for issuers, in any order; unusable ones are left out.
        listed: digests of certificates that the signed attributes name, besides the leaf's.
    """
    chain, rest = [signer], [certificate for certificate in others if certificate != signer]
    while chain[-1].issuer != chain[-1].subject:
        issuer = next((certificate for certificate in rest if issued(chain[-1], certificate)), None)
        if issuer is None:
            break
        chain.append(issuer)
        rest = [certificate for certificate in rest if certificate != issuer]
    while len(chain) > 1 and not _ends(chain, listed):
        chain.pop()
    return tuple(chain)


def issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Says whether the issuer's name and key fit the certificate's issuer name and signature."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def sole_timestamping(certificate: x509.Certificate) -> bool:
    """Says whether the extended key usage is critical and timeStamping alone (RFC 3161, section 2.3)."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return False
    return usage.critical and list(usage.value) == [ExtendedKeyUsageOID.TIME_STAMPING]


def trusted_by(signed: "SignedData", roots: Sequence[x509.Certificate], *, at: datetime, purpose: Purpose) -> bool:
    """Says whether a path leads from the signer to one of the given certificates.

    Every given certificate counts as an anchor, so an intermediate or the signer itself may be named. Along
    the path: validity at `at`, CA flag and certificate signing, path length, no MD5 or SHA-1, no critical
    extension that is not understood here. Revocation is not looked up.

    Args:
        signed: as read by `cms.read_cms`.
        roots: the anchors.
        at: the moment of the signature, aware: the timestamp's where there is one.
        purpose: `timestamp` demands the sole, critical timeStamping usage; `signature` a key that may sign.
    """
    try:
        return any(_acceptable(path, at, purpose) for path in _paths(signed.chain, roots))
    except (ValueError, x509.DuplicateExtension, UnsupportedAlgorithm):
        return False


def _ends(chain: Sequence[x509.Certificate], listed: frozenset[bytes]) -> bool:
    last = chain[-1]
    return (issued(last, last) or bool(certificate_digests(last) & listed)) and all(map(_canonical, chain))


def _paths(
    chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate]
) -> Iterator[tuple[x509.Certificate, ...]]:
    for depth, certificate in enumerate(chain, start=1):
        if certificate in roots:
            yield tuple(chain[:depth])
        for root in roots:
            if root != certificate and issued(certificate, root):
                yield (*chain[:depth], root)


def _acceptable(path: tuple[x509.Certificate, ...], at: datetime, purpose: Purpose) -> bool:
    return (
        all(certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc for certificate in path)
        and not any(isinstance(certificate.signature_hash_algorithm, _BROKEN_HASHES) for certificate in path[:-1])
        and not any(
            extension.critical and not isinstance(extension.value, _UNDERSTOOD)
            for certificate in path
            for extension in certificate.extensions
        )
        and all(_may_issue(certificate, below) for below, certificate in enumerate(path[1:]))
        and (sole_timestamping(path[0]) if purpose == "timestamp" else _may_sign(path[0]))
    )


def _may_issue(certificate: x509.Certificate, below: int) -> bool:
    """Whether it is a CA with at most `below` CAs between itself and the signer."""
    constraints = _extension(certificate, x509.BasicConstraints)
    usage = _extension(certificate, x509.KeyUsage)
    if constraints is None or not constraints.ca:
        return False
    deep_enough = constraints.path_length is None or constraints.path_length >= below
    return deep_enough and (usage is None or usage.key_cert_sign)


def _may_sign(certificate: x509.Certificate) -> bool:
    usage = _extension(certificate, x509.KeyUsage)
    allowed = usage is None or usage.digital_signature or usage.content_commitment
    return allowed and not sole_timestamping(certificate)


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def certificate_digests(certificate: x509.Certificate) -> frozenset[bytes]:
    """Returns the SHA-256, SHA-384 and SHA-512 digests of a certificate."""
    return frozenset(certificate.fingerprint(kind()) for kind in (hashes.SHA256, hashes.SHA384, hashes.SHA512))


def _canonical(certificate: x509.Certificate) -> bool:
    """Whether nothing outside the signed part can differ: the outer algorithm repeats the inner one."""
    raw = certificate.public_bytes(serialization.Encoding.DER)
    signed_part = certificate.tbs_certificate_bytes
    inner = asn1_x509.TbsCertificate.load(signed_part)["signature"].dump()
    return raw == tlv(SEQUENCE, signed_part, inner, tlv(BIT_STRING, b"\x00", certificate.signature))
