"""The signature: PAdES that permits no change, over the whole file, and what worked-around libraries still do."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import pytest
from cryptography import x509
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.signers import PdfSignatureMetadata, SimpleSigner
from pyhanko.sign.signers import sign_pdf as pyhanko_sign
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext

from forensics.errors import AuthorityError, UsageError
from forensics.evidence.signed_pdf import read_signed_pdf
from forensics.evidence.signer import signer_certificate
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.report.render import STAMP, layout
from forensics.report.sign import describe_signature, render_stamp, sign_pdf
from forensics.report.view import SignatureFacts
from tests.report.conftest import Page, read_pages

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def described(signer: SimpleSigner) -> SignatureFacts:
    return describe_signature(signer_certificate(signer), None, visible=True)


@pytest.fixture(scope="module")
def signed(final: Page, signer: SimpleSigner, described: SignatureFacts, authority: DemonstrationAuthority) -> bytes:
    return sign_pdf(final.pdf, signer, described, authority=authority, at=NOW)


def context(authority: DemonstrationAuthority) -> ValidationContext:
    from asn1crypto import x509 as asn1
    from cryptography.hazmat.primitives.serialization import Encoding

    root = asn1.Certificate.load(authority.root.public_bytes(Encoding.DER))
    return ValidationContext(trust_roots=[root], allow_fetching=False, crls=[authority.crl_der])


def test_unsigned_bytes_stay_as_they_were(final: Page, signed: bytes) -> None:
    assert signed.startswith(final.pdf)
    assert len(signed) - len(final.pdf) < 150_000


def test_pyhanko_agrees_that_it_is_valid_and_covers_everything(
    signed: bytes, authority: DemonstrationAuthority
) -> None:
    reader = PdfFileReader(BytesIO(signed))
    (embedded,) = reader.embedded_signatures
    status = validate_pdf_signature(embedded, context(authority), context(authority))
    assert status.bottom_line
    assert status.docmdp_ok
    assert status.coverage is SignatureCoverageLevel.ENTIRE_FILE
    assert status.timestamp_validity is not None
    assert status.timestamp_validity.valid
    assert embedded.docmdp_level is not None
    assert embedded.docmdp_level.value == 1
    assert str(embedded.sig_object["/SubFilter"]) == "/ETSI.CAdES.detached"
    assert reader.total_revisions == 2


def test_our_own_strict_reading_agrees(signed: bytes, signer: SimpleSigner) -> None:
    read = read_signed_pdf(signed)
    assert read.signature.signer == signer_certificate(signer)
    assert read.signature.timestamp is not None
    assert sum(read.byte_range[1::2]) + len(signed) - read.byte_range[1] - read.byte_range[3] == len(signed)


def test_signature_value_is_upper_case_and_padded_with_zeros(signed: bytes) -> None:
    (value,) = re.findall(rb"/Contents <([0-9A-Fa-f]+)>", signed)
    assert value == value.upper()
    assert len(value) == 2 * 24 * 1024
    assert set(value[-10_000:]) == set(b"0")


def test_metadata_is_the_same_object_before_and_after(final: Page, signed: bytes) -> None:
    def metadata(raw: bytes) -> tuple[Any, Any, bytes]:
        reader = PdfFileReader(BytesIO(raw))
        return (
            reader.root.raw_get("/Metadata").reference.idnum,
            dict(reader.trailer_view["/Info"]),
            reader.root["/Metadata"].data,
        )

    assert metadata(final.pdf) == metadata(signed)


def test_stamp_is_on_page_one_and_fills_its_box(signed: bytes, described: SignatureFacts) -> None:
    reader = PdfFileReader(BytesIO(signed))
    (field,) = reader.root["/AcroForm"]["/Fields"]
    left, bottom, right, top = (float(part) for part in field.get_object()["/Rect"])
    assert [left, bottom, right - left, top - bottom] == pytest.approx(
        [part * 72 / 25.4 for part in (STAMP.left, STAMP.bottom, STAMP.width, STAMP.height)], abs=1
    )
    appearance = field.get_object()["/AP"]["/N"].data
    # pyHanko scales the imported page into the box: ours must come through at its own size.
    scale = [float(part) for part in re.findall(rb"([\d.]+) 0 0 ([\d.]+) [\d.]+ [\d.]+ cm", appearance)[-1]]
    assert scale == pytest.approx([1, 1], abs=0.02)


def test_stamp_shows_who_when_and_that_it_is_a_demonstration(described: SignatureFacts) -> None:
    (text,) = read_pages(render_stamp(described, NOW))
    assert "Digitally signed by" in text
    assert "NOT TRUSTED report signer" in text
    assert f"{NOW:%H:%M:%S}" in text
    assert described.fingerprint[:32] in text
    assert described.fingerprint[32:] in text
    assert "DEMONSTRATION SIGNATURE: NOT TRUSTED" in text
    (text,) = read_pages(render_stamp(replace(described, demonstration=False), NOW))
    assert "DEMONSTRATION SIGNATURE" not in text


def test_invisible_signature_has_no_stamp(final: Page, signer: SimpleSigner, described: SignatureFacts) -> None:
    plain = sign_pdf(final.pdf, signer, replace(described, visible=False), authority=None, at=NOW)
    read = read_signed_pdf(plain)
    assert read.signature.timestamp is None
    (field,) = PdfFileReader(BytesIO(plain)).root["/AcroForm"]["/Fields"]
    assert [float(part) for part in field.get_object()["/Rect"]] == [0, 0, 0, 0]


def test_facts_are_those_of_the_certificate(
    signer: SimpleSigner, described: SignatureFacts, authority: DemonstrationAuthority
) -> None:
    certificate = signer_certificate(signer)
    assert described.demonstration
    assert described.level == "PAdES B-B"
    assert described.serial == f"0x{certificate.serial_number:x}"
    stamped = describe_signature(certificate, authority, visible=False)
    assert stamped.level == "PAdES B-T"
    assert stamped.authority
    assert not stamped.visible


@pytest.mark.parametrize("shift", [timedelta(days=-3650), timedelta(days=36500)])
def test_certificate_must_be_valid_when_it_signs(
    final: Page, signer: SimpleSigner, described: SignatureFacts, shift: timedelta
) -> None:
    with pytest.raises(UsageError, match="certificate is valid from"):
        sign_pdf(final.pdf, signer, described, authority=None, at=NOW + shift)


def test_failing_authority_leaves_nothing_signed(final: Page, signer: SimpleSigner, described: SignatureFacts) -> None:
    class Silent:
        name = "silent authority"

        def stamp(self, digest: bytes) -> bytes:
            raise AuthorityError("The authority does not answer.", "Try again.")

    with pytest.raises(AuthorityError, match="does not answer"):
        sign_pdf(final.pdf, signer, described, authority=Silent(), at=NOW)


def test_canary_pyhanko_still_rewrites_metadata(final: Page, signer: SimpleSigner) -> None:
    """When this fails, pyHanko keeps metadata by itself and our override of `_update_meta` can go."""
    writer = IncrementalPdfFileWriter(BytesIO(final.pdf))
    plain = pyhanko_sign(writer, PdfSignatureMetadata(field_name="Plain"), signer).getvalue()
    before = PdfFileReader(BytesIO(final.pdf)).root["/Metadata"].data
    assert PdfFileReader(BytesIO(plain)).root["/Metadata"].data != before


def test_canary_update_meta_is_still_the_hook() -> None:
    """When this fails, pyHanko renamed the private method that `sign` overrides."""
    assert callable(IncrementalPdfFileWriter._update_meta)


def test_canary_pyhanko_still_says_none_for_a_wrong_passphrase(
    authority: DemonstrationAuthority, tmp_path: Any
) -> None:
    """Why `load_signer` does not use pyHanko's own loader: it logs and returns None."""
    path = tmp_path / "signer.p12"
    path.write_bytes(authority.signer_p12("right"))
    assert SimpleSigner.load_pkcs12(str(path), passphrase=b"wrong") is None


def test_names_in_a_certificate_are_hostile_too(described: SignatureFacts) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "<b>\u202eMr \n X</b>")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    facts = describe_signature(certificate, None, visible=True)
    assert facts.subject == "<b>Mr X</b>"
    (text,) = read_pages(render_stamp(facts, NOW))
    assert "<b>Mr X</b>" in text


def test_layout_of_the_stamp_is_one_page(described: SignatureFacts) -> None:
    assert len(read_pages(render_stamp(replace(described, subject="W" * 160, issuer="W" * 160), NOW))) == 1
    assert layout("<p>x", {}, {}).pages
