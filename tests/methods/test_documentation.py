import doctest
from pathlib import Path

from forensics.methods.espew import SPEC
from forensics.methods.wordscores import ALIKE
from forensics.wordchoice import CARRIERS as LOOKED_AT
from forensics.wordchoice import OFFERED, TEXTS, WORDS
from forensics.wordpools import BAND, CARRIER_LENGTHS, LENGTHS

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
    assert 1 + 10 + 10 * 200 == 1 + defaults["carriers"] * (1 + defaults["candidates"]) == 2011
    assert "1 + 10 + 10 * 200 = 2,011 texts" in page
    assert f"{100 * BAND[0]:g} %\n  to {100 * BAND[1]:g} %" in page
    assert f"sentences of {CARRIER_LENGTHS[0]} to {CARRIER_LENGTHS[1]} words" in page
    assert f"a sentence of {LENGTHS[0]} to {LENGTHS[1]} words" in page
    assert f"mean of {TEXTS:,} of" in page
    assert f"at most {OFFERED}," in page
    assert TEXTS + OFFERED + LOOKED_AT * WORDS <= 5_700 + 1
    assert f"are {ALIKE:g} or more on average" in page
