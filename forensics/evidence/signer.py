"""The examiner's signing key: PKCS#12 or PEM to a pyHanko signer, and our timestamp authority in pyHanko's terms."""

import asyncio
from collections.abc import Sequence
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
from pyhanko.sign.signers import SimpleSigner
from pyhanko.sign.timestamps import TimeStamper
from pyhanko_certvalidator.registry import SimpleCertificateStore

from forensics.errors import UsageError
from forensics.evidence.certificates import is_demonstration, read_certificates, read_small
from forensics.keys.chain import verifiable_chain
from forensics.keys.timestamp import TimestampAuthority

__all__ = ["AuthorityTimeStamper", "is_demonstration", "load_signer", "signer_certificate"]

_SMALLEST_RSA, _SMALLEST_CURVE = 2048, 256


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
    store = SimpleCertificateStore()  # type: ignore[no-untyped-call]
    for embedded in verifiable_chain(leaf, others)[1:]:
        store.register(_asn1(embedded))
    encoded = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return SimpleSigner(
        signing_cert=_asn1(leaf),
        signing_key=keys.PrivateKeyInfo.load(encoded),
        cert_registry=store,
        embed_roots=True,
    )


def signer_certificate(signer: SimpleSigner) -> x509.Certificate:
    """Returns the certificate of a loaded signer."""
    encoded: Any = signer.signing_cert
    return x509.load_der_x509_certificate(encoded.dump())


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
        return cms.ContentInfo.load(token, strict=True)


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
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _SMALLEST_RSA:
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size >= _SMALLEST_CURVE:
        return key
    raise UsageError(
        f"{path.name} holds no RSA key of 2048 bits or more, nor one on a curve of 256 bits or more.",
        "Use such a key.",
    )


def _asn1(certificate: x509.Certificate) -> asn1_x509.Certificate:
    return asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))
