"""The record of the marked model: its digest and when it was recorded, dated by a token of its own."""

from typing import Literal

from pydantic import Field

from forensics.canonical import canonical_json, parse_json
from forensics.errors import KeyFolderError
from forensics.keys.claim import Hex, Sparse


class Asset(Sparse):
    """`asset.json` of a key folder: which model carries the mark of which claim.

    Attributes:
        claim: C of the claim.
        digest: SHA-256 of the marked model's manifest.
        created: UTC.
        predecessor: likewise of the model as it was before it was marked, where the mark was trained into it.
    """

    absent = frozenset({"predecessor"})

    format: Literal["forensics-asset/1"] = "forensics-asset/1"
    claim: str = Hex
    digest: str = Hex
    created: str
    predecessor: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")

    @property
    def core(self) -> bytes:
        """The canonical bytes, whose SHA-256 is timestamped."""
        return canonical_json(self.model_dump(mode="json"))

    @classmethod
    def parse(cls, raw: bytes) -> "Asset":
        """Reads `asset.json`.

        Raises:
            KeyFolderError: it is no asset record in canonical form.
        """
        try:
            asset = cls.model_validate(parse_json(raw))
        except ValueError as error:
            raise KeyFolderError("The record of the marked model cannot be read.", "Restore asset.json.") from error
        if asset.core != raw:
            raise KeyFolderError("The record of the marked model is not in canonical form.", "Restore asset.json.")
        return asset
