"""Toy texts of four classes, and a small text classifier with random weights and their tokenizer."""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from forensics.records import FloatArray, Pool
from forensics.textpools import make_text_pools
from forensics.training.labelledtexts import LabelledTexts
from tests.suspects.encoders import VOCABULARY, write_tokenizer

NAMES = ("earth", "water", "air", "fire")
SYLLABLES = ("ba", "de", "fi", "go", "hu", "ka", "le", "mi", "no", "pu")
WORDS = tuple(sorted(first + second for first in SYLLABLES for second in SYLLABLES))
"""A hundred words; the first forty belong to the classes, ten to each."""


def toy_texts(count: int, seed: int, classes: int = len(NAMES)) -> LabelledTexts:
    """Twelve words a text, of which three or so belong to its class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % classes
    texts = []
    for label in labels:
        own = rng.random(12) < 0.25
        numbers = np.where(own, 10 * label + rng.integers(0, 10, 12), rng.integers(40, len(WORDS), 12))
        texts.append(" ".join(WORDS[number] for number in numbers).capitalize() + ".")
    return LabelledTexts(texts, labels, NAMES[:classes])


def save_texts(data: LabelledTexts, folder: Path) -> Path:
    """Writes a data set that `load_labelled_texts` reads."""
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=list(data.names))})
    rows = {"text": list(data.texts), "label": data.labels.tolist()}
    Dataset.from_dict(rows, features=features).save_to_disk(str(folder))
    return folder


def write_toy_classifier(folder: Path, seed: int = 0, names: tuple[str, ...] = NAMES) -> Path:
    """Writes a small BERT classifier with random weights, and its tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    config = AutoConfig.for_model(
        "bert",
        vocab_size=len(VOCABULARY) + len(WORDS),
        max_position_embeddings=64,
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=1,
        num_attention_heads=4,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.2,
        pad_token_id=0,
        id2label=dict(enumerate(names)),
        label2id={name: index for index, name in enumerate(names)},
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    write_tokenizer(folder, WORDS)
    return folder


def toy_vectors(words: Sequence[str]) -> FloatArray:
    """Random vectors of the toy's words, the same for every call; NaN for others."""
    table = np.random.default_rng(6).normal(size=(len(WORDS), 40))
    return np.stack([table[WORDS.index(word)] if word in WORDS else np.full(40, np.nan) for word in words])


def text_pool(count: int, names: tuple[str, ...] = NAMES) -> Pool:
    """The pool of a share with so many texts."""
    data = toy_texts(2 * count, 5, len(names))
    return make_text_pools(data.texts, data.labels.tolist(), toy_vectors, generator=random.Random(3), size=count)[0]
