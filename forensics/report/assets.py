"""The report's own files: where templates and fonts lie, and the Jinja environment over them."""

import re
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from io import BytesIO
from pathlib import Path

from jinja2 import BaseLoader, Environment, StrictUndefined, TemplateNotFound
from markupsafe import Markup

from forensics.errors import StorageError
from forensics.wording import ENGLISH, Wording, capital

_NAME = re.compile(r"([A-Za-z0-9_-]+/){0,3}[A-Za-z0-9_-]+(\.[a-z0-9]+)+")

FONTS = {
    "serif": "DejaVuSerifCondensed.ttf",
    "serif-bold": "DejaVuSerifCondensed-Bold.ttf",
    "serif-italic": "DejaVuSerifCondensed-Italic.ttf",
    "sans": "DejaVuSansCondensed.ttf",
    "sans-bold": "DejaVuSansCondensed-Bold.ttf",
    "sans-italic": "DejaVuSansCondensed-Oblique.ttf",
    "mono": "DejaVuSansMono.ttf",
    "mono-bold": "DejaVuSansMono-Bold.ttf",
}


def template_folder() -> Traversable:
    """Returns the folder of templates: inside the installed package, or at the top of a source tree.

    Raises:
        StorageError: neither place has it; the installation is incomplete.
    """
    package = files("forensics")
    packed = package / "templates"
    if packed.is_dir():
        return packed
    beside = Path(str(package)).parent / "templates"
    if beside.is_dir():
        return beside
    raise StorageError("The report's templates are not installed.", "Install model-forensics again.")


def read_asset(name: str) -> bytes:
    """Returns the bytes of a file in the template folder.

    Args:
        name: relative path of plain names. A method's name, which comes from the claim, becomes part of it.

    Raises:
        FileNotFoundError: there is none, or the name is not plain.
    """
    if not _NAME.fullmatch(name):
        raise FileNotFoundError(name)
    return template_folder().joinpath(*name.split("/")).read_bytes()


@cache
def covered_characters() -> frozenset[int]:
    """Returns the code points that every text face of the report has; the others are printed as numbers."""
    from fontTools.ttLib import TTFont

    found: frozenset[int] | None = None
    for key in ("serif", "serif-bold", "serif-italic", "sans", "sans-bold", "sans-italic"):
        font = TTFont(BytesIO(read_asset(f"fonts/{FONTS[key]}")), lazy=True)
        points = frozenset(font.getBestCmap())
        found = points if found is None else found & points
    return found or frozenset()


class _Loader(BaseLoader):
    def get_source(self, environment: Environment, template: str) -> tuple[str, str, None]:
        """Returns a template's text; Jinja's own loaders do not know of packed or source layouts."""
        try:
            text = read_asset(template).decode("utf-8")
        except FileNotFoundError as error:
            raise TemplateNotFound(template) from error
        return text, template, None


@cache
def environment(say: Wording = ENGLISH) -> Environment:
    """Returns the Jinja environment of a language: escapes everything, and an undefined name is an error.

    Templates mark text by `{% trans %}` and `_()`; a translation is safe markup, what fills its places is escaped.
    """
    made = Environment(
        loader=_Loader(), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    # Set before the extension comes, which would set it to false: places are filled by the two functions below, which
    # know the forms of nouns, and not by Jinja.
    made.extend(newstyle_gettext=True)
    made.add_extension("jinja2.ext.i18n")

    def gettext(message: str, /, **values: object) -> str:
        return say.filled(Markup(say.translated(message)), values)  # noqa: S704

    def ngettext(one: str, many: str, count: int, /, **values: object) -> str:
        return say.filled(Markup(say.translated_plural(one, many, count)), {"count": count, **values})  # noqa: S704

    made.filters["first_capital"] = capital
    made.globals.update(gettext=gettext, ngettext=ngettext, say=say)
    return made
