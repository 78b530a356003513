import doctest
import json
from pathlib import Path
from typing import Any

from forensics.methods.espew import SPEC
from forensics.methods.wordscores import ALIKE
from forensics.wordchoice import CARRIERS as LOOKED_AT
from forensics.wordchoice import OFFERED, TEXTS, WORDS
from forensics.wordpools import BAND, CARRIER_LENGTHS, LENGTHS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "espew.md"


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


def encoder_rows(method: str) -> list[dict[str, Any]]:
    """Rows of the encoders bench on the encoders that the page's first table speaks of, without settings tried."""
    files = sorted((DOCS / "results" / "encoders").glob(f"{method}-*.json"))
    rows = [row for file in files if "byol" not in file.name for row in json.loads(file.read_bytes())["rows"]]
    return [row for row in rows if row["method"] == method and row.get("part") in (None, "cost")]


def test_the_encoders_pages_first_table_says_what_the_results_say() -> None:
    """Targets met and missed, and the costs of the five keys."""
    page = " ".join((DOCS / "encoders.md").read_text(encoding="utf-8").split())
    supported: dict[tuple[str, str, str], list[bool]] = {}
    for row in (row for method in ("tmrw", "wpe") for row in encoder_rows(method)):
        if row.get("part") is None and not row["innocent"]:
            found = supported.setdefault((row["method"], row["attack"], row["access"]), [])
            found.append(row["verdict"] == "SUPPORTED")
    targets = {
        key: (sum(found), len(found))
        for key, found in supported.items()
        if (key[1].startswith("full, ") and key[1].endswith(", 3 epochs")) or key[1].startswith("word vectors reset")
        if "tenfold" not in key[1]
    }
    assert len(targets) == 2 * 9 + 1
    assert {key: found for key, found in targets.items() if found != (5, 5)} == {
        ("wpe", "full, digits, 3 epochs", "labels"): (4, 5),
        ("wpe", "full, pictures, 3 epochs", "labels"): (2, 5),
    }
    assert "through classes alone 4 keys of 5 after digits and 2 of 5 after pictures; otherwise 5 of 5" in page
    costs = {method: [row for row in encoder_rows(method) if row.get("part") == "cost"] for method in ("tmrw", "wpe")}
    told, least, lost = {}, {}, {}
    for method, rows in costs.items():
        assert len(rows) == 5
        losses = [(row["probe loss, points"], row["probe loss, half width of 95 %"]) for row in rows]
        told[method] = sum(abs(loss) > half for loss, half in losses)
        least[method], lost[method] = min(row["clean cosine"] for row in rows), max(losses)[0]
    assert told == {"tmrw": 0, "wpe": 3}
    assert f"mean cosine of at least {least['tmrw']:.3f} to those before; no key's loss" in page
    assert f"at least {least['wpe']:.3f}; for 3 keys of 5" in page
    assert f"the largest is {lost['wpe']:.2f} points" in page
