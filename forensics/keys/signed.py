"""What a verified signature or timestamp token holds, and the error of one that does not verify."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from forensics.errors import CheckFailed

DigestOf = Callable[[str], bytes]
"""Maps a hash name (`sha256`, `sha384`, `sha512`) to the digest of some content."""


class CmsError(CheckFailed):
    """A signature or timestamp token is malformed, altered, or does not verify.

    Args:
        detail: what is wrong, a clause.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"A signature or timestamp token does not verify: {detail}.",
            "Treat the file as altered and obtain it again from its source.",
        )
        self.detail = detail


@dataclass(frozen=True)
class SignedData:
    """A SignedData whose signature verifies; nothing is said about trust.

    Attributes:
        signer: the certificate that the signed attributes name by its digest (ESSCertIDv2).
        chain: verified certificates from the signer to the root, as far as embedded.
        content: the encapsulated content; None where it is detached.
        content_type: dotted object identifier, `DATA` or `TST_INFO`.
        digest_algorithm: `sha256`, `sha384` or `sha512`.
        signed_attributes_der: the signed attributes in their SET encoding, the bytes under the signature.
        signature: canonical: RSA of the modulus length; ECDSA as fixed-width r || min(s, n - s).
        signing_time: as the signer asserts it, UTC.
        timestamp: the signature timestamp, verified over the signature value.
    """

    signer: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    content: bytes | None
    content_type: str
    digest_algorithm: str
    signed_attributes_der: bytes
    signature: bytes
    signing_time: datetime | None
    timestamp: "TimestampToken | None"

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the signer's certificate, 64 hexadecimal digits."""
        return self.signer.fingerprint(hashes.SHA256()).hex()


@dataclass(frozen=True)
class TimestampToken:
    """An RFC 3161 token whose signature and message imprint verify.

    Attributes:
        tst_info: DER of the TSTInfo.
        gen_time: UTC.
        policy: dotted object identifier.
        imprint_algorithm: hash name of the message imprint.
    """

    signed: SignedData
    tst_info: bytes
    gen_time: datetime
    policy: str
    serial: int
    imprint_algorithm: str
    imprint: bytes
