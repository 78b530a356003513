"""The one form in which a CMS SignedData is accepted, written out from its parts."""

from collections.abc import Mapping, Sequence
from typing import Any

from asn1crypto import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from forensics.keys.der import CONTEXT_0, CONTEXT_1, INTEGER, OCTET_STRING, SEQUENCE, SET, algorithm, oid, tlv

SIGNED_DATA = "1.2.840.113549.1.7.2"
DATA = "1.2.840.113549.1.7.1"
TST_INFO = "1.2.840.113549.1.9.16.1.4"
TIMESTAMP_TOKEN = "1.2.840.113549.1.9.16.2.14"  # noqa: S105 - an object identifier
ALGORITHM_PROTECTION = "1.2.840.113549.1.9.52"
_RSA_ENCRYPTION = "1.2.840.113549.1.1.1"

DIGEST_OIDS = {
    "sha256": "2.16.840.1.101.3.4.2.1",
    "sha384": "2.16.840.1.101.3.4.2.2",
    "sha512": "2.16.840.1.101.3.4.2.3",
}
_RSA_OIDS = {
    "sha256": "1.2.840.113549.1.1.11",
    "sha384": "1.2.840.113549.1.1.12",
    "sha512": "1.2.840.113549.1.1.13",
}
_ECDSA_OIDS = {
    "sha256": "1.2.840.10045.4.3.2",
    "sha384": "1.2.840.10045.4.3.3",
    "sha512": "1.2.840.10045.4.3.4",
}


def algorithms(key: object, hash_name: str, content_type: str, attributes: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """Returns the digest and signature algorithms as SignerInfo must give them, both in DER.

    Neither is under the signature. They are fixed by CMSAlgorithmProtection (RFC 6211) where the signer used
    it, otherwise by what OpenSSL writes in tokens and pyHanko in signatures.

    Args:
        key: the signer's public key, RSA or on an elliptic curve.
        hash_name: `sha256`, `sha384` or `sha512`.
        content_type: `DATA` or `TST_INFO`.
        attributes: the single value of each signed attribute, by dotted type.

    Raises:
        ValueError: the protected algorithms are not those of the key and the hash.
    """
    digest = algorithm(DIGEST_OIDS[hash_name], null=True)
    ecdsa = algorithm(_ECDSA_OIDS[hash_name], null=False)
    plain, combined = algorithm(_RSA_ENCRYPTION, null=True), algorithm(_RSA_OIDS[hash_name], null=True)
    allowed = (plain, combined) if isinstance(key, rsa.RSAPublicKey) else (ecdsa, ecdsa)
    protected = attributes.get(ALGORITHM_PROTECTION)
    if protected is None:
        return digest, allowed[0] if content_type == TST_INFO else allowed[1]
    named = tlv(SEQUENCE, protected["signature_algorithm"].contents)
    named_digest: bytes = protected["digest_algorithm"].dump()
    if named not in allowed or named_digest not in (digest, algorithm(DIGEST_OIDS[hash_name], null=False)):
        raise ValueError("the protected algorithms are not those of the key and the hash")
    return named_digest, named


def encode(
    *,
    content_type: str,
    content: bytes | None,
    certificates: Sequence[bytes],
    signer: bytes,
    algorithms: tuple[bytes, bytes],
    attributes: bytes,
    signature: bytes,
    token: bytes | None,
) -> bytes:
    """Returns the DER of a ContentInfo with one SignedData of one signer.

    Args:
        content_type: `DATA` (version 1) or `TST_INFO` (version 3).
        content: encapsulated content; None for detached.
        certificates: DER, from signer to root; written so in tokens, and sorted in signatures.
        signer: DER of the signer's certificate.
        algorithms: digest and signature algorithm in DER.
        attributes: the signed attributes without their outer tag and length.
        signature: as it stands in SignerInfo.
        token: a signature timestamp, the only unsigned attribute.
    """
    names = x509.Certificate.load(signer)["tbs_certificate"]
    unsigned = b"" if token is None else tlv(CONTEXT_1, tlv(SEQUENCE, oid(TIMESTAMP_TOKEN), tlv(SET, token)))
    signer_info = tlv(
        SEQUENCE,
        tlv(INTEGER, b"\x01"),
        tlv(SEQUENCE, names["issuer"].dump(), names["serial_number"].dump()),
        algorithms[0],
        tlv(CONTEXT_0, attributes),
        algorithms[1],
        tlv(OCTET_STRING, signature),
        unsigned,
    )
    is_data = content_type == DATA
    body = tlv(
        SEQUENCE,
        tlv(INTEGER, b"\x01" if is_data else b"\x03"),
        tlv(SET, algorithms[0]),
        tlv(
            SEQUENCE,
            oid(content_type),
            b"" if content is None else tlv(CONTEXT_0, tlv(OCTET_STRING, content)),
        ),
        tlv(CONTEXT_0, *(sorted(certificates) if is_data else certificates)),
        tlv(SET, signer_info),
    )
    return tlv(SEQUENCE, oid(SIGNED_DATA), tlv(CONTEXT_0, body))
