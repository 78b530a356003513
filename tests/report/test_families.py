"""The pages of keyed soft labels: words, figures and items, in every verdict and language."""

import re
from fractions import Fraction
from itertools import product
from xml.etree import ElementTree

import pytest

from forensics.evidence.schema import Evidence
from forensics.report.familyfigures import draw_sum_null, drawn_ranks
from forensics.report.language import load_language
from forensics.report.render import render_html
from forensics.report.view import make_report
from tests.report.cases import digest, make_details
from tests.report.conftest import render
from tests.report.familycases import CLASSES, FAMILIES, LEADING, NAMES, make_family_evidence
from tests.report.test_languages import FOREIGN, fragments, own_words
from tests.report.test_view import BANNED, HEADINGS, visible

SHAPES = ("SUPPORTED", "NOT_SUPPORTED", "INCONCLUSIVE", "INVALID_CLAIM")


def make(evidence: Evidence, code: str = "en"):
    language = load_language(code)
    details = make_details(review={"role": "Prüfer"}, court={"jurisdiction": "US District Court"})
    report = make_report(evidence, details, manifest_sha256=digest("manifest"), language=language)
    return report, render_html(report)


@pytest.mark.parametrize("outcome", SHAPES)
@pytest.mark.parametrize("opened", [True, False])
def test_every_variant_has_every_section_and_no_word_of_another_method(outcome: str, opened: bool) -> None:
    report, html = make(make_family_evidence(outcome, opened=opened))
    text = visible(html)
    assert not [heading for heading in HEADINGS if heading not in text]
    assert not BANNED.search(text)
    assert f"In {LEADING[outcome]} of {FAMILIES} families the class that the key drew stands alone at the top" in text
    others = r"\bphrases\b|trigger words|\bAUC\b|filtered|payload bits|No description of this method"
    assert not re.search(others, text.replace("words, phrases or patterns", ""))
    assert ("families" in report.figures) is opened
    assert "null" in report.figures
    assert ("are sealed" in text) is not opened
    if outcome == "SUPPORTED":
        found = f"in {LEADING[outcome]} of {FAMILIES} families the class that the key drew stands alone at the top"
        assert found in report.conclusion
        assert "fewer than one in a million" in report.conclusion


@pytest.mark.parametrize("code", FOREIGN)
@pytest.mark.parametrize("opened", [True, False])
def test_no_english_sentence_is_left(code: str, opened: bool) -> None:
    for outcome in SHAPES:
        report, html = make(make_family_evidence(outcome, opened=opened), code)
        page = own_words(html) + " ".join(figure.svg + figure.alt for figure in report.figures.values())
        assert not [part for part in fragments() if part in page]


def test_figures_show_the_evidences_own_numbers() -> None:
    evidence = make_family_evidence("INCONCLUSIVE")
    report, _ = make(evidence)
    measurement = evidence.score.measurement
    null, families = report.figures["null"], report.figures["families"]
    assert f"The observed sum is {int(float(measurement.value))}" in null.alt
    seen = next(row for row in null.table.rows if row[1] == "observed in this examination")
    assert seen[0] == str(int(float(measurement.value)))
    assert f"in {LEADING['INCONCLUSIVE']} families it exceeds all" in families.alt
    cells = [cell for row in families.table.rows for cell in row if cell]
    assert len(cells) == 3 * FAMILIES
    assert sum(int(rank) for rank in cells[2::3]) == float(measurement.value)
    assert set(cells[1::3]) <= set(NAMES)
    assert all(ElementTree.fromstring(figure.svg) is not None for figure in report.figures.values())
    assert families.svg.count('<rect x="') == FAMILIES + 2
    assert len(report.annex.items) == FAMILIES
    assert sum(item[4] == "yes" for item in report.annex.items) == measurement.matched


def test_the_drawn_law_is_that_of_all_ranks() -> None:
    sums = [sum(ranks) for ranks in product(range(4), repeat=5)]
    for observed in (0, 7, 8, 12, 15):
        figure = draw_sum_null(5, 4, observed, "0.5", Fraction(1, 100))
        assert figure is not None
        rows = {row[1]: row for row in figure.table.rows}
        needed = int(rows["smallest that passes gate G2"][0])
        assert (
            sum(each >= needed for each in sums) / len(sums) <= 0.01 < sum(each >= needed - 1 for each in sums) / 1024
        )
    assert draw_sum_null(5, 4, 16, "0.5", Fraction(1, 100)) is None
    assert draw_sum_null(4000, 10, 5, "0.5", Fraction(1, 100)) is None


def test_items_that_contradict_the_count_are_not_drawn() -> None:
    evidence = make_family_evidence()
    measurement = evidence.score.measurement
    for update in (
        {"items": list(reversed(measurement.items))},
        {"items": measurement.items[:-1]},
        {"target": [0] * (FAMILIES - 1)},
        {"target": [CLASSES] * FAMILIES},
        {"matched": measurement.matched - 1},
    ):
        other = evidence.score.model_copy(update={"measurement": measurement.model_copy(update=update)})
        report, _ = make(evidence.revised(score=other))
        assert "families" not in report.figures, update.keys()
        assert "do not give the recorded count" in report.figure_notes["single"]
    assert drawn_ranks([], []) is None


def test_class_names_of_an_attacker_stay_text() -> None:
    _, html = make(make_family_evidence(hostile=True))
    assert "<script>" not in html
    assert '<img src="file' not in html


def test_the_pages_are_laid_out() -> None:
    evidence = make_family_evidence(binding="demonstration")
    page = render(evidence, make(evidence)[0])
    assert not page.warnings
    assert "Family by family" in page.text
    assert "Keyed soft labels" in page.text
