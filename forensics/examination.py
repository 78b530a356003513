"""The whole line on one screen: probes, acquire, score, open; `examine` is the first three in a row."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from forensics.acquisition import ask, ask_plan
from forensics.canonical import canonical_json, now, sha256, utc
from forensics.codec import encode_answers
from forensics.controls import control_records, open_controls, require_controls
from forensics.errors import CaseError, UsageError
from forensics.evidence.afterwards import add_published, plan_published
from forensics.evidence.case import (
    TOKENS,
    TRANSCRIPT,
    TRANSCRIPT_TOKEN,
    CaseFolder,
    claim_files,
    compose_case,
    opened_files,
    replace_case,
    sealed_error,
    write_case,
)
from forensics.evidence.chain import head
from forensics.evidence.consistency import release_date
from forensics.evidence.exchanges import LOCAL_KINDS
from forensics.evidence.journal import Journal
from forensics.evidence.kit import Kit, expected_labels, write_kit
from forensics.evidence.provenance import Origin
from forensics.evidence.reproduce import judge, measure_answers, read_answers, read_pool
from forensics.evidence.results import encode_measurement, encode_verdict
from forensics.evidence.schema import NOT_STATED, AnswersRecord, Dated, OpenedShare, ScoreRecord
from forensics.keys.claim import Claim
from forensics.keys.folder import UnlockedKey
from forensics.keys.opening import verify_opening
from forensics.keys.timestamp import TimestampAuthority
from forensics.methods import load_method
from forensics.passes import asked_probes, most_asked
from forensics.progress import Progress, silent
from forensics.recording import (
    acquired_evidence,
    ask_published,
    asset_record,
    named_references,
    replays,
    require_claim,
    tool_record,
)
from forensics.records import AnswerKind, Answers, BoolArray

if TYPE_CHECKING:
    from forensics.suspects import Suspect

TOLERANCE = 1e-4
"""Largest difference of a number, asked again of another build or over a network, that counts as none."""


def make_kit(key: UnlockedKey, share: int = 0) -> Kit:
    """Plans the probes of a share; the scoring secret is not used."""
    claim = key.claim
    probe_key, _ = key.secrets(share)
    plan = load_method(claim.method).plan(probe_key, key.pool(share), claim.parameters)
    return Kit(claim, key.folder.tokens, share, plan)


def probes(key: UnlockedKey, out: Path, share: int = 0) -> Kit:
    """Writes the kit of a share for an examiner who shall not see the scoring secret."""
    kit = make_kit(key, share)
    write_kit(out, kit.claim, kit.tokens, kit.share, kit.plan)
    return kit


def acquire(
    kit: Kit,
    suspect: "Suspect",
    case: Path,
    *,
    actor: str = "examiner",
    suspect_date: Dated = NOT_STATED,
    budget: int | None = None,
    resume: bool = False,
    authority: TimestampAuthority | None = None,
    named: Sequence["Suspect"] = (),
    progress: Progress = silent,
) -> CaseFolder:
    """Puts a kit's probes to a suspect and writes the sealed case of its answers.

    Args:
        budget: largest number of probes that may be asked, in both passes where there are two.
        resume: go on with what `CASE.partial` holds.
        authority: stamps the transcript's head before anything is scored.
        named: the models that the claim names; they are asked the same probes, and their answers' digests go into
            the transcript, so that whoever knows the scoring secret cannot choose them later.

    Raises:
        UsageError: the plan exceeds the budget, or the suspect has another number of labels than the claim.
        CaseError: the case exists, or an unfinished one is there and `resume` is not asked for.
    """
    if case.exists():
        raise CaseError(f"{case} exists already.", "Choose another --case; a case is never overwritten.")
    plan = kit.plan
    if budget is not None and most_asked(plan) > budget:
        raise UsageError(f"The plan asks {most_asked(plan)} probes, the budget allows {budget}.", "Raise --budget.")
    work = case.with_name(case.name + ".partial")
    with Journal.open(work, plan_digest=plan.digest, suspect_digest=suspect.identity.digest, resume=resume) as journal:
        identity = ask_plan(journal, plan, suspect, expected_labels(kit.claim), progress, authority)
        references = named_references(kit.claim, plan, named, progress)
        for record in references:
            answers_digest = sha256(canonical_json(record.answers.model_dump(mode="json")))
            journal.reference(record.role, record.identity.digest, answers_digest)
        journal.finish(len(plan.probes))
        transcript = journal.transcript()
        form = journal.form or {}
        rows = [row for chunk in journal.answered() for row in chunk]
        answered = AnswersRecord.model_validate({**form, "values": rows})
        token = authority.stamp(bytes.fromhex(head(transcript))) if authority else None
        evidence = acquired_evidence(kit, identity, case.name, answered, references, transcript, token, suspect_date)
        files = {TRANSCRIPT: transcript, **claim_files(kit.claim.core, kit.tokens)}
        if token is not None:
            files[TRANSCRIPT_TOKEN] = token
        written = write_case(case, compose_case(evidence, files, actor=actor, action="acquire", moment=now()))
        journal.discard()
    return written


def score(
    key: UnlockedKey,
    case: Path,
    *,
    actor: str = "owner",
    references: Sequence[str] = (),
    positive: str | None = None,
    predecessor: str | None = None,
    provenance: Mapping[str, Origin] = MappingProxyType({}),
    owner_undisputed: bool = False,
    published: "Suspect | None" = None,
    progress: Progress = silent,
) -> CaseFolder:
    """Scores a case's recorded answers with the share that was asked; nothing that decides is asked again.

    Args:
        references: folders (or URIs) of independent models for gate G3.
        positive: the owner's marked model, as a control that must respond.
        predecessor: the same model before it was marked, as a control that must not.
        provenance: where these models come from, by their names here or their digests; gate G3 counts only references
            of which that is stated.
        owner_undisputed: the instructions put the owner of the key beyond dispute.
        published: the case's suspect, to be asked for the statistics that the method's paper prints; their probes
            show it what the key had drawn. None asks nothing.

    Raises:
        CaseError: the case belongs to another claim, is scored already, is sealed, or was not acquired to its end.
        UsageError: the answers cannot belong to the claim, or a control is not what it is said to be.
    """
    loaded, claim = CaseFolder.load(case), key.claim
    evidence = loaded.evidence
    require_claim(evidence, key.folder)
    if loaded.closed:
        raise CaseError("The case is sealed and cannot be scored again.", "Acquire a new case.")
    if evidence.score is not None:
        raise CaseError(
            "The case is scored already, and a case is scored once.",
            "Acquire a new case; it counts as another examination.",
        )
    share = evidence.plan.share
    secrets, pool = key.secrets(share), key.pool(share)
    plan = make_kit(key, share).plan
    if plan.digest != evidence.plan.digest:
        raise CaseError("The case's probes are not those of this key's share.", "Score it with the key of its kit.")
    measurement = measure_answers(claim, pool, *secrets, evidence.answers, evidence.references)
    models = open_controls(references, positive, predecessor, provenance)
    controls = control_records(key, share, plan, evidence, models, progress)
    asked = ask_published(key, loaded, published, progress) if published is not None else None
    printed = add_published(measurement, claim, secrets[1], pool, asked[1] if asked else None)
    moment = now()
    count = key.folder.log_examination(
        moment=moment,
        case=case.name,
        suspect=evidence.suspect.digest,
        transcript=evidence.transcript_head,
        share=share,
    )
    asset = asset_record(key.folder)
    dates = evidence.dates.model_copy(update={"release": release_date(asset)})
    verdict = judge(
        claim,
        dates,
        measurement,
        controls,
        evidence,
        opened=True,
        replayed=replays(loaded, loaded.content[TRANSCRIPT]),
        examinations=count,
        owner_undisputed=owner_undisputed,
    )
    record = ScoreRecord(
        created=utc(moment),
        examinations=count,
        owner_undisputed=owner_undisputed,
        measurement=encode_measurement(printed, disclose=loaded.opened),
        verdict=encode_verdict(verdict),
        controls=controls,
        published_plan=asked[0].digest if asked else None,
        published_answers=AnswersRecord.model_validate(encode_answers(asked[1])) if asked else None,
    )
    scored = evidence.revised(dates=dates, asset=asset, score=record)
    public = claim_files(claim.core, key.folder.tokens, key.folder.asset, key.folder.asset_token)
    files = {**loaded.files(), **public}
    return replace_case(case, compose_case(scored, files, actor=actor, action="score", moment=moment))


def open_case(key: UnlockedKey, case: Path, *, actor: str = "owner") -> CaseFolder:
    """Discloses the share that a scored case was asked with: seed, salt, proof, pool, item scores.

    Raises:
        CaseError: the case is not scored, belongs to another claim, or is sealed.
    """
    loaded = CaseFolder.load(case)
    evidence = loaded.evidence
    require_claim(evidence, key.folder)
    if evidence.score is None:
        raise CaseError("The case is not scored yet.", "Run: forensics score KEY CASE.")
    if loaded.closed:
        raise sealed_error(case)
    share = evidence.plan.share
    measurement = measure_answers(
        key.claim, key.pool(share), *key.secrets(share), evidence.answers, evidence.references
    )
    disclosed = encode_measurement(measurement, disclose=True)
    added = {name: getattr(disclosed, name) for name in ("items", "target", "projection")}
    # What was scored stays as it is, to the last digit: another machine may round otherwise.
    recorded = evidence.score.measurement.model_copy(update=added)
    score_record = evidence.score.model_copy(update={"measurement": recorded})
    opened = evidence.revised(share=OpenedShare.model_validate(key.opening(share)), score=score_record)
    files = {**loaded.files(), **opened_files(share, key.pool(share))}
    moment = now()
    composed = compose_case(opened, files, actor=actor, action="open", moment=moment)
    key.folder.log_opening(moment=moment, case=case.name, transcript=evidence.transcript_head, share=share)
    return replace_case(case, composed)


def examine(
    key: UnlockedKey,
    suspect: "Suspect",
    case: Path,
    *,
    share: int = 0,
    references: Sequence[str] = (),
    positive: str | None = None,
    predecessor: str | None = None,
    provenance: Mapping[str, Origin] = MappingProxyType({}),
    owner_undisputed: bool = False,
    published: bool = False,
    progress: Progress = silent,
    actor: str = "examiner",
    **acquisition: Any,
) -> CaseFolder:
    """Probes, acquire and score in a row; a case that was acquired but not scored is only scored.

    Args:
        published: ask the suspect, once it has answered all that decides, for the published statistics as well.
        acquisition: further arguments of `acquire`; models that the claim names are looked for where they lay when
            the key was made, unless they are given.
    """
    from forensics.suspects import open_suspect

    if published:
        plan_published(key.claim, key.secrets(share)[1], key.pool(share))
        if acquisition.get("authority") is None and not case.is_dir():
            raise UsageError(
                "The published statistics may be asked for only after the transcript's timestamp.",
                "Add --tsa URL, or leave --published out.",
            )
    if not _awaits_score(case, suspect):
        # A control that is named wrongly shall not cost the questions to the suspect.
        require_controls(key, open_controls(references, positive, predecessor, provenance), suspect.identity.digest)
        if not acquisition.get("named"):
            acquisition["named"] = [open_suspect(place) for place in key.folder.paths.values() if Path(place).exists()]
        acquire(make_kit(key, share), suspect, case, actor=actor, progress=progress, **acquisition)
    return score(
        key,
        case,
        actor=actor,
        references=references,
        positive=positive,
        predecessor=predecessor,
        provenance=provenance,
        owner_undisputed=owner_undisputed,
        published=suspect if published else None,
        progress=progress,
    )


def repeat(
    case: Path, suspect: "Suspect | None", named: Sequence["Suspect"] = (), *, tolerance: float | None = None
) -> dict[str, Any]:
    """Asks models again what an opened case records that they were asked, and counts the answers that differ.

    Args:
        suspect: the suspect, or None to ask only the models that the claim names.
        named: models that the claim names, found by their digests.
        tolerance: largest difference of a number that counts as none; by default 0 where the model files and
            libraries are the same, else 1e-4.

    Raises:
        CaseError: no share is opened, so the probes are not known.
        UsageError: a model given is none that the claim names.
    """
    loaded = CaseFolder.load(case)
    evidence = loaded.evidence
    if evidence.share is None:
        raise CaseError("The case is not opened, so its probes are not known here.", "Ask the owner to open a share.")
    claim = Claim.parse(canonical_json(evidence.claim))
    tokens = tuple(loaded.content[name] for name in TOKENS if name in loaded.content)
    opening = verify_opening(claim, tokens, evidence.share.model_dump())
    pool, complete = read_pool(evidence.share, loaded.content)
    if not complete:
        raise CaseError("The pool's files are not in the case.", "Ask for the whole case.")
    plan = load_method(claim.method).plan(opening.probe_key, pool, claim.parameters)
    asked: list[tuple[Suspect, str, AnswersRecord]] = []
    if suspect is not None:
        asked.append((suspect, evidence.suspect.digest, evidence.answers))
    for model in named:
        record = next((each for each in evidence.references if each.identity.digest == model.identity.digest), None)
        if record is None:
            raise UsageError(
                "A model given is none that the claim names.", "Name the folder with the digest in the case."
            )
        asked.append((model, record.identity.digest, record.answers))
    differing, count, same = 0, 0, True
    labels = None if expected_labels(claim) is None else ()
    for model, digest, recorded in asked:
        local = model.identity.kind in LOCAL_KINDS
        same_build = local and model.identity.digest == digest and tool_record() == evidence.tool
        same = same and model.identity.digest == digest
        allowed = tolerance if tolerance is not None else 0.0 if same_build else TOLERANCE
        then = read_answers(recorded)
        put = asked_probes(plan, then)
        count += int(put.sum())
        differing += _disagreements(then, ask(model, plan, labels=labels, asked=put), allowed, put)
    return {
        "probes": count,
        "disagreements": differing,
        "same_model": same,
        "named_models_asked": len(named) >= len(evidence.references),
    }


def _disagreements(then: Answers, again: Answers, allowed: float, asked: BoolArray) -> int:
    """Counts rows that differ among those asked; texts and classes do where they are not the same."""
    if again.values.shape != then.values.shape or again.kind != then.kind:
        return int(asked.sum())
    if then.values.ndim == 2:
        # Vectors may have any length, and only their direction counts.
        length = np.linalg.norm(then.values, axis=1, keepdims=True) if then.kind is AnswerKind.VECTORS else 1.0
        rows = (np.abs(again.values - then.values) > allowed * length).any(axis=1)
    else:
        rows = then.values != again.values
    both = ~then.missing & ~again.missing
    return int(((rows & both) | (then.missing != again.missing))[asked].sum())


def _awaits_score(case: Path, suspect: "Suspect") -> bool:
    """Tells whether a case of this suspect was acquired and the work then stopped before it was scored."""
    if not case.is_dir():
        return False
    evidence = CaseFolder.load(case).evidence
    return evidence.score is None and evidence.suspect.digest == suspect.identity.digest
