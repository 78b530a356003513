"""The report of a trigger-cluster key: real cases of TMRW and WPE at every access level, opened and sealed."""

import json
import re
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest

from forensics.evidence.afterwards import is_complete
from forensics.evidence.case import TRANSCRIPT, CaseFolder
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.keys.folder import UnlockedKey
from forensics.methods.tmrw import METHOD as TMRW
from forensics.methods.wpe import METHOD as WPE
from forensics.nouns import nouns_of
from forensics.records import AnswerKind
from forensics.report.projection import draw_projection
from forensics.report.ranks import doubled_ranks, rank_law
from forensics.report.render import render_html
from forensics.report.view import Report, make_report
from forensics.report.wordfigures import draw_rank_null
from tests.clusters import ASKED, CANDIDATES, CARRIERS, SENTENCES
from tests.report.cases import digest, make_details
from tests.report.clustercases import ClusterModel, examined, make_key, report_of
from tests.report.conftest import render
from tests.report.test_view import BANNED, HEADINGS, visible

PLANNED = CARRIERS * (1 + CANDIDATES)
QUESTIONS = CARRIERS + ASKED * CANDIDATES
MARKED, UNMARKED = 2.0, 0.0
ACCESS = {
    "features": (AnswerKind.VECTORS, "ranked by how they move its vectors", "the suspect gave vectors."),
    "scores": (
        AnswerKind.LOGITS,
        "ranked by how they move the probabilities of its classes",
        "the suspect gave probabilities of classes.",
    ),
    "labels": (
        AnswerKind.LABELS,
        "ranked by how they change the class that it names",
        "the suspect gave the names of classes alone.",
    ),
}


@pytest.fixture(scope="module")
def authority() -> DemonstrationAuthority:
    return DemonstrationAuthority.create()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory, authority: DemonstrationAuthority) -> dict[str, UnlockedKey]:
    folder = tmp_path_factory.mktemp("keys")
    return {method: make_key(folder / method, method, authorities=[authority]) for method in ("tmrw", "wpe")}


@pytest.fixture(scope="module")
def phrases(keys: dict[str, UnlockedKey], tmp_path_factory: pytest.TempPathFactory) -> CaseFolder:
    """An opened case of a marked encoder of texts, read by its vectors."""
    suspect = ClusterModel(keys["tmrw"], AnswerKind.VECTORS, MARKED)
    return examined(keys["tmrw"], tmp_path_factory.mktemp("phrases") / "case", suspect)


def page(report: Report) -> str:
    return visible(render_html(report))


@pytest.mark.parametrize("access", ACCESS)
@pytest.mark.parametrize("method", ["tmrw", "wpe"])
def test_every_access_level_is_concluded_in_the_methods_own_words(
    keys: dict[str, UnlockedKey], tmp_path: Path, method: str, access: str
) -> None:
    kind, ranked, read = ACCESS[access]
    case = examined(keys[method], tmp_path / "case", ClusterModel(keys[method], kind, MARKED))
    report, noun = report_of(case), "phrase" if method == "tmrw" else "pattern"
    assert report.outcome == "SUPPORTED"
    assert f"of the 14 {noun}s that the key chose are among the 14 at one end of all 28 {ranked}" in report.conclusion
    assert "chance alone would set them as far apart in fewer than one in" in report.conclusion
    text = page(report)
    assert read in text
    assert f"{noun.capitalize()} by {noun}" in text
    other = "patterns" if method == "tmrw" else "phrases"
    assert other not in text.replace("words, phrases or patterns", "")
    assert set(report.figures) == {"timeline", "null", "words", "projection"}
    foreign = re.compile(r"payload bits?\b|\bwords that the key|chosen words?|candidate words?|trigger words?", re.I)
    assert not foreign.search(text)
    assert "Exact p-value, two-sided" in text
    assert ("not vectors: a mark that does not reach its own task stays unseen" in text) == (access != "features")


@pytest.mark.parametrize("kind", ["marked", "unmarked", "sealed", "unscored"])
@pytest.mark.parametrize("method", ["tmrw", "wpe"])
def test_every_variant_has_every_section_and_no_word_of_another_method(
    keys: dict[str, UnlockedKey], tmp_path: Path, method: str, kind: str
) -> None:
    shift = UNMARKED if kind == "unmarked" else MARKED
    suspect = ClusterModel(keys[method], AnswerKind.LOGITS, shift)
    case = examined(keys[method], tmp_path / "case", suspect, scored=kind != "unscored", opened=kind != "sealed")
    report = report_of(case)
    html = render_html(report)
    found = re.findall(r'<h2[^>]*><span class="no">(\d+)</span>([^<]+)</h2>', html)
    assert [(int(number), title) for number, title in found] == list(enumerate(HEADINGS, 1))
    text = visible(html)
    assert not BANNED.search(text)
    assert "None" not in text.replace("None was computed", "")
    assert not re.search(r"payload bits?\b|words that the key|candidate words?|Word by word|Bit by bit", text)
    many = report.nouns.many
    assert f"It was asked {QUESTIONS} questions" in text
    assert f"Then {ASKED} of these {CARRIERS} were asked again, each with every one of the {CANDIDATES} {many}" in text
    if kind == "sealed":
        assert f"The item scores and the {many} are sealed" in text
        assert set(report.figures) == {"timeline", "null"}
        assert report.annex.items == ()
        assert not any(sentence in text for sentence in SENTENCES)
    if kind == "unmarked":
        assert report.outcome in ("NOT_SUPPORTED", "INCONCLUSIVE")
        assert "projection" in report.figures
    if kind == "unscored":
        assert set(report.figures) == {"timeline"}


def test_skipped_questions_are_neither_asked_nor_missing(phrases: CaseFolder) -> None:
    report = report_of(phrases)
    rows = {row.label: row.value for row in report.exhibits.acquisition}
    assert rows["Questions planned"] == f"{PLANNED}: 6 sentences alone, and each of them with 28 phrases"
    assert rows["Questions asked"] == f"{QUESTIONS}: 6 sentences alone, then 4 of them with 28 phrases"
    assert rows["Not asked, by the rule of the second pass"] == f"{PLANNED - QUESTIONS}; they count neither way"
    assert rows["Answers recorded"] == f"{QUESTIONS}; missing: 0"
    asked = [one.asked for one in report.exhibits.material.texts]
    assert sorted(asked) == ["alone"] * 2 + ["alone and with phrases"] * 4
    assert [one.text for one in report.exhibits.material.texts] == list(SENTENCES)


def test_a_missing_answer_is_told_from_one_that_was_not_asked_for(keys: dict[str, UnlockedKey], tmp_path: Path) -> None:
    key = keys["tmrw"]
    suspect = ClusterModel(key, AnswerKind.VECTORS, MARKED)
    # Of vectors, the first groups of the plan are asked, so that their questions follow the heads.
    suspect.silent = frozenset(suspect.digests[CARRIERS : CARRIERS + 3])
    report = report_of(examined(key, tmp_path / "case", suspect))
    rows = {row.label: row.value for row in report.exhibits.acquisition}
    assert rows["Answers recorded"] == f"{QUESTIONS - 3}; missing: 3"


@pytest.mark.parametrize("files", [{}, {TRANSCRIPT: b"{}\n"}])
def test_without_the_right_transcript_nothing_is_counted_as_asked(phrases: CaseFolder, files: dict[str, bytes]) -> None:
    report = make_report(phrases.evidence, make_details(), manifest_sha256=digest("manifest"), files=files)
    text = page(report)
    assert report.exhibits.questions.asked == ""
    assert "Questions asked not known: the transcript is not the one that the evidence names" in text
    assert "Questions were put to it" in text
    assert "missing: " not in text


def test_complete_means_every_question_that_the_rule_does_not_leave_out(phrases: CaseFolder) -> None:
    raw = phrases.content[TRANSCRIPT]
    lines = raw.splitlines(keepends=True)
    assert json.loads(lines[-1])["answered"] == QUESTIONS < PLANNED == len(phrases.evidence.plan.probes)
    assert is_complete(phrases.evidence, raw)
    assert not is_complete(phrases.evidence, b"".join(lines[:-1]))


def test_the_published_figures_decide_nothing_and_say_what_is_wrong(phrases: CaseFolder) -> None:
    report = report_of(phrases)
    assert report.results is not None
    assert report.results.published is not None
    names = [row[0] for row in report.results.published.rows]
    assert names[0] == "cosine with the secret direction"
    assert [row[2] for row in report.results.published.rows[1:]] == ["none"] * 5
    assert len(report.results.caveats) == 4
    assert all("decides nothing" in one for one in report.results.caveats)
    assert report.results.caveats[1].startswith("Mean cosine of pairs, triggers; mean cosine of pairs, decoys: ")
    text = page(report)
    for said in ("Silhouette", "Share in the commonest class", "Mean cosine of pairs, and resultant length"):
        assert said in text
    assert "They do not enter the verdict" in text


def test_terms_are_in_the_glossary_where_they_are_used(phrases: CaseFolder) -> None:
    html = render_html(report_of(phrases))
    glossary = html[html.index('id="glossary"') :]
    for term in ("AUC", "Carrier", "Decoy", "Principal component"):
        assert f'<th scope="row">{term}</th>' in glossary
    cover = visible(html[: html.index('id="summary"')])
    assert "AUC in either direction: of all pairs of a phrase that the key chose" in cover


def test_the_projection_tells_the_halves_apart_by_shape(phrases: CaseFolder) -> None:
    figure = report_of(phrases).figures["projection"]
    tree = ElementTree.fromstring(figure.svg)
    circles = [node for node in tree.iter() if node.tag.endswith("circle")]
    triangles = [node for node in tree.iter() if node.tag.endswith("path") and node.attrib["d"].endswith("Z")]
    assert (len(circles), len(triangles)) == (14 + 1, 14 + 1)
    assert {node.attrib["fill"] for node in circles} == {"none"}
    assert "none" not in {node.attrib["fill"] for node in triangles}
    said = [node.text or "" for node in tree.iter() if node.tag.endswith("text")]
    assert {"chosen by the key (14)", "decoys (14)", "average of all 28 phrases"} <= set(said)
    assert [row[1] for row in figure.table.rows] == ["14", "14"]
    assert phrases.evidence.score is not None
    record = phrases.evidence.score.measurement
    assert record.projection is not None
    assert record.items == record.projection[::2]


def test_marks_in_one_place_are_drawn_once_with_their_number(keys: dict[str, UnlockedKey]) -> None:
    nouns = nouns_of(keys["wpe"].claim)
    places = ["1.0", "0.0"] * 3 + ["-1.0", "0.0"] * 2 + ["0.5", "0.25"]
    figure = draw_projection(places, [1, 1, 0, 0, 0, 1], nouns)
    said = [node.text or "" for node in ElementTree.fromstring(figure.svg).iter() if node.tag.endswith("text")]
    assert sorted(text for text in said if text.startswith("×")) == ["×2", "×2"]
    assert figure.svg.count("<circle") == 2 + 1
    assert figure.table.rows[0][2:] == ("0.5 to 1", "0 to 0.25")
    explained = "A number such as ×2 counts the marks of one shape in one place."
    assert figure.caption.endswith(explained)
    assert explained not in draw_projection(["1.0", "0.0", "-1.0", "0.5"], [1, 0], nouns).caption


def test_odd_projections_still_draw_and_endless_ones_do_not(keys: dict[str, UnlockedKey]) -> None:
    nouns = nouns_of(keys["tmrw"].claim)
    for places in (["0.0"] * 8, ["1e-300"] * 8, ["-5.0"] * 8):
        assert "nan" not in draw_projection(places, [1, 0, 1, 0], nouns).svg
    with pytest.raises(ValueError, match="out of range"):
        draw_projection(["inf"] * 8, [1, 0, 1, 0], nouns)


@pytest.mark.parametrize("scores", [(3.0, 1.0, 2.0, 5.0, 4.0, 0.5), (1.0, 1.0, 2.0, 2.0, 2.0, 7.0), (1.0,) * 6])
@pytest.mark.parametrize("chosen", [2, 3])
def test_both_tails_are_those_of_all_subsets(scores: tuple[float, ...], chosen: int) -> None:
    ranks = doubled_ranks(scores)
    law = rank_law(ranks, chosen)
    assert law is not None
    sums = [sum(subset) for subset in combinations(ranks, chosen)]
    mean = Fraction(sum(sums), len(sums))
    for place, tail in enumerate(law.both_tails()):
        apart = abs(law.least + place * law.unit - mean)
        assert tail == Fraction(sum(abs(one - mean) >= apart for one in sums), len(sums))


def test_the_drawn_null_has_the_evidences_own_p_value(phrases: CaseFolder) -> None:
    assert phrases.evidence.score is not None
    record = phrases.evidence.score.measurement
    ranks = doubled_ranks([float(item) for item in record.items or ()])
    law = rank_law(ranks, 14)
    assert law is not None
    assert float(law.both_tails()[law.place(Fraction(record.value))]) == pytest.approx(float(record.p_value))


@pytest.mark.parametrize("observed", ["602.0", "210.0"])
def test_the_null_figure_marks_what_is_needed_on_either_side(keys: dict[str, UnlockedKey], observed: str) -> None:
    law = rank_law(range(2, 58, 2), 14)
    assert law is not None
    figure = draw_rank_null(
        law, 28, observed, "5e-8", Fraction(1, 10**4), nouns_of(keys["tmrw"].claim), exact_ranks=True
    )
    said = [node.text or "" for node in ElementTree.fromstring(figure.svg).iter() if node.tag.endswith("text")]
    needed = sorted(float(text.removeprefix("needed: ")) for text in said if text.startswith("needed: "))
    assert len(needed) == 2
    assert sum(needed) == pytest.approx(29.0, abs=0.11)
    assert f"observed: {float(observed) / 28:.1f}" in said
    assert "both ends count" in figure.caption
    assert figure.table.head[2] == "Probability of at least as far out by chance"


@pytest.mark.parametrize("shift", [MARKED, -MARKED])
def test_the_chosen_ones_stand_first_whichever_end_they_lie_at(
    keys: dict[str, UnlockedKey], tmp_path: Path, shift: float
) -> None:
    report = report_of(examined(keys["tmrw"], tmp_path / "case", ClusterModel(keys["tmrw"], AnswerKind.VECTORS, shift)))
    table = report.figures["words"].table
    assert [row[place] for row in table.rows for place in (3, 7)] == ["yes"] * 14
    assert table.head[1] == "Phrase"


def test_a_turned_ranking_that_contradicts_the_count_is_not_drawn(phrases: CaseFolder) -> None:
    assert phrases.evidence.score is not None
    wrong = phrases.evidence.score.measurement.model_copy(update={"matched": 12})
    changed = phrases.evidence.revised(score=phrases.evidence.score.model_copy(update={"measurement": wrong}))
    report = make_report(changed, make_details(), manifest_sha256=digest("manifest"), files=phrases.content)
    assert set(report.figures) == {"timeline", "null"}
    assert "do not give the recorded count" in report.figure_notes["single"]


def test_a_pool_of_images_has_no_texts_and_a_list_without_them(keys: dict[str, UnlockedKey], tmp_path: Path) -> None:
    case = examined(keys["wpe"], tmp_path / "case", ClusterModel(keys["wpe"], AnswerKind.LABELS, MARKED))
    report = report_of(case)
    assert report.exhibits.material.texts == ()
    assert report.annex.items_columns == 4
    assert "candidate" not in report.annex.items_lead
    assert len(report.annex.items) == 28
    assert sum(item[3] == "yes" for item in report.annex.items) == 14


def test_both_methods_are_two_sided_and_words_are_not(keys: dict[str, UnlockedKey]) -> None:
    for method in (TMRW, WPE):
        nouns = nouns_of(keys[method.spec.name].claim)
        assert nouns.two_sided is method.spec.two_sided is True
        assert nouns.clusters


def test_the_pages_are_laid_out(phrases: CaseFolder) -> None:
    laid = render(phrases.evidence, report_of(phrases))
    assert laid.warnings == []
    assert "Where the phrases lie" in laid.text
    assert "Annexes" in laid.pages[1]
    assert "Instructions and questions" in laid.pages[2]
