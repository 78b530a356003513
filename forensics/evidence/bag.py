"""The bag around a case (BagIt 1.0, RFC 8493): tag files in one canonical form, rendered from the payload alone."""

import re
from collections.abc import Mapping

from forensics.canonical import sha256
from forensics.evidence.certificates import printable
from forensics.evidence.custody import CUSTODY, EVIDENCE, is_sealed
from forensics.evidence.schema import Evidence

BAGIT = "bagit.txt"
INFO = "bag-info.txt"
MANIFEST = "manifest-sha256.txt"
TAGMANIFEST = "tagmanifest-sha256.txt"
SIGNATURE = "tagmanifest-sha256.txt.p7s"
"""Detached CAdES signature over the tag manifest; itself in no manifest."""

_TAGS = (BAGIT, INFO, MANIFEST, TAGMANIFEST)
_LINE = re.compile(rb"([0-9a-f]{64})  ([!-~]+)")


def is_payload(name: str) -> bool:
    """Tells whether a path of the bag belongs to its payload."""
    return name.startswith("data/")


def render_bag(payload: Mapping[str, bytes], evidence: Evidence) -> dict[str, bytes]:
    """Returns payload and tag files, sorted by path; the same payload always gives the same bytes.

    Args:
        payload: content by path below `data/`.
        evidence: the parsed `data/evidence.json`.
    """
    files = {name: content for name, content in payload.items() if is_payload(name)}
    tags = {
        BAGIT: b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n",
        INFO: _info(files, evidence),
        MANIFEST: _manifest(files),
    }
    tags[TAGMANIFEST] = _manifest(tags)
    return dict(sorted({**files, **tags}.items()))


def find_damage(files: Mapping[str, bytes]) -> list[str]:
    """Compares every file with the manifests, as `sha256sum -c` and a BagIt validator would, and more strictly.

    Returns:
        What is wrong, in sentences; empty when every file is listed once and has the digest listed.
    """
    problems = [f"{name} is missing." for name in _TAGS if name not in files]
    payload = {name for name in files if is_payload(name)}
    problems += _compare(files, MANIFEST, payload)
    problems += _compare(files, TAGMANIFEST, set(_TAGS) - {TAGMANIFEST})
    extra = sorted(files.keys() - payload - {*_TAGS, SIGNATURE})
    return problems + [f"{name} does not belong in a case." for name in extra]


def find_odd_tags(files: Mapping[str, bytes], evidence: Evidence) -> list[str]:
    """Compares the tag files with what the payload makes them; returns sentences for those that differ."""
    expected = render_bag(files, evidence)
    return [f"{name} is not as the case's content makes it." for name in _TAGS if files.get(name) != expected[name]]


def manifest_entries(raw: bytes) -> dict[str, str] | None:
    """Returns the digests that a manifest gives, by path; None where a line is none or names a path again."""
    listed: dict[str, str] = {}
    for line in raw.split(b"\n")[:-1]:
        match = _LINE.fullmatch(line)
        if match is None or match[2].decode() in listed:
            return None
        listed[match[2].decode()] = match[1].decode()
    return listed


def _compare(files: Mapping[str, bytes], manifest: str, names: set[str]) -> list[str]:
    raw = files.get(manifest, b"")
    listed = manifest_entries(raw)
    problems = [] if raw.endswith(b"\n") or not raw else [f"{manifest} is cut off."]
    if listed is None:
        return [*problems, f"{manifest} has a line that is no fingerprint and path, or a path twice."]
    for name in sorted(names | listed.keys()):
        if name not in names:
            problems.append(f"{manifest} lists {name}, which is not there.")
        elif name in files and name not in listed:
            problems.append(f"{name} is not listed in {manifest}.")
        elif name in files and sha256(files[name]) != listed[name]:
            problems.append(f"{name} does not have the fingerprint that {manifest} gives.")
    return problems


def _manifest(files: Mapping[str, bytes]) -> bytes:
    return "".join(f"{sha256(files[name])}  {name}\n" for name in sorted(files)).encode("ascii")


def _info(payload: Mapping[str, bytes], evidence: Evidence) -> bytes:
    size = sum(len(content) for content in payload.values())
    lines = [
        f"Bag-Software-Agent: model-forensics {_one_line(evidence.tool.get('version', ''))}",
        f"Bagging-Date: {_one_line(evidence.created)[:10]}",
        f"External-Identifier: {_one_line(evidence.case)}",
        f"Payload-Oxum: {size}.{len(payload)}",
        f"Evidence-SHA256: {sha256(payload[EVIDENCE])}",
    ]
    if is_sealed(payload.get(CUSTODY, b"")):
        lines.append(f"Sealed-By: {SIGNATURE}")
    return ("\n".join(lines) + "\n").encode("utf-8")


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))
