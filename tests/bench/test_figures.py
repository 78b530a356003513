"""Figures of the pages: what they draw is what the rows say, and innocents stand beside every attack."""

from typing import Any
from xml.etree import ElementTree

from forensics.bench.figures import survival_lines, survival_svg

NAMES = {"features": "vectors", "scores": "probabilities", "labels": "classes alone"}
SVG = "{http://www.w3.org/2000/svg}"


def _row(attack: str, access: str, log10_p: float, innocent: bool, model: str = "MiniLM") -> dict[str, Any]:
    suspect = f"{'unmarked' if innocent else 'marked'} {model}"
    facts = {"method": "tmrw", "suspect": suspect, "attack": attack}
    return {**facts, "access": access, "log10_p": log10_p, "innocent": innocent}


def test_an_attack_without_innocents_is_not_drawn() -> None:
    rows = [
        _row("none", "features", -27.5, False),
        _row("none", "features", -0.2, True),
        _row("none", "labels", -20.0, False),
        _row("fp16", "features", -27.5, False),
        _row("fp16", "features", -0.1, True, "another encoder"),
    ]
    lines = survival_lines(rows)
    assert [line.label for line in lines] == ["tmrw, MiniLM: none"]
    assert lines[0].guilty == {"features": (-27.5,)}
    assert lines[0].innocent == {"features": (-0.2,)}


def test_a_smaller_p_value_lies_further_right_and_labels_are_escaped() -> None:
    rows = [
        _row("<b>", "features", -25.0, False),
        _row("<b>", "features", -5.0, False),
        _row("<b>", "features", -0.0, True),
    ]
    drawn = survival_svg("a & b", survival_lines(rows), NAMES, -9.0)
    root = ElementTree.fromstring(drawn)
    places = [float(mark.attrib["cx"]) for mark in root.iter(f"{SVG}circle")][2:]
    innocent, *guilty = places
    assert len(guilty) == 2
    assert innocent < min(guilty)
    assert root.find(f"{SVG}title").text == "a & b"  # type: ignore[union-attr]
    assert any(text.text == "<b>" for text in root.iter(f"{SVG}text"))
    dashed = next(path for path in root.iter(f"{SVG}path") if "stroke-dasharray" in path.attrib)
    limit = float(dashed.attrib["d"][1:].split()[0])
    assert min(guilty) < limit < max(guilty)
