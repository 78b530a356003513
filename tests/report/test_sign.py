"""The signature in each profile: what it covers, permits and embeds, and what worked-around libraries still do."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from fontTools.ttLib import TTFont
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.general import SigningError
from pyhanko.sign.signers import PdfSignatureMetadata, SimpleSigner
from pyhanko.sign.signers import sign_pdf as pyhanko_sign
from pyhanko.sign.signers.pdf_signer import DSSContentSettings, SigDSSPlacementPreference
from pyhanko.sign.validation import validate_pdf_signature, validate_pdf_timestamp
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext

from forensics.errors import AuthorityError, CheckFailed, UsageError
from forensics.evidence.ades import validate_archived
from forensics.evidence.archive import read_report_file
from forensics.evidence.longterm import Profile, SignatureOptions, SignaturePlan, ValidationData, plan_signature
from forensics.evidence.signed_pdf import read_signed_pdf
from forensics.evidence.signer import AuthorityTimeStamper, signer_certificate, signer_chain
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.report.assets import FONTS, read_asset
from forensics.report.render import STAMP, layout
from forensics.report.sign import describe_signature, render_stamp, sign_pdf
from forensics.report.view import SignatureFacts
from tests.evidence.pki import Ca, Unit
from tests.report.conftest import Page, read_pages

NOW = datetime.now(UTC).replace(microsecond=0)


BARE = SignaturePlan("B-B", None)


@pytest.fixture(scope="module")
def described(signer: SimpleSigner) -> SignatureFacts:
    return describe_signature(signer_certificate(signer), BARE, visible=True)


def planned(signer: SimpleSigner, authority: DemonstrationAuthority, profile: Profile) -> SignaturePlan:
    return plan_signature(signer_chain(signer), authority, SignatureOptions(profile), at=NOW)


@pytest.fixture(scope="module")
def signed(final: Page, signer: SimpleSigner, described: SignatureFacts, authority: DemonstrationAuthority) -> bytes:
    return sign_pdf(final.pdf, signer, described, planned(signer, authority, "court"), at=NOW)


@pytest.fixture(scope="module")
def archived(final: Page, signer: SimpleSigner, described: SignatureFacts, authority: DemonstrationAuthority) -> bytes:
    return sign_pdf(final.pdf, signer, described, planned(signer, authority, "archive"), at=NOW)


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


def test_court_profile_embeds_its_revocation_data_in_the_signed_revision(
    signed: bytes, authority: DemonstrationAuthority
) -> None:
    store = PdfFileReader(BytesIO(signed)).root["/DSS"]
    assert set(store.keys()) == {"/Certs", "/CRLs"}
    certificates = [x509.load_der_x509_certificate(store["/Certs"][index].data) for index in range(3)]
    assert set(certificates) == {authority.signer, authority.tsa, authority.root}
    assert len(store["/Certs"]) == 3
    assert [store["/CRLs"][index].data for index in range(len(store["/CRLs"]))] == [authority.crl_der]


def test_archive_profile_ends_in_a_timestamp_over_the_whole_file(
    archived: bytes, signed: bytes, authority: DemonstrationAuthority
) -> None:
    reader = PdfFileReader(BytesIO(archived))
    (embedded,), (stamp,) = reader.embedded_regular_signatures, reader.embedded_timestamp_signatures
    status = validate_pdf_timestamp(stamp, context(authority), skip_diff=True)
    assert status.intact
    assert status.valid
    assert status.trusted
    assert status.coverage is SignatureCoverageLevel.ENTIRE_FILE
    assert reader.total_revisions == 3
    assert embedded.docmdp_level is not None
    assert embedded.docmdp_level.value == 2
    read = read_report_file(archived)
    assert read.archive is not None
    assert read.archive.signed.signer == authority.tsa
    assert archived[: read.end].endswith(b"%%EOF\n")
    assert read_signed_pdf(archived[: read.end]).contents == read.contents
    assert read_report_file(signed).archive is None


def test_archived_report_passes_the_standards_validation(
    archived: bytes, authority: DemonstrationAuthority, capfd: pytest.CaptureFixture[str]
) -> None:
    opinion = validate_archived(archived, [authority.root])
    assert (opinion.indication, opinion.reason) == ("PASSED", "OK")
    assert opinion.best_time is not None
    assert abs(opinion.best_time - NOW) < timedelta(hours=1)
    stranger = validate_archived(archived, [DemonstrationAuthority.create().root])
    assert (stranger.indication, stranger.reason) == ("INDETERMINATE", "NO_CERTIFICATE_CHAIN_FOUND")
    assert capfd.readouterr().err == ""


def test_archive_revision_is_what_follows_from_the_signed_file(archived: bytes) -> None:
    end = read_report_file(archived).end
    added = archived[end:]
    first, second = (int(number) for number in re.findall(rb"^(\d+) 0 obj$", added, re.MULTILINE))
    assert first < second
    assert added.count(b"xref") == 2
    assert added.endswith(b"%%EOF\n")


def test_revoked_signer_and_another_authority_are_found_before_anything_is_returned(
    final: Page, described: SignatureFacts, tmp_path: Path
) -> None:
    people, stamps = Ca("People"), Ca("Stamps")
    signer = people.issue().signer(tmp_path)
    given = ValidationData(lists=(people.crl(), stamps.crl()))
    plan = plan_signature(signer_chain(signer), Unit(stamps), SignatureOptions("court", given), at=NOW)
    sign_pdf(final.pdf, signer, described, plan, at=NOW)
    revoked = replace(plan.embedded, lists=(people.crl(signer_certificate(signer)), stamps.crl()))
    with pytest.raises(CheckFailed, match="was revoked"):
        sign_pdf(final.pdf, signer, described, replace(plan, embedded=revoked), at=NOW)
    with pytest.raises(CheckFailed, match="another authority"):
        sign_pdf(final.pdf, signer, described, replace(plan, authority=Unit(stamps, "Second")), at=NOW)


def test_token_that_is_too_large_is_refused(
    final: Page, signer: SimpleSigner, described: SignatureFacts, authority: DemonstrationAuthority
) -> None:
    class Large:
        name = "large"

        def stamp(self, digest: bytes) -> bytes:
            return authority.stamp(digest) if len(stamped) < 1 and not stamped.append(digest) else b"\x30" * 20_000

    stamped: list[bytes] = []
    plan = replace(planned(signer, authority, "archive"), authority=Large())
    with pytest.raises(AuthorityError, match="larger than 16384 bytes"):
        sign_pdf(final.pdf, signer, described, plan, at=NOW)


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


@pytest.mark.parametrize("profile", ["court", "archive"])
def test_stamp_is_on_page_one_and_fills_its_box(signed: bytes, archived: bytes, profile: str) -> None:
    reader = PdfFileReader(BytesIO(signed if profile == "court" else archived))
    field = reader.root["/AcroForm"]["/Fields"][0]
    left, bottom, right, top = (float(part) for part in field["/Rect"])
    assert [left, bottom, right - left, top - bottom] == pytest.approx(
        [part * 72 / 25.4 for part in (STAMP.left, STAMP.bottom, STAMP.width, STAMP.height)], abs=1
    )
    appearance = field["/AP"]["/N"].data
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
    assert "no changes permitted" in text
    (text,) = read_pages(render_stamp(replace(described, demonstration=False, level="PAdES B-LTA"), NOW))
    assert "DEMONSTRATION SIGNATURE" not in text
    assert "archived by a time stamp" in text
    assert "no changes permitted" not in text


def test_invisible_signature_has_no_stamp(final: Page, signer: SimpleSigner, described: SignatureFacts) -> None:
    plain = sign_pdf(final.pdf, signer, replace(described, visible=False), BARE, at=NOW)
    read = read_signed_pdf(plain)
    assert read.signature.timestamp is None
    field = PdfFileReader(BytesIO(plain)).root["/AcroForm"]["/Fields"][0]
    assert [float(part) for part in field["/Rect"]] == [0, 0, 0, 0]


def test_facts_are_those_of_the_certificate(
    signer: SimpleSigner, described: SignatureFacts, authority: DemonstrationAuthority
) -> None:
    certificate = signer_certificate(signer)
    assert described.demonstration
    assert described.level == "PAdES B-B"
    assert described.serial == f"0x{certificate.serial_number:x}"
    assert (described.gap, described.lists, described.archived) == ("", 0, False)
    court = describe_signature(certificate, planned(signer, authority, "court"), visible=False)
    assert (court.level, court.lists, court.gap, court.archived) == ("PAdES B-LT", 1, "", False)
    assert court.authority
    assert not court.visible
    assert describe_signature(certificate, planned(signer, authority, "archive"), visible=True).archived


def test_facts_name_what_is_missing(tmp_path: Path) -> None:
    people = Ca("<b>People</b>")
    signer = people.issue().signer(tmp_path)
    plan = plan_signature(signer_chain(signer), Unit(Ca("Stamps")), at=NOW)
    facts = describe_signature(signer_certificate(signer), plan, visible=True)
    assert (facts.level, facts.gap, facts.lists) == ("PAdES B-T", "list", 0)
    assert facts.names == {"subject": "CN=Expert,O=Institute", "issuer": r"CN=\<b\>People\</b\>,O=Institute"}


@pytest.mark.parametrize("shift", [timedelta(days=-3650), timedelta(days=36500)])
def test_certificate_must_be_valid_when_it_signs(
    final: Page, signer: SimpleSigner, described: SignatureFacts, shift: timedelta
) -> None:
    with pytest.raises(UsageError, match="certificate is valid from"):
        sign_pdf(final.pdf, signer, described, BARE, at=NOW + shift)


def test_failing_authority_leaves_nothing_signed(final: Page, signer: SimpleSigner, described: SignatureFacts) -> None:
    class Silent:
        name = "silent authority"

        def stamp(self, digest: bytes) -> bytes:
            raise AuthorityError("The authority does not answer.", "Try again.")

    with pytest.raises(AuthorityError, match="does not answer"):
        sign_pdf(final.pdf, signer, described, SignaturePlan("B-T", Silent()), at=NOW)


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


def test_canary_pyhanko_still_refuses_vri_entries_beside_the_signature() -> None:
    """When this fails, `include_vri` no longer matters for a store in the signed revision."""
    settings = DSSContentSettings(placement=SigDSSPlacementPreference.TOGETHER_WITH_SIGNATURE)
    with pytest.raises(SigningError, match="VRI"):
        settings.assert_viable()


def test_canary_pyhanko_still_adds_a_revision_behind_the_archive_timestamp(
    final: Page, signer: SimpleSigner, authority: DemonstrationAuthority
) -> None:
    """When this fails, pyHanko's own B-LTA ends in its timestamp, and `archive` need not write the revision."""
    metadata = PdfSignatureMetadata(
        field_name="Plain",
        subfilter=SigSeedSubFilter.PADES,
        embed_validation_info=True,
        use_pades_lta=True,
        validation_context=context(authority),
    )
    writer = IncrementalPdfFileWriter(BytesIO(final.pdf))
    plain = pyhanko_sign(writer, metadata, signer, timestamper=AuthorityTimeStamper(authority)).getvalue()
    (stamp,) = PdfFileReader(BytesIO(plain)).embedded_timestamp_signatures
    stamp.compute_integrity_info(skip_diff=True)
    assert stamp.coverage is not SignatureCoverageLevel.ENTIRE_FILE


def test_canary_pyhanko_still_writes_a_random_identifier(final: Page) -> None:
    """When this fails, a revision by pyHanko follows from the file before it, as that of `archive` does."""
    first, second = (IncrementalPdfFileWriter(BytesIO(final.pdf)).document_id[1] for _ in range(2))
    assert first != second


def test_canary_pyhanko_still_sets_fonts_of_2048_units_too_wide() -> None:
    """When this fails, pyHanko could set the stamp's text itself, and `render_stamp` can go."""
    pytest.importorskip("uharfbuzz", reason="pyHanko sets OpenType text with uharfbuzz, which is not installed")
    from pyhanko.pdf_utils.font.opentype import GlyphAccumulator
    from pyhanko.pdf_utils.writer import PdfFileWriter

    raw = read_asset(f"fonts/{FONTS['sans']}")
    accumulator = GlyphAccumulator(PdfFileWriter(), BytesIO(raw), font_size=10)
    accumulator.shape("n")
    accumulator.prepare_write()
    (font,) = accumulator.as_resource().get_object()["/DescendantFonts"]
    with TTFont(BytesIO(raw)) as read:
        true = 1000 * read["hmtx"]["n"][0] / read["head"].unitsPerEm
    assert font.get_object()["/W"][1][0] > 1.5 * true


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
    facts = describe_signature(certificate, BARE, visible=True)
    assert facts.subject == "<b>Mr X</b>"
    (text,) = read_pages(render_stamp(facts, NOW))
    assert "<b>Mr X</b>" in text


def test_layout_of_the_stamp_is_one_page(described: SignatureFacts) -> None:
    assert len(read_pages(render_stamp(replace(described, subject="W" * 160, issuer="W" * 160), NOW))) == 1
    assert layout("<p>x", {}, {}).pages
