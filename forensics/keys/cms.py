"""Strict reading of CMS SignedData (RFC 5652): timestamp tokens, CAdES and PAdES signatures.

Every byte is accounted for. The structure is parsed, then rebuilt from its signed or verified parts in the
one form that is accepted, and the two must be equal: what is neither signed, nor part of a verified
certificate, nor fixed by that form makes the reading fail. The accepted forms are those of OpenSSL for
timestamp tokens (`rsaEncryption`, certificates from leaf to root) and of pyHanko for signatures
(`shaXXXWithRSAEncryption`, certificates sorted as DER demands). Whether a root is to be trusted is another
question, for `trusted_by`.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from asn1crypto import cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from forensics.keys.chain import (
    UnaccountedError,
    certificate_digests,
    issuer_chain,
    sole_timestamping,
    trusted_by,
    verifiable_chain,
)
from forensics.keys.der import SEQUENCE, SET, inside, split, tlv
from forensics.keys.form import DATA, DIGEST_OIDS, SIGNED_DATA, TIMESTAMP_TOKEN, TST_INFO, algorithms, encode
from forensics.keys.signed import CmsError, DigestOf, SignedData, TimestampToken

__all__ = [
    "DATA",
    "TST_INFO",
    "CmsError",
    "DigestOf",
    "SignedData",
    "TimestampToken",
    "accepted_form",
    "canonical_signature",
    "read_cms",
    "read_timestamp",
    "trusted_by",
]

_CONTENT_TYPE = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
_SIGNING_TIME = "1.2.840.113549.1.9.5"
_SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47"
_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_SMALLEST_RSA, _SMALLEST_CURVE = 2048, 256


def read_cms(der: bytes, *, detached_digest: DigestOf | None = None) -> SignedData:
    """Reads and verifies one SignedData; any changed byte is refused.

    Args:
        der: the whole encoding, without padding (`der.unpad` removes that of a PDF).
        detached_digest: digest of the detached content by hash name; None for encapsulated content.

    Raises:
        CmsError: the structure is not exactly of the accepted form, or something in it does not verify.
    """
    with _reading("its structure"):
        return _read(der, detached_digest)


def read_timestamp(der: bytes, digest_of: DigestOf) -> TimestampToken:
    """Reads and verifies an RFC 3161 timestamp token over content given by its digests.

    Checked besides `read_cms`: TSTInfo equals its DER re-encoding, the imprint is that of the content, and
    the authority's certificate has a critical extended key usage that is timeStamping alone.

    Raises:
        CmsError: any of it fails.
    """
    signed = read_cms(der)
    _require(signed.content_type == TST_INFO and signed.content is not None, "it holds no timestamp")
    raw = signed.content or b""
    with _reading("the timestamp's TSTInfo"):
        info = tsp.TSTInfo.load(raw, strict=True)
        _require(info.copy().dump(force=True) == raw, "the timestamp's TSTInfo is not in DER form")
        name = info["message_imprint"]["hash_algorithm"]["algorithm"].native
        imprint = info["message_imprint"]["hashed_message"].native
        time, policy, serial = info["gen_time"].native, info["policy"].dotted, info["serial_number"].native
        _require(info["version"].native == "v1", "the timestamp has an unknown version")
    _require(name in DIGEST_OIDS, "the timestamp's imprint uses another hash than SHA-256, SHA-384 or SHA-512")
    _require(imprint == digest_of(name), "the timestamp is over other content")
    _require(sole_timestamping(signed.signer), "the timestamp was not signed by a timestamping certificate")
    return TimestampToken(signed, raw, time.astimezone(UTC), policy, serial, name, imprint)


def accepted_form(der: bytes) -> bytes:
    """Rewrites a token as `read_cms` accepts it; nothing that is signed changes.

    Unsigned attributes and revocation lists go, as do certificates that nothing in the token verifies (such
    as an intermediate whose root is missing); the order of certificates and the algorithm identifiers become
    ours.

    Args:
        der: a timestamp token as some authority wrote it; not verified here.

    Raises:
        CmsError: it is no SignedData of one signer who names its certificate by ESSCertIDv2.
    """
    with _reading("its structure"):
        parts = _parse(der)
        others = [_certificate(raw) for raw in parts.embedded]
        return _encode(parts, verifiable_chain(_signer(parts), others, parts.listed), bytes(parts.content), None)


def canonical_signature(key: object, signature: bytes) -> bytes:
    """Returns a verified signature value in the one form that enters a salt.

    Args:
        key: RSA or elliptic-curve public key.
        signature: as in SignerInfo: RSA octets, or DER of an ECDSA signature.

    Raises:
        CmsError: another kind of key, or octets of another length than the modulus.
    """
    if isinstance(key, rsa.RSAPublicKey):
        _require(len(signature) == -(-key.key_size // 8), "the RSA signature has not the length of its modulus")
        return signature
    if isinstance(key, ec.EllipticCurvePublicKey):
        r, s = decode_dss_signature(signature)
        _require(encode_dss_signature(r, s) == signature, "the ECDSA signature is not in DER form")
        width = -(-key.key_size // 8)
        return r.to_bytes(width, "big") + min(s, key.curve.group_order - s).to_bytes(width, "big")
    raise CmsError("its key is neither RSA nor on an elliptic curve")


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Turns what the parsers raise on malformed input into `CmsError`."""
    try:
        yield
    except InvalidSignature as error:
        raise CmsError("a signature value does not fit its key and content") from error
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, UnsupportedAlgorithm) as error:
        raise CmsError(f"{what} cannot be read ({type(error).__name__})") from error


@dataclass(frozen=True)
class _Parts:
    """What stands in a SignedData of one signer, before anything is verified."""

    content_type: str
    content: Any
    hash_name: str
    attributes: dict[str, Any]
    attributes_body: bytes
    embedded: list[bytes]
    signature: bytes
    unsigned: Any

    @property
    def identifiers(self) -> Any:
        return self.attributes[_SIGNING_CERTIFICATE_V2]["certs"]

    @property
    def listed(self) -> frozenset[bytes]:
        return frozenset(entry["cert_hash"].native for entry in self.identifiers)


def _parse(der: bytes) -> _Parts:
    info = cms.ContentInfo.load(der, strict=True)
    _require(info["content_type"].dotted == SIGNED_DATA, "it is no CMS SignedData")
    signed = info["content"]
    _require(len(signed["signer_infos"]) == 1, "it has not exactly one signer")
    signer_info, inside = signed["signer_infos"][0], signed["encap_content_info"]
    hash_name = signer_info["digest_algorithm"]["algorithm"].native
    _require(hash_name in DIGEST_OIDS, "it uses another hash than SHA-256, SHA-384 or SHA-512")
    content_type = inside["content_type"].dotted
    _require(content_type in (DATA, TST_INFO), "its content is neither data nor a timestamp")
    return _Parts(
        content_type=content_type,
        content=inside["content"],
        hash_name=hash_name,
        attributes=_attributes(signer_info["signed_attrs"]),
        attributes_body=signer_info["signed_attrs"].contents,
        embedded=[raw for raw in split(signed["certificates"].contents) if raw[0] == SEQUENCE],
        signature=signer_info["signature"].native,
        unsigned=signer_info["unsigned_attrs"],
    )


def _read(der: bytes, detached_digest: DigestOf | None) -> SignedData:
    parts = _parse(der)
    hash_name, value = parts.hash_name, parts.signature
    content = _content(parts.content, detached_digest)
    signer = _signer(parts)
    try:
        chain = issuer_chain(signer, [_certificate(raw) for raw in parts.embedded], parts.listed)
    except UnaccountedError as error:
        raise CmsError(str(error)) from error

    named_type, named_digest = (
        parts.attributes[_CONTENT_TYPE].dotted,
        parts.attributes[_MESSAGE_DIGEST].native,
    )
    _require(named_type == parts.content_type, "the signed attributes name another content type")
    digest = detached_digest(hash_name) if detached_digest else hashlib.new(hash_name, content or b"").digest()
    _require(named_digest == digest, "the content is not the one that was signed")
    attributes_der = tlv(SET, parts.attributes_body)
    signature = canonical_signature(signer.public_key(), value)
    _verify(signer.public_key(), value, attributes_der, hash_name)

    token = _token(parts.unsigned)
    _require(token is None or parts.content_type == DATA, "a timestamp token carries unsigned attributes")
    _require(_encode(parts, chain, content, token) == der, "its encoding is not the one accepted form")
    over_signature = None if token is None else read_timestamp(token, lambda name: hashlib.new(name, value).digest())
    return SignedData(
        signer=signer,
        chain=chain,
        content=content,
        content_type=parts.content_type,
        digest_algorithm=hash_name,
        signed_attributes_der=attributes_der,
        signature=signature,
        signing_time=_signing_time(parts.attributes),
        timestamp=over_signature,
    )


def _encode(parts: _Parts, chain: tuple[x509.Certificate, ...], content: bytes | None, token: bytes | None) -> bytes:
    signer = chain[0]
    return encode(
        content_type=parts.content_type,
        content=content,
        certificates=[certificate.public_bytes(serialization.Encoding.DER) for certificate in chain],
        signer=signer.public_bytes(serialization.Encoding.DER),
        algorithms=algorithms(signer.public_key(), parts.hash_name, parts.content_type, parts.attributes),
        attributes=parts.attributes_body,
        signature=parts.signature,
        token=token,
    )


def _require(condition: bool, cause: str) -> None:
    if not condition:
        raise CmsError(cause)


def _content(field: Any, detached_digest: DigestOf | None) -> bytes | None:
    absent = isinstance(field, core.Void)
    _require(absent == (detached_digest is not None), "its content is not where it is expected, inside or detached")
    return None if absent else bytes(field)


def _attributes(field: Any) -> dict[str, Any]:
    """The single value of each signed attribute, by dotted type."""
    found: dict[str, Any] = {}
    for attribute in field:
        name = attribute["type"].dotted
        _require(name not in found and len(attribute["values"]) == 1, "a signed attribute occurs twice")
        found[name] = attribute["values"][0]
    missing = {_CONTENT_TYPE, _MESSAGE_DIGEST, _SIGNING_CERTIFICATE_V2} - found.keys()
    _require(not missing, "a signed attribute is missing: content type, message digest or signing certificate (v2)")
    return found


def _certificate(raw: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(raw)
    except (ValueError, x509.InvalidVersion) as error:
        raise CmsError("an embedded certificate cannot be read") from error


def _signer(parts: _Parts) -> x509.Certificate:
    """The embedded certificate that the first ESSCertIDv2 names (RFC 5035)."""
    first = parts.identifiers[0]
    named, issuer_serial = first["cert_hash"].native, first["issuer_serial"]
    found = [raw for raw in parts.embedded if named in certificate_digests(_certificate(raw))]
    _require(len(found) == 1, "the signed attributes name another certificate than the one embedded")
    if not isinstance(issuer_serial, core.Void):
        names = asn1_x509.Certificate.load(found[0])["tbs_certificate"]
        general = issuer_serial["issuer"]
        same = len(general) == 1 and general[0].chosen.chosen.contents == names["issuer"].chosen.contents
        same = same and issuer_serial["serial_number"].dump() == names["serial_number"].dump()
        _require(same, "the signed attributes name another issuer or serial number")
    return _certificate(found[0])


def _verify(key: Any, signature: bytes, message: bytes, hash_name: str) -> None:
    _require(
        key.key_size >= (_SMALLEST_RSA if isinstance(key, rsa.RSAPublicKey) else _SMALLEST_CURVE),
        "its key is too short: at least RSA-2048 or a 256-bit curve",
    )
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, message, padding.PKCS1v15(), _HASHES[hash_name])
    else:
        key.verify(signature, message, ec.ECDSA(_HASHES[hash_name]))


def _token(field: Any) -> bytes | None:
    """The signature timestamp, the only unsigned attribute there may be."""
    if isinstance(field, core.Void):
        return None
    known = len(field) == 1 and field[0]["type"].dotted == TIMESTAMP_TOKEN and len(field[0]["values"]) == 1
    _require(known, "it has an unsigned attribute that is not a single signature timestamp")
    _, values = split(inside(field.contents))
    return inside(values)


def _signing_time(attributes: Mapping[str, Any]) -> datetime | None:
    time: datetime | None = attributes[_SIGNING_TIME].native if _SIGNING_TIME in attributes else None
    return time.astimezone(UTC) if time else None
