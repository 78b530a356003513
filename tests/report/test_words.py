"""The report of a key of words: figures, wording, what is hidden before opening, and texts that nobody vouches for."""

import itertools
import math
import re
from collections import Counter
from fractions import Fraction
from typing import Any
from xml.etree import ElementTree

import pytest

from forensics.conclusion import agreement, chosen_items, conclusion
from forensics.evidence.results import decode_measurement, decode_verdict
from forensics.nouns import nouns_of
from forensics.report.ranks import RankLaw, doubled_ranks, rank_law
from forensics.report.render import render_html
from forensics.report.view import Report, make_report
from forensics.report.wordfigures import draw_rank_null, draw_words, top_matches
from tests.report.cases import (
    CARRIERS,
    HOSTILE,
    TARGET_TEXT,
    digest,
    make_details,
    make_pool,
    make_word_evidence,
    word_claim,
    word_scores,
)
from tests.report.conftest import render
from tests.report.test_view import BANNED, HEADINGS, visible

WORDS = nouns_of(word_claim("demonstration", "Aster", make_pool(), 200, 20))


def make(**choices: Any) -> tuple[Report, str]:
    """A small pool, 10 of 60 words, whose law is counted at once."""
    evidence, files = make_word_evidence(n=60, chosen=10, **choices)
    report = make_report(evidence, make_details(), manifest_sha256=digest("manifest"), files=files)
    return report, render_html(report)


def summed(counts: Counter[int]) -> int:
    return sum(counts.values())


@pytest.mark.parametrize("scores", [(3.0, 1.0, 2.0, 5.0, 4.0, 0.5), (1.0, 1.0, 2.0, 2.0, 2.0, 7.0), (1.0,) * 6])
@pytest.mark.parametrize("chosen", [1, 2, 3, 5])
def test_the_law_counts_every_subset(scores: tuple[float, ...], chosen: int) -> None:
    ranks = doubled_ranks(scores)
    law = rank_law(ranks, chosen)
    assert law is not None
    listed = Counter(sum(subset) for subset in itertools.combinations(ranks, chosen))
    found = {law.least + place * law.unit: count for place, count in enumerate(law.counts) if count}
    assert found == dict(listed)
    assert law.total == math.comb(6, chosen) == summed(listed)


def test_doubled_ranks_share_the_middle_of_a_tie() -> None:
    assert doubled_ranks([5.0, 1.0, 5.0, 2.0]) == [7, 2, 7, 4]


def test_a_law_that_takes_too_long_is_not_drawn() -> None:
    assert rank_law(range(2, 8002, 2), 2000) is None
    assert rank_law(range(2, 22, 2), 0) is None
    assert rank_law(range(2, 22, 2), 10) is None


@pytest.mark.parametrize("outcome", ["SUPPORTED", "NOT_SUPPORTED", "INCONCLUSIVE", "INVALID_CLAIM", None])
@pytest.mark.parametrize("opened", [True, False])
def test_every_variant_has_every_section_and_nothing_beyond_the_rules(outcome: str | None, opened: bool) -> None:
    report, html = make(outcome=outcome, opened=opened)
    found = re.findall(r'<h2[^>]*><span class="no">(\d+)</span>([^<]+)</h2>', html)
    assert [(int(number), title) for number, title in found] == list(enumerate(HEADINGS, 1))
    assert not BANNED.search(visible(html))
    assert "None" not in visible(html).replace("None was computed", "")
    assert "agree with the key" not in report.conclusion
    assert "payload bit" not in visible(html)


def test_the_conclusion_counts_words_and_names_the_effect() -> None:
    evidence, _ = make_word_evidence("SUPPORTED", binding="timestamped")
    assert evidence.score is not None
    measurement = decode_measurement(evidence.score.measurement)
    said = conclusion(decode_verdict(evidence.score.verdict), measurement, "Aster", "timestamped")
    assert "18 of the 20 words that the key chose are among the 20 highest-scoring of 200" in said
    assert "the AUC is 0.984, where chance gives 0.5" in said
    assert said.endswith("chance alone would rank them as high in fewer than one in a million cases.")
    negative, _ = make_word_evidence("NOT_SUPPORTED")
    assert negative.score is not None
    found = decode_measurement(negative.score.measurement)
    said = conclusion(decode_verdict(negative.score.verdict), found, "Aster", "timestamped")
    assert "2 of the 20 words" in said
    assert "less than the claim asks for; this is no evidence of independence" in said


def test_without_the_number_of_chosen_words_only_the_effect_is_named() -> None:
    evidence, _ = make_word_evidence("SUPPORTED")
    assert evidence.score is not None
    record = evidence.score.measurement.model_copy(update={"context": {}})
    assert agreement(decode_measurement(record)) == "the AUC is 0.984, where chance gives 0.5"
    assert chosen_items("subset", {"chosen": "2.5"}) is None
    assert chosen_items("bits", {"chosen": "20.0"}) is None
    changed = evidence.revised(score=evidence.score.model_copy(update={"measurement": record}))
    report = make_report(changed, make_details(), manifest_sha256=digest("manifest"))
    assert set(report.figures) == {"timeline"}
    assert "does not say how many words" in render_html(report)


def test_the_front_pages_never_go_below_one_in_a_million() -> None:
    _, html = make(outcome="SUPPORTED")
    front = visible(html[: html.index('id="instructions"')])
    assert "fewer than one in a million" in front
    assert "10⁻" not in front
    assert "×" not in front
    assert "about 2 would be among the 10 highest" in front


def test_word_figure_draws_all_words_and_tells_the_chosen_ones() -> None:
    items, target = word_scores(200, 20, 18)
    words = [f"word{place}" for place in range(200)]
    figure = draw_words(items, target, words, WORDS)
    tree = ElementTree.fromstring(figure.svg)
    dots = [node for node in tree.iter() if node.tag.endswith("circle")]
    assert len(dots) == 20 + 1
    bars = [node for node in tree.iter() if node.tag.endswith("rect")]
    assert len(bars) == 200 + 2
    assert all(float(bar.attrib["height"]) > 0 for bar in bars)
    assert "18 of the 20" in figure.alt
    cells = [cell for row in figure.table.rows for cell in row]
    assert cells.count("yes") == 18
    assert cells.count("no") == 2
    best = max(range(200), key=lambda place: float(items[place]))
    assert figure.table.rows[0][1] == f"word{best}"
    assert re.search(r"at the ranks \d+, \d+\.", figure.caption)


def test_a_tie_at_the_edge_counts_against_the_claim() -> None:
    assert top_matches([3.0, 2.0, 2.0, 1.0], [1, 0, 1, 0]) == 1
    assert top_matches([3.0, 2.0, 1.0, 1.0], [1, 1, 0, 0]) == 2
    assert top_matches([1.0, 1.0, 1.0, 1.0], [1, 1, 0, 0]) == 0


@pytest.mark.parametrize("scores", [["0.0"] * 40, ["-1.0", *["-2.0"] * 39], ["1e-300", *["0.0"] * 39]])
def test_odd_scores_still_draw(scores: list[str]) -> None:
    figure = draw_words(scores, [1, *[0] * 39], [], WORDS)
    ElementTree.fromstring(figure.svg)
    assert "nan" not in figure.svg


@pytest.fixture(scope="module")
def law() -> RankLaw:
    found = rank_law(range(2, 402, 2), 20)
    assert found is not None
    return found


@pytest.mark.parametrize("observed", ["7250.0", "4020.0", "420.0", "7620.0"])
def test_null_figure_marks_the_average_ranks(observed: str, law: RankLaw) -> None:
    figure = draw_rank_null(law, 200, observed, "3.1e-14", Fraction(1, 1000) / 2**20, WORDS, exact_ranks=False)
    texts = [node.text or "" for node in ElementTree.fromstring(figure.svg).iter() if node.tag.endswith("text")]
    assert f"observed: {float(observed) / 40:.1f}" in texts
    assert any(text.startswith("needed: ") for text in texts)
    assert figure.table.rows[0][0] == "100.5"
    assert figure.table.rows[-1][2].startswith("3.1")
    assert "without ties" in figure.caption
    needed = law.tails()
    first = next(place for place, tail in enumerate(needed) if tail <= Fraction(1, 1000) / 2**20)
    assert f"{float(law.average(first)):.1f}" == figure.table.rows[1][0]


def test_too_few_words_can_never_pass() -> None:
    law = rank_law(range(2, 22, 2), 3)
    assert law is not None
    figure = draw_rank_null(law, 10, "54.0", "0.008", Fraction(1, 10**6), WORDS, exact_ranks=True)
    assert len(figure.table.rows) == 2


def test_a_sealed_case_shows_neither_words_nor_scores() -> None:
    report, html = make(outcome="SUPPORTED", opened=False)
    assert set(report.figures) == {"timeline", "null"}
    text = visible(html)
    assert "words and their scores are sealed" in text
    for secret in ("harvest", TARGET_TEXT, *CARRIERS):
        assert secret not in text
    assert report.annex.items == ()
    assert "The item scores and the words are not disclosed" in text


def test_an_opened_case_shows_its_texts_and_every_word() -> None:
    report, html = make(outcome="SUPPORTED")
    assert set(report.figures) == {"timeline", "null", "words"}
    text = visible(html)
    for shown in (*CARRIERS, TARGET_TEXT, "harvest"):
        assert shown in text
    assert [one.role for one in report.exhibits.material.texts] == [
        *(f"carrier text {place}" for place in range(1, 5)),
        "target text",
    ]
    assert {one.asked for one in report.exhibits.material.texts} == {"yes"}
    assert len(report.annex.items) == 60
    assert sum(item[3] == "yes" for item in report.annex.items) == 10


def test_texts_that_are_not_the_committed_ones_are_not_printed() -> None:
    evidence, files = make_word_evidence("SUPPORTED", n=60, chosen=10)
    forged = {**files, "data/opened/share-0/pool/0003.txt": b"forged"}
    missing = {path: data for path, data in files.items() if not path.endswith("0003.txt")}
    for odd in (forged, missing, {}):
        report = make_report(evidence, make_details(), manifest_sha256=digest("manifest"), files=odd)
        html = visible(render_html(report))
        assert "not in the case as they were committed" in html
        assert "forged" not in html
        assert "harvest" not in html
        assert "of the pool" in html


def test_items_that_contradict_the_count_are_not_drawn() -> None:
    evidence, files = make_word_evidence("SUPPORTED", n=60, chosen=10)
    assert evidence.score is not None
    wrong = evidence.score.measurement.model_copy(update={"matched": 8})
    changed = evidence.revised(score=evidence.score.model_copy(update={"measurement": wrong}))
    report = make_report(changed, make_details(), manifest_sha256=digest("manifest"), files=files)
    assert set(report.figures) == {"timeline", "null"}
    assert "do not give the recorded count" in report.figure_notes["single"]


def test_controls_are_counted_out_of_the_chosen_words() -> None:
    _, html = make(outcome="SUPPORTED")
    text = visible(html)
    assert "5 references: 1 to 5 of 10" in text
    assert "3 of 10" in text
    assert "of 60 " not in text[text.index("Controls and reference models") : text.index("Words for strength")]


def test_published_statistics_are_printed_only_where_they_are_in_the_evidence() -> None:
    _, without = make(outcome="SUPPORTED")
    assert "None was computed." in without
    _, given = make(outcome="SUPPORTED", published=True)
    assert "They decide nothing here" in given
    assert "Kolmogorov-Smirnov test" in given
    assert "further texts" not in given


def test_texts_asked_afterwards_are_said_to_disclose_words() -> None:
    evidence, files = make_word_evidence(n=60, chosen=10, published=True)
    assert evidence.score is not None
    asked = evidence.score.model_copy(update={"published_plan": digest("later"), "published_answers": evidence.answers})
    changed = evidence.revised(score=asked)
    html = render_html(make_report(changed, make_details(), manifest_sha256=digest("manifest"), files=files))
    assert "245 further texts, after everything that decides" in visible(html)


def test_a_marked_service_is_not_called_a_model() -> None:
    evidence, files = make_word_evidence(n=60, chosen=10)
    assert evidence.score is not None
    reasons = ["the release date of the marked model is unknown"]
    verdict = evidence.score.verdict.model_copy(update={"reasons": reasons})
    evidence = evidence.revised(score=evidence.score.model_copy(update={"verdict": verdict}))
    release = evidence.dates.release.model_copy(update={"source": "timestamp over the record of the marked model"})
    dated = evidence.revised(dates=evidence.dates.model_copy(update={"release": release}))
    report = make_report(dated, make_details(), manifest_sha256=digest("manifest"), files=files)
    text = visible(render_html(report))
    assert "record of the marked service" in text
    assert "marked model" not in text
    assert "Service under examination" in text
    assert "machine&#8209;learning service" in text
    assert "For a service that has nothing to do with the key" in text
    assert "trains into a model" not in text


def test_the_effect_is_explained_where_it_is_first_named() -> None:
    _, html = make(outcome="SUPPORTED")
    cover = visible(html[: html.index('id="summary"')])
    assert "the share in which the chosen word scores higher; one half by chance" in cover
    glossary = html[html.index('id="glossary"') :]
    assert '<th scope="row">AUC</th>' in glossary
    assert "Bayes factor" not in html
    unscored, html = make(outcome=None)
    assert unscored.effect_in_words == ""
    assert "of all pairs of a word" not in visible(html[: html.index('id="summary"')])


def test_context_is_printed_in_words() -> None:
    evidence, files = make_word_evidence(n=60, chosen=10)
    assert evidence.score is not None
    context = {**evidence.score.measurement.context, "missing": "0.0", "uncalibrated AUC": "0.91"}
    record = evidence.score.measurement.model_copy(update={"context": context})
    changed = evidence.revised(score=evidence.score.model_copy(update={"measurement": record}))
    report = make_report(changed, make_details(), manifest_sha256=digest("manifest"), files=files)
    assert report.results is not None
    assert [row.label for row in report.results.context] == [
        "Words without an answer",
        "AUC of the suspect’s answers alone, without the unmarked encoder’s",
    ]


def test_the_method_is_described() -> None:
    _, html = make(outcome="SUPPORTED")
    text = visible(html)
    assert "What the number does not mean" in text
    assert "No description of this method" not in text
    assert "Words that the key chose 10" in text
    assert "Candidate words, n 60" in text


def test_hostile_words_stay_text_and_stay_on_the_page() -> None:
    words = [HOSTILE, "W" * 5000, "模型" * 40, "\u202eabc\u0000<b>", "&lt;i&gt;"] * 8
    words = [f"{word}{place}" for place, word in enumerate(words)]
    evidence, files = make_word_evidence("SUPPORTED", n=40, chosen=20, words=words, suspect=HOSTILE, kind=HOSTILE)
    report = make_report(evidence, make_details(), manifest_sha256=digest("manifest"), files=files)
    html = render_html(report)
    assert "<script" not in html
    assert "<b>" not in html.replace("<body", "")
    assert "\u202e" not in html
    assert "W" * 60 not in html
    page = render(evidence, report)
    assert page.warnings == []
    assert "Annexes" in page.pages[1]
    assert "Instructions and questions" in page.pages[2]
    assert "<script>" in page.text
    assert not re.search(b"/JavaScript|/URI|/Launch", page.pdf)
    assert _beyond_the_margin(page.pdf) == []


def _beyond_the_margin(pdf: bytes) -> list[str]:
    """Characters that stand right of the text area (188 mm of 210 mm)."""
    import pypdfium2

    found = []
    for number, page in enumerate(pypdfium2.PdfDocument(pdf), 1):
        text = page.get_textpage()
        edge = 188.5 / 25.4 * 72
        for place in range(text.count_chars()):
            left, _, right, _ = text.get_charbox(place)
            if right > edge and right - left < 40 and (char := text.get_text_range(place, 1)).strip():
                found.append(f"page {number}: {char!r} at {right:.0f}")
    return found
