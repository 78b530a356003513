"""The languages of the report: catalogues, numbers and dates; a `Language` is handed to whatever makes text.

How text is marked, so that `pybabel` or the tests extract it:

    say("Of %(n)s bits the answers reproduce %(matched)s.", n=n, matched=matched)        in modules
    {% trans n=report.n %}Of {{ n }} bits ...{% endtrans %}  or  {{ _("Results") }}       in templates

Text from a record (names, facts, what people supplied) is never a message; it fills a place, escaped like any other
value. Sentences that the tool itself recorded are put into the language by `recorded`.
"""

import re
from collections.abc import Mapping
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING

from markupsafe import escape

from forensics.errors import StorageError, UsageError
from forensics.report import text as plain
from forensics.report.assets import read_asset
from forensics.wording import Noun, Places, Wording, noted

if TYPE_CHECKING:
    from babel.messages import Catalog

LANGUAGES = ("en", "de", "fr")
"""Codes of the languages that a report can be written in."""


_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?(e-?[0-9]+)?")


class Language(Wording):
    """A language of the report; English has no catalogue and no library behind it.

    Attributes:
        code: one of `LANGUAGES`.
    """

    def __init__(self, code: str, catalogue: "Catalog | None" = None) -> None:
        from babel import Locale
        from babel.numbers import get_decimal_symbol

        locale = Locale.parse(code)
        self.code, self.mark = code, get_decimal_symbol(locale)
        self._catalogue, self._plural = catalogue, locale.plural_form

    def translated(self, message: str) -> str:
        """Returns a message in this language; one that the catalogue lacks stays English, which a test rules out."""
        return self._found(message) or message

    def translated_plural(self, one: str, many: str, count: int) -> str:
        """Returns the message for a count, by the language's own rule of plurals."""
        found = self._catalogue.get(one) if self._catalogue is not None else None
        forms = found.string if found is not None else None
        if not forms or isinstance(forms, str) or not all(forms):
            return super().translated_plural(one, many, count)
        return forms[0 if self._plural(count) == "one" else 1]

    def form(self, noun: Noun, name: str) -> str:
        """Returns the form of a noun that the catalogue has under this context.

        Raises:
            KeyError: it has none.
        """
        found = self._found(noun.source, name)
        if not found:
            raise KeyError(f"{noun.source}:{name}")
        return found

    def filled(self, text: str, values: Mapping[str, object]) -> str:
        """Returns a translated message with its places filled; safe markup in a place makes the whole markup."""
        places = Places(self, values)
        if any(hasattr(value, "__html__") for value in values.values()):
            return escape(text) % places
        return text % places

    def thousands(self, value: int) -> str:
        """Returns a whole number with its thousands apart: by commas in English sentences, else by thin spaces."""
        return super().thousands(value) if self._catalogue is None else plain.integer(value)

    def clean(self, text: str, limit: int = 160) -> str:
        """Returns untrusted text that is safe to print; see `text.clean`."""
        return plain.clean(text, limit, self)

    def sentence(self, text: str, limit: int = 400) -> str:
        """Returns a clause as a sentence; see `text.sentence`."""
        return plain.sentence(text, limit, self)

    def paragraphs(self, text: str) -> tuple[str, ...]:
        """Returns the paragraphs of a text that people supplied; see `text.paragraphs`."""
        return plain.paragraphs(text, say=self)

    def number(self, text: str, digits: int = 3) -> str:
        """Returns a decimal string rounded to significant digits; see `text.number`."""
        return plain.number(text, digits, self.mark)

    def share(self, text: str) -> str:
        """Returns a decimal string as a percentage; see `text.share`."""
        return plain.share(text, self.mark)

    def fixed(self, text: str, places: int) -> str:
        """Returns a decimal string with a fixed number of decimals; see `text.fixed`."""
        return plain.fixed(text, places, self.mark)

    def decimal(self, text: str) -> str:
        """Returns a recorded decimal string as it is, but for its mark; other text cleaned."""
        shown = self.clean(text, 20)
        return shown.replace(".", self.mark) if _DECIMAL.fullmatch(shown) else shown

    def moment(self, text: str) -> str:
        """Returns a time or a date in words; see `text.moment`."""
        return plain.moment(text, self.code)

    def quoted(self, text: str) -> str:
        """Returns text between the language's quotation marks."""
        return self(noted("“%(text)s”"), text=text)

    def _found(self, message: str, context: str | None = None) -> str:
        found = self._catalogue.get(message, context) if self._catalogue is not None else None
        return found.string if found is not None and isinstance(found.string, str) else ""


@cache
def load_language(code: str) -> Language:
    """Returns a language of the report by its code.

    Raises:
        UsageError: there is none of that name.
        StorageError: its catalogue is not installed or cannot be read.
    """
    if code not in LANGUAGES:
        raise UsageError(f"There is no report in the language '{code}'.", f"Choose one of {', '.join(LANGUAGES)}.")
    if code == "en":
        return Language(code)
    from babel.messages.pofile import PoFileError, read_po

    try:
        body = read_asset(f"locale/{code}/LC_MESSAGES/report.po")
        return Language(code, read_po(BytesIO(body), locale=code, abort_invalid=True))
    except (FileNotFoundError, PoFileError, UnicodeDecodeError) as error:
        raise StorageError(
            f"The report's catalogue for the language '{code}' cannot be read.", "Install model-forensics again."
        ) from error


ENGLISH = load_language("en")
