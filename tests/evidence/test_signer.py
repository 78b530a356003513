import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import NameOID

from forensics.canonical import sha256
from forensics.errors import AuthorityError, UsageError
from forensics.evidence.certificates import is_demonstration, parse_fingerprint, printable, read_certificates
from forensics.evidence.seal import sign_detached
from forensics.evidence.signer import AuthorityTimeStamper, load_signer, require_signing, signer_certificate
from forensics.keys.cms import read_cms
from forensics.keys.demonstration import DemonstrationAuthority
from tests.evidence.conftest import PASSPHRASE
from tests.evidence.pki import DAY, DOCUMENTS, NOW, SIGNING, Ca, Unit


def name(common: str, organisation: str = "Institute") -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation), x509.NameAttribute(NameOID.COMMON_NAME, common)]
    )


def certify(key, subject: x509.Name, issuer_key=None, issuer: x509.Name | None = None) -> x509.Certificate:
    now = datetime.now(UTC)
    issuing = issuer_key or key
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=100))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .sign(issuing, None if isinstance(issuing, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )


def pem(key, passphrase: bytes | None = None) -> bytes:
    protection = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection)


KEYS = {
    "rsa": rsa.generate_private_key(65537, 2048),
    "p256": ec.generate_private_key(ec.SECP256R1()),
    "p384": ec.generate_private_key(ec.SECP384R1()),
}


@pytest.fixture(params=sorted(KEYS))
def key(request: pytest.FixtureRequest):
    return KEYS[request.param]


def require_signs(signer, certificate: x509.Certificate) -> None:
    assert signer_certificate(signer) == certificate
    der = sign_detached(b"content", signer, None, datetime.now(UTC))
    signed = read_cms(der, detached_digest=lambda _: bytes.fromhex(sha256(b"content")))
    assert signed.signer == certificate


@pytest.mark.parametrize("passphrase", ["secret", "geheimnis-äöü", None])
def test_pkcs12_loads_and_signs(key, tmp_path: Path, passphrase: str | None) -> None:
    certificate = certify(key, name("examiner"))
    protection = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    path = tmp_path / "signer.p12"
    path.write_bytes(pkcs12.serialize_key_and_certificates(b"x", key, certificate, None, protection))
    require_signs(load_signer(path, passphrase), certificate)


@pytest.mark.parametrize("passphrase", ["secret", None])
@pytest.mark.parametrize("apart", [True, False])
def test_pem_loads_and_signs(key, tmp_path: Path, passphrase: str | None, apart: bool) -> None:
    certificate = certify(key, name("examiner"))
    path, other = tmp_path / "signer.pem", tmp_path / "certificate.der"
    path.write_bytes(
        pem(key, passphrase.encode() if passphrase else None)
        + (b"" if apart else certificate.public_bytes(Encoding.PEM))
    )
    other.write_bytes(certificate.public_bytes(Encoding.DER))
    require_signs(load_signer(path, passphrase, certificate=other if apart else None), certificate)


def test_a_passphrase_that_is_not_needed_does_no_harm(tmp_path: Path) -> None:
    certificate = certify(KEYS["rsa"], name("examiner"))
    path = tmp_path / "signer.pem"
    path.write_bytes(pem(KEYS["rsa"]) + certificate.public_bytes(Encoding.PEM))
    require_signs(load_signer(path, "superfluous"), certificate)


@pytest.mark.parametrize("depth", ["to the root", "without the root"])
def test_only_a_chain_up_to_its_root_is_embedded(tmp_path: Path, depth: str) -> None:
    root_key, middle_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    root = certify(root_key, name("root"))
    middle = certify(middle_key, name("middle"), root_key, name("root"))
    leaf = certify(leaf_key, name("leaf"), middle_key, name("middle"))
    path, chain = tmp_path / "signer.pem", tmp_path / "chain.pem"
    path.write_bytes(pem(leaf_key) + leaf.public_bytes(Encoding.PEM))
    embedded = [middle, root] if depth == "to the root" else [middle]
    chain.write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in embedded))
    signer = load_signer(path, None, chain=[chain])
    require_signs(signer, leaf)
    der = sign_detached(b"content", signer, None, datetime.now(UTC))
    signed = read_cms(der, detached_digest=lambda _: bytes.fromhex(sha256(b"content")))
    assert signed.chain == ((leaf, middle, root) if depth == "to the root" else (leaf,))


def wrong_files(folder: Path) -> dict[str, tuple[bytes, str | None]]:
    certificate = certify(KEYS["rsa"], name("examiner"))
    good = pkcs12.serialize_key_and_certificates(
        b"x", KEYS["rsa"], certificate, None, BestAvailableEncryption(b"secret")
    )
    weak = rsa.generate_private_key(65537, 1024)
    edwards = ed25519.Ed25519PrivateKey.generate()
    other = certify(KEYS["p256"], name("other")).public_bytes(Encoding.PEM)
    return {
        "wrong passphrase": (good, "guess"),
        "no passphrase": (good, None),
        "empty passphrase": (good, ""),
        "rubbish": (b"\x00\x01 rubbish", "secret"),
        "empty": (b"", None),
        "cut off": (good[:-50], "secret"),
        "no key": (pkcs12.serialize_key_and_certificates(b"x", None, certificate, None, NoEncryption()), None),
        "certificate only": (certificate.public_bytes(Encoding.PEM), None),
        "key only": (pem(KEYS["rsa"]), None),
        "another certificate": (pem(KEYS["rsa"]) + other, None),
        "encrypted key, wrong passphrase": (pem(KEYS["rsa"], b"secret") + other, "guess"),
        "encrypted key, no passphrase": (pem(KEYS["rsa"], b"secret") + other, None),
        "broken pem": (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", None),
        "weak key": (pem(weak) + certify(weak, name("weak")).public_bytes(Encoding.PEM), None),
        "ed25519": (pem(edwards) + certify(edwards, name("edwards")).public_bytes(Encoding.PEM), None),
        "short curve": (pem(ec.generate_private_key(ec.SECP224R1())) + other, None),
        "huge": (b"\x00" * (1 << 20) + b"\x00", None),
    }


@pytest.mark.parametrize("kind", sorted(wrong_files(Path())))
def test_what_cannot_sign_is_refused_in_a_sentence(tmp_path: Path, kind: str) -> None:
    raw, passphrase = wrong_files(tmp_path)[kind]
    path = tmp_path / "signer.p12"
    path.write_bytes(raw)
    with pytest.raises(UsageError) as caught:
        load_signer(path, passphrase)
    assert caught.value.cause.endswith(".")
    assert caught.value.next_step.endswith(".")
    assert not passphrase or passphrase not in str(caught.value)


def test_files_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_signer(tmp_path / "nothing.p12", None)
    (tmp_path / "rubbish.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n")
    for path in (tmp_path / "nothing.pem", tmp_path, tmp_path / "rubbish.pem"):
        with pytest.raises(UsageError):
            read_certificates(path)


class Failing:
    name = "failing authority"

    def stamp(self, digest: bytes) -> bytes:
        raise AuthorityError("The authority failed.", "Try again later.")


def test_a_failing_authority_is_reported_as_such(authority: DemonstrationAuthority, tmp_path: Path) -> None:
    path = tmp_path / "signer.p12"
    path.write_bytes(authority.signer_p12(PASSPHRASE))
    with pytest.raises(AuthorityError, match="failed"):
        sign_detached(b"content", load_signer(path, PASSPHRASE), Failing(), datetime.now(UTC))


def test_our_authority_speaks_as_pyhanko_expects(authority: DemonstrationAuthority) -> None:
    stamper = AuthorityTimeStamper(authority)
    digest = bytes.fromhex(sha256(b"x"))
    token = asyncio.run(stamper.async_timestamp(digest, "sha256"))
    assert token["content_type"].native == "signed_data"
    assert asyncio.run(stamper.async_dummy_response("sha256"))["content_type"].native == "signed_data"
    with pytest.raises(UsageError, match="sha512"):
        asyncio.run(stamper.async_timestamp(b"x" * 64, "sha512"))


def test_demonstration_and_self_signed_certificates_identify_nobody(authority: DemonstrationAuthority) -> None:
    assert is_demonstration(authority.signer)
    assert is_demonstration(certify(KEYS["p256"], name("me")))
    issued = certify(KEYS["p256"], name("expert"), KEYS["rsa"], name("authority"))
    assert not is_demonstration(issued)
    assert is_demonstration(certify(KEYS["p256"], name("x", "Forensics Demonstration"), KEYS["rsa"], name("authority")))


def test_fingerprints_are_read_as_people_write_them() -> None:
    digest = sha256(b"x")
    pairs = ":".join(digest[index : index + 2] for index in range(0, 64, 2))
    assert parse_fingerprint(pairs.upper()) == parse_fingerprint(f" {digest}\n") == digest
    for text in ("", digest[:-1], digest + "0", "g" * 64, "sha256:" + digest):
        with pytest.raises(UsageError, match="fingerprint"):
            parse_fingerprint(text)


def test_text_of_unknown_origin_commands_no_terminal() -> None:
    assert printable("plain ä") == "plain ä"
    assert printable("\x1b[31mred\n\u202e") == "\ufffd[31mred\ufffd\ufffd"
    assert len(printable("x" * 10_000)) == 400


ACCEPTED = {
    "both usages": (SIGNING, (DOCUMENTS,)),
    "digital signature alone": (("digital_signature",), None),
    "non-repudiation alone": (("content_commitment",), None),
    "no usage stated": (None, None),
    "electronic mail": (SIGNING, ("1.3.6.1.5.5.7.3.4", "1.3.6.1.5.5.7.3.2")),
    "any": (SIGNING, ("2.5.29.37.0",)),
}
WRONG_USE = {
    "encryption": (("key_encipherment",), None, "neither digital signature nor non-repudiation"),
    "authority": (("key_cert_sign", "crl_sign"), None, "neither digital signature nor non-repudiation"),
    "web server": (SIGNING, ("1.3.6.1.5.5.7.3.1",), "not for documents"),
    "logging in": (SIGNING, ("1.3.6.1.5.5.7.3.2",), "not for documents"),
    "time stamps": (SIGNING, ("1.3.6.1.5.5.7.3.8",), "not for documents"),
    "code": (SIGNING, ("1.3.6.1.5.5.7.3.3",), "not for documents"),
}


@pytest.mark.parametrize("kind", ACCEPTED)
def test_certificates_for_documents_may_sign(kind: str) -> None:
    require_signing(Ca().issue("Expert", *ACCEPTED[kind]).certificate, NOW)


@pytest.mark.parametrize("kind", WRONG_USE)
def test_certificates_for_something_else_are_refused(kind: str) -> None:
    usages, purposes, match = WRONG_USE[kind]
    with pytest.raises(UsageError, match=match) as caught:
        require_signing(Ca().issue("Expert", usages, purposes).certificate, NOW)
    assert caught.value.next_step.endswith(".")


@pytest.mark.parametrize("moment", [NOW - 2 * DAY, NOW + 200 * DAY])
def test_certificates_of_another_time_are_refused(moment: datetime) -> None:
    with pytest.raises(UsageError, match=f"not at {moment:%Y-%m-%d}"):
        require_signing(Ca().issue().certificate, moment)


def test_token_whose_length_ends_in_0x80_is_embedded_as_it_is(tmp_path: Path) -> None:
    """asn1crypto takes such a length for an indefinite one and would sort the certificates of the token anew."""
    people, stamps = Ca("People"), Ca("Stamps")
    unit = next(
        unit
        for unit in (Unit(stamps, "Unit" + "x" * (index % 60)) for index in range(2000))
        if unit.stamp(b"\x01" * 32)[3] == 0x80
    )

    class Fixed:
        name = "fixed"

        def stamp(self, digest: bytes) -> bytes:
            return next(token for token in (unit.stamp(digest) for _ in range(50)) if token[3] == 0x80)

    der = sign_detached(b"content", people.issue().signer(tmp_path), Fixed(), NOW)
    signed = read_cms(der, detached_digest=lambda _: bytes.fromhex(sha256(b"content")))
    assert signed.timestamp is not None
    assert signed.timestamp.signed.chain == (unit.certificate, stamps.certificate)


def test_canary_asn1crypto_still_takes_such_a_length_for_an_indefinite_one() -> None:
    """When this fails, a parsed token can be embedded and read by `dump()`."""
    from asn1crypto import cms

    unsorted = b"\x31\x81\x80" + b"\x04\x7a" + bytes(122) + b"\x04\x02\x00\x00"
    assert len(unsorted) == 3 + 0x80

    class Octets(cms.SetOf):
        _child_spec = cms.OctetString

    assert Octets.load(unsorted).dump() != unsorted
