"""Hostile text becomes harmless, numbers become readable, and nothing is claimed beyond one in a million."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.report.text import (
    clean,
    fixed,
    groups,
    integer,
    moment,
    number,
    paragraphs,
    power_of_two,
    sentence,
    share,
)


@given(st.text(max_size=400))
def test_clean_text_has_no_controls_and_no_direction_marks(text: str) -> None:
    shown = clean(text, 80)
    assert all(unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn"} for char in shown)
    assert "\n" not in shown
    # Every kept character may become a code point of at most eleven characters.
    assert len(shown) <= 80 * 11 + 40


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("a\u202eb\u2066c\u200bd\u0000e\ufefff", "abcdef"),
        ("two\nlines\tand\u00a0spaces ", "two lines and spaces"),
        ("Müller ≥ Łódź Nguyễn", "Müller ≥ Łódź Nguyễn"),
        ("模", "⟨U+6A21⟩"),
        ("\U0001f600", "⟨U+1F600⟩"),
        ("e\u0301", "é"),
        ("<b>&", "<b>&"),
    ],
)
def test_clean_keeps_what_can_be_printed(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_clean_says_how_much_was_cut() -> None:
    assert clean("x" * 100, 10) == "xxxxxxxxxx… (90 more characters)"
    assert clean("x" * 10_000_000, 10).endswith("more characters)")
    assert clean("x" * 10, 10) == "xxxxxxxxxx"


def test_paragraphs_are_split_at_empty_lines() -> None:
    assert paragraphs("one\ntwo\n\nthree\r\n\r\nfour") == ("one two", "three", "four")
    assert paragraphs("  \n\n ") == ()
    assert paragraphs("a" * 20, 10)[-1] == "(10 more characters)"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0.93750", "0.938"),
        ("2.9e-28", "2.9\u202f×\u202f10⁻²⁸"),
        ("1e-06", "10⁻⁶"),
        ("1024", "1\u202f024"),
        ("119.0", "119"),
        ("12345678.0", "1.23\u202f×\u202f10⁷"),
        ("0", "0"),
        ("-1.5", "−1.5"),
        ("0.0004", "0.0004"),
        ("340282366920938463463374607431", "3.4\u202f×\u202f10²⁹"),
        ("nan", "nan"),
        ("NaN<b>", "NaN<b>"),
        ("1.0", "1"),
        ("9.999e-28", "10⁻²⁷"),
    ],
)
def test_numbers_are_rounded_to_significant_digits(text: str, shown: str) -> None:
    assert number(text) == shown


def test_small_forms() -> None:
    assert share("0.9453") == "94.5\u202f%"
    assert fixed("-0.04567", 3) == "−0.046"
    assert integer(1048576) == "1\u202f048\u202f576"
    assert power_of_two(20) == "2²⁰"
    assert sentence("the key does not open. ") == "The key does not open."
    assert sentence("") == ""
    assert groups("ab" * 32) == ("abababababababab",) * 4


def test_times_are_in_words() -> None:
    assert moment("2026-02-03T09:12:46Z") == "3\u00a0February 2026, 09:12:46\u00a0UTC"
    assert moment("2026-02-03T09:12:46+02:00") == "3\u00a0February 2026, 09:12:46\u00a0+0200"
    assert moment("2026-02-03") == "3\u00a0February 2026"
    assert moment("yesterday<b>") == "yesterday<b>"
