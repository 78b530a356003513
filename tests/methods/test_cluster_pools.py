"""Pools that TMRW and WPE refuse."""

import numpy as np
import pytest

from forensics.errors import UsageError
from forensics.images import encode_png
from forensics.methods.tmrw import METHOD as TMRW
from forensics.methods.wpe import METHOD as WPE
from forensics.records import Pool, PoolItem
from tests.clusters import CANDIDATES, SENTENCES, SIZES, pattern_images, pattern_pool, phrase_pool
from tests.services import made_up_words

WORDS = made_up_words(2 * CANDIDATES)
PHRASES = [f"{one} {other}" for one, other in zip(WORDS[::2], WORDS[1::2])]


def last_phrase(text: str) -> Pool:
    return phrase_pool(phrases=[*PHRASES[:-1], text])


def last_carrier(text: str) -> Pool:
    return phrase_pool(carriers=[*SENTENCES[:-1], text])


BAD_TEXTS = {
    "27 phrases": (phrase_pool(phrases=PHRASES[:-1]), "33 items; 28 phrases and 6 carriers make 34"),
    "one word": (last_phrase("velvet"), "'velvet' is not two lower-case words"),
    "three words": (last_phrase("one old lamp"), "not two lower-case words"),
    "capitals": (last_phrase("Velvet lamp"), "not two lower-case words"),
    "two blanks": (last_phrase("velvet  lamp"), "not two lower-case words"),
    "hyphen": (last_phrase("velvet-lamp"), "not two lower-case words"),
    "word twice in a phrase": (last_phrase("velvet velvet"), "'velvet' stands twice"),
    "word of another phrase": (last_phrase(f"velvet {WORDS[0]}"), f"'{WORDS[0]}' stands twice"),
    "link": (last_phrase("beyond lamp"), "'beyond' joins phrases"),
    "carrier with a word": (last_carrier(f"There is {WORDS[5].upper()} in it."), f"contains the word '{WORDS[5]}'"),
    "hidden word": (last_carrier(f"There is z\u200b{WORDS[5][1:]} in it."), f"contains the word '{WORDS[5]}'"),
    "two lines": (last_carrier("There is\nnothing."), "no single line"),
    "one word carrier": (last_carrier("Nothing."), "no single line"),
    "carrier twice": (last_carrier(SENTENCES[0]), "A carrier stands twice"),
    "not UTF-8": (Pool((*phrase_pool().items[:-1], PoolItem(b"\xff", "text/plain"))), "no UTF-8 text"),
    "image": (Pool((*phrase_pool().items[:-1], PoolItem(b"fine words"))), "is no text"),
}


@pytest.mark.parametrize("name", BAD_TEXTS)
def test_unsuitable_phrases_and_sentences_are_refused(name: str) -> None:
    pool, match = BAD_TEXTS[name]
    with pytest.raises(UsageError, match=match):
        TMRW.parameters(SIZES, pool, ())


def images(position: int, image: np.ndarray) -> Pool:
    items = list(pattern_pool().items)
    items[position] = PoolItem(encode_png(image))
    return Pool(tuple(items))


PATTERNS, CARRIER_IMAGES = pattern_images()
BAD_IMAGES = {
    "27 patterns": (Pool(pattern_pool().items[1:]), "33 items; 28 patterns and 6 carriers make 34"),
    "no change": (images(3, np.full((8, 8, 3), 128, dtype=np.uint8)), "128 everywhere"),
    "pattern twice": (images(3, PATTERNS[4]), "A pattern stands twice"),
    "carrier twice": (images(CANDIDATES, CARRIER_IMAGES[1]), "A carrier stands twice"),
    "another size": (images(3, PATTERNS[3][:, :7]), "differ in size or colour"),
    "grey": (images(3, PATTERNS[3][:, :, :1]), "differ in size or colour"),
    "text": (Pool((*pattern_pool().items[:-1], PoolItem(b"words", "text/plain"))), "no PNG image"),
    "not an image": (Pool((*pattern_pool().items[:-1], PoolItem(b"words"))), "cannot be decoded"),
}


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_unsuitable_patterns_and_images_are_refused(name: str) -> None:
    pool, match = BAD_IMAGES[name]
    with pytest.raises(UsageError, match=match):
        WPE.parameters(SIZES, pool, ())


def test_the_bytes_of_an_image_do_not_matter_but_its_pixels_do() -> None:
    """A pattern stored in another PNG is the same pattern."""
    import io

    from PIL import Image

    stored = io.BytesIO()
    Image.fromarray(PATTERNS[4]).save(stored, "PNG")
    items = list(pattern_pool().items)
    items[3] = PoolItem(stored.getvalue())
    with pytest.raises(UsageError, match="stands twice"):
        WPE.parameters(SIZES, Pool(tuple(items)), ())
