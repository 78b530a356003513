"""The models that a case speaks of: the suspect, those that the claim names, the controls."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from forensics.canonical import canonical_json, sha256
from forensics.evidence.provenance import PROVENANCE
from forensics.evidence.schema import AnswersRecord, ControlRecord, Evidence, IdentityRecord
from forensics.rules import marks_service

if TYPE_CHECKING:
    from forensics.evidence.consistency import Parts

WEIGHTS = (".safetensors", ".onnx", ".onnx_data", ".data", ".bin")
"""Endings of files that hold a model's weights."""

FILE_KINDS = frozenset({"folder", "onnx"})
"""Kinds of models that are known by their files; only these may be named by a claim."""


def find_odd_models(parts: "Parts") -> Iterator[str]:
    """The models whose answers enter a score are those that the claim names."""
    evidence, score = parts.evidence, parts.evidence.score
    named = {each.role: each.digest for each in parts.claim.references}
    given = [(each.role, each.identity.digest) for each in evidence.references]
    if score is not None and sorted(given) != sorted(named.items()):
        yield "The reference models in evidence.json are not those that the claim names."
    if any(each.identity.kind not in FILE_KINDS for each in evidence.references):
        yield "A model that the claim names was not asked itself, from its files."
    if score is None:
        return
    yield from _controls(parts, score.controls)
    yield from find_copies(evidence, score.controls)
    for control in score.controls:
        marked = evidence.asset.digest if evidence.asset is not None else None
        recorded = marked is not None if marks_service(parts.claim) else control.identity.digest == marked
        if control.role == "positive" and not recorded:
            yield "The positive control is not the marked model that the owner recorded."
        before = evidence.asset.predecessor if evidence.asset is not None else None
        if control.role == "predecessor" and before not in (None, control.identity.digest):
            yield "The predecessor is not the unmarked model that the owner recorded."
        if control.provenance not in PROVENANCE.values():
            yield f"What is said of a control's provenance ({control.role}) is not this tool's text."
        if control.documented and control.origin and (control.origin.date or "") > score.created[:10]:
            yield f"A control ({control.role}) is dated after it was scored."
    if score.measurement.n != parts.claim.rule.n:
        yield "The measurement is over another number of units than the claim fixed."
    disclosed = [field is not None for field in (score.measurement.items, score.measurement.target)]
    if disclosed != [evidence.share is not None] * 2:
        yield "Item scores and what the key drew are disclosed without an opened share, or missing with one."


def _controls(parts: "Parts", controls: Sequence[ControlRecord]) -> Iterator[str]:
    """A control that must not respond is neither the suspect, nor the marked model, nor one that was counted before."""
    evidence = parts.evidence
    taken = {evidence.suspect.digest} | ({evidence.asset.digest} if evidence.asset is not None else set())
    named = {each.identity.digest: each for each in evidence.references}
    for control in controls:
        digest = control.identity.digest
        if control.role != "positive":
            if digest in taken or (control.role == "reference" and digest in named):
                yield f"A control ({control.role}) is the suspect, the marked model, a named model, or recorded twice."
            taken.add(digest)
        if digest in named and control.answers != named[digest].answers:
            yield f"A control ({control.role}) has other answers than those that were fixed before scoring."
    for role in ("positive", "predecessor"):
        if sum(control.role == role for control in controls) > 1:
            yield f"There is more than one control of the role {role}."


def find_copies(evidence: Evidence, controls: Sequence[ControlRecord]) -> Iterator[str]:
    """Names references that are another model in a new wrapping: the same file of weights, or the same answers."""
    models = [("the suspect", evidence.suspect, evidence.answers)]
    models += [(f"the claim's {each.role}", each.identity, each.answers) for each in evidence.references]
    models += [("the owner's model", each.identity, each.answers) for each in controls if each.role != "reference"]
    for number, control in enumerate((each for each in controls if each.role == "reference"), start=1):
        for name, identity, answers in models:
            if _weights(identity) & _weights(control.identity) or _same_numbers(answers, control.answers):
                yield f"Reference {number} is no model of its own: it has the weights or the answers of {name}."
        models.append((f"reference {number}", control.identity, control.answers))


def _weights(identity: IdentityRecord) -> set[str]:
    """Returns the digests of a model's files of weights."""
    return {digest for path, (digest, size) in identity.files.items() if size and path.endswith(WEIGHTS)}


def _same_numbers(one: AnswersRecord, other: AnswersRecord) -> bool:
    """Whether two models gave the same vectors or scores throughout; classes may agree by themselves."""
    return one.kind == other.kind and one.kind not in ("labels", "text") and one.values == other.values


def find_odd_identities(parts: "Parts") -> Iterator[str]:
    """The digest of a model that lay on a disk is that of its list of files."""
    evidence, score = parts.evidence, parts.evidence.score
    models = [("the suspect", evidence.suspect)]
    models += [(f"the {each.role}", each.identity) for each in evidence.references]
    if score is not None:
        models += [(f"control {place} ({each.role})", each.identity) for place, each in enumerate(score.controls)]
    for name, identity in models:
        if _of_files(identity) and (not identity.files or manifest_digest(identity) != identity.digest):
            yield f"The digest of {name} is not that of its list of files."


def manifest_digest(identity: IdentityRecord) -> str:
    """Returns SHA-256 of the canonical list of (path, digest, size) of a model folder's files, by path."""
    return sha256(canonical_json([[path, digest, size] for path, (digest, size) in sorted(identity.files.items())]))


def _of_files(identity: IdentityRecord) -> bool:
    """Whether a model was asked as files on a disk: a folder, an ONNX file, or the record of one."""
    kind = identity.kind if identity.kind != "replay" else identity.facts.get("replayed from", "folder")
    return kind in ("folder", "onnx")


def find_odd_answers(parts: "Parts") -> Iterator[str]:
    """The answers of the models that the claim names were fixed in the transcript before anything was scored."""
    evidence = parts.evidence
    if evidence.score is None:
        return
    told = [each for each in parts.transcript if each.get("event") == "reference"]
    fixed = Counter((each["role"], each["identity"], each["answers"]) for each in told)
    used = Counter(
        (each.role, each.identity.digest, sha256(canonical_json(each.answers.model_dump(mode="json"))))
        for each in evidence.references
    )
    for role, _, _ in sorted((used - fixed).elements()):
        yield f"The answers of the claim's {role} are not in the transcript."
    for role, _, _ in sorted((fixed - used).elements()):
        yield f"The transcript fixes answers of the claim's {role} that evidence.json does not hold."
