"""The published JSON Schemas of the records in cases and reports, generated from the models that parse them.

Run `python -m forensics.evidence.schemas docs/schema` after a model has changed.
"""

import json
import sys
from pathlib import Path

from pydantic import BaseModel

from forensics.evidence.redaction import RedactedEvidence
from forensics.evidence.schema import Evidence
from forensics.evidence.supersede import SupersedesRecord
from forensics.keys.claim import Claim

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_MODELS: dict[str, type[BaseModel]] = {
    "evidence.schema.json": Evidence,
    "claim.schema.json": Claim,
    "evidence.redacted.schema.json": RedactedEvidence,
    "supersedes.schema.json": SupersedesRecord,
}


def render_schemas() -> dict[str, bytes]:
    """Returns the content of each schema file by name."""
    return {
        name: (json.dumps({"$schema": _DIALECT, **model.model_json_schema()}, indent=2, sort_keys=True) + "\n").encode()
        for name, model in _MODELS.items()
    }


def write_schemas(folder: Path) -> None:
    """Writes the schema files into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in render_schemas().items():
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
