"""The pages of trigger sets: words of their own, the decoys beside the test, in every language."""

import re

import pytest

from forensics.decoys import BELOW, DECOYS, SUCCESS
from forensics.evidence.schema import Evidence
from forensics.keys.claim import Claim
from forensics.methods.t2s import SPEC
from forensics.report.language import load_language
from forensics.report.recorded import known
from forensics.report.render import render_html
from forensics.report.view import make_report
from forensics.rules import draft_rule
from tests.report.cases import digest, make_details
from tests.report.conftest import render
from tests.report.familycases import CLASSES, FAMILIES, make_family_evidence
from tests.report.test_languages import FOREIGN, fragments, own_words
from tests.report.test_view import BANNED, HEADINGS, visible

TOO_FEW = "8 families of 10 classes are too few: no answers could meet the claim's rule"
RANKS = [index % 6 for index in range(FAMILIES)]


def make_set_evidence(outcome: str = "SUPPORTED", *, opened: bool = True, **context: str) -> Evidence:
    """Returns evidence of a case of trigger sets with five decoys."""
    base = make_family_evidence(outcome, opened=opened)
    assert base.score is not None
    parameters = {"kind": "pattern", "families": FAMILIES, "decoys": 5, "carriers": 16, "classes": CLASSES}
    changes = {"method": "t2s", "parameters": {**parameters, "image": [32, 32, 1]}, "rule": draft_rule(SPEC, FAMILIES)}
    claim = Claim.model_validate(Claim.model_validate(base.claim).model_copy(update=changes).model_dump(mode="json"))
    beside = {DECOYS: "5.0", SUCCESS: "0.875"}
    beside |= {BELOW.format(number): f"{rank}.0" for number, rank in enumerate(RANKS, 1)}
    measured = base.score.measurement
    measured = measured.model_copy(update={"context": {**measured.context, **beside, **context}})
    score = base.score.model_copy(update={"measurement": measured})
    return base.revised(claim=claim.model_dump(mode="json"), claim_digest=claim.digest, score=score)


def make(evidence: Evidence, code: str = "en"):
    details = make_details(review={"role": "Prüfer"}, court={"jurisdiction": "US District Court"})
    report = make_report(evidence, details, manifest_sha256=digest("manifest"), language=load_language(code))
    return report, render_html(report)


@pytest.mark.parametrize("outcome", ["SUPPORTED", "INCONCLUSIVE"])
@pytest.mark.parametrize("opened", [True, False])
def test_every_section_speaks_of_trigger_sets(outcome: str, opened: bool) -> None:
    report, html = make(make_set_evidence(outcome, opened=opened))
    text = visible(html)
    assert not [heading for heading in HEADINGS if heading not in text]
    assert not BANNED.search(text)
    assert "secret sets of pictures" in text
    assert "Trigger sets trained by rehearsal" in text
    assert not re.search(r"secret directions|smoothing|\bAUC\b|payload bits|No description of this method", text)
    assert ("families" in report.figures) is opened


def test_the_decoys_stand_beside_the_test_once() -> None:
    report, html = make(make_set_evidence())
    text = visible(html)
    assert "87.5 % of the families’ triggers get the drawn class" in text.replace("\u202f", " ").replace("\xa0", " ")
    listed = ", ".join(map(str, RANKS))
    assert f"{listed}; {RANKS.count(5)} exceed every decoy" in text
    assert "among 5 decoys (decides nothing)" in text
    assert not [row for row in report.results.context if "decoy" in str(row) or "trigger" in str(row)]


@pytest.mark.parametrize("value", ["nan", "-3.0", "0.5", "1e400"])
def test_figures_of_a_hostile_case_do_not_stop_the_report(value: str) -> None:
    _, html = make(make_set_evidence(**{BELOW.format(1): value, SUCCESS: "nan"}))
    assert f"{', '.join(map(str, RANKS))}; " in visible(html)  # what is no count is told as 0


@pytest.mark.parametrize("code", FOREIGN)
def test_no_english_sentence_is_left(code: str) -> None:
    for outcome in ("SUPPORTED", "INCONCLUSIVE"):
        report, html = make(make_set_evidence(outcome), code)
        page = own_words(html) + " ".join(figure.svg + figure.alt for figure in report.figures.values())
        assert not [part for part in fragments() if part in page]
    for sentence in (TOO_FEW, SPEC.missing, SPEC.null, SPEC.ties, SPEC.effect_name, *SPEC.deciding.values()):
        assert known(sentence, load_language(code)) not in (None, sentence)


def test_the_pages_are_laid_out() -> None:
    evidence = make_set_evidence()
    page = render(evidence, make(evidence)[0])
    assert not page.warnings
    assert "Family by family" in page.text
