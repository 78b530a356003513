"""The archive revision: one document timestamp (PAdES B-LTA) behind a signed file, in the only form that is accepted.

The examiner signs a file that has an empty field for the timestamp. The revision that fills it consists of that field
and the timestamp and follows from the signed file byte for byte, but for the timestamp itself: so whoever puts another
timestamp in its place can change nothing else.
"""

import hashlib
from dataclasses import dataclass, replace
from io import BytesIO

from forensics.canonical import sha256
from forensics.errors import AuthorityError
from forensics.evidence.signed_pdf import PdfFault, SignedPdf, find_range, read_signed_pdf, read_value
from forensics.keys.cms import TimestampToken, read_timestamp
from forensics.keys.timestamp import TimestampAuthority

FIELD = "ArchiveTimestamp"
"""Name of the field that waits for the timestamp."""

_ROOM = 2 * 16 * 1024
_MALFORMED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, AssertionError)
_RANGE_WIDTH = 48
_FIELD_KEYS = {"/Type": "/Annot", "/Subtype": "/Widget", "/FT": "/Sig", "/T": FIELD, "/F": 132, "/Rect": [0, 0, 0, 0]}


@dataclass(frozen=True)
class _Revision:
    """The bytes of an archive revision before and behind the timestamp's value with its angle brackets."""

    head: bytes
    tail: bytes

    def digest(self, signed: bytes, name: str) -> bytes:
        """Digest of everything that the timestamp covers."""
        return hashlib.new(name, signed + self.head + self.tail).digest()


def add_archive_timestamp(signed: bytes, authority: TimestampAuthority) -> bytes:
    """Returns a signed file with a timestamp over all of it in its field `FIELD`.

    Raises:
        PdfFault: the file has no such empty field.
        AuthorityError: the authority failed, or its token is too large.
    """
    revision = _render(signed)
    token = authority.stamp(revision.digest(signed, "sha256"))
    if 2 * len(token) > _ROOM:
        raise AuthorityError(
            f"The token of the timestamp authority {authority.name} is larger than {_ROOM // 2} bytes.",
            "Name another authority.",
        )
    value = token.hex().upper().encode().ljust(_ROOM, b"0")
    return signed + revision.head + b"<" + value + b">" + revision.tail


def read_report_file(raw: bytes) -> SignedPdf:
    """Verifies a file with one signature over all of it, or one with an archive timestamp behind that.

    Raises:
        PdfFault: it is neither, in the one accepted form of each.
        CmsError: the signature or the timestamp does not verify.
    """
    if raw.count(b"/ByteRange") != 2:
        return read_signed_pdf(raw)
    _, _, second, length = find_range(raw)
    end = second + length
    signed = read_signed_pdf(raw[:end])
    return replace(signed, archive=_read_timestamp(raw[:end], raw[end:]))


def _read_timestamp(signed: bytes, added: bytes) -> TimestampToken:
    revision = _render(signed)
    start, stop = len(revision.head), len(added) - len(revision.tail)
    if stop - start != _ROOM + 2 or added[:start] != revision.head or added[stop:] != revision.tail:
        raise PdfFault("What follows the signed part of the file is no archive timestamp, or not that alone.")
    return read_timestamp(read_value(added[start:stop]), lambda name: revision.digest(signed, name))


def _render(signed: bytes) -> _Revision:
    """Writes the revision that fills the field of a signed file; parses that file, which must be verified before."""
    from pyhanko.pdf_utils.misc import PdfError

    try:
        return _write(signed)
    except (PdfError, *_MALFORMED) as error:
        raise PdfFault(f"The signed part has no field for an archive timestamp ({type(error).__name__}).") from error


def _write(signed: bytes) -> _Revision:
    from pyhanko.pdf_utils.reader import PdfFileReader

    reader = PdfFileReader(BytesIO(signed))
    fields = reader.root["/AcroForm"]["/Fields"]
    places = [index for index in range(len(fields)) if fields[index]["/T"] == FIELD]
    (place,) = places
    field, reference = fields[place], fields.raw_get(place).reference
    page = field.raw_get("/P").reference
    if field.keys() != _FIELD_KEYS.keys() | {"/P"} or any(field[key] != value for key, value in _FIELD_KEYS.items()):
        raise ValueError("the field is not the one that waits for a timestamp")
    trailer = reader.trailer_view
    size, root, info = trailer["/Size"], trailer.raw_get("/Root").reference, trailer.raw_get("/Info").reference
    if {each.generation for each in (reference, page, root, info)} != {0}:
        raise ValueError("an object was replaced before")

    number = int(size)
    filled = (
        f"{reference.idnum} 0 obj\n<< /Type /Annot /Subtype /Widget /FT /Sig /T ({FIELD}) /F 132 /Rect [0 0 0 0] "
        f"/P {page.idnum} 0 R /V {number} 0 R >>\nendobj\n"
    )
    opening = f"{number} 0 obj\n<< /Type /DocTimeStamp /Filter /Adobe.PPKLite /SubFilter /ETSI.RFC3161\n/Contents "
    before = ("" if signed.endswith(b"\n") else "\n") + filled + opening
    start = len(signed) + len(before)
    stop = start + _ROOM + 2
    closing = "\n>>\nendobj\n"
    table = stop + 1 + len("/ByteRange ") + _RANGE_WIDTH + len(closing)
    offsets = [len(signed) + before.index(filled), len(signed) + before.index(opening)]
    first = trailer["/ID"][0].original_bytes.hex()
    end = (
        f"xref\n{reference.idnum} 1\n{offsets[0]:010} 00000 n \n{number} 1\n{offsets[1]:010} 00000 n \n"
        f"trailer\n<< /Size {number + 1} /Root {root.idnum} 0 R /Info {info.idnum} 0 R /ID [<{first}> "
        f"<{sha256(signed)[:32]}>] /Prev {reader.last_startxref} >>\nstartxref\n{table}\n%%EOF\n"
    )
    rest = 1 + len("/ByteRange ") + _RANGE_WIDTH + len(closing) + len(end)
    covered = f"[0 {start} {stop} {rest}]".ljust(_RANGE_WIDTH)
    return _Revision(before.encode("ascii"), f"\n/ByteRange {covered}{closing}{end}".encode("ascii"))
