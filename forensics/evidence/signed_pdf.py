"""Strict reading of a signed report's bytes: every byte of the file is signed or fixed by the one accepted form.

Nothing of the PDF's structure is parsed here; that happens only after the signature was found to cover the file.
"""

import hashlib
import re
from dataclasses import dataclass

from forensics.errors import CheckFailed
from forensics.keys.cms import SignedData, TimestampToken, read_cms
from forensics.keys.der import unpad

LARGEST = 256 << 20
"""Largest report that is read, in bytes."""

_RANGE = re.compile(rb"/ByteRange \[0 ([1-9][0-9]{0,9}) ([1-9][0-9]{0,9}) ([1-9][0-9]{0,9})\] {0,60}\n")
_HEX = re.compile(rb"[0-9A-F]+")


class PdfFault(CheckFailed):
    """A report is not signed, or not in the one form that is accepted."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause, "Treat the file as altered and obtain it again from its author.")


@dataclass(frozen=True)
class SignedPdf:
    """A file whose one signature covers every byte of it but the signature's own value.

    Attributes:
        signature: the verified CMS; nothing is said about trust.
        byte_range: offset and length of the parts before and after the signature's value.
        contents: the CMS as it stands in the file, without padding.
        archive: the timestamp over the whole file, where one follows the signed part; see `archive.read_report_file`.
    """

    signature: SignedData
    byte_range: tuple[int, int, int, int]
    contents: bytes
    archive: TimestampToken | None = None

    @property
    def end(self) -> int:
        """Length of the part that the signature covers, from the file's first byte."""
        return self.byte_range[2] + self.byte_range[3]


def read_signed_pdf(raw: bytes) -> SignedPdf:
    """Verifies that exactly one signature covers the whole file, in canonical form; any changed byte is refused.

    Raises:
        PdfFault: no PDF, not exactly one signature, bytes that it does not cover, or hexadecimal digits or padding
            in another form than upper case and zeros.
        CmsError: the signature's structure or value does not verify.
    """
    if not raw.startswith(b"%PDF-1."):
        raise PdfFault("This is no PDF file.")
    if len(raw) > LARGEST:
        raise PdfFault("The file is too large for a report.")
    if not raw.endswith((b"%%EOF\n", b"%%EOF")):
        raise PdfFault("The file does not end where a PDF ends: it is cut off, or something was appended.")
    if b"/ByteRange" not in raw:
        raise PdfFault("The file carries no signature.")
    if raw.count(b"/ByteRange") != 1:
        raise PdfFault("The file carries more than one signature.")
    first, second, length = find_range(raw)[1:]
    if second + length != len(raw):
        raise PdfFault("The signature does not cover the whole file.")
    if not 0 < first < second or not raw[:first].endswith(b"/Contents "):
        raise PdfFault("The signature does not cover everything but its own value.")
    contents = read_value(raw[first:second])

    def digest(name: str) -> bytes:
        found = hashlib.new(name, raw[:first])
        found.update(raw[second:])
        return found.digest()

    return SignedPdf(read_cms(contents, detached_digest=digest), (0, first, second, length), contents)


def find_range(raw: bytes) -> tuple[int, int, int, int]:
    """Returns offsets and lengths of the parts under the first signature of a file.

    Raises:
        PdfFault: they are not in canonical form.
    """
    match = _RANGE.search(raw)
    if match is None:
        raise PdfFault("The range of bytes under the signature is not in canonical form.")
    first, second, length = (int(part) for part in match.groups())
    return 0, first, second, length


def read_value(field: bytes) -> bytes:
    """Returns the DER value in a signature's field: angle brackets, upper-case hexadecimal digits, zeros behind it.

    Raises:
        PdfFault: it has another form.
    """
    digits = field[1:-1]
    if field[:1] != b"<" or field[-1:] != b">" or len(digits) % 2 or not _HEX.fullmatch(digits):
        raise PdfFault("The signature's value is not in canonical form.")
    try:
        return unpad(bytes.fromhex(digits.decode("ascii")))
    except ValueError as error:
        raise PdfFault(f"The signature's value is not in canonical form: {error}.") from error
