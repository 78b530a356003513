"""Text that may be printed: hostile strings made harmless, numbers made readable. Formatting only, no statistics."""

import unicodedata
from collections.abc import Set
from datetime import datetime
from decimal import Decimal, InvalidOperation

from forensics.report.assets import covered_characters
from forensics.wording import ENGLISH, Wording, capital

THIN = "\u202f"
"""Narrow no-break space: groups digits and joins a number to its unit."""

_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_DAYS = {"en": "d\u00a0MMMM y", "de": "d.\u00a0MMMM y", "fr": "d\u00a0MMMM y"}
_FIRST = {"fr": "d'er'\u00a0MMMM y"}
"""Patterns of a date by language, and of the first day of a month where it has its own."""

_NORMALISED = 4
_EXACT = 10**7
_LARGEST_EXPONENT = 1000


def clean(text: str, limit: int = 160, say: Wording = ENGLISH) -> str:
    """Returns one line that is safe to print: no controls, no direction overrides, bounded, only shipped glyphs.

    A character that the report's fonts lack is written as its code point, such as `⟨U+4E2D⟩`, so that nothing
    is dropped silently and no system font is pulled in.

    Args:
        text: anything; may come from the suspect.
        limit: characters of the input that are kept; how many were cut is said.
        say: the language in which that is said.
    """
    known = covered_characters()
    # Composition can shorten text but never needs more than a few code points a character: bound the work first.
    composed = unicodedata.normalize("NFC", text[: limit * _NORMALISED])
    kept = " ".join("".join(" " if char.isspace() else char for char in composed if _printable(char)).split())
    cut = len(text) - limit * _NORMALISED if len(text) > limit * _NORMALISED else 0
    cut += max(len(kept) - limit, 0)
    body = "".join(_glyph(char, known) for char in kept[:limit])
    return say("%(text)s… (%(number)s more characters)", text=body, number=integer(cut)) if cut else body


def brief(text: str, size: int) -> str:
    """Returns cleaned text of at most `size` characters, for a cell that must not grow: `antidisestab…`."""
    shown = clean(text[: size * _NORMALISED], size + 1)
    return shown if len(shown) <= size else f"{shown[: size - 1]}…"


def paragraphs(text: str, limit: int = 6000, say: Wording = ENGLISH) -> tuple[str, ...]:
    """Returns the paragraphs of a text that people supplied, each cleaned; empty lines separate them."""
    blocks = text[:limit].replace("\r\n", "\n").split("\n\n")
    found = [clean(block, limit, say) for block in blocks]
    if len(text) > limit:
        found.append(say("(%(number)s more characters)", number=integer(len(text) - limit)))
    return tuple(block for block in found if block)


def groups(digest: str, size: int = 16) -> tuple[str, ...]:
    """Returns a hexadecimal digest in groups of `size` digits, four for a SHA-256."""
    plain = clean(digest, 128)
    return tuple(plain[start : start + size] for start in range(0, len(plain), size))


def integer(value: int) -> str:
    """Returns an integer with thin spaces between groups of three digits: `1 048 576`."""
    return f"{value:,}".replace(",", THIN).replace("-", "−")


def number(text: str, digits: int = 3, mark: str = ".") -> str:
    """Returns a decimal string rounded to significant digits: `0.938`, `5.4 × 10⁻²⁰`; whole numbers stay exact.

    Text that is no number comes back cleaned.

    Args:
        mark: between whole and fraction.
    """
    value = _decimal(text)
    if value is None:
        return clean(text, 40)
    if value == value.to_integral_value() and abs(value) < _EXACT:
        return integer(int(value))
    rounded = Decimal(f"{value:.{digits - 1}e}")
    exponent = rounded.adjusted()
    if -4 <= exponent < 7:
        plain = f"{rounded:f}"
        whole, _, fraction = plain.partition(".")
        sign = "−" if whole.startswith("-") else ""
        shown = integer(int(whole.lstrip("-") or "0"))
        fraction = fraction.rstrip("0")
        return f"{sign}{shown}{mark}{fraction}" if fraction else f"{sign}{shown}"
    mantissa = f"{rounded.scaleb(-exponent):f}".replace("-", "−")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".").replace(".", mark)
    power = f"10{str(exponent).translate(_SUPERSCRIPT)}"
    return power if mantissa == "1" else f"{mantissa}{THIN}×{THIN}{power}"


def share(text: str, mark: str = ".") -> str:
    """Returns a decimal string between 0 and 1 as a percentage with one decimal: `93.8 %`; others as numbers."""
    value = _decimal(text)
    if value is None or abs(value) > 1:
        return number(text, mark=mark)
    return f"{value * 100:.1f}{THIN}%".replace(".", mark)


def fixed(text: str, places: int, mark: str = ".") -> str:
    """Returns a decimal string with a fixed number of decimals, so that a column of them aligns."""
    value = _decimal(text)
    if value is None or abs(value) >= _EXACT:
        return number(text, mark=mark)
    return f"{value:.{places}f}".replace("-", "−").replace(".", mark)


def power_of_two(exponent: int) -> str:
    """Returns `2²⁰` for 20."""
    return f"2{str(exponent).translate(_SUPERSCRIPT)}"


def sentence(text: str, limit: int = 400, say: Wording = ENGLISH) -> str:
    """Returns a cleaned clause as a sentence: a capital letter first, a full stop last."""
    body = clean(text, limit, say)
    return body if not body else capital(body).rstrip(".") + "."


def moment(text: str, code: str = "en") -> str:
    """Returns an ISO 8601 time as `3 March 2025, 10:15:00 UTC` or a date as `3 March 2025`; other text cleaned.

    Args:
        code: of the language of the month's name and of the order.
    """
    from babel.dates import format_date

    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return clean(text, 60)
    pattern = _FIRST.get(code, _DAYS[code]) if parsed.day == 1 else _DAYS[code]
    day = format_date(parsed, pattern, locale=code)
    if len(text) <= len("2025-03-03"):
        return day
    zone = parsed.strftime("%z")
    return f"{day}, {parsed:%H:%M:%S}\u00a0{'UTC' if zone in ('+0000', '') else zone}"


def _decimal(text: str) -> Decimal | None:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() and abs(value.adjusted()) <= _LARGEST_EXPONENT else None


def _printable(char: str) -> bool:
    return char.isspace() or unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn"}


def _glyph(char: str, known: Set[int]) -> str:
    return char if ord(char) in known or char == " " else f"⟨U+{ord(char):04X}⟩"
