"""The public claim: everything that decides, in canonical form, and its digest C."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from forensics.canonical import canonical_json, parse_json, sha256
from forensics.errors import KeyFolderError

Hex = Field(pattern=r"^[0-9a-f]{64}$")
Decimal = Field(pattern=r"^-?[0-9]+(\.[0-9]+)?(e-?[0-9]+)?$")
Binding = Literal["timestamped", "demonstration", "self-dated"]

FORMAT = "forensics-claim/1"


class Frozen(BaseModel):
    """Base of every parsed record: immutable, unknown fields refused, no type coercion."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Sparse(Frozen):
    """A record of which some fields are not written where they are null, so that older records stay as they are."""

    absent: ClassVar[frozenset[str]]

    @model_serializer(mode="wrap")
    def _without_absent(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        body: dict[str, Any] = serialise(self)
        return {key: value for key, value in body.items() if value is not None or key not in self.absent}


class PoolCommitment(Frozen):
    """Digest and count of one share's ordered pool."""

    digest: str = Hex
    count: int = Field(ge=1)


class ReferenceCommitment(Frozen):
    """A model that the claim names by digest and whose answers enter a score."""

    role: str
    digest: str = Hex
    description: str


class ReferenceRule(Frozen):
    """Gate G3: how many independent models, and by how much the suspect must exceed the largest."""

    minimum: int = Field(ge=0)
    margin: str = Decimal


TWO_SIDED = "two-sided"
"""How the names of deciding statistics begin whose sign is arbitrary, so that both tails count."""


def counts_both_tails(deciding: Mapping[str, str]) -> bool:
    """Tells whether the tests of these deciding statistics count both tails; their names, which a claim holds, say so.

    Args:
        deciding: access level -> name of the statistic.
    """
    return bool(deciding) and all(name.startswith(TWO_SIDED) for name in deciding.values())


class Rule(Frozen):
    """The decision rule, fixed before the secrets exist."""

    deciding: dict[str, str]
    access: str
    ties: str
    missing: str
    missing_allowed: str = Decimal
    n: int = Field(ge=1)
    stopping: str
    alpha: str = Decimal
    examinations: int = Field(ge=1)
    grinding: int = Field(ge=0, le=64)
    minimum_effect: str = Decimal
    prior: str
    references: ReferenceRule


class ShareCommitment(Frozen):
    """Number of shares and the Merkle root over their leaves."""

    count: int = Field(ge=1)
    root: str = Hex


class Claim(Frozen):
    """`claim_core` of the key: canonical JSON without floats; C is its SHA-256."""

    format: Literal["forensics-claim/1"]
    owner: str = Field(min_length=1)
    method: str
    method_version: str
    generator: str = Hex
    binding: Binding
    created: str
    parameters: dict[str, Any]
    labels: tuple[str, ...] = Field(strict=False)
    preprocessing: str
    pools: tuple[PoolCommitment, ...] = Field(strict=False, min_length=1)
    references: tuple[ReferenceCommitment, ...] = Field(strict=False)
    carriers: str | None
    trigger_inputs: str | None
    target_text: str | None
    alignment: str | None
    rule: Rule
    authorities: tuple[str, ...] = Field(strict=False)
    shares: ShareCommitment

    @cached_property
    def core(self) -> bytes:
        """The canonical bytes, which are also the content of `claim.json`."""
        return canonical_json(self.model_dump(mode="json"))

    @cached_property
    def digest(self) -> str:
        """C = SHA-256(claim_core), as 64 hexadecimal digits."""
        return sha256(self.core)

    @classmethod
    def parse(cls, raw: bytes) -> "Claim":
        """Reads `claim.json`.

        Raises:
            KeyFolderError: not a claim, or not in canonical form.
        """
        try:
            claim = cls.model_validate(parse_json(raw))
            canonical = claim.core == raw
        except (ValueError, TypeError, RecursionError) as error:
            raise KeyFolderError(
                f"This is no valid claim: {_first_line(error)}.", "Use the claim.json of the key."
            ) from error
        if not canonical:
            raise KeyFolderError(
                "The claim is not in canonical form (RFC 8785).", "Use the claim.json that the tool wrote."
            )
        return claim


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
