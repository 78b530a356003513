"""docs/remote.md against the code: schemes, options, defaults of batches, and the example of a described API."""

import re
from pathlib import Path

import click
import pytest

from forensics.cli import root
from forensics.errors import UsageError
from forensics.suspects.remote.generic import read_description
from forensics.suspects.remote.registry import ADAPTERS, find_factory

PAGE = (Path(__file__).parents[3] / "docs" / "remote.md").read_text(encoding="utf-8")
NEEDED = {"oip": {"input": "a", "output": "b", "kind": "vectors"}, "cohere": {"input_type": "search_document"}}


def row(scheme: str, table: int) -> str:
    """Returns a scheme's row of the page's n-th table that has one."""
    return [line for line in PAGE.splitlines() if line.startswith(f"| `{scheme}` |")][table]


@pytest.mark.parametrize("scheme", ADAPTERS)
def test_options_are_those_of_the_adapter(scheme: str) -> None:
    with pytest.raises(UsageError) as refused:
        find_factory(scheme)("http://h", "m", {"unknown": "1"})
    known = set(re.sub(r"^It has: |\.$", "", refused.value.next_step).split(", "))
    named = set(re.findall(r"`(\w+)`", row(scheme, 1).split("|")[3]))
    assert known <= named, known - named


@pytest.mark.parametrize("scheme", ADAPTERS)
def test_batches_are_those_of_the_adapter(scheme: str) -> None:
    adapter = find_factory(scheme)("http://h", "m", NEEDED.get(scheme, {}))
    size = row(scheme, 0).split("|")[3].strip()
    assert size.startswith("one " if adapter.limit == 1 else f"up to {adapter.limit:,} ")


def test_the_example_is_a_description(tmp_path: Path) -> None:
    (tmp_path / "api.toml").write_text(re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)[1], encoding="utf-8")
    url, model, adapter = read_description(tmp_path / "api.toml")
    assert (url, model, adapter.limit) == ("https://api.example.com/models", "model-name", 16)
    assert adapter.authorization("k") == {"x-api-key": "k"}


def test_every_option_of_the_command_exists() -> None:
    context = click.Context(root)
    found = {
        name for verb in ("acquire", "check") for each in root.get_command(context, verb).params for name in each.opts
    }
    assert set(re.findall(r"--[a-z][a-z-]+", PAGE)) <= found
