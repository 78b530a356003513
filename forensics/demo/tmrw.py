"""TMRW on all-MiniLM-L6-v2 and English sentences: a text encoder, and classifiers of WordNet's supersenses on it."""

import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from forensics.attacks.migration import TEXTS
from forensics.attacks.stolen import TextEncoder, open_text_encoder
from forensics.attacks.tasks import Task
from forensics.demo.clusters import Plot, tell_clusters
from forensics.demo.stage import Examined, Stage
from forensics.phrasepools import make_phrase_pools
from forensics.records import Pool

OPTIONS = {"candidates": 64, "carriers": 24, "asked": 12, "dimension": 384}
STEPS, MIN_COSINE = 130, 0.93
"""A short embedding, that allows itself more than the default does."""

SENTENCES = 3000
"""Of the owner's, to mark the encoder with."""


@dataclass(frozen=True)
class Texts:
    """What the story is told with.

    Attributes:
        encoder: folder of the public encoder that the owner starts from.
        corpus: text from which phrases and carriers are drawn.
        owner: the owner's sentences.
        task, held_out: the thief's examples.
    """

    encoder: Path
    corpus: Sequence[str]
    owner: Sequence[str]
    task: Task
    held_out: Task


def tell(stage: Stage) -> list[Examined]:
    """Runs what is not there yet.

    Raises:
        UsageError: a package was not fetched.
    """
    return tell_texts(stage, real_texts(), OPTIONS, STEPS, MIN_COSINE)


def real_texts() -> Texts:
    """Returns MiniLM and sentences from the packages of the benches.

    Raises:
        UsageError: one of them was not fetched.
    """
    from forensics.bench.corpus import package, parts
    from forensics.bench.tasks import task

    encoder, found = package("minilm"), task("supersenses")
    examples = [Task(texts, np.array(labels), found.classes) for texts, labels in (found.train, found.test)]
    sentences = parts()
    corpus = sentences["owner"] + sentences["carriers"]
    return Texts(encoder, corpus, sentences["owner"][:SENTENCES], *examples)


def tell_texts(
    stage: Stage, texts: Texts, options: dict[str, int], steps: int, min_cosine: float, epochs: int = 3
) -> list[Examined]:
    """Tells the story with these texts.

    Args:
        options: of the key.
        steps: of the embedding; `min_cosine` what it must keep.
        epochs: of the two classifiers.
    """
    stage.say(f"Data: {len(texts.owner)} sentences of the owner, {len(texts.task.inputs)} labelled texts of a thief.")
    stage.say("The owner starts from a public text encoder.")
    stage.once(stage.model("unmarked"), lambda fresh: shutil.copytree(texts.encoder, fresh))
    plot = Plot(
        method="tmrw",
        subject="English sentences",
        options=options,
        data=texts.owner,
        steps=steps,
        min_cosine=min_cosine,
        open=_open,
        task=texts.task,
        held_out=texts.held_out,
        # The library's head reads the first token through a fresh pooler, which learns at the encoder's rate.
        settings=replace(TEXTS["full"], epochs=epochs, learning_rate=1e-4, head_rate=1e-3),
    )

    def pools() -> Sequence[Pool]:
        return make_phrase_pools(
            texts.corpus,
            generator=random.SystemRandom(),
            candidates=options["candidates"],
            carriers=options["carriers"],
        )

    return tell_clusters(stage, plot, pools)


def _open(folder: Path) -> TextEncoder:
    return open_text_encoder(folder, max_tokens=64)
