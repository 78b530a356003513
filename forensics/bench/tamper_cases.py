"""Altered cases: accidents, edits of records, rewritten logs, each finished by hands of four kinds."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

from asn1crypto import tsp
from cryptography.hazmat.primitives.hashes import SHA256
from pyhanko.sign.signers import SimpleSigner

from forensics.bench.tamper_bases import PASSPHRASE
from forensics.bench.tampering import Files, Mutation, Outcome, alter
from forensics.canonical import canonical_json, canonical_object, now, parse_json, sha256
from forensics.errors import CaseError, CheckFailed
from forensics.evidence.bag import MANIFEST, SIGNATURE, TAGMANIFEST, is_payload, render_bag
from forensics.evidence.case import CLAIM, TRANSCRIPT, TRANSCRIPT_TOKEN
from forensics.evidence.chain import GENESIS, head, verify_chain
from forensics.evidence.consistency import token_record
from forensics.evidence.custody import CUSTODY, EVIDENCE, PAYLOAD, record_custody
from forensics.evidence.schema import Evidence
from forensics.evidence.seal import sign_detached
from forensics.evidence.signer import load_signer
from forensics.evidence.stages import STATES
from forensics.keys.cms import read_cms
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.keys.timestamp import verify_token

HANDS = {
    "kept": "every checksum is written anew, the old signature stays",
    "unsigned": "every checksum is written anew, seal and signature are taken away",
    "stranger": "the case is sealed anew by somebody else",
    "insider": "the case is sealed anew by its own signer",
}
"""Who finishes a forgery, and how."""

Body = dict[str, Any]
Route = tuple[str | int, ...]
SHARE = "data/opened/share-0/share.json"


@dataclass(frozen=True)
class Original:
    """A sealed case, and the authorities with which forgers seal.

    Attributes:
        files: everything in it.
        authorities: folders by hand, `stranger` and, where its own signer is at hand, `insider`.
    """

    files: Files
    authorities: Mapping[str, Path]

    @cached_property
    def evidence(self) -> Evidence:
        """Its evidence."""
        return Evidence.parse(self.files[EVIDENCE])

    def body(self) -> Body:
        """Returns its evidence as a forger edits it."""
        found: Body = parse_json(self.files[EVIDENCE])
        return found

    def payload(self, hand: str) -> dict[str, bytes]:
        """Returns the payload that a forger starts from: before it was sealed, unless the signature shall stay."""
        found = {name: content for name, content in self.files.items() if is_payload(name)}
        if hand != "kept":
            found[CUSTODY] = b"".join(found[CUSTODY].splitlines(keepends=True)[:-1])
        return found

    @cached_property
    def _signers(self) -> dict[str, tuple[SimpleSigner, DemonstrationAuthority]]:
        return {
            hand: (load_signer(folder / "signer.p12", PASSPHRASE), DemonstrationAuthority.load(folder))
            for hand, folder in self.authorities.items()
        }

    def stamp(self, digest: bytes, hand: str, like: bytes) -> tuple[bytes, Body]:
        """Returns a token that a forger gets, and what evidence states of it.

        A stranger's authority states the time that he wants, which is that of the token replaced; an insider gets
        tokens of the case's own authority, an hour later.

        Args:
            like: the token that is replaced.
        """
        signed = read_cms(like)
        moment = tsp.TSTInfo.load(signed.content)["gen_time"].native
        late = timedelta(hours=1) if hand == "insider" else timedelta()
        authority = replace(
            self._signers["insider" if hand == "insider" else "stranger"][1], clock=lambda: moment + late
        )
        return stamped(authority, digest)

    def finish(self, files: Files, body: Body, hand: str, *, entry: bool = True) -> dict[str, bytes]:
        """Returns a case with this payload and evidence, all that follows written anew.

        Args:
            files: the payload; its evidence is replaced by `body`, and so is what repeats it.
            body: the evidence as a JSON value.
            entry: whether the custody log's entries about the evidence are brought up to date.
        """
        payload = {**files, EVIDENCE: canonical_json(body)}
        if isinstance(body.get("share"), dict) and payload.get(SHARE) == self.files[SHARE]:
            payload[SHARE] = canonical_json(body["share"])
        if entry and hand != "kept" and CUSTODY in payload:
            payload[CUSTODY] = relogged(payload)
        return self.seal(payload, hand)

    def seal(self, payload: Files, hand: str) -> dict[str, bytes]:
        """Returns a payload as a bag, sealed as the hand does it."""
        payload = dict(payload)
        if hand in self.authorities:
            named = self._signers[hand][1].tsa.fingerprint(SHA256()).hex()
            payload[CUSTODY] = record_custody(
                payload, actor="forger", action="seal", item=PAYLOAD, moment=now(), stamped_by=named
            )
        try:
            evidence = Evidence.parse(payload.get(EVIDENCE, b""))
        except CaseError:
            evidence = self.evidence
        bag = render_bag(payload, evidence)
        if hand == "kept":
            bag[SIGNATURE] = self.files[SIGNATURE]
        elif hand in self.authorities:
            signer, authority = self._signers[hand]
            bag[SIGNATURE] = sign_detached(bag[TAGMANIFEST], signer, authority, now())
        return bag


def accidents(original: Original, chance: random.Random) -> Iterator[Mutation]:
    """Every file in turn suffers an accident; nothing else is touched."""
    for turn in count():
        for name in original.files:
            what, changed = alter(original.files[name], chance)
            yield Mutation(f"{name}: {what} ({turn})", {**original.files, name: changed})


def listed_accidents(original: Original, chance: random.Random) -> Iterator[Mutation]:
    """Every file of the payload in turn suffers an accident, and the manifests are written anew, as a forger would."""
    names = [name for name in original.files if is_payload(name)]
    while True:
        for name in names:
            what, changed = alter(original.files[name], chance)
            files = {**original.files, name: changed}
            files[MANIFEST] = relisted(files, names)
            files[TAGMANIFEST] = relisted(files, ["bag-info.txt", "bagit.txt", MANIFEST])
            yield Mutation(f"{name}: {what}, checksums anew", files)


def relisted(files: Files, names: list[str]) -> bytes:
    """Returns a manifest of these files, as `sha256sum` writes it."""
    return "".join(f"{sha256(files[name])}  {name}\n" for name in sorted(names)).encode()


_DESCRIPTIONS = {"case", "created", "tool", "acquired", "dates", "suspect", "asset", "transcript_token"}
_SCORE_DESCRIPTIONS = {("score", "created"), ("score", "owner_undisputed")}


def is_description(route: Route) -> bool:
    """Tells whether nothing else in a case repeats what stands there: only the signature protects it."""
    if route[:2] == ("score", "controls") and len(route) > 3:
        # Answers of a control count only through its matches, which many answers give.
        return route[3] in ("identity", "provenance", "origin", "answers")
    return route[0] in _DESCRIPTIONS or "identity" in route or route[:2] in _SCORE_DESCRIPTIONS


def edits(original: Original, hand: str, chance: random.Random, within: Route = ()) -> Iterator[Mutation]:
    """Any value anywhere in the evidence is replaced by another; whatever follows from it is written anew.

    Args:
        within: only values below this route.
    """
    plain = original.files[EVIDENCE]
    while True:
        body = original.body()
        route, node = _walk(body, chance, within)
        value = _spoilt(node[route[-1]], chance)
        node[route[-1]] = value
        limit = Outcome.UNIDENTIFIED if is_description(route) and hand != "kept" else Outcome.REFUSED
        if limit is Outcome.UNIDENTIFIED and hand == "insider":
            continue
        files = original.payload(hand)
        try:
            if route[0] == "claim" and chance.random() < 0.5:
                files[CLAIM] = canonical_json(body["claim"])
                body["claim_digest"] = sha256(files[CLAIM])
            if canonical_json(body) == plain:
                continue
        except (ValueError, TypeError):
            continue
        name = "/".join(map(str, route))
        yield Mutation(f"evidence {name} = {str(value)[:40]!r}, {hand}", original.finish(files, body, hand), limit)


def _walk(body: Any, chance: random.Random, within: Route) -> tuple[Route, Any]:
    """Returns a place, reached by chance from above, and what holds it."""
    route: list[str | int] = []
    node: Any = None
    here = body
    for step in within:
        route, node, here = [*route, step], here, here[step]
    while isinstance(here, dict | list) and here and (len(route) <= len(within) or chance.random() > 0.2):
        step = chance.choice(sorted(here)) if isinstance(here, dict) else chance.randrange(len(here))
        route, node, here = [*route, step], here, here[step]
    return tuple(route), node


_ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**53 - 1, "", "0", "-0", "1e-30", "1e999", "NaN", "inf", "9" * 400, "\x00", "\u202e",
    "../../etc/passwd", "2026-01-01T00:00:00Z", "9999-12-31T23:59:59Z", [], {}, [None], [[[[[[[[]]]]]]]], {"": None},
    {"a": {"a": {"a": []}}}, ["0"] * 1000, "x" * 10000,
)  # fmt: skip


def _spoilt(value: Any, chance: random.Random) -> Any:
    """Returns another value: sometimes of any type, otherwise of the same type and plausible."""
    if chance.random() < 0.35:
        return chance.choice(_ODD)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + chance.choice((-1, 1, 2, 1000))
    if isinstance(value, list):
        return _reordered(value, chance)
    if isinstance(value, dict):
        name = chance.choice(sorted(value)) if value else "x"
        rest = {key: each for key, each in value.items() if key != name}
        return chance.choice((rest, {**rest, f"{name} ": value.get(name)}, {**value, "more": "0"}))
    if isinstance(value, str):
        return _reworded(value, chance)
    return chance.choice(("", 0, []))


def _reordered(value: list[Any], chance: random.Random) -> list[Any]:
    if not value:
        return ["0"]
    place, other = chance.randrange(len(value)), chance.randrange(len(value))
    lost = value[:place] + value[place + 1 :]
    swapped = list(value)
    swapped[place], swapped[other] = swapped[other], swapped[place]
    return chance.choice((value[::-1], lost, [*value, value[place]], swapped, [*lost, value[place]], []))


def _reworded(value: str, chance: random.Random) -> str:
    try:
        number = float(value)
    except ValueError:
        place = chance.randrange(len(value)) if value else 0
        other = "0123456789abcdef"[chance.randrange(16)]
        return chance.choice((value + " ", value.upper(), value[:place] + other + value[place + 1 :], value[:-1]))
    return chance.choice((repr(number * 1.001 + 0.001), repr(-number), repr(number / 1e6), f"{value}0", "0.5"))


def logs(original: Original, hand: str, chance: random.Random) -> Iterator[Mutation]:
    """Lines of the transcript or of the custody log are replaced, moved, dropped or doubled; the chain is made anew."""
    while True:
        files, body = original.payload(hand), original.body()
        name = chance.choice((TRANSCRIPT, TRANSCRIPT, CUSTODY))
        entries = list(verify_chain(files[name]))
        what, sure = _rewritten(entries, chance)
        files[name] = rechained(entries)
        if files[name] == original.payload(hand)[name]:
            continue
        limit = Outcome.REFUSED
        if name == TRANSCRIPT:
            fate = chance.choice(("kept", "dropped", "anew"))
            redate(original, files, body, fate, hand)
            sure = sure or fate == "kept"
        if not sure and hand != "kept":
            limit = Outcome.UNIDENTIFIED
        if limit is Outcome.UNIDENTIFIED and hand == "insider":
            continue
        finished = original.finish(files, body, hand, entry=name == TRANSCRIPT)
        yield Mutation(f"{name}: {what}, {hand}", finished, limit)


def redate(original: Original, files: dict[str, bytes], body: Body, fate: str, hand: str) -> None:
    """Brings the evidence up to date with an altered transcript; its timestamp is kept, dropped or made anew."""
    body["transcript_head"] = head(files[TRANSCRIPT])
    if fate == "dropped":
        body["transcript_token"] = None
        files.pop(TRANSCRIPT_TOKEN, None)
    elif fate == "anew":
        digest = bytes.fromhex(body["transcript_head"])
        files[TRANSCRIPT_TOKEN], body["transcript_token"] = original.stamp(digest, hand, files[TRANSCRIPT_TOKEN])


def relogged(payload: Files) -> bytes:
    """Returns the custody log of a payload with the digests that its entries about the evidence would have had.

    A log that is none, and one about evidence that is none, stays as it is.
    """
    try:
        evidence, entries = Evidence.parse(payload[EVIDENCE]), verify_chain(payload[CUSTODY])
    except (CaseError, CheckFailed):
        return payload[CUSTODY]
    return rechained([_redigested(entry, evidence) for entry in entries])


def _redigested(entry: Body, evidence: Evidence) -> Body:
    state = STATES.get(str(entry.get("action"))) if entry.get("item") == EVIDENCE else None
    return dict(entry) if state is None else {**entry, "sha256": sha256(state(evidence).core)}


def rechained(entries: list[Body]) -> bytes:
    """Returns entries as a log whose chain is right."""
    raw, prev = b"", GENESIS
    for seq, entry in enumerate(entries):
        line = canonical_object({**entry, "seq": seq, "prev": prev}) + b"\n"
        raw, prev = raw + line, sha256(line)
    return raw


_UNREPEATED = {"elapsed", "tool", "actor", "utc", "sha256"}
"""Fields of log lines that nothing else repeats, or not for every line."""


_LINES: tuple[Body, ...] = ({"event": "failure", "reason": "x"}, {"event": "resume", "answered": 1}, {"event": "x"}, {})


def _rewritten(entries: list[Body], chance: random.Random) -> tuple[str, bool]:
    """Rewrites a log in place; returns what was done, and whether the case's other parts contradict it for sure."""
    place, other = chance.randrange(len(entries)), chance.randrange(len(entries))
    kind = chance.choice(("replaced", "replaced", "replaced", "moved", "dropped", "doubled", "put in"))
    label = entries[place].get("event", entries[place].get("action"))
    if kind == "moved" and place != other:
        entries.insert(other, entries.pop(place))
        return f"{label} line moved from {place} to {other}", False
    if kind == "dropped":
        entries.pop(place)
        return f"{label} line {place} dropped", label not in ("open", "score")
    if kind == "doubled":
        entries.insert(place, dict(entries[place]))
        return f"{label} line {place} doubled", False
    if kind == "put in":
        events: tuple[Body, ...] = (
            {"event": "failure", "reason": "x"},
            {"event": "resume", "answered": 1},
            {"event": "x"},
            {},
        )
        entries.insert(place, {"utc": entries[place]["utc"], **chance.choice(events)})
        return f"line put in at {place}", False
    field = chance.choice(sorted(entries[place].keys() - {"seq", "prev"}))
    entries[place][field] = _spoilt(entries[place][field], chance)
    return f"{label} line {place}, {field} replaced", field not in _UNREPEATED


def stamped(authority: DemonstrationAuthority, digest: bytes) -> tuple[bytes, Body]:
    """Returns a token over a digest, and what evidence states of it."""
    token = authority.stamp(digest)
    return token, token_record(verify_token(token, digest)).model_dump(mode="json")
