"""Altered reports: accidents, later revisions, cuts, exchanged signatures, and reports made anew by somebody else."""

import hashlib
import random
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from asn1crypto import cms, core

from forensics.bench.tamper_bases import PASSPHRASE, Bases
from forensics.bench.tamper_cases import stamped
from forensics.bench.tamper_folders import without_root
from forensics.bench.tampering import Mutation, Outcome, alter
from forensics.evidence.archive import read_report_file
from forensics.evidence.bag import SIGNATURE
from forensics.evidence.signer import load_signer
from forensics.keys.demonstration import DemonstrationAuthority

END = b"%%EOF\n"


@dataclass(frozen=True)
class Report:
    """A signed report, taken apart.

    Attributes:
        raw: the file.
        der: its certifying signature, without padding.
        first: where the value of its certifying signature begins, at the first hexadecimal digit.
        last: where it ends.
        end: length of the part that it covers.
    """

    raw: bytes
    der: bytes
    first: int
    last: int
    end: int

    @classmethod
    def read(cls, raw: bytes) -> "Report":
        """Takes a report apart."""
        signed = read_report_file(raw)
        return cls(raw, signed.contents, signed.byte_range[1] + 1, signed.byte_range[2] - 1, signed.end)

    @property
    def unsigned(self) -> bytes:
        """The file as it was before it was signed."""
        return self.raw[: self.raw.index(END) + len(END)]

    def with_signature(self, der: bytes) -> bytes:
        """Returns the file with another signature value."""
        digits = der.hex().upper().encode().ljust(self.last - self.first, b"0")
        return self.raw[: self.first] + digits + self.raw[self.last :]


def accidents(raw: bytes, chance: random.Random) -> Iterator[Mutation]:
    """Accidents: anywhere, in the signature's value, and around the places that tell what is signed."""
    report = Report.read(raw)
    ends = [match.end() for match in re.finditer(END.strip(), raw)]
    ranges = (
        (0, len(raw)),
        (report.first, report.first + 2 * len(report.der)),
        (report.first, report.last),
        (report.last, min(report.last + 2000, len(raw))),
        (max(report.first - 600, 0), report.first),
        (max(len(raw) - 1200, 0), len(raw)),
        (max(ends[0] - 400, 0), min(ends[0] + 400, len(raw))),
    )
    while True:
        for first, end in ranges:
            what, changed = alter(raw, chance, first, end)
            yield Mutation(f"report: {what}", changed)


def revisions(raw: bytes, chance: random.Random) -> Iterator[Mutation]:
    """Something is drawn on, added to or exchanged in the report by a later revision."""
    while True:
        for change in _REVISIONS.values():
            writer = _writer(raw)
            what = change(writer, chance)
            yield Mutation(f"a later revision: {what}", _written(writer))


def _writer(raw: bytes) -> Any:
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

    return IncrementalPdfFileWriter(BytesIO(raw))


def _written(writer: Any) -> bytes:
    output = BytesIO()
    writer.write(output)
    return output.getvalue()


def _draw(writer: Any, chance: random.Random) -> str:
    """A box over a page."""
    from pyhanko.pdf_utils import generic

    page = chance.randrange(int(writer.root["/Pages"]["/Count"]))
    x, y, width, height = (chance.randrange(20, 500) for _ in range(4))
    box = generic.StreamObject(stream_data=f"q 1 1 1 rg {x} {y} {width} {height} re f Q".encode())
    writer.add_stream_to_page(page, writer.add_object(box))
    return f"a box over page {page + 1}"


def _annotate(writer: Any, chance: random.Random) -> str:
    """A note on the first page."""
    from pyhanko.pdf_utils import generic

    kind = chance.choice(("/FreeText", "/Stamp", "/Square", "/Highlight"))
    entries = {"/Type": "/Annot", "/Subtype": kind}
    named = {generic.pdf_name(key): generic.pdf_name(each) for key, each in entries.items()}
    note: Any = generic.DictionaryObject(named)  # type: ignore[no-untyped-call]
    corner = [chance.randrange(20, 500) for _ in range(2)]
    box = [*corner, corner[0] + 200, corner[1] + 80]
    note[generic.pdf_name("/Rect")] = generic.ArrayObject(map(generic.NumberObject, box))
    note[generic.pdf_name("/Contents")] = generic.pdf_string("SUPPORTED beyond any doubt")
    page = writer.root["/Pages"]
    while "/Kids" in page:
        reference = page["/Kids"].raw_get(0)
        page = reference.get_object()
    writer.register_annotation(reference, writer.add_object(note))
    return f"an annotation ({kind[1:]})"


def _attach(writer: Any, chance: random.Random) -> str:
    """Other evidence in the place of the attachment."""
    stream = writer.root["/Names"]["/EmbeddedFiles"]["/Names"][1]["/EF"]["/F"]
    data = bytes(stream.data)
    place = chance.randrange(len(data))
    stream._data = data[:place] + b"0" + data[place + 2 :]
    stream._encoded_data = None
    writer.update_container(stream)
    return "another attachment"


def _reword(writer: Any, chance: random.Random) -> str:
    """Other metadata."""
    from pyhanko.pdf_utils import generic

    field = chance.choice(("/Title", "/Keywords", "/Author"))
    info = writer.trailer["/Info"]
    info[generic.pdf_name(field)] = generic.pdf_string(f"altered {chance.random()}")
    writer.update_container(info)
    return f"another {field[1:]}"


def _blank(writer: Any, chance: random.Random) -> str:
    """A page emptied of what stands on it."""
    from pyhanko.pdf_utils import generic

    page = writer.root["/Pages"]
    while "/Kids" in page:
        page = page["/Kids"][chance.randrange(len(page["/Kids"]))]
    page[generic.pdf_name("/Contents")] = writer.add_object(generic.StreamObject(stream_data=b""))
    writer.update_container(page)
    return "an emptied page"


_REVISIONS = {
    "a box drawn over a page": _draw,
    "an annotation": _annotate,
    "another attachment": _attach,
    "other metadata": _reword,
    "an emptied page": _blank,
}


def attacks(raw: bytes, bases: Bases) -> Iterator[Mutation]:
    """Attacks on a fresh report that have a name."""
    report, chance = Report.read(raw), random.Random(5)
    yield Mutation("a byte of a page", _flip(raw, raw.index(b"stream\n") + 100))
    yield Mutation("a byte of the attachment", _flip(raw, _attachment(raw)))
    yield Mutation("a byte of the signature", _flip(raw, report.first + 400))
    yield Mutation("a byte of the padding behind the signature", _flip(raw, report.last - 2))
    lower = raw[report.first : report.last].lower()
    yield Mutation("the signature in lower case", raw[: report.first] + lower + raw[report.last :])
    for what, tail in (("text", b"junk"), ("a line break", b"\n"), ("a second end mark", END), ("a zero byte", b"\0")):
        yield Mutation(f"{what} after the end", raw + tail)
    yield Mutation("text before the beginning", b"\n" + raw)
    for what, change in _REVISIONS.items():
        writer = _writer(raw)
        change(writer, chance)
        yield Mutation(f"a later revision: {what}", _written(writer))
    yield from _cuts(report)
    yield from _signatures(report, bases)
    yield from _made_anew(bases)
    saved = linearized(raw)
    if saved is not None:
        yield Mutation("saved anew (qpdf --linearize)", saved)
    yield Mutation("shown with another case", raw, beside=bases.folder / "other")
    yield Mutation("shown with an earlier state of its case", raw, beside=bases.folder / "opened")


def _flip(raw: bytes, place: int) -> bytes:
    return raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]


def _attachment(raw: bytes) -> int:
    """A position within the attachment's data."""
    return raw.index(b"stream", raw.index(b"/EmbeddedFile")) + 200


def _cuts(report: Report) -> Iterator[Mutation]:
    raw = report.raw
    yield Mutation("cut to the file before it was signed", report.unsigned)
    if report.end < len(raw):
        yield Mutation("its last revision, with the archive time stamp, cut off", raw[: report.end])
    yield Mutation("cut in the middle", raw[: len(raw) // 2])
    yield Mutation("its last byte cut off", raw[:-1])
    yield Mutation("the signature's value emptied", report.with_signature(b""))


def _signatures(report: Report, bases: Bases) -> Iterator[Mutation]:
    """Another value in the place of the certifying signature."""

    def edited(field: str, value: object) -> bytes:
        info = cms.ContentInfo.load(report.der)
        info["content"]["signer_infos"][0][field] = value
        return report.with_signature(info.dump())

    signer = cms.ContentInfo.load(report.der)["content"]["signer_infos"][0]
    extra = cms.CMSAttribute({"type": "1.2.3.4", "values": [core.OctetString(b"anything")]})
    yield Mutation("another signature value", edited("signature", bytes(256)))
    yield Mutation("the signature of the case", report.with_signature(bases.case("sealed")[SIGNATURE]))
    if signer["unsigned_attrs"]:
        yield Mutation("its time stamp cut off", edited("unsigned_attrs", None))
        yield Mutation("an unsigned attribute more", edited("unsigned_attrs", [*signer["unsigned_attrs"], extra]))
        for who, what, limit in (
            ("stranger", "another authority's", Outcome.REFUSED),
            ("owner", "a later one of the same authority", Outcome.ACCEPTED),
        ):
            authority = DemonstrationAuthority.load(bases.folder / who)
            stamps = [_restamped(authority, signer["signature"].native)]
            yield Mutation(f"its time stamp exchanged for {what}", edited("unsigned_attrs", stamps), limit)
    info = cms.ContentInfo.load(report.der)
    without_root(info["content"])
    shorter = report.with_signature(info.dump())
    yield Mutation("the root's certificate left out of the signature", shorter, Outcome.ACCEPTED)
    yield Mutation("a second signature, by somebody else", _signed_again(report.raw, bases))
    yield Mutation("signed by somebody else in a plain way", _signed_again(report.unsigned, bases))


def _restamped(authority: DemonstrationAuthority, value: bytes) -> cms.CMSAttribute:
    """A timestamp of today over a signature value."""
    token, _ = stamped(authority, hashlib.sha256(value).digest())
    return cms.CMSAttribute({"type": "signature_time_stamp_token", "values": [cms.ContentInfo.load(token)]})


def _signed_again(raw: bytes, bases: Bases) -> bytes:
    """One more signature, which permits changes, as any program makes it."""
    from pyhanko.sign.fields import SigSeedSubFilter
    from pyhanko.sign.signers import PdfSignatureMetadata, sign_pdf

    signer = load_signer(bases.folder / "stranger" / "signer.p12", PASSPHRASE)
    metadata = PdfSignatureMetadata(field_name="Second", subfilter=SigSeedSubFilter.PADES)
    # pyHanko refuses to sign what its certification forbids to change; a forger would not ask.
    signed: bytes = sign_pdf(_writer(raw.replace(b"/P 1\n", b"/P 3\n")), metadata, signer).getvalue()
    return signed


def _made_anew(bases: Bases) -> Iterator[Mutation]:
    """Reports that somebody else made with this tool: right in form, and by another signer."""
    copy = (bases.folder / "copied.pdf").read_bytes()
    forged = (bases.folder / "forged.pdf").read_bytes()
    yield Mutation("the same case reported by another signer", copy, Outcome.UNIDENTIFIED)
    yield Mutation("a forged case reported by another signer", forged)
    yield Mutation("the same, shown with the case it was forged from", forged, beside=bases.folder / "sealed")


def linearized(raw: bytes) -> bytes | None:
    """Returns a file as `qpdf --linearize` saves it; None where qpdf is not installed."""
    with tempfile.TemporaryDirectory() as scratch:
        before, after = Path(scratch) / "before.pdf", Path(scratch) / "after.pdf"
        before.write_bytes(raw)
        try:
            subprocess.run(["qpdf", "--linearize", before, after], capture_output=True, check=False, timeout=120)
        except FileNotFoundError:
            return None
        return after.read_bytes() if after.exists() else None
