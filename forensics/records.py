"""The frozen values that flow from a key to a report: they know nothing of the rooms that make them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from forensics.canonical import canonical_json, sha256

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Probe:
    """One question to a suspect, in the form that goes over a wire.

    Attributes:
        data: PNG bytes (uint8 image) or UTF-8 text.
        media_type: `image/png` or `text/plain`.
        operation: `answer`, or `score` (prompt in `data`, its continuation in `continuation`).
    """

    data: bytes
    media_type: str = "image/png"
    operation: Literal["answer", "score"] = "answer"
    continuation: bytes = b""

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the operation, media type and bytes."""
        head = f"{self.operation}\n{self.media_type}\n{len(self.data)}\n".encode()
        return sha256(head + self.data + self.continuation)


@dataclass(frozen=True)
class Plan:
    """The ordered probes of one examination; a function of the probe secret and the pool alone.

    A plan may have two passes. The first asks one probe a group, its head; `passes.chosen_groups` then picks groups by
    the suspect's answers to the heads, by a rule that knows no arm, and the second pass asks their probes alone.

    Attributes:
        probes: in the order in which they are sent.
        batch_size: how many are sent together, the same for every batch but the last.
        groups: (n,) number of each probe's group; the first probe of a group is its head, and the heads come first, in
            the order of their numbers from 0. Empty: all probes are asked in one pass.
        keep: how many groups the second pass asks.
    """

    probes: tuple[Probe, ...]
    batch_size: int = 64
    groups: tuple[int, ...] = ()
    keep: int = 0

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the probes' digests, the batch size and, where there are two passes, the groups."""
        body: dict[str, Any] = {"batch_size": self.batch_size, "probes": [probe.digest for probe in self.probes]}
        if self.groups:
            body |= {"groups": list(self.groups), "keep": self.keep}
        return sha256(canonical_json(body))

    @property
    def heads(self) -> int:
        """How many probes the first pass asks: one a group, or all where there is one pass."""
        return max(self.groups) + 1 if self.groups else len(self.probes)


@dataclass(frozen=True)
class PoolItem:
    """One committed candidate (an image with its true label, a word, a pattern).

    Attributes:
        data: the bytes of the item.
        media_type: as in `Probe`.
        label: index into the claim's label list, or None where items carry no label.
    """

    data: bytes
    media_type: str = "image/png"
    label: int | None = None

    @cached_property
    def entry(self) -> dict[str, Any]:
        """What the pool's digest covers: media type, SHA-256 of the bytes, label."""
        return {"media_type": self.media_type, "sha256": sha256(self.data), "label": self.label}


@dataclass(frozen=True)
class Pool:
    """The ordered candidates from which the probe secret draws."""

    items: tuple[PoolItem, ...]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical list of the items' entries."""
        return sha256(canonical_json([item.entry for item in self.items]))


class AnswerKind(StrEnum):
    """What a suspect gave back, from the most to the least informative."""

    VECTORS = "vectors"
    LOGITS = "logits"
    LOG_PROBABILITIES = "log-probabilities"
    PROBABILITIES = "probabilities"
    TOP_K = "top-k"
    LABELS = "labels"
    TEXT = "text"


ACCESS = {
    AnswerKind.VECTORS: "features",
    AnswerKind.LOGITS: "scores",
    AnswerKind.LOG_PROBABILITIES: "scores",
    AnswerKind.PROBABILITIES: "scores",
    AnswerKind.TOP_K: "scores",
    AnswerKind.LABELS: "labels",
    AnswerKind.TEXT: "labels",
}
"""Access level of each kind of answer; a claim names one deciding statistic per level."""


@dataclass(frozen=True, eq=False)
class Answers:
    """A suspect's answers to a plan, in plan order.

    Attributes:
        kind: tag of the union.
        values: float64 (n, d) for vectors and scores; int64 (n,) class indices for labels (-1 where missing);
            str (n,) for text (empty where missing).
            Floats are values that their decimal strings reproduce (`canonical.through_decimals`).
        missing: bool (n,); a missing row's values are NaN (or -1, or empty) and carry no meaning.
        labels: the suspect's class names in column order, where it has any.
        resolution: unit to which probabilities were rounded (0.01 for two digits); 0 for unrounded.
    """

    kind: AnswerKind
    values: NDArray[Any]
    missing: BoolArray
    labels: tuple[str, ...] = ()
    resolution: float = 0.0

    @property
    def access(self) -> str:
        """`features`, `scores` or `labels`."""
        return ACCESS[self.kind]

    @property
    def n(self) -> int:
        """How many probes were asked."""
        return len(self.missing)


@dataclass(frozen=True)
class Identity:
    """What was examined.

    Attributes:
        kind: `folder`, `onnx`, `replay`, or the scheme of a remote protocol.
        name: as the examiner gave it.
        digest: SHA-256 of the manifest of files, or of the end point's description.
        facts: printable facts: architecture, parameters, libraries; strings only.
        files: SHA-256 and size of every file that was read, by relative path.
    """

    kind: str
    name: str
    digest: str
    facts: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, tuple[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Reading:
    """Arm-blind item scores: computed from answers and the probe secret, without the scoring secret.

    Attributes:
        access: access level that was used.
        statistic: name of the deciding statistic at that level, as the claim names it.
        scores: float64 (n,) one score an item (bit, candidate, family); NaN-free.
        missing: bool (n,), items whose score was filled because answers were missing.
        missing_share: share of probes without a valid answer.
        notes: context that decides nothing, such as the raw (uncalibrated) scores.
    """

    access: str
    statistic: str
    scores: FloatArray
    missing: BoolArray
    missing_share: float
    notes: Mapping[str, FloatArray] = field(default_factory=dict)


@dataclass(frozen=True)
class Published:
    """A statistic as its paper prints it; it decides nothing.

    Attributes:
        p_value: None where no p-value goes with it.
    """

    name: str
    statistic: float
    p_value: float | None
    source: str
    caveat: str


@dataclass(frozen=True)
class Effect:
    """An effect size with its two-sided 95 % interval and its one-sided 99 % upper limit."""

    name: str
    value: float
    low: float
    high: float
    upper_99: float
    chance: float


@dataclass(frozen=True)
class Measurement:
    """What the answers say about the claim, under an exact null.

    Attributes:
        test: family of the exact test: `bits`, `subset`, `labels`, `ranks`, `direction` or `blocks`.
        statistic: name of the deciding statistic.
        null: the null hypothesis in words.
        n: number of units that the key randomised (bits, items, families).
        matched: how many agree with the key; for real statistics the statistic itself is in `value`.
        p_value: exact, one-sided unless the statistic's name says otherwise; never below 2**-128.
        log10_p: its base-10 logarithm.
        bayes_factor_log10: against the prior named in the claim; None where there is none.
        power: probability of reaching the claim's alpha at the claim's minimum effect.
        items: the arm-blind item scores that were tested.
        target: what the key had drawn for each item.
        published: context that decides nothing.
        projection: (n, 2) where the items lie for a picture, without knowledge of the arms; empty where there is none.
    """

    test: str
    statistic: str
    access: str
    null: str
    n: int
    matched: int
    value: float
    p_value: float
    log10_p: float
    effect: Effect
    bayes_factor_log10: float | None
    power: float
    missing_share: float
    items: tuple[float, ...]
    target: tuple[int, ...]
    published: tuple[Published, ...] = ()
    context: Mapping[str, float] = field(default_factory=dict)
    projection: tuple[tuple[float, float], ...] = ()


class Outcome(StrEnum):
    """The four verdicts."""

    SUPPORTED = "SUPPORTED"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    INCONCLUSIVE = "INCONCLUSIVE"
    INVALID_CLAIM = "INVALID_CLAIM"


@dataclass(frozen=True)
class Verdict:
    """The verdict with its gates (true, false, or None for not run) and its reasons in words.

    Attributes:
        adjusted_p: the p-value after the charges for examinations and undisclosed attempts.
        n_star: how many undisclosed attempts leave the finding below one in a thousand.
        examinations: the number of examinations charged.
    """

    outcome: Outcome
    gates: Mapping[str, bool | None]
    reasons: tuple[str, ...]
    adjusted_p: float
    n_star: int
    examinations: int
