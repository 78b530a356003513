"""From recorded answers to measurement and verdict: used to score a case, and again to check that it follows."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from forensics.canonical import canonical_json, decimal, sha256
from forensics.codec import decode_answers
from forensics.errors import CaseError
from forensics.evidence.case import SUFFIXES, share_folder
from forensics.evidence.results import decode_measurement, encode_measurement, encode_verdict
from forensics.evidence.schema import AnswersRecord, ControlRecord, Dated, Dates, Evidence, OpenedShare, ReferenceRecord
from forensics.keys.claim import Claim
from forensics.keys.opening import Opened
from forensics.methods import ProbeKey, ScoreKey, load_method
from forensics.records import Answers, Measurement, Plan, Pool, PoolItem, Verdict
from forensics.verdict import ClaimDates, Period, decide, parse_moment

TOLERANCE = 1e-9
"""Largest relative difference of a recomputed real number; whole numbers are compared exactly."""

_REAL = re.compile(r"-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?")
_WHOLE = re.compile(r"-?[0-9]+")

UNIT_LIMIT = 1 << 16
"""Most units (bits, items, families) that a claim may fix."""

CELL_LIMIT = 64_000_000
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
    """

    agrees: bool
    differences: tuple[str, ...]
    compared: int
    rebuilt: bool
    measurement: Measurement
    verdict: Verdict | None


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


def judge(
    claim: Claim,
    dates: Dates,
    measurement: Measurement,
    controls: Sequence[ControlRecord],
    *,
    opened: bool | None,
    replayed: bool | None,
    examinations: int,
    owner_undisputed: bool,
) -> Verdict:
    """Applies the claim's rule to a measurement and the recorded dates and controls; see `verdict.decide`."""
    by_role = {control.role: float(control.p_value) for control in controls}
    return decide(
        measurement,
        claim.rule,
        binding=claim.binding,
        opened=opened,
        dates=ClaimDates(_period(dates.token), _period(dates.release), _period(dates.suspect)),
        examinations=examinations,
        references=[(float(each.p_value), float(each.effect)) for each in controls if each.role == "reference"],
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
    comparison = _Comparison()
    pool, complete = read_pool(share, files)
    measurement = measure_answers(
        claim, pool, opened.probe_key, opened.score_key, evidence.answers, evidence.references
    )
    if complete:
        _compare_plan(comparison, claim, evidence, opened, pool)
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
            opened=opens,
            replayed=replayed,
            examinations=score.examinations,
            owner_undisputed=score.owner_undisputed,
        )
        comparison.tree("verdict ", encode_verdict(verdict).model_dump(), score.verdict.model_dump())
    differences = tuple(comparison.differences)
    return Reproduction(not differences, differences, comparison.count, complete, measurement, verdict)


def verify_figures(claim: Claim, evidence: Evidence) -> list[str]:
    """Checks what can be checked of a score without the key: figures that follow from others, and the verdict.

    The number of matches itself stays unverified. For the exact test of bits, p-value, effect, Bayes factor and
    power follow from the matches, their number and the claim's rule; the verdict follows from the recorded figures.

    Returns:
        Sentences about what differs; empty where everything agrees or nothing is scored.

    Raises:
        CaseError, ValueError: a figure is absurd or no number.
    """
    score = evidence.score
    if score is None:
        return []
    _refuse_absurd(claim)
    comparison, recorded = _Comparison(), score.measurement
    spec = load_method(claim.method).spec
    comparison.value("test", spec.test, recorded.test)
    comparison.value("null", spec.null, recorded.null)
    comparison.value("n", claim.rule.n, recorded.n)
    for control in score.controls:
        comparison.value(f"{control.role} {control.identity.name}: n", claim.rule.n, control.n)
    if comparison.differences:
        return comparison.differences
    if spec.test == "bits":
        _compare_bits(comparison, claim, evidence)
    replayed = not comparison.differences if score.verdict.gates.get("G5") is not None else None
    verdict = judge(
        claim,
        evidence.dates,
        decode_measurement(recorded),
        score.controls,
        opened=True,
        replayed=replayed,
        examinations=score.examinations,
        owner_undisputed=score.owner_undisputed,
    )
    comparison.tree("verdict ", encode_verdict(verdict).model_dump(), score.verdict.model_dump())
    return comparison.differences


def _compare_bits(comparison: "_Comparison", claim: Claim, evidence: Evidence) -> None:
    """Compares the figures of the exact test of bits with those that follow from matches, n and rule."""
    from forensics.statistics import (
        FLOOR,
        bayes_factor_binomial,
        binomial_test,
        clopper_pearson,
        power_binomial,
        upper_limit,
    )

    if evidence.score is None:
        return
    recorded, rule = evidence.score.measurement, claim.rule
    matched, n = recorded.matched, recorded.n
    exact, (low, high) = binomial_test(matched, n), clopper_pearson(matched, n, 0.95)
    effect = recorded.effect
    for name, ours, theirs in (
        ("value", float(matched), recorded.value),
        ("p_value", exact.pvalue, recorded.p_value),
        ("log10_p", max(exact.log10_p, math.log10(FLOOR)), recorded.log10_p),
        ("effect value", matched / n, effect.value),
        ("effect low", low, effect.low),
        ("effect high", high, effect.high),
        ("effect upper_99", upper_limit(matched, n, 0.99), effect.upper_99),
        ("effect chance", 0.5, effect.chance),
        ("bayes_factor_log10", bayes_factor_binomial(matched, n, 0.5), recorded.bayes_factor_log10),
        ("power", power_binomial(n, float(rule.minimum_effect), float(rule.alpha), 0.5), recorded.power),
    ):
        comparison.value(name, decimal(ours), theirs)
    for control in evidence.score.controls:
        name = f"{control.role} {control.identity.name}: "
        comparison.value(f"{name}p_value", decimal(binomial_test(control.matched, control.n).pvalue), control.p_value)
        comparison.value(f"{name}effect", decimal(control.matched / control.n), control.effect)


def read_answers(record: AnswersRecord) -> Answers:
    """Reads a record of answers.

    Raises:
        CaseError: the kind is unknown, a row is of another form, or the table is absurdly large.
    """
    width = max([len(record.labels), *(len(row) for row in record.values if isinstance(row, list))], default=0)
    try:
        if width * len(record.values) > CELL_LIMIT:
            raise ValueError("the table of answers is too large")
        return decode_answers(record.model_dump())
    except (ValueError, TypeError, OverflowError) as error:
        raise CaseError(f"The recorded answers cannot be read: {error}.", "Ask for the case as written.") from error


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


def _compare_plan(comparison: "_Comparison", claim: Claim, evidence: Evidence, opened: Opened, pool: Pool) -> None:
    plan: Plan = load_method(claim.method).plan(opened.probe_key, pool, claim.parameters)
    comparison.value("plan digest", plan.digest, evidence.plan.digest)
    comparison.value("batch size", plan.batch_size, evidence.plan.batch_size)
    comparison.value("number of probes", len(plan.probes), len(evidence.plan.probes))
    for index, (probe, recorded) in enumerate(zip(plan.probes, evidence.plan.probes)):
        comparison.value(f"probe {index}", probe.digest, recorded)


def _period(dated: Dated) -> Period | None:
    return None if dated.value is None else parse_moment(dated.value)


class _Comparison:
    """Collects what differs between recomputed and recorded values."""

    def __init__(self) -> None:
        self.count = 0
        self.differences: list[str] = []

    def value(self, name: str, ours: Any, recorded: Any, scale: float = 0.0) -> None:
        """Compares one value; decimal strings may differ by the tolerance, of their size or of a list's scale."""
        self.count += 1
        if ours != recorded and not _close(ours, recorded, scale):
            self.differences.append(f"{name} is recorded as {recorded} and recomputed as {ours}.")

    def tree(self, name: str, ours: Any, recorded: Any) -> None:
        """Compares two records field by field."""
        for path, mine, theirs, scale in _pairs(name, ours, recorded, 0.0):
            self.value(path, mine, theirs, scale)


def _pairs(name: str, ours: Any, recorded: Any, scale: float) -> Iterator[tuple[str, Any, Any, float]]:
    if isinstance(ours, dict) and isinstance(recorded, dict) and ours.keys() == recorded.keys():
        for key, value in ours.items():
            yield from _pairs(f"{name}{key} ", value, recorded[key], 0.0)
    elif isinstance(ours, list) and isinstance(recorded, list) and len(ours) == len(recorded):
        largest = max((abs(number) for number in map(_real, ours) if number is not None), default=0.0)
        for index, (mine, theirs) in enumerate(zip(ours, recorded)):
            yield from _pairs(f"{name}{index} ", mine, theirs, largest)
    else:
        yield name.strip(), ours, recorded, scale


def _close(ours: Any, recorded: Any, scale: float) -> bool:
    """Whether two decimal strings give the same real number; whole numbers must be equal to the digit."""
    mine, theirs = _real(ours), _real(recorded)
    if mine is None or theirs is None:
        return False
    return math.isclose(mine, theirs, rel_tol=TOLERANCE, abs_tol=TOLERANCE * scale)


def _real(text: Any) -> float | None:
    """A decimal string with a fraction or exponent as a finite number; None for anything else."""
    if not isinstance(text, str) or _WHOLE.fullmatch(text) or not _REAL.fullmatch(text):
        return None
    number = float(text)
    return number if math.isfinite(number) else None
