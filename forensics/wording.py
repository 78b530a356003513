"""Sentences with named places, written in English; a language is what puts them into other words.

    say("the answers reproduce %(matched)s of %(n)s", matched=121, n=128)

A sentence is written whole, never glued from halves, since languages order words differently. The first argument of
`say` and the first two of `say.plural` are literals, so that catalogues can be extracted from the source; `noted` marks
a literal that is passed to `say` later. This module knows English alone and needs no library; the report's languages
derive from it.
"""

from collections.abc import Mapping, Sequence
from typing import Any


class Noun(str):
    """A noun within a sentence; a catalogue may have other forms of it, which its sentences name as `%(many:dative)s`.

    Attributes:
        source: the noun in English, by which a catalogue knows its forms.
    """

    source: str

    def __new__(cls, shown: str, source: str) -> "Noun":
        """Makes a noun that prints as `shown`."""
        made = super().__new__(cls, shown)
        made.source = source
        return made


class Wording:
    """English: every sentence as it is written.

    Attributes:
        code: of the language, as in `<html lang>`.
        mark: between the whole and the fraction of a decimal number.
    """

    code = "en"
    mark = "."

    def __call__(self, message: str, /, **values: object) -> str:
        """Returns a sentence with its places filled; a percent sign in it is written `%%`."""
        return self.filled(self.translated(message), values)

    def plural(self, one: str, many: str, count: int, /, **values: object) -> str:
        """Returns the sentence for a count, of which `%(count)s` is the place."""
        return self.filled(self.translated_plural(one, many, count), {"count": count, **values})

    def noun(self, source: str) -> Noun:
        """Returns a noun that `noted` marks, for use in sentences."""
        return Noun(self.translated(source), source)

    def figures(self, value: float) -> str:
        """Returns a number with three significant digits."""
        return f"{value:.3g}".replace(".", self.mark)

    def thousands(self, value: int) -> str:
        """Returns a whole number with its thousands apart."""
        return f"{value:,}"

    def translated(self, message: str) -> str:
        """Returns a message in the language, its places still open."""
        return message

    def translated_plural(self, one: str, many: str, count: int) -> str:
        """Returns the message for a count, its places still open."""
        return one if count == 1 else many

    def clauses(self, parts: Sequence[str]) -> str:
        """Returns clauses one after the other, with a semicolon between."""
        joined = parts[0] if parts else ""
        for part in parts[1:]:
            joined = self(noted("%(first)s; %(second)s"), first=joined, second=part)
        return joined

    def form(self, noun: Noun, name: str) -> str:
        """Returns a form of a noun.

        Raises:
            KeyError: English has no named forms.
        """
        raise KeyError(name)

    def filled(self, text: str, values: Mapping[str, object]) -> str:
        """Returns a translated message with its places filled."""
        return text % Places(self, values)


class Places(dict[str, Any]):
    """The values of a sentence's places, by name and, for a noun, by name and form."""

    def __init__(self, wording: Wording, values: Mapping[str, object]) -> None:
        super().__init__(values)
        self._wording = wording

    def __missing__(self, key: str) -> str:
        """Returns the form of a noun: `many:dative`."""
        name, _, form = key.partition(":")
        value = self[name] if form else None
        if not isinstance(value, Noun):
            raise KeyError(key)
        return self._wording.form(value, form)


def noted(message: str) -> str:
    """Marks a literal for the catalogues and returns it as it is; `say` translates it where it is used."""
    return message


def capital(text: str) -> str:
    """Returns text with a capital letter first; the rest stays as it is."""
    return text[:1].upper() + text[1:]


ENGLISH = Wording()
