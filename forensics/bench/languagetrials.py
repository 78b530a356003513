"""Trials of the language-model bench: a key's model, what a thief does to it, what either answers."""

import dataclasses
import random
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any, Literal

import numpy as np
import torch

from forensics.attacks.compression import fp16
from forensics.attacks.encoders import overwrite
from forensics.attacks.languagemodels import compress_blocks, distil_text, finetune_text, fresh_model
from forensics.bench.keys import BenchKey, passage_key
from forensics.bench.languagebase import Ground, clone, train_plain
from forensics.bench.results import address
from forensics.canonical import through_decimals
from forensics.codec import join_answers
from forensics.languagemodels import LanguageModel
from forensics.passagepools import make_passage_pools
from forensics.records import AnswerKind, Answers, Pool
from forensics.suspects.languagemodel import LanguageModelSuspect
from forensics.training.loop import Schedule, optimise
from forensics.training.ofsw_text import DEFAULT, Embedding, Recipe, train_last_blocks
from forensics.training.textdata import perplexity

RECIPE = DEFAULT
"""The recipe of the bench."""

LAST_BLOCKS = Recipe(Schedule(120, learning_rate=1e-3), rows=2, blocks=4)
"""For SmolLM2: four of its thirty blocks."""

Attack = Callable[[Ground, LanguageModel, BenchKey, int], None]
"""Changes a model in place; the key is the owner's, of which an attack uses what its name says, the number a seed."""

STRANGER = Schedule(1000, learning_rate=1.5e-3, constant=0.3, warm_up=100, weight_decay=0.01)
"""Training of a model that has nothing to do with the owner's."""

TUNED, DISTILLED, TOP = 500, 1500, 20
"""Steps of fine-tuning (about one pass of the thief's text) and of distillation; tokens listed beside the likeliest."""


def make_key(
    start: Ground, number: int, bits: int, text: Literal["pool", "thief"] = "pool", pool_seed: int | None = None
) -> BenchKey:
    """Makes the key of that number.

    Args:
        text: part from which the passages are.
        pool_seed: draws them; the key's number by default.
    """
    pool = _passages(start, text, number if pool_seed is None else pool_seed)
    return passage_key(number, pool, {"bits": bits}, start.base.identity.digest)


@lru_cache(maxsize=4)
def _passages(start: Ground, text: str, seed: int) -> Pool:
    return make_passage_pools(start.texts[text], start.base.word_vectors, generator=random.Random(seed))[0]


def marked_model(start: Ground, made: BenchKey, recipe: Recipe = RECIPE, *, keep: bool = True) -> LanguageModel:
    """Returns the owner's model with a key's mark, from the cache or trained now."""

    def build() -> LanguageModel:
        model = clone(start.base)
        secrets, parameters = made.secrets, made.claim.parameters
        embedding = Embedding(model, start.data["owner"], secrets, made.pool, parameters, recipe, made.number)
        optimise(embedding.model, embedding.step, recipe.schedule, label="Embedding")
        embedding.model.eval()
        return model

    name = f"marked-{made.claim.rule.n}-{made.number}-{address((made.claim.digest, recipe))}"
    return start.cached(name, build) if keep else build()


def control_model(start: Ground, recipe: Recipe = RECIPE, seed: int = 0) -> LanguageModel:
    """Returns the same unmarked model trained on for as long, on as much text, without a mark."""

    def build() -> LanguageModel:
        model = clone(start.base)
        if recipe.blocks is not None:
            train_last_blocks(model.model, recipe.blocks)
        train_plain(model, start.data["owner"], recipe.schedule, seed, rows=recipe.rows)
        return model

    facts = (recipe.schedule, recipe.rows, recipe.blocks, seed)
    return start.cached(f"control-{address(facts)}", build)


def stranger(start: Ground, seed: int) -> LanguageModel:
    """Returns a model of the base's tokenizer and layout that the thief trained from first weights, on his text."""

    def build() -> LanguageModel:
        model = start.base.with_model(fresh_model(start.base.model, seed))
        train_plain(model, start.data["thief"], STRANGER, seed)
        return model

    return start.cached(f"stranger-{address((STRANGER, seed))}", build)


def heldout_perplexity(start: Ground, loaded: LanguageModel) -> float:
    """Returns the perplexity on text that neither owner nor thief trains on."""
    return perplexity(loaded.model, start.data["test"], start.tested)


def summed(loaded: LanguageModel, made: BenchKey) -> Answers:
    """Returns the log-probabilities of whole continuations, as a service that echoes them gives."""
    suspect, probes, size = LanguageModelSuspect(loaded), made.plan.probes, made.plan.batch_size
    return join_answers([suspect.answer(probes[start : start + size]) for start in range(0, len(probes), size)])


def first_tokens(loaded: LanguageModel, made: BenchKey) -> Answers:
    """Returns what one query a view gives where no text is echoed: the first token among the likeliest.

    A token that is not listed counts as the least likely that is, as in `suspects.remote.completions`.
    """
    probes = made.plan.probes
    splits = loaded.split([each.data.decode() for each in probes], [each.continuation.decode() for each in probes])
    values = np.full((len(probes), 1), np.nan, dtype=np.float32)
    model: Any = loaded.model
    by_length: dict[int, list[int]] = {}
    for row, split in enumerate(splits):
        if split is not None:
            by_length.setdefault(split.start, []).append(row)
    for alike in by_length.values():
        for start in range(0, len(alike), loaded.rows):
            batch = alike[start : start + loaded.rows]
            parts = [each for each in (splits[row] for row in batch) if each is not None]
            ids = torch.from_numpy(np.stack([each.ids[: each.start] for each in parts]))
            wanted = torch.tensor([int(each.ids[each.start]) for each in parts])
            with torch.inference_mode():
                likely = model(input_ids=ids, use_cache=False, logits_to_keep=1).logits[:, 0].log_softmax(dim=1)
            least = likely.topk(TOP, dim=1).values[:, -1:]
            values[batch] = torch.maximum(likely.gather(1, wanted[:, None]), least).numpy()
    decimals = through_decimals(values)
    return Answers(AnswerKind.LOG_PROBABILITIES, decimals, ~np.isfinite(decimals).all(axis=1))


def _finetune(rate: float, start: Ground, model: LanguageModel, made: BenchKey, seed: int) -> None:
    finetune_text(model.model, start.data["thief"], TUNED, rate, seed=seed)


def _compress(share: float, bits: int | None, start: Ground, model: LanguageModel, made: BenchKey, seed: int) -> None:
    compress_blocks(model.model, share=share, bits=bits)


def _halve(start: Ground, model: LanguageModel, made: BenchKey, seed: int) -> None:
    fp16(model.model)


def _distil(start: Ground, model: LanguageModel, made: BenchKey, seed: int) -> None:
    student = fresh_model(model.model, 900 + seed)
    distil_text(student, model.model, start.data["thief"], DISTILLED, 1.5e-3, seed=seed)
    model.model.load_state_dict(student.state_dict())


def _train_mark(kind: str, start: Ground, model: LanguageModel, made: BenchKey, seed: int) -> None:
    """Trains a mark of the thief's own, or against the owner's: with his payload, or with his kernels as well.

    The thief has neither the owner's passages nor his views: he filters passages of his own text.
    """
    own = make_key(start, 5000 + seed, made.claim.rule.n, "thief")
    secrets = (made.secrets[0], own.secrets[1]) if kind == "kernels" else own.secrets
    recipe = dataclasses.replace(DEFAULT, schedule=Schedule(400, learning_rate=1e-3))
    embedding = Embedding(model, start.data["thief"], secrets, own.pool, own.claim.parameters, recipe, seed)
    if kind != "overwrite":
        target = Embedding(model, start.data["thief"], made.secrets, made.pool, made.claim.parameters, recipe)
        embedding.signs = -target.signs
    overwrite(embedding.model, embedding.step, recipe.schedule.steps, recipe.schedule.learning_rate, seed=seed)


ATTACKS: Mapping[str, Attack] = {
    "fp16": _halve,
    "int8": partial(_compress, 0.0, 8),
    "int4": partial(_compress, 0.0, 4),
    "pruning 30 %": partial(_compress, 0.3, None),
    "pruning 50 %": partial(_compress, 0.5, None),
    "fine-tuning, 500 steps, 1e-4": partial(_finetune, 1e-4),
    "fine-tuning, 500 steps, 1e-3": partial(_finetune, 1e-3),
    "overwriting with another key": partial(_train_mark, "overwrite"),
    "unlearning, payload known": partial(_train_mark, "payload"),
    "unlearning, payload and kernels known": partial(_train_mark, "kernels"),
    "distillation, 1,500 steps": _distil,
}
"""What a thief does, by name."""
