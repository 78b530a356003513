"""The signature of a report: PAdES, a certification that permits no change, one revision, over the whole file."""

import asyncio
import tempfile
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from forensics.canonical import utc
from forensics.errors import CheckFailed, UsageError
from forensics.evidence.certificates import is_demonstration
from forensics.evidence.signed_pdf import read_signed_pdf
from forensics.evidence.signer import AuthorityTimeStamper, signer_certificate
from forensics.keys.timestamp import TimestampAuthority
from forensics.report.assets import environment
from forensics.report.render import STAMP, layout
from forensics.report.text import clean, moment
from forensics.report.view import SignatureFacts

if TYPE_CHECKING:
    from pyhanko.sign.signers import SimpleSigner

FIELD = "ExaminerSignature"
CONTAINER = 2 * 24 * 1024
"""Hexadecimal digits kept free for the signature: 24 KiB of DER hold a chain and a time stamp."""

_POINTS = 72 / 25.4


def describe_signature(
    certificate: x509.Certificate, authority: TimestampAuthority | None, *, visible: bool
) -> SignatureFacts:
    """Returns what the report prints of the signature that a certificate is about to make."""
    return SignatureFacts(
        subject=clean(_name(certificate.subject), 160),
        issuer=clean(_name(certificate.issuer), 160),
        serial=f"0x{certificate.serial_number:x}",
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        not_before=moment(utc(certificate.not_valid_before_utc)),
        not_after=moment(utc(certificate.not_valid_after_utc)),
        demonstration=is_demonstration(certificate),
        level="PAdES B-B" if authority is None else "PAdES B-T",
        authority="" if authority is None else clean(authority.name, 160),
        visible=visible,
    )


def sign_pdf(
    unsigned: bytes,
    signer: "SimpleSigner",
    facts: SignatureFacts,
    *,
    authority: TimestampAuthority | None,
    at: datetime,
) -> bytes:
    """Returns the signed report: exactly the unsigned bytes, followed by one revision with the signature.

    Args:
        unsigned: from `render.render_pdf`.
        signer: from `evidence.signer.load_signer`.
        facts: from `describe_signature`; decides whether page 1 carries a stamp.
        authority: of the signature time stamp (PAdES B-T); None for B-B.
        at: signing time, UTC-aware.

    Raises:
        UsageError: the certificate is not valid at that time.
        AuthorityError: the time stamp authority failed.
        CheckFailed: the result is not one that `check` would accept; nothing is returned then.
    """
    certificate = signer_certificate(signer)
    if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
        raise UsageError(
            f"The signing certificate is valid from {utc(certificate.not_valid_before_utc)} to "
            f"{utc(certificate.not_valid_after_utc)}, not at {utc(at)}.",
            "Use a valid certificate, or set the computer's clock.",
        )
    signed = asyncio.run(_sign(unsigned, signer, facts, authority, at))
    if not signed.startswith(unsigned):
        raise CheckFailed("Signing changed bytes of the report.", "Install the pinned version of pyHanko.")
    read_signed_pdf(signed)
    return signed


def render_stamp(facts: SignatureFacts, at: datetime) -> bytes:
    """Returns the visible stamp as a PDF page of exactly the size of its box.

    Our own rendering, because pyHanko sets text wrongly in fonts whose em is not 1000 units.
    """
    html = (
        environment()
        .get_template("stamp.html.j2")
        .render(
            stamp=STAMP,
            facts=facts,
            name=facts.subject,
            issuer=facts.issuer,
            fingerprint=facts.fingerprint,
            moment=moment(utc(at)),
        )
    )
    page: bytes = layout(html, {}, {}).write_pdf()
    return page


async def _sign(
    unsigned: bytes, signer: "SimpleSigner", facts: SignatureFacts, authority: TimestampAuthority | None, at: datetime
) -> bytes:
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
    from pyhanko.sign.fields import MDPPerm, SigFieldSpec, SigSeedSubFilter
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
        docmdp_permissions=MDPPerm.NO_CHANGES,
        reason="Author of this report",
    )
    field = SigFieldSpec(FIELD, on_page=0, box=_corners() if facts.visible else None)
    with tempfile.TemporaryDirectory() as folder:
        style: Any = None
        if facts.visible:
            page = Path(folder) / "stamp.pdf"
            page.write_bytes(render_stamp(facts, at))
            style = StaticStampStyle.from_pdf_file(
                str(page), border_width=0, background_opacity=1.0, background_layout=_filling()
            )
        pdf_signer = PdfSigner(
            metadata,
            signer,
            timestamper=None if authority is None else AuthorityTimeStamper(authority),
            stamp_style=style,
            new_field_spec=field,
        )
        session = pdf_signer.init_signing_session(Writer(BytesIO(unsigned)))
        session.system_time = at
        document = session.prepare_tbs_document(validation_info=None, bytes_reserved=CONTAINER)
        digest, output = document.digest_tbs_document()
        finished = await document.perform_signature(
            document_digest=digest.document_digest, pdf_cms_signed_attrs=PdfCMSSignedAttributes(signing_time=at)
        )
        await finished.post_signature_processing(output)
    output.seek(0)
    return bytes(output.read())


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
