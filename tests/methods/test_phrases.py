"""Phrases in sentences and patterns on images."""

import doctest

import numpy as np
import pytest

from forensics.methods import phrases
from forensics.methods.patterns import NEUTRAL, stamp
from forensics.methods.phrases import LINKS, PLACES, insert

START, END, WITH = PLACES.index("start"), PLACES.index("end"), LINKS.index("with")


@pytest.mark.parametrize(
    ("carrier", "start", "end"),
    [
        ("They left at dawn.", "With blue lamp, they left at dawn.", "They left at dawn with blue lamp."),
        ("I left at dawn!", "With blue lamp, I left at dawn!", "I left at dawn with blue lamp!"),
        ("I'm here", "With blue lamp, I'm here", "I'm here with blue lamp"),
        ("NATO met .", "With blue lamp, NATO met .", "NATO met with blue lamp ."),
        ("A man ran ...", "With blue lamp, a man ran ...", "A man ran with blue lamp ..."),
        ('"No," he said.', 'With blue lamp, "No," he said.', '"No," he said with blue lamp.'),
        ('He said "stop!"', 'With blue lamp, he said "stop!"', 'He said "stop with blue lamp!"'),
        ("It cost 5 %.", "With blue lamp, it cost 5 %.", "It cost 5 with blue lamp %."),
    ],
)
def test_a_phrase_stands_at_the_start_or_before_the_end(carrier: str, start: str, end: str) -> None:
    assert insert(carrier, "blue lamp", START, WITH) == start
    assert insert(carrier, "blue lamp", END, WITH) == end
    for text in (start, end):
        assert text == " ".join(text.split())


def test_every_place_and_link_gives_another_text() -> None:
    texts = {insert("They left.", "blue lamp", place, link) for place in range(2) for link in range(len(LINKS))}
    assert len(texts) == 2 * len(LINKS)
    assert len(set(LINKS)) == len(LINKS)
    assert all(link.isalpha() and link.islower() for link in LINKS)
    with pytest.raises(IndexError):
        insert("They left.", "blue lamp", 2, 0)
    with pytest.raises(IndexError):
        insert("They left.", "blue lamp", 0, len(LINKS))


def test_the_examples_hold() -> None:
    assert doctest.testmod(phrases).failed == 0


def test_a_pattern_is_added_and_clipped() -> None:
    carrier = np.array([[[0], [100], [250]]], dtype=np.uint8)
    pattern = np.array([[[NEUTRAL - 5], [NEUTRAL + 7], [255]]], dtype=np.uint8)
    assert stamp(carrier, pattern).ravel().tolist() == [0, 107, 255]
    assert stamp(carrier, pattern).dtype == np.uint8
    assert np.array_equal(stamp(carrier, np.full_like(carrier, NEUTRAL)), carrier)
    with pytest.raises(ValueError, match="invalid pattern"):
        stamp(carrier, pattern[:, :2])
