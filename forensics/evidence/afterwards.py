"""Statistics as a method's paper prints them, from answers that were asked for after everything that decides."""

from dataclasses import replace

from forensics.errors import UsageError
from forensics.evidence.chain import verify_chain
from forensics.evidence.comparison import Comparison
from forensics.evidence.exchanges import left_out
from forensics.evidence.schema import AnswersRecord, Evidence, ScoreRecord
from forensics.keys.claim import Claim
from forensics.methods import PublishedProbing, ScoreKey, load_method
from forensics.records import Answers, Measurement, Plan, Pool


def plan_published(claim: Claim, score_key: ScoreKey, pool: Pool) -> Plan:
    """Returns the probes of a method's published statistics; they depend on the scoring secret.

    Raises:
        UsageError: the method has none, or not with the claim's parameters.
    """
    return _probing(claim).published_plan(score_key, pool, claim.parameters)


def add_published(
    measurement: Measurement, claim: Claim, score_key: ScoreKey, pool: Pool, answers: Answers | None
) -> Measurement:
    """Returns a measurement with the published statistics beside it; without answers it stays as it is.

    Args:
        answers: to `plan_published`; None where they were not asked for.

    Raises:
        UsageError: the method has none, or the answers are none to its probes.
    """
    if answers is None:
        return measurement
    rows = _probing(claim).published(score_key, pool, claim.parameters, answers)
    return replace(measurement, published=(*measurement.published, *rows))


def recorded_answers(score: ScoreRecord | None) -> AnswersRecord | None:
    """Returns what was answered to the probes of the published statistics, if they were asked."""
    return None if score is None else score.published_answers


def compare_published_plan(
    comparison: Comparison, claim: Claim, score: ScoreRecord, score_key: ScoreKey, pool: Pool
) -> None:
    """Compares the digest of the probes of the published statistics with the one recorded.

    Args:
        pool: of the share, with the bytes of its items.
    """
    ours: str | None = None
    if score.published_answers is not None:
        plan = plan_published(claim, score_key, pool)
        ours = plan.digest
        comparison.value("published probes", len(plan.probes), len(score.published_answers.values))
    comparison.value("published plan digest", ours, score.published_plan)


def is_complete(evidence: Evidence, transcript: bytes) -> bool:
    """Whether a transcript is closed after an answer, or the lack of one, to every probe of the deciding plan.

    What a second pass leaves out by the transcript's own words is not waited for; `selection` tells whether it may.

    Raises:
        CheckFailed: the transcript was changed, or leaves out what no plan has.
    """
    entries, count = verify_chain(transcript), len(evidence.plan.probes)
    asked = count - sum(size for _, size in left_out(entries))
    ended = bool(entries) and entries[-1]["event"] == "end" and entries[-1]["answered"] == asked
    return ended and len(evidence.answers.values) == count


def _probing(claim: Claim) -> PublishedProbing:
    method = load_method(claim.method)
    if not isinstance(method, PublishedProbing):
        raise UsageError(
            f"The method '{claim.method}' has no published statistics that need probes of their own.",
            "Leave out --published.",
        )
    return method
