"""The signature of a report: PAdES, a certification over the whole file, in one revision.

The profile `court` (B-LT, or less where revocation data is missing) permits no change. The profile `archive` (B-LTA)
leaves an empty field that a timestamp over all of it fills in a second revision.
"""

import asyncio
import tempfile
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from forensics.canonical import utc
from forensics.errors import CheckFailed
from forensics.evidence import archive
from forensics.evidence.certificates import is_demonstration
from forensics.evidence.longterm import SignaturePlan, ValidationData, verify_embedded
from forensics.evidence.revocation import RevocationFault
from forensics.evidence.signer import AuthorityTimeStamper, require_signing, signer_certificate
from forensics.report.assets import environment
from forensics.report.render import STAMP, layout
from forensics.report.text import clean, moment
from forensics.report.view import SignatureFacts
from forensics.wording import ENGLISH, Wording

if TYPE_CHECKING:
    from pyhanko.sign.signers import Signer

FIELD = "ExaminerSignature"
CONTAINER = 2 * 24 * 1024
"""Hexadecimal digits kept free for the signature: 24 KiB of DER hold a chain and a time stamp."""

_POINTS = 72 / 25.4


def describe_signature(certificate: x509.Certificate, plan: SignaturePlan, *, visible: bool) -> SignatureFacts:
    """Returns what the report prints of the signature that a certificate is about to make."""
    return SignatureFacts(
        subject=clean(_name(certificate.subject), 160),
        issuer=clean(_name(certificate.issuer), 160),
        serial=f"0x{certificate.serial_number:x}",
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        not_before=utc(certificate.not_valid_before_utc),
        not_after=utc(certificate.not_valid_after_utc),
        demonstration=is_demonstration(certificate),
        level=f"PAdES {plan.level}",
        authority="" if plan.authority is None else clean(plan.authority.name, 160),
        visible=visible,
        lists=len(plan.embedded.lists),
        gap="" if plan.gap is None or plan.gap.gap is None else plan.gap.gap,
        names={} if plan.gap is None else {key: clean(name, 160) for key, name in plan.gap.names.items()},
        stamped_by=plan.stamped_by,
    )


def sign_pdf(
    unsigned: bytes,
    signer: "Signer",
    facts: SignatureFacts,
    plan: SignaturePlan,
    *,
    at: datetime,
    language: Wording = ENGLISH,
) -> bytes:
    """Returns the signed report: exactly the unsigned bytes, followed by the revisions of the plan's level.

    Args:
        unsigned: from `render.render_pdf`.
        signer: from `evidence.signer.load_signer` or `evidence.pkcs11.open_token`.
        facts: from `describe_signature`; decides whether page 1 carries a stamp.
        plan: from `evidence.longterm.plan_signature`.
        at: signing time, UTC-aware.
        language: of the stamp.

    Raises:
        UsageError: the certificate is not one for signatures at that time, or a token refused to sign.
        AuthorityError: the timestamp authority failed.
        CheckFailed: the result is not one that `check` would accept; nothing is returned then.
    """
    require_signing(signer_certificate(signer), at)
    signed = asyncio.run(_sign(unsigned, signer, facts, plan, at, language))
    if plan.archived and plan.authority is not None:
        signed = archive.add_archive_timestamp(signed, plan.authority)
    if not signed.startswith(unsigned):
        raise CheckFailed("Signing changed bytes of the report.", "Install the pinned version of pyHanko.")
    read = archive.read_report_file(signed)
    if plan.embedded.certificates:
        try:
            verify_embedded(read.signature, plan.embedded, read.archive)
        except RevocationFault as fault:
            raise CheckFailed(f"The signature would not be accepted: {fault.cause}.", "Sign again.") from fault
    return signed


def render_stamp(facts: SignatureFacts, at: datetime, language: Wording = ENGLISH) -> bytes:
    """Returns the visible stamp as a PDF page of exactly the size of its box.

    Our own rendering, because pyHanko sets text wrongly in fonts whose em is not 1000 units.
    """
    html = (
        environment(language)
        .get_template("stamp.html.j2")
        .render(
            stamp=STAMP,
            facts=facts,
            name=facts.subject,
            issuer=facts.issuer,
            fingerprint=facts.fingerprint,
            moment=moment(utc(at), language.code),
            language=language.code,
        )
    )
    page: bytes = layout(html, {}, {}).write_pdf()
    return page


async def _sign(
    unsigned: bytes, signer: "Signer", facts: SignatureFacts, plan: SignaturePlan, at: datetime, language: Wording
) -> bytes:
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
    from pyhanko.sign.fields import MDPPerm, SigFieldSpec, SigSeedSubFilter, append_signature_field
    from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner
    from pyhanko.sign.signers.pdf_cms import PdfCMSSignedAttributes
    from pyhanko.stamp import StaticStampStyle

    class Writer(IncrementalPdfFileWriter):  # type: ignore[misc, unused-ignore]
        def _update_meta(self) -> None:
            """Leaves XMP and Info as they are: pyHanko would rewrite them in a form that PDF/A does not allow."""

    metadata = PdfSignatureMetadata(
        field_name=FIELD,
        md_algorithm="sha256",
        subfilter=SigSeedSubFilter.PADES,
        certify=True,
        docmdp_permissions=MDPPerm.FILL_FORMS if plan.archived else MDPPerm.NO_CHANGES,
        reason="Author of this report",
    )
    field = SigFieldSpec(FIELD, on_page=0, box=_corners() if facts.visible else None)
    with tempfile.TemporaryDirectory() as folder:
        style: Any = None
        if facts.visible:
            page = Path(folder) / "stamp.pdf"
            page.write_bytes(render_stamp(facts, at, language))
            style = StaticStampStyle.from_pdf_file(
                str(page), border_width=0, background_opacity=1.0, background_layout=_filling()
            )
        pdf_signer = PdfSigner(
            metadata,
            signer,
            timestamper=None if plan.authority is None else AuthorityTimeStamper(plan.authority),
            stamp_style=style,
            new_field_spec=field,
        )
        writer = Writer(BytesIO(unsigned))
        _embed(writer, plan.embedded)
        session = pdf_signer.init_signing_session(writer)
        if plan.archived:
            append_signature_field(writer, SigFieldSpec(archive.FIELD, on_page=0))
        session.system_time = at
        document = session.prepare_tbs_document(validation_info=None, bytes_reserved=CONTAINER)
        digest, output = document.digest_tbs_document()
        finished = await document.perform_signature(
            document_digest=digest.document_digest, pdf_cms_signed_attrs=PdfCMSSignedAttributes(signing_time=at)
        )
        await finished.post_signature_processing(output)
    output.seek(0)
    return bytes(output.read())


def _embed(writer: Any, data: ValidationData) -> None:
    """Puts certificates and revocation lists into the revision that is about to be signed, byte for byte."""
    from pyhanko.pdf_utils import generic

    if not data.certificates:
        return

    def store(contents: list[bytes]) -> Any:
        return generic.ArrayObject(writer.add_object(generic.StreamObject(stream_data=each)) for each in contents)

    found = {
        "/Certs": store([each.public_bytes(Encoding.DER) for each in data.certificates]),
        "/CRLs": store([each.der for each in data.lists]),
    }
    entries: Any = generic.DictionaryObject  # pyHanko leaves its constructor without types
    both = entries({generic.pdf_name(key): value for key, value in found.items()})
    writer.root[generic.pdf_name("/DSS")] = writer.add_object(both)
    writer.update_root()


def _corners() -> tuple[int, int, int, int]:
    """Lower left and upper right corner of the stamp, in whole points, as pyHanko wants them."""
    left, bottom = round(STAMP.left * _POINTS), round(STAMP.bottom * _POINTS)
    return left, bottom, left + round(STAMP.width * _POINTS), bottom + round(STAMP.height * _POINTS)


def _filling() -> Any:
    """The stamp fills its box: pyHanko's own rule leaves a margin and shrinks it."""
    from pyhanko.pdf_utils.layout import AxisAlignment, Margins, SimpleBoxLayoutRule

    return SimpleBoxLayoutRule(
        x_align=AxisAlignment.ALIGN_MID, y_align=AxisAlignment.ALIGN_MID, margins=Margins(0, 0, 0, 0)
    )


def _name(name: x509.Name) -> str:
    found = [
        str(part.value)
        for kind in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME)
        for part in name.get_attributes_for_oid(kind)
    ]
    return ", ".join(found) or name.rfc4514_string()
