"""What a forger does to a case: after-the-fact choices, other keys' parts, altered findings, rewritten logs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from asn1crypto import cms, core

from forensics.bench.tamper_cases import SHARE, Body, rechained, stamped
from forensics.canonical import canonical_json, parse_json, sha256
from forensics.evidence.case import ASSET, ASSET_TOKEN, CLAIM, TOKENS, TRANSCRIPT, TRANSCRIPT_TOKEN
from forensics.evidence.chain import verify_chain
from forensics.keys.demonstration import DemonstrationAuthority

Files = dict[str, bytes]
POOL = "data/opened/share-0/pool/"
TOKEN = TOKENS[0]


@dataclass(frozen=True)
class Scene:
    """What a forger has at hand.

    Attributes:
        files: payload of the case that he alters, in place.
        body: its evidence, likewise.
        others: evidence and payload of the other cases, by name.
        own: the authority that dated the case, at the time at which it dated the claim: an owner may have had it date
            any number of claims then.
        foreign: an authority of his own, at that time.
        redate: brings the evidence up to date with an altered transcript; says what becomes of its timestamp.
    """

    files: Files
    body: Body
    others: Mapping[str, tuple[Body, Files]]
    own: DemonstrationAuthority
    foreign: DemonstrationAuthority
    redate: Callable[[str], None]


# After the fact: what a dishonest owner would choose once the answers are known.


def change_seed(scene: Scene) -> None:
    """Another seed than the committed one."""
    scene.body["share"]["seed"] = sha256(b"another seed")


def fit_payload(scene: Scene) -> None:
    """The payload is written as the answers would like it."""
    measurement = scene.body["score"]["measurement"]
    measurement["target"] = [int(float(item) > 0) for item in measurement["items"]]
    measurement["matched"] = measurement["n"]


def reorder_payload(scene: Scene) -> None:
    """A payload as likely as any, with every figure as it was."""
    scene.body["score"]["measurement"]["target"].reverse()


def flip_bit(scene: Scene) -> None:
    """One bit of what the key drew."""
    scene.body["score"]["measurement"]["target"][0] ^= 1


def reorder_pool(scene: Scene) -> None:
    """The pool backwards, files and entries alike."""
    pool = scene.body["share"]["pool"]
    pool.reverse()
    names = [f"{POOL}{place:04d}.png" for place in range(len(pool))]
    images = [scene.files[name] for name in names]
    scene.files.update(zip(names, reversed(images), strict=True))


def exchange_image(scene: Scene) -> None:
    """An image of the other share's pool in the place of the first."""
    image = scene.others["second"][1]["data/opened/share-1/pool/0000.png"]
    scene.files[f"{POOL}0000.png"] = image
    scene.body["share"]["pool"][0]["sha256"] = sha256(image)


def relabel_image(scene: Scene) -> None:
    """Another label for the first image."""
    entry = scene.body["share"]["pool"][0]
    entry["label"] = (entry["label"] + 1) % 4


def shorten_pool(scene: Scene) -> None:
    """The last image is left out."""
    del scene.files[f"{POOL}{len(scene.body['share']['pool']) - 1:04d}.png"]
    scene.body["share"]["pool"].pop()


def exchange_reference(scene: Scene) -> None:
    """Another clean checkpoint than the one that the claim names."""
    scene.body["references"][0]["identity"] = scene.others["other"][0]["suspect"]


def reverse_reference(scene: Scene) -> None:
    """The answers of the clean checkpoint backwards."""
    scene.body["references"][0]["answers"]["values"].reverse()


def reverse_reference_everywhere(scene: Scene) -> None:
    """Other answers of the clean checkpoint, in the transcript as well, dated anew."""
    reverse_reference(scene)
    entries = _entries(scene, TRANSCRIPT)
    for entry in entries:
        if entry["event"] == "reference":
            entry["answers"] = sha256(canonical_json(scene.body["references"][0]["answers"]))
    scene.files[TRANSCRIPT] = rechained(entries)
    scene.redate("anew")


def change_rule(scene: Scene, field: str, value: Any) -> None:
    """An altered rule, the claim's digest brought up to date, the token as it was."""
    scene.body["claim"]["rule"][field] = value
    _reclaim(scene)


def _reclaim(scene: Scene) -> None:
    scene.files[CLAIM] = canonical_json(scene.body["claim"])
    scene.body["claim_digest"] = sha256(scene.files[CLAIM])


def claim_twice(scene: Scene) -> None:
    """A second claim with a milder rule, dated by the same authority at the same time, with a record of the model."""
    change_rule(scene, "grinding", 0)
    _claim_dated(scene, scene.own)


def _claim_dated(scene: Scene, authority: DemonstrationAuthority) -> None:
    scene.files[TOKEN], record = stamped(authority, bytes.fromhex(scene.body["claim_digest"]))
    scene.body["tokens"] = [record]
    scene.body["dates"]["token"]["value"] = record["gen_time"]
    asset = {**parse_json(scene.files[ASSET]), "claim": scene.body["claim_digest"]}
    scene.files[ASSET] = canonical_json(asset)
    later = replace(authority, clock=lambda: datetime.fromisoformat(scene.body["asset"]["token"]["gen_time"]))
    scene.files[ASSET_TOKEN], scene.body["asset"]["token"] = stamped(later, bytes.fromhex(sha256(scene.files[ASSET])))


def date_by_himself(scene: Scene) -> None:
    """The claim names the forger's own authority, which dates it."""
    scene.body["claim"]["authorities"] = [stamped(scene.foreign, bytes(32))[1]["fingerprint"]]
    _reclaim(scene)
    _claim_dated(scene, scene.foreign)


def change_owner(scene: Scene) -> None:
    """Another owner, the claim's digest brought up to date."""
    scene.body["claim"]["owner"] = "Somebody Else"
    _reclaim(scene)


# Tokens.


def stamp_twice(scene: Scene) -> None:
    """A second token over the same claim, of the same time, as somebody who hoards them has."""
    _claim_dated(scene, scene.own)


def borrow_token(scene: Scene, name: str) -> None:
    """The token of another key."""
    body, files = scene.others[name]
    scene.files[TOKEN], scene.body["tokens"] = files[TOKEN], body["tokens"]
    scene.body["dates"]["token"] = body["dates"]["token"]


def drop_token(scene: Scene) -> None:
    """No token, and no date."""
    del scene.files[TOKEN]
    scene.body["tokens"] = []
    scene.body["dates"]["token"] = {"value": None, "source": "not stated"}


def date_back(scene: Scene) -> None:
    """An earlier time in the evidence than in the token."""
    scene.body["tokens"][0]["gen_time"] = scene.body["dates"]["token"]["value"] = "2020-01-01T00:00:00Z"


def date_suspect_first(scene: Scene) -> None:
    """The claim is dated after the suspect was first seen."""
    scene.body["dates"]["suspect"]["value"] = "2020-01-01"


def pad_token(scene: Scene) -> None:
    """An unsigned attribute is put into the token: openssl accepts it as before."""
    info = cms.ContentInfo.load(scene.files[TOKEN])
    extra = cms.CMSAttribute({"type": "1.2.3.4", "values": [core.OctetString(b"anything")]})
    info["content"]["signer_infos"][0]["unsigned_attrs"] = [extra]
    scene.files[TOKEN] = info.dump()


def shorten_token(scene: Scene) -> None:
    """The root's certificate is left out of the token: the same token in other bytes, which change no secret."""
    info = cms.ContentInfo.load(scene.files[TOKEN])
    del info["content"]["certificates"][1]
    scene.files[TOKEN] = info.dump()


def lengthen_token(scene: Scene) -> None:
    """The outer length in a longer form than DER has."""
    raw = scene.files[TOKEN]
    scene.files[TOKEN] = raw[:1] + b"\x83\x00" + raw[2:4] + raw[4:]


# Shares.


def borrow_share(scene: Scene, name: str, fields: tuple[str, ...]) -> None:
    """Parts of a share of another case."""
    theirs = scene.others[name][0]["share"]
    scene.body["share"].update({field: theirs[field] for field in fields})


def open_other_share(scene: Scene) -> None:
    """The second share is opened for the probes of the first."""
    body, files = scene.others["second"]
    for name in [each for each in scene.files if each.startswith("data/opened/")]:
        del scene.files[name]
    scene.files.update({name: raw for name, raw in files.items() if name.startswith("data/opened/")})
    scene.body["share"] = body["share"]
    scene.body["plan"]["share"] = 1


def lengthen_proof(scene: Scene) -> None:
    """A proof with a step more."""
    scene.body["share"]["proof"].reverse()
    scene.body["share"]["proof"].append("0" * 64)


# Answers and suspects.


def change_answer(scene: Scene) -> None:
    """One number of one answer."""
    scene.body["answers"]["values"][0][0] = "9.75"


def borrow_answers(scene: Scene) -> None:
    """The answers of another suspect, in the evidence alone."""
    scene.body["answers"] = scene.others["other"][0]["answers"]


def exchange_rows(scene: Scene, token: str) -> None:
    """The first two answers change places, in the transcript as well."""
    values = scene.body["answers"]["values"]
    values[0], values[1] = values[1], values[0]
    entries = _entries(scene, TRANSCRIPT)
    batch = next(entry for entry in entries if entry["event"] == "batch")
    batch["rows"][:2] = batch["rows"][1::-1]
    scene.files[TRANSCRIPT] = rechained(entries)
    scene.redate(token)


def rename_suspect(scene: Scene) -> None:
    """The evidence of one suspect is given out as another's; the transcript stays."""
    scene.body["suspect"] = scene.others["other"][0]["suspect"]


def rename_suspect_everywhere(scene: Scene) -> None:
    """The same, in the transcript as well, which is dated anew."""
    rename_suspect(scene)
    entries = _entries(scene, TRANSCRIPT)
    entries[0]["suspect"] = scene.body["suspect"]["digest"]
    scene.files[TRANSCRIPT] = rechained(entries)
    scene.redate("anew")


def borrow_transcript(scene: Scene) -> None:
    """Another suspect's transcript."""
    scene.files[TRANSCRIPT] = scene.others["other"][1][TRANSCRIPT]
    scene.redate("anew")


# Findings.


def change_finding(scene: Scene, route: tuple[str | int, ...], value: Any) -> None:
    """Another value within the score."""
    node: Any = scene.body["score"]
    for step in route[:-1]:
        node = node[step]
    node[route[-1]] = value


def double_control(scene: Scene) -> None:
    """One independent model is counted as two."""
    scene.body["score"]["controls"] *= 2


def disguise_suspect(scene: Scene) -> None:
    """The suspect as an independent model."""
    scene.body["score"]["controls"][0]["identity"] = scene.body["suspect"]


# Logs.


def _entries(scene: Scene, name: str) -> list[Body]:
    return [dict(entry) for entry in verify_chain(scene.files[name])]


def _relogged(scene: Scene, name: str, entries: list[Body]) -> None:
    """Makes the chain anew, and a transcript's timestamp with it."""
    scene.files[name] = rechained(entries)
    if name == TRANSCRIPT:
        scene.redate("anew")


def drop_line(scene: Scene, name: str, place: int) -> None:
    """One line of a log less."""
    entries = _entries(scene, name)
    entries.pop(place)
    _relogged(scene, name, entries)


def replace_line(scene: Scene, name: str, place: int, by: int) -> None:
    """One line of a log in the place of another."""
    entries = _entries(scene, name)
    entries[place] = entries[by]
    _relogged(scene, name, entries)


def exchange_lines(scene: Scene, name: str, place: int, other: int) -> None:
    """Two lines of a log in each other's place."""
    entries = _entries(scene, name)
    entries[place], entries[other] = entries[other], entries[place]
    _relogged(scene, name, entries)


def reword_line(scene: Scene, name: str, place: int, fields: Body) -> None:
    """Other fields in a line of a log."""
    entries = _entries(scene, name)
    entries[place].update(fields)
    _relogged(scene, name, entries)


def break_chain(scene: Scene) -> None:
    """Two lines of the transcript in each other's place, the chain as it was."""
    lines = scene.files[TRANSCRIPT].splitlines(keepends=True)
    lines[2], lines[3] = lines[3], lines[2]
    scene.files[TRANSCRIPT] = b"".join(lines)


def drop_transcript_token(scene: Scene) -> None:
    """No timestamp over the transcript."""
    del scene.files[TRANSCRIPT_TOKEN]
    scene.body["transcript_token"] = None


# Surroundings.


def forge_environment(scene: Scene) -> None:
    """Another machine and other versions."""
    scene.body["tool"] = {**scene.body["tool"], "python": "3.99", "torch": "9.9", "system": "another machine"}


def slip_exhibit(scene: Scene) -> None:
    """An exhibit without an entry in the custody log."""
    scene.files["data/exhibits/letter.txt"] = b"I confess."


def exchange_script(scene: Scene) -> None:
    """A script that always agrees."""
    scene.files["data/recompute.py"] = b'print("agrees")\n'


def exchange_instructions(scene: Scene) -> None:
    """Instructions that ask for nothing."""
    scene.files["data/VERIFY.txt"] = b"There is no need to verify anything.\n"


def pad_share(scene: Scene) -> None:
    """A newline more in share.json."""
    scene.files[SHARE] += b"\n"
