import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from forensics.canonical import parse_json
from forensics.evidence.schemas import render_schemas
from tests.evidence.conftest import Line

FOLDER = Path(__file__).parents[2] / "docs" / "schema"


def schema(name: str) -> dict:
    return parse_json((FOLDER / name).read_bytes())


@pytest.mark.parametrize("name", sorted(render_schemas()))
def test_the_published_schema_is_current_and_valid(name: str) -> None:
    assert (FOLDER / name).read_bytes() == render_schemas()[name], (
        "run python -m forensics.evidence.schemas docs/schema"
    )
    jsonschema.Draft202012Validator.check_schema(schema(name))


def test_nothing_else_is_published() -> None:
    assert {path.name for path in FOLDER.iterdir()} == render_schemas().keys()


@pytest.mark.parametrize("state", ["acquired", "scored", "opened", "sealed"])
def test_real_records_are_valid(line: Line, state: str) -> None:
    data = getattr(line, state) / "data"
    jsonschema.validate(parse_json((data / "evidence.json").read_bytes()), schema("evidence.schema.json"))
    jsonschema.validate(parse_json((data / "claim" / "claim.json").read_bytes()), schema("claim.schema.json"))


def test_wrong_records_are_not_valid(line: Line) -> None:
    body = parse_json((line.opened / "data" / "evidence.json").read_bytes())
    for change in ({"extra": 1}, {"binding": "sworn"}, {"answers": None}, {"schema_version": "forensics-evidence/2"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**body, **change}, schema("evidence.schema.json"))


def test_the_command_in_the_docs_writes_them(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "forensics.evidence.schemas", str(tmp_path)], check=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == render_schemas()
