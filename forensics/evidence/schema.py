"""The form of `evidence.json`: the one owner of truth of a case.

Every number with a fraction is a decimal string, so that the canonical form (RFC 8785) has no floats.
"""

from datetime import date
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field

from forensics.canonical import canonical_json, parse_json
from forensics.errors import CaseError
from forensics.keys.claim import Binding, Frozen, Sparse
from forensics.records import ACCESS, AnswerKind

SCHEMA = "forensics-evidence/1"


class Dated(Frozen):
    """A date with its source; `value` is null where it is unknown."""

    value: str | None
    source: str


NOT_STATED = Dated(value=None, source="not stated")


class Dates(Frozen):
    """The three dates of gate G1, in the order they must have."""

    token: Dated
    release: Dated
    suspect: Dated


class IdentityRecord(Frozen):
    """What was examined; see `records.Identity`."""

    kind: str
    name: str
    digest: str
    facts: dict[str, str]
    files: dict[str, Annotated[tuple[str, int], Field(strict=False)]]


class AnswersRecord(Frozen):
    """Answers in plan order: rows of decimal strings, class indices, or texts; null where missing."""

    kind: str
    labels: list[str]
    resolution: str
    values: list[list[str] | int | str | None]


class ReferenceRecord(Frozen):
    """A model that the claim names, with its answers to the same plan."""

    role: str
    identity: IdentityRecord
    answers: AnswersRecord


class PlanRecord(Sparse):
    """What was asked: digests only, so that a sealed case discloses no probe; `share` says of which share.

    `groups` and `keep` are there only where there are two passes: the number of each probe's group, of which the first
    probe is the head, and how many groups the second pass asks.
    """

    absent = frozenset({"groups", "keep"})

    digest: str
    share: int = Field(default=0, ge=0)
    batch_size: int
    probes: list[str]
    groups: list[int] | None = None
    keep: int | None = None


class OpenedShare(Frozen):
    """What is disclosed of one share: seed, salt, inclusion proof, and its pool's entries."""

    index: int
    seed: str
    salt: str
    proof: list[str]
    pool: list[dict[str, Any]]


class PublishedRecord(Frozen):
    """A statistic as its paper prints it."""

    name: str
    statistic: str
    p_value: str
    source: str
    caveat: str


class EffectRecord(Frozen):
    """Effect size with a 95 % interval and the one-sided 99 % upper limit."""

    name: str
    value: str
    low: str
    high: str
    upper_99: str
    chance: str


class MeasurementRecord(Sparse):
    """See `records.Measurement`; `items` and `target` are null until a share is opened.

    `projection` holds the two coordinates of each item in turn; it is absent where there is none, or no opened share.
    """

    absent = frozenset({"projection"})

    test: str
    statistic: str
    access: str
    null: str
    n: int
    matched: int
    value: str
    p_value: str
    log10_p: str
    effect: EffectRecord
    bayes_factor_log10: str | None
    power: str
    missing_share: str
    items: list[str] | None
    target: list[int] | None
    published: list[PublishedRecord]
    context: dict[str, str]
    projection: list[str] | None = None


class VerdictRecord(Frozen):
    """See `records.Verdict`."""

    outcome: Literal["SUPPORTED", "NOT_SUPPORTED", "INCONCLUSIVE", "INVALID_CLAIM"]
    gates: dict[str, bool | None]
    reasons: list[str]
    adjusted_p: str
    n_star: str
    examinations: int


class OriginRecord(Frozen):
    """Where a control comes from, as it was stated at scoring: source, date, who vouches; null where it was not."""

    source: str | None
    date: str | None
    vouched_by: str | None


class ControlRecord(Sparse):
    """A model of known provenance, scored by the deciding statistic.

    `role` is `positive` (the owner's marked model), `predecessor` (its unmarked predecessor) or `reference`
    (an independent model of gate G3). Without a complete `origin` its provenance is not documented.
    """

    absent = frozenset({"origin"})

    role: Literal["positive", "predecessor", "reference"]
    identity: IdentityRecord
    provenance: str
    matched: int
    n: int
    p_value: str
    effect: str
    answers: AnswersRecord
    origin: OriginRecord | None = None

    @property
    def documented(self) -> bool:
        """Whether it is stated where it comes from, of which day it is, and who vouches for that."""
        origin = self.origin
        if origin is None or not (origin.source or "").strip() or not (origin.vouched_by or "").strip():
            return False
        try:
            return date.fromisoformat(origin.date or "").isoformat() == origin.date
        except ValueError:
            return False

    def comparable(self, suspect: AnswersRecord) -> bool:
        """Whether it was seen as the suspect was: through features, scores or labels."""
        return ACCESS[AnswerKind(self.answers.kind)] == ACCESS[AnswerKind(suspect.kind)]


class TokenRecord(Frozen):
    """A timestamp token beside the claim, as verified when the case was made."""

    authority: str
    fingerprint: str
    gen_time: str
    policy: str
    serial: str
    demonstration: bool


class AssetRecord(Sparse):
    """The marked model that the owner recorded after embedding, and what it was before where that was recorded."""

    absent = frozenset({"predecessor"})

    digest: str
    created: str
    token: TokenRecord | None
    predecessor: str | None = None


class ScoreRecord(Sparse):
    """The result of scoring: absent in a case that was only acquired.

    `examinations` counts those made under the claim, this one included; `owner_undisputed` says that the
    instructions put the owner of the key beyond dispute. `published_plan` and `published_answers` are there only
    where the suspect was asked, after everything that decides, for the statistics that the method's paper prints: the
    digest of those probes and the answers to them.
    """

    absent = frozenset({"published_plan", "published_answers"})

    created: str
    examinations: int = Field(default=1, ge=1)
    owner_undisputed: bool = False
    measurement: MeasurementRecord
    verdict: VerdictRecord
    controls: list[ControlRecord]
    published_plan: str | None = None
    published_answers: AnswersRecord | None = None


class Evidence(Frozen):
    """The whole of `evidence.json`."""

    schema_version: Literal["forensics-evidence/1"]
    case: str
    created: str
    tool: dict[str, str]
    claim: dict[str, Any]
    claim_digest: str
    binding: Binding
    tokens: list[TokenRecord]
    asset: AssetRecord | None
    dates: Dates
    suspect: IdentityRecord
    plan: PlanRecord
    acquired: Dated
    transcript_head: str
    transcript_token: TokenRecord | None = None
    answers: AnswersRecord
    references: list[ReferenceRecord]
    score: ScoreRecord | None
    share: OpenedShare | None

    @cached_property
    def core(self) -> bytes:
        """The canonical bytes, which are also the content of `evidence.json`."""
        return canonical_json(self.model_dump(mode="json"))

    def revised(self, **changes: Any) -> "Evidence":
        """Returns a copy with other fields (`model_copy` would keep the canonical bytes of the old ones)."""
        return Evidence(**{**{name: getattr(self, name) for name in type(self).model_fields}, **changes})

    @classmethod
    def parse(cls, raw: bytes) -> "Evidence":
        """Reads `evidence.json`.

        Raises:
            CaseError: not such a record, or not in canonical form.
        """
        try:
            evidence = cls.model_validate(parse_json(raw))
            canonical = evidence.core == raw
        except (ValueError, RecursionError) as error:
            cause = " ".join(str(error).split())[:200]
            raise CaseError(f"evidence.json is not valid: {cause}.", "Ask for the case as it was written.") from error
        if not canonical:
            raise CaseError("evidence.json is not in canonical form (RFC 8785).", "Ask for the case as it was written.")
        return evidence
