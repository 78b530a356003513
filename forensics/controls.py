"""The controls of a case: the owner's marked model, its unmarked predecessor, independent models; asked and scored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from forensics.acquisition import ask
from forensics.canonical import decimal
from forensics.codec import encode_answers, encode_identity
from forensics.errors import UsageError
from forensics.evidence.certificates import printable
from forensics.evidence.kit import expected_labels
from forensics.evidence.models import find_copies
from forensics.evidence.provenance import PROVENANCE, Origin, origin_of
from forensics.evidence.reproduce import left_open, measure_answers, read_answers
from forensics.evidence.schema import AnswersRecord, ControlRecord, Evidence, IdentityRecord, OriginRecord
from forensics.keys.claim import Claim
from forensics.keys.folder import UnlockedKey
from forensics.passes import asked_probes
from forensics.progress import Progress
from forensics.recording import asset_record
from forensics.records import Plan
from forensics.rules import marks_service

if TYPE_CHECKING:
    from forensics.suspects import Suspect

Role = Literal["positive", "predecessor", "reference"]


@dataclass(frozen=True)
class Control:
    """A model that shall be scored beside the suspect."""

    role: Role
    model: "Suspect"
    origin: OriginRecord


def open_controls(
    references: Sequence[str], positive: str | None, predecessor: str | None, stated: Mapping[str, Origin]
) -> list[Control]:
    """Opens the models that were named as controls.

    Args:
        references: folders or URIs of independent models.
        positive: of the owner's marked model.
        predecessor: of the model that was marked, as it was before.
        stated: where they come from; see `evidence.provenance`.

    Raises:
        UsageError: a model is none, is not the one whose provenance is stated, or the provenance of one that was not
            named is stated.
    """
    from forensics.suspects import open_suspect

    given: list[tuple[Role, str]] = [("positive", positive)] if positive else []
    given += [("predecessor", predecessor)] if predecessor else []
    given += [("reference", name) for name in references]
    opened = [(role, name, open_suspect(name)) for role, name in given]
    known = {name for _, name, _ in opened} | {model.identity.digest for _, _, model in opened}
    if unknown := stated.keys() - known:
        raise UsageError(
            f"The provenance of {printable(min(unknown))} is stated, which was not given as a control.",
            "Name models in the file as on the command line, or by their SHA-256.",
        )
    return [Control(role, model, origin_of(stated, name, model.identity)) for role, name, model in opened]


def require_controls(key: UnlockedKey, controls: Sequence[Control], suspect: str) -> None:
    """Refuses controls that are not what they are said to be, before anything is asked.

    Args:
        suspect: its digest.

    Raises:
        UsageError: so it is.
    """
    _require_owners(key, controls)
    _require_independent(key, controls, suspect)


def control_records(
    key: UnlockedKey,
    share: int,
    plan: Plan,
    evidence: Evidence,
    controls: Sequence[Control],
    progress: Progress,
) -> list[ControlRecord]:
    """Scores the controls by the deciding statistic, each by its answers to the suspect's own probes.

    The model that the claim names as its unmarked one was asked when the suspect was; these answers are scored.

    Args:
        evidence: the suspect, which cannot be its own reference, and the models that the claim names; with answers.

    Raises:
        UsageError: the positive control is not the marked model that the owner recorded, another control is not what
            it is said to be, or a control that must not respond does not answer.
    """
    claim, asset, named = key.folder.claim, asset_record(key.folder), evidence.references
    require_controls(key, controls, evidence.suspect.digest)
    records: list[ControlRecord] = []
    for control in controls:
        source = PROVENANCE[control.role]
        # A service is recorded by its name, since its address may change; a wrong address only harms the claim.
        if control.role == "positive" and marks_service(claim):
            source = PROVENANCE["service"]
        if control.role == "predecessor" and (asset is None or asset.predecessor is None):
            source = PROVENANCE["undated"]
        identity = IdentityRecord.model_validate(encode_identity(control.model.identity))
        record = next((each for each in named if each.identity.digest == identity.digest), None)
        if record is not None:
            identity, answers, source = record.identity, record.answers, PROVENANCE["named"]
        else:
            asked = ask(control.model, plan, progress, labels=expected_labels(claim))
            answers = AnswersRecord.model_validate(encode_answers(asked))
        if control.role != "positive":
            _require_answers(claim, plan, identity, answers)
        found = measure_answers(claim, key.pool(share), *key.secrets(share), answers, named)
        if record is None and control.role != "positive" and left_open(found) > float(claim.rule.missing_allowed):
            raise UsageError(
                f"The answers of the control model {printable(identity.name)} leave open whether it responds.",
                "They are missing or all alike. Leave it out, and say so.",
            )
        records.append(
            ControlRecord(
                role=control.role,
                identity=identity,
                provenance=source,
                matched=found.matched,
                n=found.n,
                p_value=decimal(found.p_value),
                effect=decimal(found.effect.value),
                answers=answers,
                origin=control.origin,
            )
        )
    for sentence in find_copies(evidence, records):
        raise UsageError(sentence, "Name independent models.")
    return records


def _require_owners(key: UnlockedKey, controls: Sequence[Control]) -> None:
    """Refuses as the owner's models, marked and before, what the owner did not record as such after embedding."""
    asset = asset_record(key.folder)
    for control in controls:
        digest = control.model.identity.digest
        if control.role == "positive" and (asset is None or not (marks_service(key.claim) or asset.digest == digest)):
            raise UsageError(
                "The positive control is not the marked model that the key folder records.",
                "Name the folder that `forensics embed` wrote, or the service that `forensics protect serve` recorded.",
            )
        before = asset.predecessor if asset is not None else None
        if control.role == "predecessor" and before not in (None, digest):
            raise UsageError(
                "The predecessor is not the unmarked model that the key folder records.",
                "Name the model that was given to `forensics embed`.",
            )


def _require_independent(key: UnlockedKey, controls: Sequence[Control], suspect: str) -> None:
    """Refuses a model as what it cannot be: a reference that is no independent model, a predecessor that is marked."""
    asset = asset_record(key.folder)
    taken = {suspect: "is the suspect itself"}
    if asset is not None:
        taken[asset.digest] = "is the owner's marked model"
    named = {commitment.digest: f"is the claim's {commitment.role}" for commitment in key.claim.references}
    for control in controls:
        if control.role == "positive":
            continue
        digest, what = control.model.identity.digest, "predecessor" if control.role == "predecessor" else "reference"
        wrong = taken if control.role == "predecessor" else {**named, **taken}
        if digest in wrong:
            raise UsageError(
                f"The {what} model {printable(control.model.identity.name)} {wrong[digest]}.",
                "Name the owner's model as it was before it was marked."
                if control.role == "predecessor"
                else "Name independent models.",
            )
        taken[digest] = "was named twice"


def _require_answers(claim: Claim, plan: Plan, identity: IdentityRecord, answers: AnswersRecord) -> None:
    """Refuses a control that must not respond and leaves more unanswered than the claim allows: silence is no proof."""
    given = read_answers(answers)
    if given.missing[asked_probes(plan, given)].mean() > float(claim.rule.missing_allowed):
        raise UsageError(
            f"The control model {printable(identity.name)} leaves too many probes unanswered.",
            "Leave it out, and say so.",
        )
