"""Where controls come from: a small TOML file that says of each model its source, its date and who vouches for it.

["models/reference-1"]        # as it is named on the command line, or by its SHA-256
source = "https://example.org/models/one, revision 4f1c"
date = 2025-06-30
vouched_by = "I. Wagner, who downloaded it"
digest = "9f2c…"              # optional; the model is refused if it has another
"""

import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from forensics.canonical import now
from forensics.errors import UsageError
from forensics.evidence.certificates import read_small
from forensics.evidence.schema import OriginRecord
from forensics.keys.claim import Frozen
from forensics.records import Identity

PROVENANCE = {
    "positive": "recorded by the owner after embedding",
    "service": "named by the owner as the marked service",
    "predecessor": "recorded by the owner, with the marked model, as what it was before embedding",
    "undated": "named by the owner at scoring; nothing in the case dates it",
    "named": "named in the claim, before the key existed; what is measured is the difference from it, so that it "
    "cannot respond",
    "reference": "given at scoring as independent",
}
"""What is known of a control by its role, before anybody vouches for it."""

UNKNOWN = OriginRecord(source=None, date=None, vouched_by=None)
_Text = Annotated[str, Field(min_length=1, max_length=1000)]


class Origin(Frozen):
    """What is stated of one model; a model that is only looked for by its digest needs no `digest`."""

    source: _Text
    date: date
    vouched_by: _Text
    digest: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")

    @property
    def record(self) -> OriginRecord:
        """The form in `evidence.json`."""
        return OriginRecord(source=self.source, date=self.date.isoformat(), vouched_by=self.vouched_by)


def read_provenance(path: Path) -> dict[str, Origin]:
    """Reads the file: what is stated of each model, by its name on the command line or its SHA-256.

    Raises:
        UsageError: it cannot be read, or says too little or something else of a model.
    """
    try:
        body = tomllib.loads(read_small(path).decode())
        return {name: Origin.model_validate(fields) for name, fields in body.items()}
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "a table"
        raise UsageError(
            f"{path.name} does not say what is needed of a model: {where}: {first['msg']}.",
            'Give each model a table ["MODEL"] with source, date (as 2025-06-30) and vouched_by.',
        ) from error
    except (ValueError, RecursionError) as error:
        cause = " ".join(str(error).split())[:200]
        raise UsageError(f"{path.name} is no TOML file: {cause}.", "Correct it.") from error


def origin_of(stated: Mapping[str, Origin], name: str, identity: Identity) -> OriginRecord:
    """Returns what is stated of a model.

    Args:
        stated: from `read_provenance`.
        name: of the model on the command line.
        identity: of the model.

    Raises:
        UsageError: the model has another digest than is stated, or its date lies in the future.
    """
    origin = stated.get(name) or stated.get(identity.digest)
    if origin is None:
        return UNKNOWN
    if origin.date > now().date():
        raise UsageError(f"The date stated for the model {name}, {origin.date}, lies in the future.", "Correct it.")
    if origin.digest not in (None, identity.digest):
        raise UsageError(
            f"The model {name} is not the one whose provenance is stated: its digest is {identity.digest}.",
            "Name the right folder, or correct the digest.",
        )
    return origin.record
