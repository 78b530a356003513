"""What a case records, in one place: for the page in words, and for experts as JSON."""

from typing import Any

from forensics.conclusion import chosen_items, conclusion, missing_controls
from forensics.evidence.results import decode_measurement, decode_verdict
from forensics.evidence.schema import Evidence, ScoreRecord, TokenRecord
from forensics.keys.claim import Claim
from forensics.nouns import nouns_of
from forensics.plaintext import printable

_NAME, _SENTENCE = 200, 1000


def case_facts(evidence: Evidence, claim: Claim) -> dict[str, Any]:
    """Returns what the evidence records, as JSON values; texts of strangers are cleaned and cut to a length.

    Raises:
        ValueError, TypeError, LookupError: the evidence holds something else where a number or a name belongs.
    """
    suspect, asset, dates = evidence.suspect, evidence.asset, evidence.dates
    facts: dict[str, Any] = {
        "case": printable(evidence.case, _NAME),
        "owner": printable(claim.owner, _NAME),
        "method": printable(claim.method, _NAME),
        "claim_digest": claim.digest,
        "binding": claim.binding,
        "suspect": {
            "name": printable(suspect.name, _NAME),
            "kind": printable(suspect.kind, _NAME),
            "digest": printable(suspect.digest, _NAME),
        },
        "transcript_head": evidence.transcript_head,
        "tokens": [_token(token) for token in evidence.tokens],
        "transcript_token": _token(evidence.transcript_token) if evidence.transcript_token else None,
        "release": {
            "value": printable(dates.release.value or "", _NAME) or None,
            "source": printable(dates.release.source, _NAME),
            "token": _token(asset.token) if asset is not None and asset.token is not None else None,
        },
        "earliest_evidence": {
            "value": printable(dates.suspect.value or "", _NAME) or None,
            "source": printable(dates.suspect.source, _NAME),
        },
        "acquired": printable(evidence.acquired.value or "", _NAME) or None,
        "opened_share": evidence.share.index if evidence.share is not None else None,
    }
    return facts if evidence.score is None else {**facts, **_score_facts(evidence, claim, evidence.score)}


def _token(token: TokenRecord) -> dict[str, Any]:
    return {
        "authority": printable(token.authority, _NAME),
        "time": printable(token.gen_time, _NAME),
        "demonstration": token.demonstration,
    }


def _score_facts(evidence: Evidence, claim: Claim, score: ScoreRecord) -> dict[str, Any]:
    measurement, verdict = score.measurement, score.verdict
    roles = {control.role for control in score.controls}
    said = conclusion(
        decode_verdict(verdict),
        decode_measurement(measurement),
        printable(claim.owner, _NAME),
        claim.binding,
        nouns_of(claim),
        controls=roles,
    )
    return {
        "verdict": verdict.outcome,
        "conclusion": printable(said, _SENTENCE),
        "gates": dict(verdict.gates),
        "verdict_reasons": [printable(reason, _SENTENCE) for reason in verdict.reasons],
        "scored": printable(score.created, _NAME),
        "examinations": verdict.examinations,
        "p_value": printable(measurement.p_value, _NAME),
        "matched": measurement.matched,
        "counted": measurement.n if (chosen := chosen_items(measurement.test, measurement.context)) is None else chosen,
        "effect": {"name": printable(measurement.effect.name, _NAME), "value": printable(measurement.effect.value, 40)},
        "named_models": [printable(reference.role, _NAME) for reference in evidence.references],
        "controls": [
            {
                "role": control.role,
                "name": printable(control.identity.name, _NAME),
                "digest": printable(control.identity.digest, _NAME),
                "provenance": printable(control.provenance, _SENTENCE),
                "origin": None
                if control.origin is None
                else {name: printable(text or "", _SENTENCE) or None for name, text in control.origin},
                "documented": control.documented,
                "comparable": control.comparable(evidence.answers),
                "matched": control.matched,
                "p_value": printable(control.p_value, _NAME),
                "effect": printable(control.effect, 40),
            }
            for control in score.controls
        ],
        "controls_missing": list(missing_controls(roles, {"G3": True})),
        "references_wanted": claim.rule.references.minimum,
    }
