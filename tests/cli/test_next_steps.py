"""What a verb says about the next step, about dating, and about a name that lacks its protocol."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from forensics.cli import root
from forensics.cli.acquisition import UNDATED, tell_undated
from forensics.cli.common import FiniteRange
from forensics.cli.key import _dating
from forensics.errors import ModelError, UsageError
from forensics.suspects import open_suspect
from forensics.wordpools import read_lines


@pytest.mark.parametrize(
    ("tsa", "demonstration", "expected"),
    [
        (("https://a/tsr", "https://b/tsr"), None, " --tsa https://a/tsr"),
        ((), Path("an authority"), " --demonstration 'an authority'"),
        ((), None, ""),
    ],
)
def test_the_next_step_is_dated_like_the_key(tsa: tuple[str, ...], demonstration: Path | None, expected: str) -> None:
    assert _dating({"tsa": tsa, "demonstration": demonstration}) == expected


def test_a_transcript_without_authority_is_announced_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    tell_undated({"tsa": "https://a/tsr", "demonstration": None})
    tell_undated({"tsa": None, "demonstration": Path("authority")})
    assert capsys.readouterr() == ("", "")
    tell_undated({"tsa": None, "demonstration": None})
    assert capsys.readouterr() == ("", f"{UNDATED}\n")


NUMBERS = {
    ("check", "CASE"): ("--tolerance", "--rate", "--token-rate", "--timeout"),
    ("acquire", "KIT", "SUSPECT", "--case", "CASE"): ("--price", "--rate", "--token-rate", "--timeout"),
    ("examine", "KEY", "SUSPECT", "--case", "CASE"): ("--price", "--rate", "--token-rate", "--timeout"),
    ("protect", "serve", "KEY", "--upstream", "http://127.0.0.1:9"): ("--timeout", "--grace"),
    ("power", "KEY"): ("--effect", "--power"),
    ("embed", "KEY", "--model", "M", "--data", "D", "--out", "O"): (
        "--max-accuracy-drop",
        "--min-cosine",
        "--max-perplexity-rise",
    ),
}


@pytest.mark.parametrize("number", ["nan", "-nan", "inf", "-inf"])
@pytest.mark.parametrize(("command", "option"), [(verb, each) for verb, names in NUMBERS.items() for each in names])
def test_numbers_that_are_not_finite_are_refused(command: tuple[str, ...], option: str, number: str) -> None:
    result = CliRunner().invoke(root, [*command, option, number])
    assert result.exit_code == 2
    (sentence,) = (line for line in result.stderr.splitlines() if line.startswith("Error: "))
    reason = rf"{number} is no finite number|-?inf is not in the range [^ ]+"
    assert re.fullmatch(rf"Error: Invalid value for '{option}': ({reason})\.", sentence)


def test_every_number_of_the_command_line_must_be_finite() -> None:
    def walk(command: click.Command, names: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Parameter]]:
        for name in command.list_commands(click.Context(command)) if isinstance(command, click.Group) else ():
            yield from walk(command.get_command(click.Context(command), name), (*names, name))
        yield from ((names, parameter) for parameter in command.params)

    numbers = [(names, each) for names, each in walk(root, ()) if isinstance(each.type, click.types.FloatParamType)]
    assert [(names, each.name) for names, each in numbers if not isinstance(each.type, FiniteRange)] == []
    tested = {option for options in NUMBERS.values() for option in options}
    assert {each.opts[0] for _, each in numbers} == tested


@pytest.mark.parametrize("name", ["http://127.0.0.1:1/v1", "HTTP://127.0.0.1:1/v1#m"])
def test_an_address_without_a_protocol_is_told_where_to_put_it(name: str) -> None:
    with pytest.raises(UsageError, match=r"before the address, such as openai\+http://\.\.\.; protocols: cohere, hf"):
        open_suspect(name)


def test_a_file_where_a_folder_belongs_and_a_missing_text_file_are_called_so(tmp_path: Path) -> None:
    file = tmp_path / "model.bin"
    file.write_bytes(b"1")
    with pytest.raises(ModelError, match="is a file, not a model folder"):
        open_suspect(str(file))
    with pytest.raises(UsageError, match="does not exist"):
        read_lines(tmp_path / "none.txt")
