import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from asn1crypto import tsp
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12
from cryptography.x509.oid import NameOID

from forensics.errors import KeyFolderError
from forensics.keys.chain import sole_timestamping
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.keys.timestamp import DEMONSTRATION, timestamp_request, verify_token
from tests.keys.openssl import OpenSsl

DIGEST = hashlib.sha256(b"a claim").digest()


def test_every_certificate_says_that_it_is_not_trusted(demonstration: DemonstrationAuthority) -> None:
    for certificate in (demonstration.root, demonstration.tsa, demonstration.signer):
        organisation = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        assert [name.value for name in organisation] == [DEMONSTRATION]
        name = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        assert "DEMONSTRATION - NOT TRUSTED" in str(name)


def test_usages(demonstration: DemonstrationAuthority) -> None:
    assert sole_timestamping(demonstration.tsa)
    usage = demonstration.signer.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert usage.value.content_commitment
    assert not usage.value.key_cert_sign
    extended = demonstration.signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [oid.dotted_string for oid in extended] == ["1.3.6.1.5.5.7.3.36"]


def test_openssl_accepts_its_tokens(demonstration: DemonstrationAuthority, openssl: OpenSsl) -> None:
    (openssl.folder / "demo.tst").write_bytes(demonstration.stamp(DIGEST))
    (openssl.folder / "demo.pem").write_bytes(demonstration.root_pem)
    (openssl.folder / "claim").write_bytes(b"a claim")
    said = openssl.run("ts", "-verify", "-token_in", "-in", "demo.tst", "-data", "claim", "-CAfile", "demo.pem")
    assert b"Verification: OK" in said
    (openssl.folder / "signer.der").write_bytes(demonstration.signer.public_bytes(Encoding.PEM))
    assert b"OK" in openssl.run("verify", "-CAfile", "demo.pem", "signer.der")


def test_its_tokens_are_marked_and_dated_by_its_clock() -> None:
    moment = datetime(2024, 2, 29, 23, 59, 58, 999999, tzinfo=UTC)
    authority = DemonstrationAuthority.create(clock=lambda: moment)
    token = verify_token(authority.stamp(DIGEST), DIGEST)
    assert token.demonstration
    assert token.gen_time == moment.replace(microsecond=0)
    assert authority.tsa.not_valid_before_utc < moment < authority.tsa.not_valid_after_utc
    with pytest.raises(ValueError, match="32 bytes"):
        authority.stamp(b"short")


def test_another_organisation_beside_it_is_no_demonstration(openssl: OpenSsl) -> None:
    assert not verify_token(openssl.token(DIGEST), DIGEST).demonstration


def test_it_answers_requests(demonstration: DemonstrationAuthority) -> None:
    response = tsp.TimeStampResp.load(demonstration.respond(timestamp_request(DIGEST, 77).dump()))
    token = verify_token(response["time_stamp_token"].dump(), DIGEST)
    assert tsp.TSTInfo.load(token.token.tst_info)["nonce"].native == 77


def test_it_is_saved_and_loaded(demonstration: DemonstrationAuthority, tmp_path: Path) -> None:
    folder = tmp_path / "authority"
    demonstration.save(folder)
    loaded = DemonstrationAuthority.load(folder)
    assert loaded.root == demonstration.root
    fingerprint = verify_token(demonstration.stamp(DIGEST), DIGEST).fingerprint
    assert verify_token(loaded.stamp(DIGEST), DIGEST).fingerprint == fingerprint
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())
    with pytest.raises(KeyFolderError, match="exists already"):
        demonstration.save(folder)


@pytest.mark.parametrize("name", ["root.pem", "tsa.key", "root.crl"])
def test_a_damaged_folder_is_refused(demonstration: DemonstrationAuthority, tmp_path: Path, name: str) -> None:
    demonstration.save(tmp_path / "authority")
    (tmp_path / "authority" / name).write_bytes(b"rubbish")
    with pytest.raises(KeyFolderError):
        DemonstrationAuthority.load(tmp_path / "authority")


def test_the_signer_comes_as_pkcs12(demonstration: DemonstrationAuthority) -> None:
    key, certificate, others = pkcs12.load_key_and_certificates(demonstration.signer_p12("open"), b"open")
    assert key is not None
    assert certificate == demonstration.signer
    assert others == [demonstration.root]
    with pytest.raises(ValueError, match=r"[Pp]assword|[Ii]nvalid"):
        pkcs12.load_key_and_certificates(demonstration.signer_p12("open"), b"closed")
