"""What a verb says about the next step, about dating, and about a name that lacks its protocol."""

from pathlib import Path

import pytest

from forensics.cli.acquisition import UNDATED, tell_undated
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
