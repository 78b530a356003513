"""Certification authorities, revocation lists and timestamp units for tests, on elliptic curves: keys cost nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pyhanko.sign.signers import SimpleSigner

from forensics.evidence.revocation import RevocationList
from forensics.evidence.signer import load_signer
from forensics.keys.demonstration import DemonstrationAuthority

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
SECRET = "secret"
SIGNING = ("digital_signature", "content_commitment")
DOCUMENTS = "1.3.6.1.5.5.7.3.36"

_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
_UNIT_KEY = rsa.generate_private_key(65537, 2048)


def name(common: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Institute"), x509.NameAttribute(NameOID.COMMON_NAME, common)]
    )


def usage(*allowed: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{each: each in allowed for each in _USAGES})


@dataclass
class Holder:
    """A certificate with its key and its issuers."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = field(repr=False)
    issuers: tuple[x509.Certificate, ...] = ()

    def p12(self, *, chain: bool = True) -> bytes:
        issuers = list(self.issuers) if chain else None
        protection = BestAvailableEncryption(SECRET.encode())
        return pkcs12.serialize_key_and_certificates(b"x", self.key, self.certificate, issuers, protection)

    def pem(self) -> bytes:
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return key + b"".join(each.public_bytes(Encoding.PEM) for each in (self.certificate, *self.issuers))

    def signer(self, folder: Path) -> SimpleSigner:
        path = folder / "signer.pem"
        path.write_bytes(self.pem())
        return load_signer(path, None)


class Ca:
    """A certification authority.

    Args:
        common: its common name.
        above: who certifies it; None for a root.
        usages: its key usage.
    """

    def __init__(
        self, common: str = "Root", above: "Ca | None" = None, usages: Sequence[str] = ("key_cert_sign", "crl_sign")
    ) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = name(common)
        ca = [(x509.BasicConstraints(True, None), True), (usage(*usages), True)]
        self.certificate = (above or self).certify(common, self.key, ca, days=1000)
        self.issuers = (self.certificate, *(above.issuers if above else ()))

    def certify(
        self,
        common: str,
        key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
        extensions: Sequence[tuple[x509.ExtensionType, bool]],
        *,
        days: int = 100,
        start: datetime = NOW - DAY,
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(common))
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + timedelta(days=days))
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.key, hashes.SHA256())

    def issue(
        self,
        common: str = "Expert",
        usages: Sequence[str] | None = SIGNING,
        purposes: Sequence[str] | None = (DOCUMENTS,),
        more: Sequence[tuple[x509.ExtensionType, bool]] = (),
        *,
        key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None,
        days: int = 100,
        start: datetime = NOW - DAY,
    ) -> Holder:
        key = key or ec.generate_private_key(ec.SECP256R1())
        extensions = list(more)
        if usages is not None:
            extensions.append((usage(*usages), True))
        if purposes is not None:
            extensions.append((x509.ExtendedKeyUsage([x509.ObjectIdentifier(each) for each in purposes]), False))
        return Holder(self.certify(common, key, extensions, days=days, start=start), key, self.issuers)

    def crl(
        self,
        *revoked: x509.Certificate,
        last: datetime = NOW - DAY,
        until: datetime | None = NOW + 30 * DAY,
        more: Sequence[tuple[x509.ExtensionType, bool]] = (),
        source: str = "list.crl",
    ) -> RevocationList:
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name).last_update(last)
        builder = builder.next_update(until or NOW + DAY)
        for each in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(each.serial_number).revocation_date(last)
            builder = builder.add_revoked_certificate(entry.build())
        for extension, critical in more:
            builder = builder.add_extension(extension, critical)
        return RevocationList(builder.sign(self.key, hashes.SHA256()), source)


class Unit:
    """A timestamp authority under a CA; like a real one, it has no revocation list of its own at hand."""

    name = "http://stamps.example"

    def __init__(self, ca: Ca, common: str = "Timestamp unit") -> None:
        stamping = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True)
        self.certificate = ca.certify(common, _UNIT_KEY, [(usage("digital_signature"), True), stamping])
        self._inner = DemonstrationAuthority(
            root=ca.certificate,
            tsa=self.certificate,
            signer=self.certificate,
            crl=ca.crl().crl,
            tsa_key=_UNIT_KEY,
            signer_key=_UNIT_KEY,
        )

    def stamp(self, digest: bytes) -> bytes:
        return self._inner.stamp(digest)
