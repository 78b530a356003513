"""The examiner's signing key: PKCS#12 or PEM to a pyHanko signer, and our timestamp authority in pyHanko's terms."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from asn1crypto import cms, keys
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from pyhanko.sign.signers import Signer, SimpleSigner
from pyhanko.sign.timestamps import TimeStamper
from pyhanko_certvalidator.registry import SimpleCertificateStore

from forensics.canonical import utc
from forensics.errors import UsageError
from forensics.evidence.certificates import is_demonstration, read_certificates, read_small
from forensics.keys.chain import verifiable_chain
from forensics.keys.timestamp import TimestampAuthority

__all__ = [
    "AuthorityTimeStamper",
    "is_demonstration",
    "load_signer",
    "make_store",
    "require_signing",
    "require_strength",
    "signer_certificate",
    "signer_chain",
    "to_asn1",
]

_SMALLEST_RSA, _SMALLEST_CURVE = 2048, 256

_DOCUMENTS = frozenset(
    x509.ObjectIdentifier(dotted)
    for dotted in (
        "1.3.6.1.5.5.7.3.36",  # documentSigning (RFC 9336)
        "1.3.6.1.4.1.311.10.3.12",  # the same by Microsoft
        "1.2.840.113583.1.1.5",  # the same by Adobe
        "1.3.6.1.5.5.7.3.4",  # emailProtection, which many certificates of persons have alone
        "2.5.29.37.0",  # any
    )
)


def load_signer(
    path: Path, passphrase: str | None, *, certificate: Path | None = None, chain: Sequence[Path] = ()
) -> SimpleSigner:
    """Loads a signing key with its certificate.

    Args:
        path: PKCS#12, or PEM with the private key and, unless given apart, the certificate.
        passphrase: of the file; None where it has none.
        certificate: PEM or DER of the certificate, for a PEM key without one.
        chain: PEM or DER files with issuers to embed; only a chain up to a self-signed root is embedded.

    Raises:
        UsageError: a file cannot be read, the passphrase is wrong, key and certificate do not belong together, or
            the key is of a kind that `check` does not accept.
    """
    raw = read_small(path)
    key, certificates = (
        _load_pem(raw, passphrase, path) if b"-----BEGIN" in raw else _load_pkcs12(raw, passphrase, path)
    )
    if certificate is not None:
        certificates = read_certificates(certificate) + certificates
    others = certificates + [found for extra in chain for found in read_certificates(extra)]
    leaf = next((found for found in certificates if found.public_key() == key.public_key()), None)
    if leaf is None:
        raise UsageError(
            f"{path.name} holds no certificate of its own key.",
            "Give the certificate that belongs to the key with --certificate.",
        )
    encoded = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return SimpleSigner(
        signing_cert=to_asn1(leaf),
        signing_key=keys.PrivateKeyInfo.load(encoded),
        cert_registry=make_store(leaf, others),
        embed_roots=True,
    )


def require_strength(key: object, holder: str) -> None:
    """Refuses a public key that `check` would not accept.

    Args:
        key: None where there is none.
        holder: the file or token that it came from.

    Raises:
        UsageError: it is neither RSA nor on an elliptic curve, or too short.
    """
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _SMALLEST_RSA:
        return
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.key_size >= _SMALLEST_CURVE:
        return
    raise UsageError(
        f"{holder} holds no RSA key of 2048 bits or more, nor one on a curve of 256 bits or more.",
        "Use such a key.",
    )


def make_store(leaf: x509.Certificate, others: Sequence[x509.Certificate]) -> SimpleCertificateStore:
    """Returns the issuers that a signature embeds: a chain up to a self-signed root, or none."""
    store = SimpleCertificateStore()  # type: ignore[no-untyped-call]
    for embedded in verifiable_chain(leaf, others)[1:]:
        store.register(to_asn1(embedded))
    return store


def signer_certificate(signer: Signer) -> x509.Certificate:
    """Returns the certificate of a loaded signer."""
    encoded: Any = signer.signing_cert
    return x509.load_der_x509_certificate(encoded.dump())


def signer_chain(signer: Signer) -> tuple[x509.Certificate, ...]:
    """Returns the certificate of a loaded signer and the issuers that its signatures embed."""
    registered: Any = signer.cert_registry
    issuers = [x509.load_der_x509_certificate(each.dump()) for each in registered]
    leaf = signer_certificate(signer)
    return (leaf, *(each for each in issuers if each != leaf))


def require_signing(certificate: x509.Certificate, at: datetime) -> None:
    """Refuses a certificate that is not one for signatures on documents at a time.

    Args:
        at: aware.

    Raises:
        UsageError: it is not valid then, or its key usage or extended key usage does not allow it.
    """
    if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
        raise UsageError(
            f"The signing certificate is valid from {utc(certificate.not_valid_before_utc)} to "
            f"{utc(certificate.not_valid_after_utc)}, not at {utc(at)}.",
            "Use a valid certificate, or set the computer's clock.",
        )
    another = "Use a certificate for signatures on documents."
    try:
        extensions = {type(each.value): each.value for each in certificate.extensions}
    except (ValueError, x509.DuplicateExtension) as error:
        raise UsageError("The signing certificate cannot be read.", another) from error
    usage, purposes = extensions.get(x509.KeyUsage), extensions.get(x509.ExtendedKeyUsage)
    if isinstance(usage, x509.KeyUsage) and not (usage.digital_signature or usage.content_commitment):
        raise UsageError(
            "The signing certificate's key usage is neither digital signature nor non-repudiation.", another
        )
    if isinstance(purposes, x509.ExtendedKeyUsage) and not _DOCUMENTS & set(purposes):
        raise UsageError("The signing certificate's extended key usage is not for documents.", another)


class AuthorityTimeStamper(TimeStamper):
    """One of our timestamp authorities, as pyHanko wants to call it.

    Args:
        authority: whose `stamp` gets a SHA-256 digest and returns a token.
    """

    def __init__(self, authority: TimestampAuthority) -> None:
        super().__init__(include_nonce=True)  # type: ignore[no-untyped-call]
        self._authority = authority

    async def async_timestamp(self, message_digest: bytes, md_algorithm: str) -> cms.ContentInfo:
        """Returns a token over a SHA-256 digest.

        Raises:
            UsageError: another hash was asked for.
            AuthorityError: the authority failed.
        """
        if md_algorithm.replace("-", "").lower() != "sha256":
            raise UsageError(f"A timestamp over {md_algorithm} was asked for.", "Sign with SHA-256.")
        token = await asyncio.to_thread(self._authority.stamp, message_digest)
        found: cms.ContentInfo = _Verbatim.load(token, strict=True)
        return found


class _Verbatim(cms.ContentInfo):  # type: ignore[misc]
    """A token that is embedded as it is.

    asn1crypto takes a length that ends in 0x80 for an indefinite one, encodes such a value anew and sorts its
    certificates, so that one token in some hundred would come out in another form than the authority's.
    """

    def dump(self, force: bool = False) -> bytes:
        """Returns the bytes that were loaded."""
        return self._header + self._contents + self._trailer  # type: ignore[no-any-return]


def _load_pkcs12(
    raw: bytes, passphrase: str | None, path: Path
) -> tuple[rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, list[x509.Certificate]]:
    secret = passphrase.encode() if passphrase else None
    try:
        key, leaf, others = pkcs12.load_key_and_certificates(raw, secret)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UsageError(
            f"{path.name} cannot be opened as PKCS#12: the passphrase is wrong or the file is damaged.",
            "Check the passphrase, and that the file is a .p12, .pfx or PEM file.",
        ) from error
    return _usable(key, path), ([leaf] if leaf else []) + list(others)


def _load_pem(
    raw: bytes, passphrase: str | None, path: Path
) -> tuple[rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, list[x509.Certificate]]:
    encrypted = b"ENCRYPTED" in raw
    if encrypted and not passphrase:
        raise UsageError(f"The key in {path.name} is encrypted.", "Give its passphrase.")
    try:
        key = load_pem_private_key(raw, passphrase.encode() if encrypted and passphrase else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UsageError(
            f"The private key in {path.name} cannot be read: the passphrase is wrong or the file is damaged.",
            "Check the passphrase, and that the file holds a private key in PEM form.",
        ) from error
    return _usable(key, path), x509.load_pem_x509_certificates(raw) if b"CERTIFICATE-----" in raw else []


def _usable(key: PrivateKeyTypes | None, path: Path) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    require_strength(None if key is None else key.public_key(), path.name)
    if isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        return key
    raise TypeError("a strong key is an RSA key or one on a curve")


def to_asn1(certificate: x509.Certificate) -> asn1_x509.Certificate:
    """Returns a certificate in the form that pyHanko takes."""
    return asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))
