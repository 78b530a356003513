"""Strict reading of a signed report's bytes: every byte of the file is signed or fixed by the one accepted form.

Nothing of the PDF's structure is parsed here; that happens only after the signature was found to cover the file.
"""

import hashlib
import re
from dataclasses import dataclass

from forensics.errors import CheckFailed
from forensics.keys.cms import SignedData, read_cms
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
    """

    signature: SignedData
    byte_range: tuple[int, int, int, int]
    contents: bytes


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
    match = _RANGE.search(raw)
    if match is None:
        raise PdfFault("The range of bytes under the signature is not in canonical form.")
    first, second, length = (int(part) for part in match.groups())
    if second + length != len(raw) or not match.end() <= len(raw):
        raise PdfFault("The signature does not cover the whole file.")
    if not 0 < first < second or raw[first : first + 1] != b"<" or raw[second - 1 : second] != b">":
        raise PdfFault("The signature does not cover everything but its own value.")
    digits = raw[first + 1 : second - 1]
    if len(digits) % 2 or not _HEX.fullmatch(digits) or not raw[:first].endswith(b"/Contents "):
        raise PdfFault("The signature's value is not in canonical form.")
    try:
        contents = unpad(bytes.fromhex(digits.decode("ascii")))
    except ValueError as error:
        raise PdfFault(f"The signature's value is not in canonical form: {error}.") from error

    def digest(name: str) -> bytes:
        found = hashlib.new(name, raw[:first])
        found.update(raw[second:])
        return found.digest()

    return SignedPdf(read_cms(contents, detached_digest=digest), (0, first, second, length), contents)
