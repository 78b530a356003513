"""Attacks on a signed entry of the custody log: its signature, its timestamp, its words, what it is about."""

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from asn1crypto import cms

from forensics.bench.tamper_attacks import Attack, finished
from forensics.bench.tamper_bases import EXHIBIT, PASSPHRASE
from forensics.bench.tamper_cases import HANDS, Body, Original, rechained, stamped
from forensics.bench.tamper_forgeries import Files, Scene
from forensics.bench.tampering import Mutation, Outcome
from forensics.canonical import now, sha256
from forensics.evidence.case import INSTRUCTIONS
from forensics.evidence.chain import verify_chain
from forensics.evidence.custody import CUSTODY, EVIDENCE, NOBODY, entry_lines, signature_name
from forensics.evidence.instructions import render_instructions
from forensics.evidence.schema import Evidence
from forensics.evidence.seal import sign_detached
from forensics.evidence.signer import load_signer


def entry_attacks(original: Original) -> Iterator[Mutation]:
    """Every attack on the signed entry of a sealed case, by every hand."""
    signer = original.authorities["stranger"] / "signer.p12"
    changes: dict[str, Callable[[Scene], None]] = {
        "a signed exhibit altered": _alter,
        "a signed exhibit altered, its entry brought up to date": _alter_both,
        "another actor in a signed entry": partial(_reword, fields={"actor": "nobody"}),
        "the signature of an entry taken away": _drop,
        "the signature of an entry by somebody else": partial(_sign, signer=signer),
        "the timestamp of an entry's signature cut off": partial(_restamp, kept=False),
        "the timestamp of an entry's signature exchanged for another authority's": partial(_restamp, kept=True),
        "the same, and the entry names nobody who dates it": _deny,
    }
    for name, change in changes.items():
        for hand in HANDS:
            yield finished(original, Attack(name, change, entry=False), hand, {})
    for hand in ("unsigned", "stranger"):
        unsigned = Attack("an entry that no longer says that it was signed", _disown, Outcome.UNIDENTIFIED, entry=False)
        yield finished(original, unsigned, hand, {})


def _place(files: Files) -> int:
    return next(place for place, entry in enumerate(verify_chain(files[CUSTODY])) if "signer" in entry)


def _reword(scene: Scene, fields: Body, lost: tuple[str, ...] = ()) -> None:
    """Other fields in the signed entry; the chain is made anew."""
    entries, place = [dict(entry) for entry in verify_chain(scene.files[CUSTODY])], _place(scene.files)
    entries[place].update(fields)
    for field in lost:
        del entries[place][field]
    scene.files[CUSTODY] = rechained(entries)


def _alter(scene: Scene) -> None:
    scene.files[EXHIBIT] += b" or not"


def _alter_both(scene: Scene) -> None:
    _alter(scene)
    _reword(scene, {"sha256": sha256(scene.files[EXHIBIT])})


def _drop(scene: Scene) -> None:
    del scene.files[signature_name(_place(scene.files))]


def _disown(scene: Scene) -> None:
    _drop(scene)
    _reword(scene, {}, ("signer", "stamped_by"))
    scene.files[INSTRUCTIONS] = render_instructions(Evidence.parse(scene.files[EVIDENCE]))


def _deny(scene: Scene) -> None:
    _restamp(scene, kept=False)
    _reword(scene, {"stamped_by": NOBODY})


def _sign(scene: Scene, signer: Path) -> None:
    place = _place(scene.files)
    loaded = load_signer(signer, PASSPHRASE)
    line = entry_lines(scene.files[CUSTODY])[place]
    scene.files[signature_name(place)] = sign_detached(line, loaded, scene.foreign, now())


def _restamp(scene: Scene, *, kept: bool) -> None:
    """The signature's timestamp goes, or another authority's takes its place."""
    name = signature_name(_place(scene.files))
    info = cms.ContentInfo.load(scene.files[name])
    signer = info["content"]["signer_infos"][0]
    token, _ = stamped(scene.foreign, hashlib.sha256(signer["signature"].native).digest())
    other = cms.CMSAttribute({"type": "signature_time_stamp_token", "values": [cms.ContentInfo.load(token)]})
    signer["unsigned_attrs"] = [other] if kept else None
    scene.files[name] = info.dump()
