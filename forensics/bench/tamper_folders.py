"""Odd folders and odd seals: what the names, links, manifests and signatures of a case can be made to be."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from asn1crypto import cms, core, x509
from cryptography.hazmat.primitives.serialization import Encoding

from forensics.bench.tamper_cases import Original, relisted, stamped
from forensics.bench.tampering import Files, Mutation, Outcome
from forensics.canonical import sha256
from forensics.evidence.bag import MANIFEST, SIGNATURE, TAGMANIFEST, is_payload
from forensics.evidence.case import CLAIM
from forensics.evidence.custody import EVIDENCE
from forensics.keys.demonstration import DemonstrationAuthority

Arrange = Callable[[Path], None]


def folders(original: Original) -> Iterator[Mutation]:
    """A sealed case in a folder that is not as it was written."""
    for name, arrange in _ARRANGED.items():
        yield Mutation(name, original.files, arrange=arrange)
    for name, files in _listed(original.files):
        yield Mutation(name, files)


def _link(case: Path) -> None:
    """The same content, by way of a link."""
    elsewhere = case.with_name("elsewhere")
    elsewhere.write_bytes((case / EVIDENCE).read_bytes())
    (case / EVIDENCE).unlink()
    (case / EVIDENCE).symlink_to(elsewhere)


def _linked_folder(case: Path) -> None:
    elsewhere = case.with_name("claim elsewhere")
    if not elsewhere.exists():
        (case / "data" / "claim").rename(elsewhere)
    else:
        for path in (case / "data" / "claim").iterdir():
            path.unlink()
        (case / "data" / "claim").rmdir()
    (case / "data" / "claim").symlink_to(elsewhere)


def _put(name: str, content: bytes = b"") -> Arrange:
    def put(case: Path) -> None:
        path = case / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    return put


def _pipe(case: Path) -> None:
    (case / MANIFEST).unlink()
    os.mkfifo(case / MANIFEST)


def _folder_for_file(case: Path) -> None:
    (case / CLAIM).unlink()
    (case / CLAIM).mkdir()


def _huge(case: Path) -> None:
    with (case / EVIDENCE).open("wb") as stream:
        stream.truncate(1 << 43)


def _unnamable(case: Path) -> None:
    (case / os.fsdecode(b"data/\xff\x1b[31m")).write_bytes(b"")


def _deep(case: Path) -> None:
    (case / "/".join("a" * 300)).mkdir(parents=True)


_ARRANGED: Mapping[str, Arrange] = {
    "a link in the place of a file, to the same content": _link,
    "a link in the place of a folder, to the same content": _linked_folder,
    "a link to the case within it": lambda case: (case / "data" / "again").symlink_to(case),
    "an empty folder": lambda case: (case / "data" / "empty").mkdir(),
    "a file more": _put("data/notes.txt", b"x"),
    "a file more beside the tag files": _put("fetch.txt", b"http://localhost/x 1 data/x\n"),
    "another manifest": _put("manifest-md5.txt"),
    "an exhibit more": _put("data/exhibits/letter.txt", b"x"),
    "a name that differs by case alone": _put("data/Evidence.json", b"{}"),
    "a folder whose name differs by case alone": _put("Data/evidence.json", b"{}"),
    "a hidden file": _put("data/.evidence.json.swp"),
    "a name with a dash in front": _put("data/-rf"),
    "a name with a blank": _put("data/evidence.json "),
    "a name with a line break": _put("data/x\n0000  data/y"),
    "a name that is no text": _unnamable,
    "folders within folders": _deep,
    "a pipe in the place of the manifest": _pipe,
    "a folder in the place of the claim": _folder_for_file,
    "a file of eight terabytes": _huge,
}


def _listed(files: Files) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Manifests that list, name or write otherwise; the tag manifest is made anew, the signature stays."""
    names = [name for name in files if is_payload(name)]
    plain = files[MANIFEST]
    first = plain.split(b"\n")[0] + b"\n"
    claim = sha256(files[CLAIM]).encode()
    outside = sha256(b"x").encode()
    for what, manifest in (
        ("a file more, listed", relisted({**files, "data/notes.txt": b"x"}, [*names, "data/notes.txt"])),
        ("a line of the manifest twice", first + plain),
        ("a line of the manifest left out", plain.removeprefix(first)),
        ("a line with another digest for the same file", plain + outside + b"  " + CLAIM.encode() + b"\n"),
        ("a path that climbs out of the folder", plain + outside + b"  ../../etc/passwd\n"),
        ("a path that climbs within the folder", plain + claim + b"  data/exhibits/../claim/claim.json\n"),
        ("an absolute path", plain + outside + b"  /etc/passwd\n"),
        ("a path with a dot in it", plain.replace(b"  data/claim/claim.json", b"  ./data/claim/claim.json")),
        ("backslashes", plain.replace(b"  data/claim/claim.json", b"  data\\claim\\claim.json")),
        ("digests in upper case", plain.upper().replace(b"  DATA", b"  data")),
        ("lines with a carriage return", plain.replace(b"\n", b"\r\n")),
        ("a mark for binary files", plain.replace(b"  ", b" *")),
        ("a byte order mark", b"\xef\xbb\xbf" + plain),
        ("the manifest in another order", b"".join(sorted(plain.splitlines(keepends=True), reverse=True))),
        ("a blank line at the manifest's end", plain + b"\n"),
        ("the manifest without its last line break", plain[:-1]),
        ("an empty manifest", b""),
    ):
        changed = {**files, MANIFEST: manifest}
        if what == "a file more, listed":
            changed["data/notes.txt"] = b"x"
        changed[TAGMANIFEST] = relisted(changed, ["bag-info.txt", "bagit.txt", MANIFEST])
        yield what, changed
    for name in (TAGMANIFEST, "bagit.txt", "bag-info.txt"):
        raw = files[name]
        for what, other in (
            ("in another order", b"".join(raw.splitlines(keepends=True)[::-1])),
            ("with a blank line", raw + b"\n"),
            ("with another last line", raw + b"Note: x\n"),
            ("in capitals", raw.upper()),
        ):
            changed = {**files, name: other}
            if name != TAGMANIFEST:
                changed[TAGMANIFEST] = relisted(changed, ["bag-info.txt", "bagit.txt", MANIFEST])
            yield f"{name} {what}", changed


def seals(original: Original, another: Files) -> Iterator[Mutation]:
    """A sealed case whose signature is taken away, exchanged or written otherwise.

    Args:
        another: a case that the same signer sealed.
    """
    der = original.files[SIGNATURE]
    without = {name: content for name, content in original.files.items() if name != SIGNATURE}
    yield Mutation("the signature taken away", without)
    yield Mutation(
        "the signature taken away, and the seal from the log",
        original.seal(original.payload("unsigned"), "unsigned"),
        Outcome.UNIDENTIFIED,
    )
    for name, changed, limit in _signatures(original, der, another[SIGNATURE]):
        yield Mutation(name, {**original.files, SIGNATURE: changed}, limit)


def _signatures(original: Original, der: bytes, others: bytes) -> Iterator[tuple[str, bytes, Outcome]]:
    def edited(edit: Callable[[cms.SignedData], None]) -> bytes:
        info = cms.ContentInfo.load(der)
        edit(info["content"])
        changed: bytes = info.dump()
        return changed

    def signer(data: cms.SignedData) -> cms.SignerInfo:
        return data["signer_infos"][0]

    def put(field: str, value: object) -> Callable[[cms.SignedData], None]:
        return lambda data: signer(data).__setitem__(field, value)

    refused, same = Outcome.REFUSED, Outcome.ACCEPTED
    stamp = _token(der)
    first, second = (each.dump() for each in cms.ContentInfo.load(der)["content"]["certificates"])
    yield "the signature of another case", others, refused
    yield "an empty signature", b"", refused
    yield "bytes after the signature", der + b"\x00", refused
    yield "the signature twice", der + der, refused
    yield "its outer length in a longer form", der[:1] + b"\x83\x00" + der[2:4] + der[4:], refused
    yield "an indefinite outer length", der[:1] + b"\x80" + der[4:] + b"\x00\x00", refused
    yield "no signer", edited(lambda data: data.__setitem__("signer_infos", [])), refused
    yield "no certificate", edited(lambda data: data.__setitem__("certificates", [])), refused
    yield "the root's certificate left out", edited(without_root), same
    yield "certificates in another order", der.replace(first + second, second + first), refused
    yield "a certificate more", edited(lambda data: data["certificates"].append(_certificate(original))), refused
    yield "another signature value", edited(put("signature", bytes(256))), refused
    yield "another digest algorithm", edited(put("digest_algorithm", {"algorithm": "sha512"})), refused
    yield "an unsigned attribute more", edited(lambda data: signer(data)["unsigned_attrs"].append(_EXTRA)), refused
    yield "its timestamp cut off", edited(put("unsigned_attrs", None)), refused
    yield "its timestamp exchanged for that of another signature", der.replace(stamp, _token(others)), refused
    other, later = (edited(put("unsigned_attrs", [_restamped(original, der, hand)])) for hand in original.authorities)
    yield "its timestamp exchanged for another authority's", other, refused
    yield "its timestamp exchanged for a later one of the same authority", later, same


def without_root(data: cms.SignedData) -> None:
    """Leaves the self-signed certificates out of a signature, in place."""
    listed = data["certificates"]
    for place in reversed(range(len(listed))):
        if listed[place].chosen.self_issued:
            del listed[place]


def _token(der: bytes) -> bytes:
    """The timestamp token within a signature."""
    found: bytes = cms.ContentInfo.load(der)["content"]["signer_infos"][0]["unsigned_attrs"][0]["values"][0].dump()
    return found


def _restamped(original: Original, der: bytes, hand: str) -> cms.CMSAttribute:
    """A timestamp over the same signature, of today."""
    value = cms.ContentInfo.load(der)["content"]["signer_infos"][0]["signature"].native
    token, _ = stamped(DemonstrationAuthority.load(original.authorities[hand]), hashlib.sha256(value).digest())
    return cms.CMSAttribute({"type": "signature_time_stamp_token", "values": [cms.ContentInfo.load(token)]})


def _certificate(original: Original) -> object:
    signer = DemonstrationAuthority.load(original.authorities["stranger"]).signer
    return cms.CertificateChoices("certificate", x509.Certificate.load(signer.public_bytes(Encoding.DER)))


_EXTRA = cms.CMSAttribute({"type": "1.2.3.4", "values": [core.OctetString(b"anything")]})
