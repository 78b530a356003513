import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from forensics.keys.chain import (
    UnaccountedError,
    certificate_digests,
    issued,
    issuer_chain,
    trusted_by,
    verifiable_chain,
)
from forensics.keys.cms import SignedData, read_cms
from forensics.keys.demonstration import DemonstrationAuthority
from tests.keys.openssl import OpenSsl

START = datetime(2026, 1, 1, tzinfo=UTC)
AT = START + timedelta(days=10)
STAMPING = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True)


@dataclass
class Entity:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def issue(self, name: str, extensions: Sequence[tuple[x509.ExtensionType, bool]] = (), days: int = 100) -> "Entity":
        key = ec.generate_private_key(ec.SECP256R1())
        return Entity(certificate(name, key, self.certificate.subject, self.key, extensions, days), key)


def certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    extensions: Sequence[tuple[x509.ExtensionType, bool]],
    days: int,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject(name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(START)
        .not_valid_after(START + timedelta(days=days))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, hashes.SHA256())


def subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def authority(path_length: int | None = None) -> tuple[x509.ExtensionType, bool]:
    return (x509.BasicConstraints(True, path_length), True)


def root(path_length: int | None = None, name: str = "root") -> Entity:
    key = ec.generate_private_key(ec.SECP256R1())
    return Entity(certificate(name, key, subject(name), key, [authority(path_length)], 1000), key)


def signed(*chain: Entity) -> SignedData:
    """A SignedData as far as trust looks at it."""
    certificates = tuple(entity.certificate for entity in chain)
    return SignedData(certificates[0], certificates, None, "", "sha256", b"", b"", None, None)


def trusts(data: SignedData, *roots: Entity, at: datetime = AT, purpose: str = "timestamp") -> bool:
    return trusted_by(data, [entity.certificate for entity in roots], at=at, purpose=purpose)


def test_a_path_leads_to_a_given_root_and_to_no_other() -> None:
    top = root()
    middle = top.issue("middle", [authority(0)])
    leaf = middle.issue("leaf", [STAMPING])
    assert trusts(signed(leaf, middle, top), top)
    assert trusts(signed(leaf, middle), top)
    assert trusts(signed(leaf, middle, top), root(name="other"), top)
    assert not trusts(signed(leaf, middle, top), root(name="other"))
    assert not trusts(signed(leaf, middle, top), root())
    assert not trusts(signed(leaf, middle, top))


def test_an_intermediate_or_the_signer_itself_can_be_the_anchor() -> None:
    top = root()
    middle = top.issue("middle", [authority(0)])
    leaf = middle.issue("leaf", [STAMPING])
    assert trusts(signed(leaf), middle)
    assert trusts(signed(leaf), leaf)
    assert not trusts(signed(leaf), top)


def test_validity_is_that_of_the_moment() -> None:
    top = root()
    leaf = top.issue("leaf", [STAMPING], days=20)
    assert trusts(signed(leaf, top), top, at=START + timedelta(days=20))
    assert not trusts(signed(leaf, top), top, at=START + timedelta(days=20, seconds=1))
    assert not trusts(signed(leaf, top), top, at=START - timedelta(seconds=1))
    expired = top.issue("middle", [authority()], days=5)
    assert not trusts(signed(expired.issue("leaf", [STAMPING]), expired, top), top)


def test_only_authorities_may_issue() -> None:
    top = root()
    plain = top.issue("plain")
    assert not trusts(signed(plain.issue("leaf", [STAMPING]), plain, top), top)
    no_signing = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    lame = top.issue("lame", [authority(), (no_signing, True)])
    assert not trusts(signed(lame.issue("leaf", [STAMPING]), lame, top), top)


def test_path_length_is_kept() -> None:
    top = root(path_length=0)
    middle = top.issue("middle", [authority()])
    leaf = middle.issue("leaf", [STAMPING])
    assert not trusts(signed(leaf, middle, top), top)
    assert trusts(signed(top.issue("leaf", [STAMPING]), top), top)


def test_purpose_is_kept() -> None:
    top = root()
    loose = top.issue("loose", [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), False)])
    several = top.issue(
        "several",
        [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.CLIENT_AUTH]), True)],
    )
    stamper, signer = top.issue("stamper", [STAMPING]), top.issue("signer")
    assert trusts(signed(stamper, top), top, purpose="timestamp")
    assert not any(trusts(signed(each, top), top, purpose="timestamp") for each in (loose, several, signer))
    assert trusts(signed(signer, top), top, purpose="signature")
    assert not trusts(signed(stamper, top), top, purpose="signature")


def test_critical_extensions_that_are_not_understood_end_the_path() -> None:
    top = root()
    constraint = x509.NameConstraints(permitted_subtrees=[x509.DNSName("example.org")], excluded_subtrees=None)
    middle = top.issue("middle", [authority(), (constraint, True)])
    assert not trusts(signed(middle.issue("leaf", [STAMPING]), middle, top), top)


def test_real_structures(openssl: OpenSsl, demonstration: DemonstrationAuthority) -> None:
    digest = hashlib.sha256(b"").digest()
    token, ours = read_cms(openssl.token(digest)), read_cms(demonstration.stamp(digest))
    now = datetime.now(UTC)
    assert trusted_by(token, [openssl.certificate("root")], at=now, purpose="timestamp")
    assert not trusted_by(ours, [openssl.certificate("root")], at=now, purpose="timestamp")
    assert trusted_by(ours, [demonstration.root], at=now, purpose="timestamp")


def test_what_may_be_embedded_is_what_is_accepted() -> None:
    top, stranger = root(), root(name="stranger")
    middle = top.issue("middle", [authority()])
    leaf = middle.issue("leaf", [STAMPING])
    one, two, three = leaf.certificate, middle.certificate, top.certificate
    assert verifiable_chain(one, [stranger.certificate, three, two]) == (one, two, three)
    assert verifiable_chain(one, [two]) == (one,)
    assert verifiable_chain(one, [two], certificate_digests(two)) == (one, two)
    assert verifiable_chain(three, [two]) == (three,)
    listed = certificate_digests(one)
    for embedded in ((one, two, three), (one,)):
        assert issuer_chain(one, embedded, listed) == embedded
    for embedded in ((one, two), (one, three), (one, one), (one, two, three, stranger.certificate)):
        with pytest.raises(UnaccountedError):
            issuer_chain(one, embedded, listed)
    assert issuer_chain(one, (two, one), listed | certificate_digests(two)) == (one, two)


def test_a_root_of_the_same_name_did_not_issue() -> None:
    top, namesake = root(), root()
    leaf = top.issue("leaf", [STAMPING])
    assert issued(leaf.certificate, top.certificate)
    assert not issued(leaf.certificate, namesake.certificate)
    assert not trusts(replace(signed(leaf, top), chain=(leaf.certificate,)), namesake)
