"""The structure of a signed report as pyHanko reads it: a second opinion on what the bytes were found to be."""

from dataclasses import dataclass
from io import BytesIO
from typing import Any

from cryptography import x509

from forensics.evidence.longterm import Level, ValidationData
from forensics.evidence.revocation import parse_lists
from forensics.evidence.signed_pdf import PdfFault, SignedPdf

_NO_CHANGES, _FORMS_ONLY = 1, 2
_STORE_KEYS = {"/Certs", "/CRLs"}


@dataclass(frozen=True)
class Structure:
    """A report's signed revision.

    Attributes:
        root: its catalogue.
        info: its document information.
        embedded: certificates and revocation lists in it; None where it has no place for them.
    """

    root: Any
    info: Any
    embedded: ValidationData | None

    def level(self, signed: SignedPdf) -> Level:
        """The PAdES level that the parts make; nothing is said about whether they are right."""
        if signed.signature.timestamp is None:
            return "B-B"
        if signed.archive is not None:
            return "B-LTA"
        return "B-T" if self.embedded is None else "B-LT"


def read_structure(raw: bytes, signed: SignedPdf) -> Structure:
    """Reads a report whose bytes were verified before.

    Raises:
        PdfFault: pyHanko sees other signatures, coverage or revisions than the bytes show, or the certification
            permits more than the one form of the level.
    """
    from pyhanko.pdf_utils.reader import PdfFileReader
    from pyhanko.sign.validation.status import SignatureCoverageLevel

    reader = PdfFileReader(BytesIO(raw))
    regular, stamps = reader.embedded_regular_signatures, reader.embedded_timestamp_signatures
    archived = signed.archive is not None
    if len(regular) != 1 or len(stamps) != archived or len(reader.embedded_signatures) != 1 + archived:
        raise PdfFault("The file does not carry exactly one signature.")
    embedded = regular[0]
    same = tuple(int(part) for part in embedded.byte_range) == signed.byte_range
    if not same or not embedded.pkcs7_content.startswith(signed.contents):
        raise PdfFault("The signature that a reader sees is not the one that covers the file.")
    last = stamps[0] if archived else embedded
    # Comparing the revisions of a tagged file takes pyHanko minutes; `archive` has compared their bytes.
    last.compute_integrity_info(skip_diff=True)
    ends = reader.total_revisions == last.signed_revision + 1 == embedded.signed_revision + 1 + archived
    if last.coverage != SignatureCoverageLevel.ENTIRE_FILE or not ends:
        raise PdfFault("The file was changed after it was signed.")
    permitted = _FORMS_ONLY if archived else _NO_CHANGES
    if embedded.docmdp_level is None or embedded.docmdp_level.value != permitted:
        raise PdfFault("The signature is no certification that forbids changes.")
    if str(embedded.sig_object["/SubFilter"]) != "/ETSI.CAdES.detached":
        raise PdfFault("The signature is no PAdES signature.")
    resolver = reader.get_historical_resolver(embedded.signed_revision)
    return Structure(resolver.root, resolver.trailer_view["/Info"], _read_store(resolver.root))


def _read_store(root: Any) -> ValidationData | None:
    if "/DSS" not in root:
        return None
    store = root["/DSS"]
    if set(store.keys()) != _STORE_KEYS:
        raise PdfFault("The embedded revocation data is not in the one accepted form.")
    certificates = tuple(x509.load_der_x509_certificate(raw) for raw in _contents(store["/Certs"]))
    lists = tuple(found for raw in _contents(store["/CRLs"]) for found in parse_lists(raw, "in the document"))
    return ValidationData(certificates, lists)


def _contents(streams: Any) -> list[bytes]:
    """What a list of streams holds; iterating over it would give references."""
    return [bytes(streams[index].data) for index in range(len(streams))]
