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
from forensics.evidence.signer import AuthorityTimeStamper, load_signer, signer_certificate
from forensics.keys.cms import read_cms
from forensics.keys.demonstration import DemonstrationAuthority
from tests.evidence.conftest import PASSPHRASE


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
