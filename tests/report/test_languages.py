"""The report in German and French: whole catalogues, nothing left in English, numbers and dates of the language."""

import ast
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from html import unescape
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from babel.messages import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po
from pyhanko.pdf_utils.reader import PdfFileReader

from forensics.cli import root
from forensics.conclusion import conclusion
from forensics.errors import StorageError, UsageError
from forensics.evidence.results import decode_measurement, decode_verdict
from forensics.evidence.schema import Evidence
from forensics.report import load_details
from forensics.report.assets import covered_characters, environment
from forensics.report.details import Details
from forensics.report.language import LANGUAGES, load_language
from forensics.report.render import layout, render_html
from forensics.report.view import Report, make_report
from tests.report.cases import make_details, make_evidence, make_word_evidence
from tests.report.conftest import MANIFEST, Page, render
from tests.report.test_render import _boxes
from tests.report.test_view import OUTCOMES, visible

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "templates"
FOREIGN = [code for code in LANGUAGES if code != "en"]
PLACE = re.compile(r"%\((\w+)(?::([\w-]+))?\)s")
TAG = re.compile(r"</?\w+[^>]*>")
METHODS = sorted(path.name.split(".")[0] for path in (TEMPLATES / "methods").glob("[a-np-z]*.j2"))
"""Methods that the report describes; `ofsw` is the one whose name begins like `other`."""

PYTHON = {"say": None, "language": None, "self": None, "noted": None, "noun": None, "plural": (1, 2)}
JINJA = {"_": None, "gettext": None, "ngettext": (1, 2)}

Message = str | tuple[str, ...]


def modules() -> list[Path]:
    top = [ROOT / "forensics" / f"{name}.py" for name in ("conclusion", "nouns", "wording")]
    return [*top, *sorted((ROOT / "forensics" / "report").glob("*.py"))]


@cache
def extracted() -> dict[Message, str]:
    """Every message of modules and templates, with a place where it stands."""
    found: dict[Message, str] = {}
    for path in modules():
        with path.open("rb") as stream:
            for line, message, _, _ in extract("python", stream, PYTHON):
                found.setdefault(message, f"{path.name}:{line}")
    for path in sorted(TEMPLATES.rglob("*.j2")):
        with path.open("rb") as stream:
            options = {"newstyle_gettext": "true", "silent": "false"}
            for line, message, _, _ in extract("jinja2.ext:babel_extract", stream, JINJA, options=options):
                found.setdefault(message, f"{path.name}:{line}")
    return found


@cache
def catalogue(code: str) -> Catalog:
    path = TEMPLATES / "locale" / code / "LC_MESSAGES" / "report.po"
    return read_po(BytesIO(path.read_bytes()), locale=code, abort_invalid=True)


def strings(message: Message) -> tuple[str, ...]:
    return (message,) if isinstance(message, str) else tuple(message)


def entries(code: str) -> Iterator[tuple[Message, tuple[str, ...], str | None]]:
    for message in catalogue(code):
        if message.id:
            yield message.id, strings(message.string), message.context


def make(evidence: Evidence, code: str, details: Details | None = None, **given: Any) -> tuple[Report, str]:
    report = make_report(
        evidence, details or make_details(), manifest_sha256=MANIFEST, language=load_language(code), **given
    )
    return report, render_html(report)


def own_words(html: str) -> str:
    """The text of a page and its figures without what is marked as English."""
    return unescape(re.sub(r'<(\w+) lang="en">.*?</\1>', " ", html[html.index("<body") :], flags=re.DOTALL))


# The catalogues


@pytest.mark.parametrize("code", FOREIGN)
def test_catalogues_are_complete(code: str) -> None:
    have = {message for message, _, context in entries(code) if context is None}
    assert not {message: place for message, place in extracted().items() if message not in have}
    assert not have - set(extracted())
    assert not catalogue(code).obsolete
    assert not [message.id for message in catalogue(code) if message.fuzzy]
    assert not [message for message, found, _ in entries(code) if not all(found)]


@pytest.mark.parametrize("code", FOREIGN)
def test_places_and_markup_of_a_translation_are_those_of_the_sentence(code: str) -> None:
    for message, found, _ in entries(code):
        for source, text in itertools.product(strings(message), found):
            assert {name for name, _ in PLACE.findall(text)} == {name for name, _ in PLACE.findall(source)}, source
            assert Counter(TAG.findall(text)) == Counter(TAG.findall(source)), source
            assert re.sub(PLACE, "", text).count("%") == 2 * text.count("%%"), text
            assert re.findall(r"<code[^>]*>.*?</code>", text) == re.findall(r"<code[^>]*>.*?</code>", source)


@pytest.mark.parametrize("code", FOREIGN)
def test_every_form_that_a_sentence_names_exists_and_is_used(code: str) -> None:
    named = {form for _, found, _ in entries(code) for text in found for _, form in PLACE.findall(text) if form}
    contexts = {context for _, _, context in entries(code) if context}
    assert named == contexts
    assert {message for message, _, context in entries(code) if context} <= set(extracted())


def test_babel_sees_every_message_that_the_code_marks() -> None:
    seen = {text for message in extracted() for text in strings(message)}
    marked = set()
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in PYTHON:
                given = [part.value for part in node.args[:2] if isinstance(part, ast.Constant)]
                marked |= {text for text in given if isinstance(text, str)}
    assert marked <= seen


def test_templates_hold_no_text_that_is_not_marked() -> None:
    """Words stand in `{% trans %}` or `_()`; the American forms are English in every language, and say so."""
    for path in sorted(TEMPLATES.rglob("*.html.j2")) + sorted(TEMPLATES.rglob("*.svg.j2")):
        text = re.sub(r"\{% trans.*?%\}.*?\{% endtrans %\}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        if path.name == "certifications.html.j2":
            assert '<div lang="en">' in text
            text = re.sub(r'<div lang="en">.*?</div>\{% endif %\}', "", text, flags=re.DOTALL)
        for pattern in (
            r"\{#.*?#\}",
            r"\{%.*?%\}",
            r"\{\{.*?\}\}",
            r"<(style|pre|code)\b.*?</\1>",
            r"<[^>]*>",
            r"&[#\w]+;",
        ):
            text = re.sub(pattern, " ", text, flags=re.DOTALL)
        left = [word for word in re.findall(r"[^\W\d_]{2,}", text) if word not in {"evidence", "json", "SHA"}]
        assert not left, (path.name, left)


@pytest.mark.parametrize("code", FOREIGN)
def test_the_fonts_have_every_character_of_the_catalogue(code: str) -> None:
    used = {char for _, found, _ in entries(code) for text in found for char in unescape(text)}
    assert not {char for char in used if ord(char) not in covered_characters()}


def test_typography_is_that_of_the_language() -> None:
    for _, found, _ in entries("fr"):
        for text in found:
            plain = unescape(re.sub(r"<code.*?</code>|https?:\S+|" + PLACE.pattern, "x", text))
            assert not re.search(
                r"[^\s\u202f][;:?!»](\s|$)|[ \u00a0][;:?!»]|«[^\u202f]|[“”„\"']", TAG.sub("", plain)
            ), text
    for _, found, _ in entries("de"):
        for text in found:
            assert "”" not in text, text
            assert text.count("„") == text.count("“"), text
            assert not re.search(r"[«»\"]", TAG.sub("", text)), text


# The pages


@cache
def fragments() -> tuple[str, ...]:
    """The fixed parts of all English sentences that are long enough to be told from a name."""
    parts = {
        unescape(part.replace("%%", "%")).strip()
        for message in extracted()
        for text in strings(message)
        for part in re.split(PLACE.pattern + "|" + TAG.pattern, re.sub(r"<code.*?</code>", "<c>", text))
        if part
    }
    alike = {text for code in FOREIGN for message, found, _ in entries(code) if found[0] == message for text in found}
    return tuple(sorted(part for part in parts if len(part) > 12 and " " in part and part not in alike))


@pytest.mark.parametrize("code", FOREIGN)
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_no_english_sentence_is_left(code: str, outcome: str | None) -> None:
    binding = {"SUPPORTED": "timestamped", None: "self-dated"}.get(outcome, "demonstration")
    given = make_details(review={"role": "Prüfer"}, court={"jurisdiction": "US District Court"})
    whole = make_evidence(outcome, binding=binding, bits=32, opened=outcome != "NOT_SUPPORTED")
    evidence, files = make_word_evidence(outcome, n=60, chosen=10, binding=binding, opened=outcome != "INCONCLUSIVE")
    for report, html in (make(whole, code, given), make(evidence, code, Details(), files=files)):
        page = own_words(html) + " ".join(figure.svg + figure.alt for figure in report.figures.values())
        assert not [part for part in fragments() if part in page]
        assert f'<html lang="{code}">' in html


@pytest.mark.parametrize("code", FOREIGN)
def test_title_and_cover_are_in_the_language(code: str) -> None:
    _, html = make(make_evidence("SUPPORTED", bits=32), code)
    title = html[html.index("<title>") : html.index("</title>")]
    assert {"de": "Sachverständigengutachten", "fr": "Rapport d’expertise"}[code] in title
    cover = html[html.index('<section class="cover') : html.index("</section>")]
    assert {"de": "Untersuchung eines Modells", "fr": "Examen d’un modèle"}[code] in cover
    evidence, files = make_word_evidence("SUPPORTED", n=60, chosen=10)
    _, html = make(evidence, code, files=files)
    assert {"de": "Untersuchung eines Dienstes", "fr": "Examen d’un service"}[code] in html


@pytest.mark.parametrize("code", FOREIGN)
def test_the_front_pages_never_go_below_one_in_a_million(code: str) -> None:
    evidence = make_evidence("SUPPORTED", bits=256)
    assert evidence.score is not None
    assert float(evidence.score.measurement.p_value) < 1e-40
    _, html = make(evidence, code)
    front = visible(html[: html.index('id="instructions"')])
    assert {"de": "seltener als einmal in einer Million Fällen", "fr": "moins d’une fois sur un million"}[code] in front
    assert "10⁻" not in front
    assert "×" not in front


@pytest.mark.parametrize("code", FOREIGN)
def test_no_words_of_strength_without_a_validation(code: str) -> None:
    text = visible(make(make_evidence("SUPPORTED", bits=32), code)[1])
    assert {"de": "Eine verbale Skala der Beweisstärke wird nicht verwendet", "fr": "Aucune échelle verbale"}[
        code
    ] in text
    assert not re.search(r"(sehr|äußerst|mäßig) stark|(très|extrêmement|modérément) fort", text)
    assert not re.search(r"gestohlen|Diebstahl|beweist|schuldig|volé|voleur|coupable|prouve que", text)


@pytest.fixture(scope="module")
def page() -> Page:
    """A German draft of a demonstration case, laid out; German has the longest words."""
    details = make_details(review={"name": ""})
    evidence = make_evidence("SUPPORTED", bits=32)
    report = make_report(evidence, details, manifest_sha256=MANIFEST, language=load_language("de"))
    return render(evidence, report)


def test_every_page_says_what_it_must_in_the_language(page: Page) -> None:
    total = len(page.pages)
    for number, text in enumerate(page.pages, 1):
        assert f"Seite {number} von {total}" in text
        assert "ENTWURF" in text
        assert "VORFÜHRUNG" in text
        assert all(group in text for group in page.report.evidence_groups)
    assert page.warnings == []
    assert str(PdfFileReader(BytesIO(page.pdf)).root["/Lang"]) == "de"
    assert "Was dieses Gutachten nicht sagt" in page.pages[1]
    assert "Inhalt" in page.pages[1]
    assert "Auftrag und Fragen" in page.pages[2]


@pytest.mark.parametrize("code", LANGUAGES)
def test_summary_and_contents_stay_on_one_page(code: str) -> None:
    evidence, files = make_word_evidence("INCONCLUSIVE", n=60, chosen=10, owner="Aster Analytics " * 3)
    _, html = make(evidence, code, files=files)
    front = html[: html.index('<h2 id="instructions"')] + "</body></html>"
    assert len(layout(front, {}, {}).pages) == 2


@pytest.mark.parametrize("code", FOREIGN)
def test_the_cover_never_overlaps_whatever_its_length(code: str) -> None:
    wide = "WMQ" * 200
    details = make_details(
        report={"number": wide, "version": wide, "supersedes": wide, "confidentiality": wide},
        court={"name": wide, "caption": wide, "jurisdiction": wide},
        parties={"instructing": wide},
        examiner={"name": wide, "role": wide},
    )
    evidence = make_evidence("INCONCLUSIVE", suspect=wide, owner=wide, bits=16, opened=False)
    assert evidence.score is not None
    verdict_record = evidence.score.verdict.model_copy(update={"reasons": [wide] * 12, "gates": {}})
    evidence = evidence.revised(score=evidence.score.model_copy(update={"verdict": verdict_record}))
    _, html = make(evidence, code, details)
    end = html.index("</section>") + len("</section>")
    pages = layout(f"{html[:end]}</body></html>", {}, {})
    assert len(pages.pages) == 1
    boxes = _boxes(pages)
    bottom = boxes["hashbox"].position_y + boxes["hashbox"].margin_height()
    assert bottom <= min(boxes["steps"].position_y, boxes["signature"].position_y)


# Numbers, dates, forms


@pytest.mark.parametrize(
    ("code", "number", "share", "fixed", "day", "first"),
    [
        ("en", "0.938", "94.5\u202f%", "−0.046", "3\u00a0February 2026", "1\u00a0March 2026"),
        ("de", "0,938", "94,5\u202f%", "−0,046", "3.\u00a0Februar 2026", "1.\u00a0März 2026"),
        ("fr", "0,938", "94,5\u202f%", "−0,046", "3\u00a0février 2026", "1er\u00a0mars 2026"),
    ],
)
def test_numbers_and_dates(code: str, number: str, share: str, fixed: str, day: str, first: str) -> None:
    say = load_language(code)
    assert say.number("0.93750") == number
    assert say.share("0.9453") == share
    assert say.fixed("-0.04567", 3) == fixed
    assert say.moment("2026-02-03") == day
    assert say.moment("2026-03-01") == first
    assert say.number("2.9e-28") == f"2{say.mark}9\u202f×\u202f10⁻²⁸"
    assert say.figures(0.12345) == f"0{say.mark}123"
    assert say.decimal("0.0001") == f"0{say.mark}0001"
    assert say.decimal("v1.2") == "v1.2"
    assert say.thousands(1000) == ("1,000" if code == "en" else "1\u202f000")


def test_numbers_in_pages_are_those_of_the_language() -> None:
    evidence, files = make_word_evidence("NOT_SUPPORTED", n=60, chosen=10)
    for code, shown in (("en", "0.512"), ("de", "0,512"), ("fr", "0,512")):
        report, html = make(evidence, code, files=files)
        assert shown in report.conclusion
        assert shown in visible(html)
        assert ("0.512" in visible(html)) is (code == "en")


def test_nouns_take_the_form_that_the_sentence_names() -> None:
    say = load_language("de")
    places = {"many": say.noun("words"), "n": 3}
    assert say.filled("%(n)s von %(many:dat)s", places) == "3 von Wörtern"
    with pytest.raises(KeyError):
        say.filled("%(many:vocative)s", places)
    with pytest.raises(KeyError):
        say.filled("%(n:dat)s", places)
    assert (
        environment(say)
        .from_string("{{ _('%(many)s that the key chose', many=many) }}")
        .render(many=say.noun("words"))
        .startswith("Wörter")
    )


def test_plurals_follow_the_language() -> None:
    one, many = next(message for message in extracted() if not isinstance(message, str))
    for code, counts in (("de", {0: 1, 1: 0, 2: 1}), ("fr", {0: 0, 1: 0, 2: 1})):
        found = strings(catalogue(code).get(one).string)
        for count, form in counts.items():
            assert load_language(code).plural(one, many, count) == found[form] % {"count": count}
    assert load_language("en").plural(one, many, 2) == many % {"count": 2}


def test_english_is_the_same_through_a_language_and_without() -> None:
    evidence = make_evidence("NOT_SUPPORTED")
    assert evidence.score is not None
    found = decode_measurement(evidence.score.measurement)
    plain = conclusion(decode_verdict(evidence.score.verdict), found, "Aster", "timestamped")
    assert plain == conclusion(
        decode_verdict(evidence.score.verdict), found, "Aster", "timestamped", say=load_language("en")
    )


# The choice of a language


def test_the_language_of_case_toml_is_read(tmp_path: Path) -> None:
    path = tmp_path / "case.toml"
    path.write_text('language = "fr"\n', encoding="utf-8")
    assert load_details(path).language == "fr"
    path.write_text('language = "xx"\n', encoding="utf-8")
    with pytest.raises(UsageError, match="'language'"):
        load_details(path)


def test_an_unknown_language_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'eo'"):
        load_language("eo")
    out = tmp_path / "report.pdf"
    case = ROOT / "evidence_samples" / "case"
    with pytest.raises(UsageError, match="'eo'"):
        root.main(["report", str(case), "--out", str(out), "--lang", "eo"], standalone_mode=False)
    assert not out.exists()


def test_a_broken_catalogue_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for body in (b"<html>", b"\xff\xfe"):
        monkeypatch.setattr("forensics.report.language.read_asset", lambda name, body=body: body)
        with pytest.raises(StorageError, match="catalogue"):
            load_language.__wrapped__("de")
