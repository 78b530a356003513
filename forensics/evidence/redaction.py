"""A copy of the evidence without what would give the mark away: the same record with blanks, and a digest for each.

A plain SHA-256 of a single word is found by trying the words of a dictionary. The digests here are therefore keyed with
the salt of the opened share, 32 random bytes that only the complete evidence holds (ours).
"""

import hmac
from functools import cached_property
from typing import Any, Literal

from pydantic import Field

from forensics.canonical import canonical_json, parse_json, sha256
from forensics.errors import CaseError
from forensics.evidence.schema import AnswersRecord, Evidence, MeasurementRecord, OpenedShare
from forensics.keys.claim import Frozen

REDACTED = "evidence.redacted.json"
"""File name of the copy where it is attached to a report."""

_CHECK = "Check the case with `forensics check`."


class RedactedEvidence(Frozen):
    """The whole of `evidence.redacted.json`.

    Attributes:
        evidence_sha256: of the complete `evidence.json`.
        withheld: keyed digest of the canonical JSON of each value that was taken out, by where it stands in `evidence`;
            entries of the opened pool have theirs in the place of the entry.
        evidence: the rest, in the form of `evidence.json`: a digest or row of answers that was taken out is an empty
            text and a missing row stays null; seed and salt are empty; item scores and what the key drew are null.
    """

    schema_version: Literal["forensics-redacted-evidence/1"]
    evidence_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    withheld: dict[str, str]
    evidence: Evidence

    @cached_property
    def core(self) -> bytes:
        """The canonical bytes, which are also the content of the file."""
        return canonical_json(self.model_dump(mode="json"))

    @property
    def exhibits(self) -> tuple[str, ...]:
        """Keyed digest of each entry of the opened pool, in its order; empty where no share is opened."""
        share = self.evidence.share
        return tuple(str(entry.get("withheld")) for entry in share.pool) if share else ()

    @classmethod
    def parse(cls, raw: bytes) -> "RedactedEvidence":
        """Reads `evidence.redacted.json`.

        Raises:
            CaseError: not such a record, or not in canonical form.
        """
        try:
            found = cls.model_validate(parse_json(raw))
            canonical = found.core == raw
        except (ValueError, RecursionError) as error:
            cause = " ".join(str(error).split())[:200]
            raise CaseError(f"{REDACTED} is not valid: {cause}.", "Obtain the report again from its author.") from error
        if not canonical:
            raise CaseError(
                f"{REDACTED} is not in canonical form (RFC 8785).", "Obtain the report again from its author."
            )
        return found


def redact(evidence: Evidence) -> RedactedEvidence:
    """Returns the copy, which depends on the evidence alone: whoever holds the evidence makes the same one.

    Withheld are the opened share's seed, salt and pool, the item scores and what the key drew, the digests of the
    probes and every model's answers: with these, a thief could try sentences until a digest or an answer fits.

    Raises:
        CaseError: the share's salt is no hexadecimal number.
    """
    share = evidence.share
    try:
        key = bytes.fromhex(share.salt) if share else b""
    except ValueError as error:
        raise CaseError("The salt of the opened share cannot be read.", _CHECK) from error
    hidden = _Hidden(key)
    score = evidence.score
    if score is not None:
        controls = [
            one.model_copy(update={"answers": hidden.answers(f"score.controls.{place}", one.answers)})
            for place, one in enumerate(score.controls)
        ]
        changes: dict[str, Any] = {"controls": controls, "measurement": hidden.measurement(score.measurement)}
        if score.published_answers is not None:
            changes["published_answers"] = hidden.answers("score.published_answers", score.published_answers, "")
        score = score.model_copy(update=changes)
    rest = evidence.revised(
        plan=evidence.plan.model_copy(
            update={"probes": hidden.blank("plan.probes", evidence.plan.probes, [""] * len(evidence.plan.probes))}
        ),
        answers=hidden.answers("answers", evidence.answers, ""),
        references=[
            one.model_copy(update={"answers": hidden.answers(f"references.{place}", one.answers)})
            for place, one in enumerate(evidence.references)
        ],
        score=score,
        share=hidden.share(share) if share else None,
    )
    return RedactedEvidence(
        schema_version="forensics-redacted-evidence/1",
        evidence_sha256=sha256(evidence.core),
        withheld=hidden.digests,
        evidence=rest,
    )


class _Hidden:
    """Takes values out and keeps their digests."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.digests: dict[str, str] = {}

    def blank(self, path: str, value: Any, blank: Any) -> Any:
        """Notes the digest of a value and returns what stands in its place; what is absent stays absent."""
        if value is None:
            return None
        self.digests[path] = self._digest(value)
        return blank

    def answers(self, path: str, record: AnswersRecord, member: str = ".answers") -> AnswersRecord:
        blanks = [None if row is None else "" for row in record.values]
        return record.model_copy(update={"values": self.blank(f"{path}{member}.values", record.values, blanks)})

    def measurement(self, record: MeasurementRecord) -> MeasurementRecord:
        names = ("items", "target", "projection")
        blanks = {name: self.blank(f"score.measurement.{name}", getattr(record, name), None) for name in names}
        return record.model_copy(update=blanks)

    def share(self, share: OpenedShare) -> OpenedShare:
        return share.model_copy(
            update={
                "seed": self.blank("share.seed", share.seed, ""),
                "salt": self.blank("share.salt", share.salt, ""),
                "pool": [{"withheld": self._digest(entry)} for entry in share.pool],
            }
        )

    def _digest(self, value: Any) -> str:
        return hmac.new(self._key, canonical_json(value), "sha256").hexdigest()
