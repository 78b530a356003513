import doctest
from pathlib import Path

from forensics.methods.espew import SPEC

PAGE = Path(__file__).parents[2] / "docs" / "espew.md"


def test_every_figure_on_the_page_is_what_the_code_gives() -> None:
    outcome = doctest.testfile(str(PAGE), module_relative=False)
    assert outcome.attempted >= 12
    assert outcome.failed == 0


def test_the_defaults_on_the_page_are_those_of_the_method() -> None:
    page = PAGE.read_text(encoding="utf-8")
    defaults = {option.name: option.default for option in SPEC.options}
    assert f"`candidates` words ({defaults['candidates']})" in page
    assert f"`carriers` ({defaults['carriers']})" in page
    assert f"`words` trigger words ({defaults['words']})" in page
    assert 1 + 4 + 4 * 200 == 1 + defaults["carriers"] * (1 + defaults["candidates"]) == 805
