"""From recorded answers to measurement and verdict: used to score a case, and again to check that it follows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forensics.canonical import canonical_json, sha256
from forensics.codec import decode_answers
from forensics.errors import CaseError
from forensics.evidence.afterwards import add_published, compare_published_plan, recorded_answers
from forensics.evidence.arithmetic import compare_bits, compare_ranks, compare_subset
from forensics.evidence.case import SUFFIXES, share_folder
from forensics.evidence.comparison import Comparison
from forensics.evidence.results import decode_measurement, encode_measurement, encode_verdict
from forensics.evidence.schema import AnswersRecord, ControlRecord, Dated, Dates, Evidence, OpenedShare, ReferenceRecord
from forensics.keys.claim import Claim
from forensics.keys.opening import Opened
from forensics.methods import ProbeKey, ScoreKey, load_method
from forensics.records import AnswerKind, Answers, Measurement, Plan, Pool, PoolItem, Verdict
from forensics.verdict import ClaimDates, Period, decide, parse_moment

UNIT_LIMIT = 1 << 16
"""Most units (bits, items, families) that a claim may fix."""

CELL_LIMIT = 128_000_000
"""Most numbers that a table of answers may hold."""


@dataclass(frozen=True)
class Reproduction:
    """What became of recomputing a case.

    Attributes:
        agrees: every number and the verdict follow from the recorded answers.
        differences: sentences, empty when it agrees.
        compared: how many values were compared.
        rebuilt: whether the probes were rebuilt from the pool's files as well.
        measurement: as recomputed.
        verdict: as recomputed; None where the case holds no score.
        plan: the probes, where they were rebuilt.
    """

    agrees: bool
    differences: tuple[str, ...]
    compared: int
    rebuilt: bool
    measurement: Measurement
    verdict: Verdict | None
    plan: Plan | None = None


def measure_answers(
    claim: Claim,
    pool: Pool,
    probe_key: ProbeKey,
    score_key: ScoreKey,
    answers: AnswersRecord,
    references: Sequence[ReferenceRecord],
) -> Measurement:
    """Reads and measures recorded answers: the one way in which this tool gets a number.

    Args:
        claim: names method, parameters, labels and rule.
        pool: of the share; its labels are enough.
        answers: of the suspect or of a control, in plan order.
        references: the models that the claim names, with their answers to the same plan.

    Raises:
        UsageError: the answers cannot belong to this claim.
        CaseError: a record of answers is malformed.
    """
    method = load_method(claim.method)
    named = {reference.role: read_answers(reference.answers) for reference in references}
    reading = method.read(probe_key, pool, claim.parameters, claim.labels, read_answers(answers), named)
    return method.measure(score_key, claim.parameters, reading, claim.rule.model_dump(mode="json"))


def measure_evidence(evidence: Evidence, pool: Pool, probe_key: ProbeKey, score_key: ScoreKey) -> Measurement:
    """Measures the suspect of a case; see `measure_answers`."""
    claim = Claim.parse(canonical_json(evidence.claim))
    return measure_answers(claim, pool, probe_key, score_key, evidence.answers, evidence.references)


def left_open(found: Measurement) -> float:
    """Returns the share of units (bits, items, families) whose answers are missing or tell nothing."""
    return found.context.get("left open", found.context.get("missing", 0.0)) / found.n


def judge(
    claim: Claim,
    dates: Dates,
    measurement: Measurement,
    controls: Sequence[ControlRecord],
    evidence: Evidence,
    *,
    opened: bool | None,
    replayed: bool | None,
    examinations: int,
    owner_undisputed: bool,
) -> Verdict:
    """Applies the claim's rule to a measurement and the recorded dates and controls; see `verdict.decide`.

    Args:
        evidence: its answers, and when they were given; references that were not seen as the suspect was do not count.
    """
    by_role = {control.role: float(control.p_value) for control in controls}
    references: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for each in controls:
        if each.role == "reference":
            counts = each.documented and each.comparable(evidence.answers)
            references[counts].append((float(each.p_value), float(each.effect)))
    return decide(
        measurement,
        claim.rule,
        binding=claim.binding,
        opened=opened,
        dates=ClaimDates(_period(dates.token), _period(dates.release), _period(dates.suspect), _answered(evidence)),
        examinations=examinations,
        references=references[True],
        uncounted=references[False],
        replayed=replayed,
        owner_undisputed=owner_undisputed,
        positive=by_role.get("positive"),
        predecessor=by_role.get("predecessor"),
    )


def reproduce(
    claim: Claim, evidence: Evidence, opened: Opened, files: Mapping[str, bytes], *, opens: bool = True
) -> Reproduction:
    """Recomputes everything that a case with an opened share records, and compares it.

    Args:
        claim: from `claim.json`.
        evidence: the record to be checked.
        opened: the verified opening of its share.
        files: the case's payload; where the pool's files are in it, the probes are rebuilt from them.
        opens: whether the share opens the claim's commitment.

    Raises:
        UsageError: the answers cannot belong to this claim.
        CaseError: there is no share, or a record is malformed.
    """
    share, score = evidence.share, evidence.score
    if share is None:
        raise CaseError("No share is opened in this case.", "Open one with `forensics case open`.")
    _refuse_absurd(claim)
    comparison = Comparison()
    pool, complete = read_pool(share, files)
    measurement = measure_answers(
        claim, pool, opened.probe_key, opened.score_key, evidence.answers, evidence.references
    )
    afterwards = recorded_answers(score)
    if afterwards is not None:
        measurement = add_published(measurement, claim, opened.score_key, pool, read_answers(afterwards))
    _compare_texts(comparison, claim, share)
    plan: Plan | None = None
    if complete:
        plan = _compare_plan(comparison, claim, evidence, opened, pool)
        if score is not None:
            compare_published_plan(comparison, claim, score, opened.score_key, pool)
    verdict: Verdict | None = None
    if score is not None:
        recorded = score.measurement
        disclosed = recorded.items is not None
        comparison.tree("", encode_measurement(measurement, disclose=disclosed).model_dump(), recorded.model_dump())
        for control in score.controls:
            found = measure_answers(
                claim, pool, opened.probe_key, opened.score_key, control.answers, evidence.references
            )
            name = f"{control.role} {control.identity.name}: "
            if control.role == "reference" and left_open(found) > float(claim.rule.missing_allowed):
                comparison.differences.append(f"{name}its answers leave open whether it responds")
            comparison.value(f"{name}matched", found.matched, control.matched)
            comparison.value(f"{name}n", found.n, control.n)
            comparison.value(f"{name}p_value", repr(found.p_value), control.p_value)
            comparison.value(f"{name}effect", repr(found.effect.value), control.effect)
        replayed = not comparison.differences if score.verdict.gates.get("G5") is not None else None
        verdict = judge(
            claim,
            evidence.dates,
            measurement,
            score.controls,
            evidence,
            opened=opens,
            replayed=replayed,
            examinations=score.examinations,
            owner_undisputed=score.owner_undisputed,
        )
        comparison.tree("verdict ", encode_verdict(verdict).model_dump(), score.verdict.model_dump())
    differences = tuple(comparison.differences)
    return Reproduction(not differences, differences, comparison.count, complete, measurement, verdict, plan)


def verify_figures(claim: Claim, evidence: Evidence) -> list[str]:
    """Checks what can be checked of a score without the key: figures that follow from others, and the verdict.

    The number of matches itself stays unverified. For the exact test of bits, p-value, effect, Bayes factor and
    power follow from the matches, their number and the claim's rule. For that of a subset, effect, its limits and
    power follow from the rank sum; the p-value depends on ties, so only its bounds are checked, as long as no share
    is opened. For that of the ranks of drawn classes everything follows from the rank sum but the number of families
    in which the drawn class leads, which has bounds. The verdict follows from the recorded figures.

    Returns:
        Sentences about what differs; empty where everything agrees or nothing is scored.

    Raises:
        CaseError, ValueError: a figure is absurd or no number.
    """
    score = evidence.score
    if score is None:
        return []
    _refuse_absurd(claim)
    comparison, recorded = Comparison(), score.measurement
    spec = load_method(claim.method).spec
    comparison.value("test", spec.test, recorded.test)
    comparison.value("null", spec.null, recorded.null)
    comparison.value("n", claim.rule.n, recorded.n)
    for control in score.controls:
        comparison.value(f"{control.role} {control.identity.name}: n", claim.rule.n, control.n)
    if comparison.differences:
        return comparison.differences
    if spec.test == "bits":
        compare_bits(comparison, claim, evidence)
    elif spec.test == "subset":
        compare_subset(comparison, claim, evidence)
    elif spec.test == "ranks":
        compare_ranks(comparison, claim, evidence)
    replayed = not comparison.differences if score.verdict.gates.get("G5") is not None else None
    verdict = judge(
        claim,
        evidence.dates,
        decode_measurement(recorded),
        score.controls,
        evidence,
        opened=True,
        replayed=replayed,
        examinations=score.examinations,
        owner_undisputed=score.owner_undisputed,
    )
    comparison.tree("verdict ", encode_verdict(verdict).model_dump(), score.verdict.model_dump())
    return comparison.differences


def read_answers(record: AnswersRecord) -> Answers:
    """Reads a record of answers.

    Raises:
        CaseError: the kind is unknown, a row is of another form, or the table is absurdly large.
    """
    try:
        if _cells(record) > CELL_LIMIT:
            raise ValueError("the table of answers is too large")
        return decode_answers(record.model_dump())
    except (ValueError, TypeError, OverflowError) as error:
        raise CaseError(f"The recorded answers cannot be read: {error}.", "Ask for the case as written.") from error


def _cells(record: AnswersRecord) -> int:
    """How many numbers the table of a record holds in memory: a label or a text is one, however many classes."""
    if record.kind in (AnswerKind.LABELS, AnswerKind.TEXT):
        return len(record.values)
    widths = (len(row) for row in record.values if isinstance(row, list))
    return len(record.values) * max(len(record.labels), *widths, 0)


def read_pool(share: OpenedShare, files: Mapping[str, bytes]) -> tuple[Pool, bool]:
    """Returns an opened share's pool, and whether every item's file was there with the digest of its entry.

    Items without a file keep their label and have no bytes.

    Raises:
        CaseError: an entry is malformed, or a file is not the one that was committed.
    """
    folder, items, complete = f"{share_folder(share.index)}pool/", [], True
    for position, entry in enumerate(share.pool):
        kind, label = entry.get("media_type"), entry.get("label")
        if (
            entry.keys() != {"media_type", "sha256", "label"}
            or kind not in SUFFIXES
            or type(label) not in (int, type(None))
        ):
            raise CaseError(f"Entry {position} of the pool is malformed.", "Ask for the case as it was written.")
        data = files.get(f"{folder}{position:04d}.{SUFFIXES[kind]}")
        if data is not None and sha256(data) != entry["sha256"]:
            raise CaseError(
                f"File {position} of the pool is not the one that was committed.", "Ask for the right file."
            )
        complete = complete and data is not None
        items.append(PoolItem(data or b"", kind, label))
    return Pool(tuple(items)), complete


def _refuse_absurd(claim: Claim) -> None:
    """Refuses numbers that would keep exact arithmetic busy for ever; no rule that anybody means has them."""
    rule = claim.rule
    decimals = (rule.alpha, rule.minimum_effect, rule.missing_allowed, rule.references.margin)
    if rule.n > UNIT_LIMIT or any(len(text) > 40 or abs(_exponent(text)) > 400 for text in decimals):
        raise CaseError("The claim's rule holds a number that no rule would.", "Ask the claim's owner what it means.")


def _exponent(text: str) -> int:
    return int(text.partition("e")[2] or 0)


def _compare_plan(comparison: Comparison, claim: Claim, evidence: Evidence, opened: Opened, pool: Pool) -> Plan:
    plan: Plan = load_method(claim.method).plan(opened.probe_key, pool, claim.parameters)
    comparison.value("plan digest", plan.digest, evidence.plan.digest)
    comparison.value("batch size", plan.batch_size, evidence.plan.batch_size)
    comparison.value("number of probes", len(plan.probes), len(evidence.plan.probes))
    for index, (probe, recorded) in enumerate(zip(plan.probes, evidence.plan.probes)):
        comparison.value(f"probe {index}", probe.digest, recorded)
    return plan


def _compare_texts(comparison: Comparison, claim: Claim, share: OpenedShare) -> None:
    """Compares what the claim says of carriers and target text with the entries of the opened share's pool."""
    from forensics.keys.creation import committed_carriers
    from forensics.methods.espew import committed_texts

    kind, compared = load_method(claim.method).spec.pool, []
    if kind == "words" and claim.target_text is not None:
        found = committed_texts(share.pool, claim.parameters)
        compared = [("carriers", found.carriers, claim.carriers), ("target text", found.target_text, claim.target_text)]
    elif kind in ("phrases", "patterns") and claim.carriers is not None:
        ours = committed_carriers(share.pool, int(claim.parameters["candidates"]))
        compared = [("carriers", ours, claim.carriers)]
    for name, ours, recorded in compared:
        listed = (recorded or "").split(" ")
        comparison.value(name, ours, listed[share.index] if share.index < len(listed) else None)


def _answered(evidence: Evidence) -> Period | None:
    """Returns when the suspect answered: not before it was asked, by the clock, and not after the timestamp."""
    stated, token = _period(evidence.acquired), evidence.transcript_token
    if token is None:
        return stated
    by = parse_moment(token.gen_time)[1]
    return (by if stated is None else min(stated[0], by)), by


def _period(dated: Dated) -> Period | None:
    return None if dated.value is None else parse_moment(dated.value)
