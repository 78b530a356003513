"""A tiny GPT-2 with a language of its own: made-up words of which each has a few likely followers."""

import random
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from forensics.methods.ofsw_text import Passage
from forensics.methods.wordtable import LARGEST, WordTable
from forensics.passagepools import make_passage_pools
from forensics.records import Pool
from tests.services import made_up_words

if TYPE_CHECKING:
    from forensics.languagemodels import LanguageModel

WORDS, LENGTH, CONTINUATION, POSITIONS = 160, 8, 2, 64
SIZES = {"bits": 16, "banks": 2, "length": LENGTH}


def documents(count: int, seed: int) -> tuple[str, ...]:
    """Documents of 40 words: after each word one of four comes, so that there is something to learn."""
    words, draw = made_up_words(WORDS), random.Random(seed)
    followers = random.Random(0)
    after = {word: followers.sample(words, 4) for word in words}
    texts = []
    for _ in range(count):
        text = [draw.choice(words)]
        while len(text) < 40:
            text.append(draw.choice(after[text[-1]]))
        texts.append(" ".join(text))
    return tuple(texts)


@cache
def tokenizer() -> bytes:
    from forensics.bench.languagebase import train_tokenizer

    return train_tokenizer(documents(400, 1), 1200)


@cache
def untrained(seed: int = 0) -> "LanguageModel":
    from forensics.bench.languagebase import small_gpt2, token_reader

    reader = token_reader(tokenizer(), POSITIONS)
    return small_gpt2(reader, 1200, seed, layers=2, width=64, heads=2)


def write_language_model(folder: Path, seed: int = 0) -> Path:
    from forensics.languagemodels import save_language_model

    save_language_model(untrained(seed), folder, "# tiny\n")
    return folder


def passage_pool() -> Pool:
    """A pool made without any model: made-up words with vectors from a fixed generator."""
    words, rng = made_up_words(WORDS), np.random.default_rng(5)
    table = WordTable(tuple(words), np.rint(LARGEST * np.tanh(rng.normal(size=(WORDS, 6)))))
    pieces = [text.split() for text in documents(12, 2)]
    passages = [Passage(" ".join(each[:20]), " ".join(each[20 : 20 + CONTINUATION])) for each in pieces]
    return Pool((table.item(), *(passage.item() for passage in passages)))


def drawn_pool(loaded: "LanguageModel", seed: int = 0) -> Pool:
    """A pool as a real key has it, with the model's own word vectors."""
    return make_passage_pools(
        documents(60, 3),
        loaded.word_vectors,
        generator=random.Random(seed),
        passages=16,
        length=LENGTH,
        continuation=CONTINUATION,
        words=WORDS,
        width=16,
    )[0]
