import doctest
import re
from pathlib import Path

from forensics.keys.claim import Claim, Rule

PAGE = Path(__file__).parents[2] / "docs" / "keys.md"


def test_the_example_runs() -> None:
    failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert (failed, tried > 10) == (0, True)


def test_every_field_of_a_claim_is_explained() -> None:
    named = set(re.findall(r"`([a-z_]+)`", PAGE.read_text(encoding="utf-8")))
    assert set(Claim.model_fields) <= named
    assert set(Rule.model_fields) <= named
