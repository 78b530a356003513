"""Figures show what the evidence holds, and the null they draw is exact."""

import math
import re
from fractions import Fraction
from xml.etree import ElementTree

import pytest

from forensics.report.figures import (
    Figure,
    binomial_null,
    draw_bits,
    draw_null,
    draw_scores,
    draw_timeline,
    needed_count,
    signed_scores,
)
from forensics.report.tables import Event
from tests.report.cases import payload, scores, tail


def parse(figure: Figure) -> ElementTree.Element:
    return ElementTree.fromstring(figure.svg)


def texts(figure: Figure) -> list[str]:
    return [node.text or "" for node in parse(figure).iter() if node.tag.endswith("text")]


def test_null_is_the_binomial_law() -> None:
    null = binomial_null(128, Fraction(1, 2))
    assert sum(null) == 1
    assert null[64] == Fraction(math.comb(128, 64), 2**128)
    assert sum(binomial_null(40, Fraction(1, 10))) == 1


@pytest.mark.parametrize(("n", "needed"), [(64, 51), (128, 92), (256, 167)])
def test_needed_counts_at_one_in_a_million(n: int, needed: int) -> None:
    assert needed_count(binomial_null(n, Fraction(1, 2)), Fraction(1, 10**6)) == needed


def test_too_few_units_can_never_pass() -> None:
    assert needed_count(binomial_null(8, Fraction(1, 2)), Fraction(1, 10**6)) is None
    figure = draw_null(8, "0.5", 8, "0.00390625", Fraction(1, 10**6))
    assert not any("needed" in text for text in texts(figure))
    assert len(figure.table.rows) == 2


def test_null_figure_marks_observed_and_needed() -> None:
    figure = draw_null(128, "0.5", 121, "2.95e-28", Fraction(1, 1000) / 2**20)
    assert "observed: 121" in texts(figure)
    assert "needed: 98" in texts(figure)
    assert figure.table.rows[-1] == ("121", "observed in this examination", "2.95\u202f×\u202f10⁻²⁸")
    assert "121" in figure.alt


@pytest.mark.parametrize("n", [4, 16, 64, 128, 256, 1000])
def test_bits_figure_counts_what_agrees(n: int) -> None:
    target = payload(n)
    matched = n - n // 8
    figure = draw_bits(scores(target, matched), target)
    assert figure.table.rows[0][:3] == (f"{n:,}".replace(",", "\u202f"), str(matched), str(n // 8))
    assert texts(figure).count("×") == n // 8 + 1
    width = float(parse(figure).attrib["width"])
    rectangles = [node for node in parse(figure).iter() if node.tag.endswith("rect")]
    assert all(float(node.attrib["x"]) + float(node.attrib["width"]) <= width for node in rectangles)


def test_a_tie_is_a_disagreement() -> None:
    figure = draw_bits(["1.0", "1e-12", "-1.0", "0.0"], [1, 1, 0, 0])
    assert figure.table.rows[0] == ("4", "2", "2", "2, 4")
    assert texts(figure).count("–") == 2
    histogram = draw_scores(["1.0", "1e-12", "-1.0", "0.0"], [1, 1, 0, 0])
    assert [int(cell) for cell in histogram.table.rows[0][1:]] == [0, 0, 0, 2, 0, 0, 0, 2]


def test_scores_are_signed_by_the_payload() -> None:
    assert signed_scores(["0.5", "-0.25"], [0, 0]) == (-0.5, 0.25)


def test_score_figure_holds_every_item_once() -> None:
    target = payload(128)
    figure = draw_scores(scores(target, 121), target)
    assert sum(int(cell) for cell in figure.table.rows[0][1:]) == 128
    assert sum(int(cell) for cell in figure.table.rows[0][1:5]) == 7
    assert "121 lie right of zero" in figure.alt


def test_all_scores_zero_still_draws() -> None:
    figure = draw_scores(["0.0"] * 4, [0, 1, 0, 1])
    assert sum(int(cell) for cell in figure.table.rows[0][1:]) == 4


def test_timeline_orders_dates_and_names_unknown_ones() -> None:
    figure = draw_timeline(
        [
            Event("Late", "2026-03-01T00:00:00Z", "b"),
            Event("Early", "2026-02-01", "a", decides=True),
            Event("Never", None, "c"),
        ]
    )
    assert [row[0] for row in figure.table.rows] == ["Early", "Late", "Never"]
    assert figure.table.rows[2][1] == "unknown"
    assert figure.alt.index("Early") < figure.alt.index("Late")
    assert len([node for node in parse(figure).iter() if node.tag.endswith("circle")]) == 2
    assert len(re.findall('fill="#26384f" stroke', figure.svg)) == 1


def test_hostile_text_in_a_figure_stays_text() -> None:
    figure = draw_timeline([Event("<script>x</script>", "2026-02-01", "</svg>")])
    assert "<script>" not in figure.svg
    assert any("<script>" in text for text in texts(figure))


def test_tail_helper_agrees_with_the_null() -> None:
    null = binomial_null(128, Fraction(1, 2))
    assert math.isclose(tail(128, 92), float(sum(null[92:])), rel_tol=1e-12)
