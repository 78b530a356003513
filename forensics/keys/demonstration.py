"""A throwaway authority for demonstrations and tests: it dates and signs like a real one, and says it is none.

Every certificate has the organisation "forensics demonstration" and a common name that says NOT TRUSTED; a
claim dated by it is `demonstration`, never `timestamped`.
"""

import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from asn1crypto import cms, core, tsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from forensics.canonical import now
from forensics.errors import KeyFolderError
from forensics.keys.form import TST_INFO, algorithms, encode
from forensics.keys.storage import create_folder, read_file
from forensics.keys.timestamp import DEMONSTRATION

POLICY = "2.25.133160465511188573631736875445401353771"
"""Timestamp policy of demonstration tokens: an identifier of the free UUID arc."""

_DOCUMENT_SIGNING = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")
_KEY_BITS = 2048
_LIFETIME = timedelta(days=3650)
_WARNING = "DEMONSTRATION - NOT TRUSTED"


@dataclass(frozen=True)
class DemonstrationAuthority:
    """A root, a timestamp unit and a report signer; the root's private key is thrown away.

    Attributes:
        root: self-signed.
        tsa: with the sole, critical usage timeStamping.
        signer: for reports, with the usage documentSigning.
        crl: the root's empty revocation list, which long-term PDF signatures embed.
        clock: gives the time of a token, aware, UTC.
    """

    root: x509.Certificate
    tsa: x509.Certificate
    signer: x509.Certificate
    crl: x509.CertificateRevocationList
    tsa_key: rsa.RSAPrivateKey = field(repr=False)
    signer_key: rsa.RSAPrivateKey = field(repr=False)
    clock: Callable[[], datetime] = now

    @classmethod
    def create(cls, clock: Callable[[], datetime] = now) -> "DemonstrationAuthority":
        """Makes new keys and certificates, valid for ten years from a day before the clock's time."""
        start = clock() - timedelta(days=1)
        root_key, tsa_key, signer_key = (rsa.generate_private_key(65537, _KEY_BITS) for _ in range(3))
        certify = _Issuer(root_key, start)
        stamping = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        documents = x509.ExtendedKeyUsage([_DOCUMENT_SIGNING])
        return cls(
            root=certify(
                "root",
                root_key,
                [(_usage("key_cert_sign", "crl_sign"), True), (x509.BasicConstraints(True, 0), True)],
            ),
            tsa=certify("timestamp unit", tsa_key, [(_usage("digital_signature"), True), (stamping, True)]),
            signer=certify(
                "report signer",
                signer_key,
                [(_usage("digital_signature", "content_commitment"), True), (documents, False)],
            ),
            crl=certify.revocation_list(),
            tsa_key=tsa_key,
            signer_key=signer_key,
            clock=clock,
        )

    @property
    def name(self) -> str:
        """For messages and records."""
        return DEMONSTRATION

    @property
    def root_pem(self) -> bytes:
        """The root's certificate."""
        return self.root.public_bytes(Encoding.PEM)

    @property
    def crl_der(self) -> bytes:
        """The root's revocation list."""
        return self.crl.public_bytes(Encoding.DER)

    def stamp(self, digest: bytes) -> bytes:
        """Returns a token (DER) over a SHA-256 digest.

        Raises:
            ValueError: the digest is not 32 bytes long.
        """
        if len(digest) != 32:
            raise ValueError("a SHA-256 digest has 32 bytes")
        return self._token({"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": digest}, None)

    def respond(self, request: bytes) -> bytes:
        """Returns the TimeStampResp (DER) to a TimeStampReq, as a server would send it.

        Raises:
            ValueError: the request cannot be read.
        """
        asked = tsp.TimeStampReq.load(request, strict=True)
        token = self._token(asked["message_imprint"], asked["nonce"].native)
        response = {"status": {"status": "granted"}, "time_stamp_token": cms.ContentInfo.load(token)}
        encoded: bytes = tsp.TimeStampResp(response).dump()
        return encoded

    def signer_p12(self, passphrase: str) -> bytes:
        """Returns the report signer's key and chain as PKCS#12."""
        protection = BestAvailableEncryption(passphrase.encode())
        return pkcs12.serialize_key_and_certificates(
            _WARNING.encode(), self.signer_key, self.signer, [self.root], protection
        )

    def save(self, folder: Path) -> None:
        """Writes certificates, revocation list and unencrypted keys into a new folder.

        Raises:
            KeyFolderError: the folder exists.
            StorageError: it cannot be written.
        """
        create_folder(
            folder,
            {
                "root.pem": self.root_pem,
                "root.crl": self.crl_der,
                "tsa.pem": self.tsa.public_bytes(Encoding.PEM),
                "tsa.key": _pem(self.tsa_key),
                "signer.pem": self.signer.public_bytes(Encoding.PEM),
                "signer.key": _pem(self.signer_key),
            },
        )

    @classmethod
    def load(cls, folder: Path, clock: Callable[[], datetime] = now) -> "DemonstrationAuthority":
        """Reads what `save` wrote.

        Raises:
            KeyFolderError: the folder is none of a demonstration authority.
        """
        try:
            return cls(
                root=x509.load_pem_x509_certificate(read_file(folder / "root.pem")),
                tsa=x509.load_pem_x509_certificate(read_file(folder / "tsa.pem")),
                signer=x509.load_pem_x509_certificate(read_file(folder / "signer.pem")),
                crl=x509.load_der_x509_crl(read_file(folder / "root.crl")),
                tsa_key=_rsa_key(read_file(folder / "tsa.key")),
                signer_key=_rsa_key(read_file(folder / "signer.key")),
                clock=clock,
            )
        except (ValueError, TypeError) as error:
            raise KeyFolderError(
                f"{folder} is no folder of a demonstration authority.", "Make one with the demonstration."
            ) from error

    def _token(self, imprint: object, nonce: int | None) -> bytes:
        moment = self.clock().astimezone(UTC).replace(microsecond=0)
        info = {
            "version": "v1",
            "policy": POLICY,
            "message_imprint": imprint,
            "serial_number": secrets.randbits(63) + 1,
            "gen_time": moment,
            "accuracy": {"seconds": 1},
        }
        return self._sign(tsp.TSTInfo(info if nonce is None else info | {"nonce": nonce}).dump(), moment)

    def _sign(self, content: bytes, moment: datetime) -> bytes:
        tsa_der = self.tsa.public_bytes(Encoding.DER)
        attributes = cms.CMSAttributes(
            [
                _attribute("content_type", "tst_info"),
                _attribute("signing_time", cms.Time({"utc_time": core.UTCTime(moment)})),
                _attribute("message_digest", hashlib.sha256(content).digest()),
                _attribute("signing_certificate_v2", {"certs": [{"cert_hash": hashlib.sha256(tsa_der).digest()}]}),
            ]
        )
        signature = self.tsa_key.sign(attributes.dump(), padding.PKCS1v15(), hashes.SHA256())
        return encode(
            content_type=TST_INFO,
            content=content,
            certificates=[tsa_der, self.root.public_bytes(Encoding.DER)],
            signer=tsa_der,
            algorithms=algorithms(self.tsa_key.public_key(), "sha256", TST_INFO, {}),
            attributes=attributes.contents,
            signature=signature,
            token=None,
        )


class _Issuer:
    """Signs certificates with the root's key, and is dropped with it."""

    def __init__(self, key: rsa.RSAPrivateKey, start: datetime) -> None:
        self._key, self._start = key, start

    def __call__(
        self, role: str, key: rsa.RSAPrivateKey, extensions: Sequence[tuple[x509.ExtensionType, bool]]
    ) -> x509.Certificate:
        root_identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        builder = (
            x509.CertificateBuilder()
            .subject_name(_subject(role))
            .issuer_name(_subject("root"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._start)
            .not_valid_after(self._start + _LIFETIME)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(root_identifier),
                critical=False,
            )
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(self._key, hashes.SHA256())

    def revocation_list(self) -> x509.CertificateRevocationList:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            x509.CertificateRevocationListBuilder()
            .issuer_name(_subject("root"))
            .last_update(self._start)
            .next_update(self._start + _LIFETIME)
            .add_extension(x509.CRLNumber(1), critical=False)
            .add_extension(identifier, critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _subject(role: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, DEMONSTRATION),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{_WARNING} {role}"),
        ]
    )


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


def _usage(*allowed: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{name: name in allowed for name in _USAGES})


def _attribute(kind: str, value: object) -> cms.CMSAttribute:
    return cms.CMSAttribute({"type": kind, "values": (value,)})


def _pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _rsa_key(pem: bytes) -> rsa.RSAPrivateKey:
    key = load_pem_private_key(pem, None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("the key is no RSA key")
    return key
