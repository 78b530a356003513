import hashlib
from datetime import UTC, datetime

import pytest
from asn1crypto import cms, core
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from forensics.keys.cms import CmsError, accepted_form
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.keys.der import SEQUENCE, tlv
from forensics.keys.timestamp import HttpAuthority, self_dated_salt, timestamp_request, token_salt, verify_token
from tests.keys.openssl import OpenSsl

DIGEST = hashlib.sha256(b"a claim").digest()


def salt(*tokens: bytes) -> bytes:
    return token_salt([verify_token(der, DIGEST) for der in tokens])


def test_a_token_says_who_and_when(openssl: OpenSsl) -> None:
    token = verify_token(openssl.token(DIGEST), DIGEST)
    assert token.authority == "CN=tsa,O=Test"
    assert token.policy == "1.2.3.4.1"
    assert token.serial >= 1
    assert not token.demonstration
    assert abs((datetime.now(UTC) - token.gen_time).total_seconds()) < 600
    pem = openssl.run("x509", "-in", "tsa.pem", "-noout", "-fingerprint", "-sha256").decode()
    assert pem.strip().split("=")[1].replace(":", "").lower() == token.fingerprint


def test_another_digest_or_another_hash_is_refused(openssl: OpenSsl) -> None:
    der = openssl.token(DIGEST)
    with pytest.raises(CmsError, match="over other content"):
        verify_token(der, hashlib.sha256(b"another claim").digest())
    with pytest.raises(CmsError):
        verify_token(der, b"")


def test_what_is_unsigned_changes_no_secret(openssl: OpenSsl) -> None:
    der = openssl.token(DIGEST)
    expected = salt(der)

    def altered(unsigned: bool, certificates: int) -> bytes:
        info = cms.ContentInfo.load(der)
        signed = info["content"]
        for _ in range(2 - certificates):
            del signed["certificates"][1]
        if unsigned:
            extra = cms.CMSAttribute({"type": "1.2.3.4", "values": [core.OctetString(b"anything")]})
            signed["signer_infos"][0]["unsigned_attrs"] = [extra]
        return info.dump()

    shorter, longer = altered(False, 1), altered(True, 2)
    assert len({der, shorter, longer}) == 3
    assert salt(shorter) == expected
    assert salt(accepted_form(longer)) == expected
    checked = openssl.folder / "longer.tst"
    checked.write_bytes(longer)
    (openssl.folder / "claim").write_bytes(b"a claim")
    assert b"OK" in openssl.run(
        "ts", "-verify", "-token_in", "-in", "longer.tst", "-data", "claim", "-CAfile", "root.pem"
    )


def test_both_forms_of_an_ecdsa_signature_give_one_salt(openssl: OpenSsl) -> None:
    der = openssl.token(DIGEST, "tsa-ec")
    info = cms.ContentInfo.load(der)
    signer_info = info["content"]["signer_infos"][0]
    r, s = decode_dss_signature(signer_info["signature"].native)
    order = openssl.certificate("tsa-ec").public_key().curve.group_order
    signer_info["signature"] = encode_dss_signature(r, order - s)
    assert info.dump() != der
    assert salt(info.dump()) == salt(der)


def test_what_is_signed_changes_the_salt_or_is_refused(openssl: OpenSsl) -> None:
    der = openssl.token(DIGEST)
    assert salt(openssl.token(DIGEST)) != salt(der)
    info = cms.ContentInfo.load(der)
    signed = info["content"]
    content = bytes(signed["encap_content_info"]["content"])
    for part in (content[-3:], signed["signer_infos"][0]["signed_attrs"].contents[-8:]):
        changed = der.replace(part, bytes([part[0] ^ 1]) + part[1:])
        assert changed != der
        with pytest.raises(CmsError):
            salt(changed)


def test_the_salt_is_the_published_formula(openssl: OpenSsl, demonstration: DemonstrationAuthority) -> None:
    first, second = openssl.token(DIGEST), demonstration.stamp(DIGEST)
    body = b"forensics/v1/tst"
    for der in (first, second):
        signed = cms.ContentInfo.load(der)["content"]
        info = signed["signer_infos"][0]
        tst_info = bytes(signed["encap_content_info"]["content"])
        for part in (tst_info, b"\x31" + info["signed_attrs"].dump()[1:], info["signature"].native):
            body += len(part).to_bytes(8, "big") + part
    assert salt(first, second) == hashlib.sha256(body).digest()
    assert salt(second, first) != salt(first, second)
    assert salt(first) != salt(first, second)
    with pytest.raises(ValueError, match="needs a token"):
        token_salt([])


def test_self_dated_salt() -> None:
    assert self_dated_salt(DIGEST) == hashlib.sha256(b"forensics/v1/self-dated" + DIGEST).digest()


def test_tst_info_in_another_form_than_der_is_refused(demonstration: DemonstrationAuthority) -> None:
    """An authority that signs TSTInfo with an explicit default, or a time with an offset."""
    content = verify_token(demonstration.stamp(DIGEST), DIGEST).token.tst_info

    def signed(body: bytes) -> bytes:
        return demonstration._sign(tlv(SEQUENCE, body), datetime.now(UTC))

    body = content[2:]
    verify_token(signed(body), DIGEST)
    with pytest.raises(CmsError, match="not in DER form"):
        verify_token(signed(body + b"\x01\x01\x00"), DIGEST)
    time = body[body.index(b"\x18\x0f") :][:17]
    with pytest.raises(CmsError, match="not in DER form"):
        verify_token(signed(body.replace(time, b"\x18\x13" + time[2:-1] + b"+0000")), DIGEST)
    with pytest.raises(CmsError, match=r"unknown version|cannot be read"):
        verify_token(signed(b"\x02\x01\x02" + body[3:]), DIGEST)


def test_requests_name_the_digest_and_ask_for_the_certificate() -> None:
    request = timestamp_request(DIGEST, 7)
    assert request["message_imprint"]["hashed_message"].native == DIGEST
    assert request["message_imprint"]["hash_algorithm"]["algorithm"].native == "sha256"
    assert (request["nonce"].native, request["cert_req"].native) == (7, True)
    with pytest.raises(ValueError, match="32 bytes"):
        timestamp_request(b"short", 7)


def test_authorities_show_no_credentials() -> None:
    authority = HttpAuthority("https://user:secret@tsa.example:8443/stamp?key=secret#secret")
    assert authority.name == "https://tsa.example:8443/stamp"
    assert "secret" not in repr(authority)
