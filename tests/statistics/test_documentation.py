import doctest
from pathlib import Path

import forensics.statistics

PAGE = Path(__file__).parents[2] / "docs" / "statistics.md"


def test_every_figure_on_the_page_is_what_the_code_gives() -> None:
    outcome = doctest.testfile(str(PAGE), module_relative=False)
    assert outcome.attempted >= 17
    assert outcome.failed == 0


def test_the_package_docstring_runs() -> None:
    outcome = doctest.testmod(forensics.statistics)
    assert outcome.attempted >= 4
    assert outcome.failed == 0


def test_every_deciding_test_is_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name in forensics.statistics.__all__:
        if name.endswith("_test"):
            assert f"`{name}(" in page
