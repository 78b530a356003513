import hashlib
import random
from collections.abc import Callable

import pytest
from asn1crypto import cms, core
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from forensics.errors import CheckFailed
from forensics.keys.cms import CmsError, TimestampToken, accepted_form, read_cms, read_timestamp
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.keys.der import tlv, unpad
from forensics.keys.timestamp import verify_token
from tests.keys.conftest import CONTENT, cades
from tests.keys.openssl import OpenSsl

DIGEST = hashlib.sha256(CONTENT).digest()

pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")


def digest_of(name: str) -> bytes:
    return hashlib.new(name, CONTENT).digest()


def read_token(der: bytes) -> TimestampToken:
    return read_timestamp(der, digest_of)


def read_signature(der: bytes) -> object:
    return read_cms(der, detached_digest=digest_of)


def flip(der: bytes, reader: Callable[[bytes], object], positions: list[int], seed: int) -> list[int]:
    """The positions at which a changed byte went unnoticed."""
    rng = random.Random(seed)
    passed = []
    for position in positions:
        changed = bytearray(der)
        changed[position] ^= rng.randrange(1, 256)
        try:
            reader(bytes(changed))
        except CmsError:
            continue
        passed.append(position)
    return passed


def edited(der: bytes, edit: Callable[[cms.SignedData], None]) -> bytes:
    """The same structure after an edit, encoded validly again."""
    info = cms.ContentInfo.load(der)
    edit(info["content"])
    return info.dump()


@pytest.mark.parametrize("name", ["tsa", "tsa-ec"])
def test_reads_openssl_tokens(openssl: OpenSsl, name: str) -> None:
    token = read_token(openssl.token(DIGEST, name))
    assert token.signed.signer == openssl.certificate(name)
    assert token.signed.chain == (openssl.certificate(name), openssl.certificate("root"))
    assert (token.policy, token.imprint_algorithm, token.imprint) == ("1.2.3.4.1", "sha256", DIGEST)
    assert token.gen_time.utcoffset().total_seconds() == 0
    assert token.signed.signing_time is not None
    assert token.signed.timestamp is None


@pytest.mark.parametrize("name", ["signer", "signer-ec"])
def test_reads_pyhanko_signatures(openssl: OpenSsl, name: str) -> None:
    signed = read_cms(cades(openssl, name), detached_digest=digest_of)
    assert signed.signer == openssl.certificate(name)
    assert signed.content is None
    assert signed.timestamp is not None
    assert signed.timestamp.signed.signer == openssl.certificate("tsa")
    width = 256 if name == "signer" else 2 * 48
    assert len(signed.signature) == width


@pytest.mark.parametrize("name", ["tsa", "tsa-ec"])
def test_no_changed_byte_of_a_token_passes(openssl: OpenSsl, name: str) -> None:
    der = openssl.token(DIGEST, name)
    read_token(der)
    assert flip(der, read_token, list(range(len(der))), seed=1) == []


def test_no_changed_byte_of_our_own_token_passes(demonstration: DemonstrationAuthority) -> None:
    der = demonstration.stamp(DIGEST)
    assert flip(der, lambda changed: verify_token(changed, DIGEST), list(range(0, len(der), 3)), seed=2) == []


@pytest.mark.parametrize("name", ["signer", "signer-ec"])
def test_no_changed_byte_of_a_signature_passes(openssl: OpenSsl, name: str) -> None:
    der = cades(openssl, name)
    positions = random.Random(3).sample(range(len(der)), 500)
    assert flip(der, read_signature, positions, seed=4) == []


def test_no_shortened_or_lengthened_structure_passes(openssl: OpenSsl, signature: bytes) -> None:
    token = openssl.token(DIGEST)
    rng = random.Random(5)
    for der, reader in ((token, read_token), (signature, read_signature)):
        for position in [0, len(der) - 1, *rng.sample(range(len(der)), 40)]:
            with pytest.raises(CmsError):
                reader(der[:position] + der[position + 1 :])
            with pytest.raises(CmsError):
                reader(der[:position] + bytes([rng.randrange(256)]) + der[position:])
        with pytest.raises(CmsError):
            reader(der + b"\x00")


@pytest.mark.parametrize("junk", [b"", b"\x00", b"0\x80", b"0\x84\xff\xff\xff\xff", b"<html>", b"\x30\x03\x02\x01\x01"])
def test_rubbish_is_refused(junk: bytes) -> None:
    with pytest.raises(CmsError):
        read_cms(junk)
    with pytest.raises(CmsError):
        accepted_form(junk)


def test_indefinite_length_is_refused(openssl: OpenSsl) -> None:
    der = openssl.token(DIGEST)
    body = der[4:]
    with pytest.raises(CmsError):
        read_token(b"\x30\x80" + body + b"\x00\x00")


def test_other_content_is_refused(openssl: OpenSsl, signature: bytes) -> None:
    with pytest.raises(CmsError, match="over other content"):
        read_timestamp(openssl.token(DIGEST), lambda name: hashlib.new(name, b"else").digest())
    with pytest.raises(CmsError, match="not the one that was signed"):
        read_cms(signature, detached_digest=lambda name: hashlib.new(name, b"else").digest())
    with pytest.raises(CmsError, match="inside or detached"):
        read_cms(signature)
    with pytest.raises(CmsError, match="inside or detached"):
        read_cms(openssl.token(DIGEST), detached_digest=digest_of)
    with pytest.raises(CmsError, match="no timestamp"):
        read_timestamp(encapsulated(openssl), digest_of)


def encapsulated(openssl: OpenSsl) -> bytes:
    import asyncio

    from pyhanko.sign.signers import SimpleSigner

    signer = SimpleSigner.load(openssl.folder / "signer.key", openssl.folder / "signer.pem")
    return asyncio.run(signer.async_sign_general_data(CONTENT, "sha256", detached=False, use_cades=True)).dump()


def test_reads_encapsulated_content(openssl: OpenSsl) -> None:
    signed = read_cms(encapsulated(openssl))
    assert signed.content == CONTENT
    assert signed.chain == (openssl.certificate("signer"),)


def test_errors_are_failed_checks(openssl: OpenSsl) -> None:
    with pytest.raises(CheckFailed) as caught:
        read_cms(b"no signature")
    assert caught.value.exit_code == 1
    assert caught.value.next_step


def add_stranger(demonstration: DemonstrationAuthority) -> Callable[[cms.SignedData], None]:
    def edit(signed: cms.SignedData) -> None:
        stranger = cms.CertificateChoices(
            name="certificate", value=x509_asn1(demonstration.root.public_bytes(Encoding.DER))
        )
        signed["certificates"].append(stranger)

    return edit


def x509_asn1(der: bytes) -> object:
    from asn1crypto import x509 as asn1_x509

    return asn1_x509.Certificate.load(der)


def test_leaf_alone_is_accepted(openssl: OpenSsl) -> None:
    token = read_token(openssl.token(DIGEST, chain=False))
    assert token.signed.chain == (openssl.certificate("tsa"),)


def test_a_stranger_among_the_certificates_is_refused(openssl: OpenSsl, demonstration: DemonstrationAuthority) -> None:
    changed = edited(openssl.token(DIGEST), add_stranger(demonstration))
    with pytest.raises(CmsError, match="does not belong to the signer's chain"):
        read_token(changed)
    assert read_token(accepted_form(changed)).signed.chain[1] == openssl.certificate("root")


def test_doubled_or_reordered_certificates_are_refused(openssl: OpenSsl, signature: bytes) -> None:
    token = openssl.token(DIGEST)
    info = cms.ContentInfo.load(token)
    first, second = (choice.dump() for choice in info["content"]["certificates"])
    assert token.count(first + second) == 1
    with pytest.raises(CmsError, match="accepted form"):
        read_token(token.replace(first + second, second + first))

    def double(signed: cms.SignedData) -> None:
        signed["certificates"].append(signed["certificates"][0].copy())

    with pytest.raises(CmsError, match=r"twice|another certificate"):
        read_token(edited(token, double))
    one, two = (choice.dump() for choice in cms.ContentInfo.load(signature)["content"]["certificates"])
    with pytest.raises(CmsError, match="accepted form"):
        read_signature(signature.replace(one + two, two + one))


def test_revocation_lists_are_refused(openssl: OpenSsl, demonstration: DemonstrationAuthority) -> None:
    def add(signed: cms.SignedData) -> None:
        signed["crls"] = [cms.RevocationInfoChoice.load(demonstration.crl_der)]

    with pytest.raises(CmsError):
        read_token(edited(openssl.token(DIGEST), add))


def test_unsigned_attributes_are_refused(openssl: OpenSsl, signature: bytes) -> None:
    def add(signed: cms.SignedData) -> None:
        extra = {"type": "1.2.3.4", "values": [core.OctetString(b"anything")]}
        info = signed["signer_infos"][0]
        present = [] if isinstance(info["unsigned_attrs"], core.Void) else list(info["unsigned_attrs"])
        info["unsigned_attrs"] = [*present, cms.CMSAttribute(extra)]

    with pytest.raises(CmsError, match="unsigned attribute"):
        read_token(edited(openssl.token(DIGEST), add))
    with pytest.raises(CmsError, match="unsigned attribute"):
        read_signature(edited(signature, add))


def test_a_timestamp_of_another_signature_is_refused(openssl: OpenSsl, signature: bytes) -> None:
    def swap(signed: cms.SignedData) -> None:
        info = signed["signer_infos"][0]
        token = cms.ContentInfo.load(openssl.token(DIGEST))
        info["unsigned_attrs"] = [cms.CMSAttribute({"type": "signature_time_stamp_token", "values": [token]})]

    with pytest.raises(CmsError, match="over other content"):
        read_signature(edited(signature, swap))


def test_algorithms_outside_the_signature_have_one_form(openssl: OpenSsl) -> None:
    def combine(signed: cms.SignedData) -> None:
        signed["signer_infos"][0]["signature_algorithm"] = {"algorithm": "sha256_rsa"}

    changed = edited(openssl.token(DIGEST), combine)
    with pytest.raises(CmsError, match="accepted form"):
        read_token(changed)
    read_token(accepted_form(changed))


def test_two_signers_are_refused(openssl: OpenSsl) -> None:
    def double(signed: cms.SignedData) -> None:
        signed["signer_infos"].append(signed["signer_infos"][0].copy())

    with pytest.raises(CmsError, match="exactly one signer"):
        read_token(edited(openssl.token(DIGEST), double))


def test_certificates_named_by_sha1_alone_are_refused(openssl: OpenSsl) -> None:
    with pytest.raises(CmsError, match="signing certificate"):
        read_token(openssl.token(DIGEST, config="sha1.cnf"))


def test_an_authority_without_the_sole_usage_is_refused(
    openssl: OpenSsl, demonstration: DemonstrationAuthority
) -> None:
    impostor = DemonstrationAuthority(
        root=demonstration.root,
        tsa=demonstration.signer,
        signer=demonstration.signer,
        crl=demonstration.crl,
        tsa_key=demonstration.signer_key,
        signer_key=demonstration.signer_key,
    )
    with pytest.raises(CmsError, match="timestamping certificate"):
        read_token(impostor.stamp(DIGEST))


def test_weak_keys_are_refused(openssl: OpenSsl) -> None:
    openssl.issue("weak", "rsa:1024")
    with pytest.raises(CmsError, match="too short"):
        read_token(openssl.token(DIGEST, "weak"))


def test_both_forms_of_an_ecdsa_signature_give_one_value(openssl: OpenSsl) -> None:
    der = openssl.token(DIGEST, "tsa-ec")
    order = openssl.certificate("tsa-ec").public_key().curve.group_order

    def negate(signed: cms.SignedData) -> None:
        r, s = decode_dss_signature(signed["signer_infos"][0]["signature"].native)
        signed["signer_infos"][0]["signature"] = encode_dss_signature(r, order - s)

    mirrored = edited(der, negate)
    assert mirrored != der
    assert read_token(mirrored).signed.signature == read_token(der).signed.signature


def test_unpad() -> None:
    value = tlv(0x04, b"x" * 300)
    assert unpad(value + b"\x00" * 50) == value
    assert unpad(b"\x05\x00") == b"\x05\x00"
    for bad in (value + b"\x00\x01", value[:-1], b"", b"\x30", b"\x30\x84\x7f\xff\xff\xff\x00"):
        with pytest.raises(ValueError, match="DER value"):
            unpad(bad)


def test_certificate_versions_that_do_not_exist_are_refused(openssl: OpenSsl) -> None:
    der = openssl.token(DIGEST)
    version = bytes.fromhex("a003020102")
    with pytest.raises(CmsError, match="embedded certificate"):
        read_token(der.replace(version, bytes.fromhex("a003020103"), 1))
    assert isinstance(openssl.certificate("tsa"), x509.Certificate)
