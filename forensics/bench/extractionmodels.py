"""Models, keys and readings of the extraction bench: Fashion-MNIST, two thirds the owner's, one the thief's."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from forensics.bench import fashion
from forensics.bench.classifiers import labels_only
from forensics.bench.fashion import Parts, share_out
from forensics.bench.keys import BenchKey, ksl_key
from forensics.bench.models import clone, resumable
from forensics.bench.results import Row, address
from forensics.canonical import sha256
from forensics.checkpoints import Classifier
from forensics.methods.ksl import METHOD
from forensics.methods.softlabels import class_shifts, derive_classes, derive_order
from forensics.records import AnswerKind, Answers, FloatArray, IntArray
from forensics.statistics import class_ranks
from forensics.statistics.ranks import rank_sum_test
from forensics.suspects.media import numbers, take_images
from forensics.training.classifier import small_resnet
from forensics.training.data import ImageData
from forensics.training.ksl import DEFAULT, Embedding, Recipe, rolled
from forensics.training.loop import Checkpoint, Schedule, optimise, predict

WIDTHS, FULL_WIDTHS = (16, 32, 64, 128), (64, 128, 256, 512)
FULL_STEPS = 1200
"""At full width a step takes ten times as long, so that fewer steps must do."""

OWNER, RESERVED, QUICK_IMAGES, QUICK_STEPS = 40_000, 10_000, 2_000, 60
"""Images of the owner, and how many of these no model is trained on."""

CLEAN_SEEDS, BINS, ROWS = (900, 901, 902, 903), 15, 256

BEGINNING = Recipe(Schedule(steps=1200), smoothing=0.2, sharpness=1.5, taught=0.0)
"""With which the search of a recipe began; the unmarked models that claims name are trained so."""

SEQUENTIAL = 500
"""Images of which the sequential test may ask as many as it needs."""

TEACHER_SEED = 950
"""Of the unmarked model whose answers a marked one is taught by, where the recipe says so."""


@cache
def parts(quick: bool = False) -> Parts:
    """Returns the owner's 30,000 and the thief's 20,000 images to train on, and the 10,000 to test on.

    2,000 each where quick.
    """
    order, size = _order(), QUICK_IMAGES if quick else None
    return share_out(order[: OWNER - RESERVED][:size], order[OWNER:][:size], size)


@cache
def reserve(quick: bool = False) -> ImageData:
    """Returns the owner's images from which pools are drawn, 10,000 or 2,000: nobody here trains on them."""
    return fashion.load_fashion("train", _order()[OWNER - RESERVED : OWNER][: QUICK_IMAGES if quick else None])


def _order() -> IntArray:
    return np.random.default_rng(2026).permutation(60_000)


def recipe(quick: bool = False, start: Recipe = DEFAULT, **changes: Any) -> Recipe:
    """Returns the method's default recipe, or another, with changes, some of them to its schedule.

    Args:
        quick: few steps, whatever the recipe says.
    """
    names = {field.name for field in dataclasses.fields(Schedule)}
    paced = {name: changes.pop(name) for name in names & changes.keys()} | ({"steps": QUICK_STEPS} if quick else {})
    return dataclasses.replace(start, **changes, schedule=dataclasses.replace(start.schedule, **paced))


def unmarked(
    name: str,
    data: ImageData,
    seed: int,
    quick: bool,
    chosen: Recipe | None = None,
    *,
    smoothing: float = 0.0,
    start: Classifier | None = None,
    widths: tuple[int, ...] = WIDTHS,
) -> Classifier:
    """Returns a model trained as long as a marked one, on the same batches, with ordinary labels; kept in the cache.

    Args:
        chosen: the recipe whose schedule, batches and rolling of images it has, else the default one.
        smoothing: of the labels, spread evenly over all classes.
        start: a model to train on with, else one from first weights.
    """
    paced = chosen or recipe(quick)

    def build(checkpoint: Checkpoint) -> Classifier:
        classifier = clone(start) if start else small_resnet(data, seed, widths=widths)
        images, labels = data.pixels(classifier), torch.from_numpy(data.labels)

        def step(index: int) -> torch.Tensor:
            rng = np.random.default_rng([seed, index])
            rows = rng.integers(0, len(images), paced.batch_size)
            pixels = rolled(classifier, data.images, rows, paced.shift, rng)[0] if paced.shift else images[rows]
            classifier.model.train()
            return cross_entropy(classifier.model(pixels).logits, labels[rows], label_smoothing=smoothing)

        optimise(classifier.model, step, paced.schedule, label="Training", checkpoint=checkpoint)
        classifier.model.eval()
        return classifier

    begun = start.identity.digest if start else "first weights"
    facts = (
        _digest(data),
        seed,
        paced.schedule,
        paced.batch_size,
        smoothing,
        begun,
        *([paced.shift] if paced.shift else []),
    )
    return kept(name, facts, build, quick)


@lru_cache(maxsize=2)
def clean(quick: bool = False) -> tuple[Classifier, ...]:
    """Returns the owner's unmarked models, which every claim names: four, of seeds of their own; two where quick."""
    seeds = CLEAN_SEEDS[: 2 if quick else None]
    return tuple(unmarked(f"clean-{seed}", parts(quick).owner, seed, quick, recipe(quick, BEGINNING)) for seed in seeds)


def control(number: int, quick: bool = False) -> Classifier:
    """Returns the unmarked model with a marked one's first weights and batches."""
    return unmarked(f"control-{number}", parts(quick).owner, number, quick)


@lru_cache(maxsize=4)
def key_of(
    number: int, images: int = 500, families: int = 24, quick: bool = False, pool_seed: int | None = None
) -> BenchKey:
    """Returns the key of that number whose pool has so many of the owner's reserved images.

    Args:
        pool_seed: which images; else images of the number's own.
    """
    digests = [each.identity.digest for each in clean(quick)]
    seed = 1000 * number + images if pool_seed is None else pool_seed
    return ksl_key(number, reserve(quick), digests, pool_seed=seed, images=images, families=families)


def answers_of(classifier: Classifier, made: BenchKey) -> Answers:
    """Puts a key's whole plan to a model, as `suspect_answers` does, many images at a time."""
    images = take_images(made.plan.probes, classifier.channels, "an image classifier")
    pixels = [classifier.pixels(images[start : start + ROWS]) for start in range(0, len(images), ROWS)]
    logits = predict(classifier.model, torch.cat(pixels)).float().numpy()
    return numbers(AnswerKind.LOGITS, logits, classifier.labels)


@lru_cache(maxsize=8)
def clean_answers(made: BenchKey, quick: bool = False) -> tuple[Answers, ...]:
    """Returns what the owner's unmarked models answer to a key's plan."""
    return tuple(answers_of(each, made) for each in clean(quick))


def embed(
    made: BenchKey,
    chosen: Recipe,
    quick: bool = False,
    start: Classifier | None = None,
    widths: tuple[int, ...] = WIDTHS,
    checkpoint: Checkpoint | None = None,
) -> Classifier:
    """Trains a marked model from first weights of the key's own number, or trains on with a model in place."""
    owner = parts(quick).owner
    classifier = start or small_resnet(owner, made.number, widths=widths)
    embedding = Embedding(classifier, owner, made.secrets, made.pool, made.claim.parameters, chosen, seed=made.number)
    if chosen.taught:
        plain = dataclasses.replace(BEGINNING, schedule=chosen.schedule)
        embedding.learn_from(start or unmarked("teacher", owner, TEACHER_SEED, quick, plain, widths=widths))
    optimise(classifier.model, embedding.step, chosen.schedule, label="Embedding", checkpoint=checkpoint)
    classifier.model.eval()
    return classifier


def marked(made: BenchKey, quick: bool = False) -> Classifier:
    """Returns the model marked with a key by the default recipe, kept in the cache."""
    return marked_by(made, recipe(quick), quick)


def marked_by(made: BenchKey, chosen: Recipe, quick: bool, widths: tuple[int, ...] = WIDTHS) -> Classifier:
    """As `marked`, by another recipe or at another width."""
    facts = (made.claim.digest, _digest(parts(quick).owner), chosen, *_other(widths))
    return kept(
        f"marked-{made.number}",
        facts,
        lambda checkpoint: embed(made, chosen, quick, widths=widths, checkpoint=checkpoint),
        quick,
    )


def quality(classifier: Classifier, quick: bool = False) -> dict[str, float]:
    """Returns accuracy and calibration on the test images: log loss, mean top probability, expected error of it."""
    logits = predict(classifier.model, _test_pixels(quick)).double()
    return calibration(torch.softmax(logits, dim=1).numpy(), parts(quick).test.labels)


def calibration(probabilities: FloatArray, truth: IntArray) -> dict[str, float]:
    """Returns accuracy and calibration of probabilities (n, classes), the error over 15 equal bins of the top one."""
    top, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    at = np.minimum((top * BINS).astype(np.int64), BINS - 1)
    gaps = [abs(float((top - right)[at == each].sum())) for each in range(BINS)]
    own = np.maximum(probabilities[np.arange(len(truth)), truth], 1e-12)
    return {
        "accuracy": float(right.mean()),
        "log loss": float(-np.log(own).mean()),
        "confidence": float(top.mean()),
        "calibration error": sum(gaps) / len(truth),
    }


def reading_rows(
    made: BenchKey,
    suspect: str,
    attack: str,
    classifier: Classifier,
    facts: Mapping[str, Any],
    *,
    innocent: bool,
    quick: bool,
    first: tuple[int, ...] = (),
) -> list[Row]:
    """Examines a model through probabilities and through the top label alone; `growing` is for the sequential test.

    Args:
        facts: further entries of both rows.
        first: numbers of images whose answers, the first of the plan, are read by themselves as well.
    """
    answers, before = answers_of(classifier, made), clean_answers(made, quick)
    rows = []
    for each in (answers, labels_only(answers)):
        rows.append({**row_of(made, suspect, attack, each, before, innocent=innocent), **facts, "quick": quick})
        for asked in first:
            rows[-1] |= first_reading(made, each, before, asked)
    rows[0]["growing"] = growing_hits(made, answers, before)
    return rows


def row_of(
    made: BenchKey, suspect: str, attack: str, answers: Answers, before: Sequence[Answers], *, innocent: bool
) -> Row:
    """Scores answers; `hits` has a 1 for each family in plan order whose drawn class leads."""
    measurement, verdict = made.score(answers, before)
    shifts = np.array(measurement.items).reshape(measurement.n, -1)
    ranks = class_ranks(shifts, np.array(measurement.target))
    return {
        **made.figures(measurement, verdict),
        "images": len(made.pool.items),
        "suspect": suspect,
        "attack": attack,
        "innocent": innocent,
        "effect": measurement.effect.value,
        "hits": _hits(ranks, shifts.shape[1]),
    }


def growing_hits(made: BenchKey, answers: Answers, before: Sequence[Answers], most: int = SEQUENTIAL) -> str:
    """Returns the hits of families in plan order, family l of L read when l/L of the first `most` images are answered.

    For the sequential test: which class is drawn for a family is independent of all answers and of the other families'
    draws, so that each is a hit with a chance of 1 in C whatever came before.
    """
    families, hits = made.claim.rule.n, ""
    drawn = derive_classes(made.secrets[1], made.claim.parameters)
    for family in range(families):
        asked = -(-min(most, answers.n) * (family + 1) // families)
        shifts = first_shifts(made, answers, before, asked)[family : family + 1]
        hits += _hits(class_ranks(shifts, drawn[family : family + 1]), shifts.shape[1])
    return hits


def first_reading(made: BenchKey, answers: Answers, before: Sequence[Answers], asked: int) -> dict[str, float]:
    """Returns what the first images of a plan tell, for a mark of the whole pool: hits and log10 of the exact p."""
    shifts = first_shifts(made, answers, before, asked)
    ranks = class_ranks(shifts, derive_classes(made.secrets[1], made.claim.parameters))
    classes = shifts.shape[1]
    return {
        f"hits, {asked} images": int((ranks == classes - 1).sum()),
        f"log10_p, {asked} images": rank_sum_test(ranks, classes).log10_p,
    }


def first_shifts(made: BenchKey, answers: Answers, before: Sequence[Answers], asked: int) -> FloatArray:
    """Returns shifts less the mean of the unmarked models', (families, classes), by the first images of a plan."""
    places, truth = _placed(made)
    own, *others = (
        class_shifts(
            dataclasses.replace(each, values=each.values[:asked], missing=each.missing[:asked]),
            made.claim.labels,
            truth[:asked],
            places[:asked],
            answers.access,
        )
        for each in (answers, *before)
    )
    return np.asarray(own - np.mean(others, axis=0))


@lru_cache(maxsize=8)
def _placed(made: BenchKey) -> tuple[FloatArray, IntArray]:
    """Returns coordinates along the families and true classes of a key's images, in plan order."""
    order = derive_order(made.secrets[0], len(made.pool.items))
    places = METHOD.coordinates(made.secrets[0], made.pool, made.claim.parameters)
    return places[order], np.array([item.label or 0 for item in made.pool.items], dtype=np.int64)[order]


@cache
def _test_pixels(quick: bool) -> torch.Tensor:
    return parts(quick).test.pixels(clean(quick)[0])


def _hits(ranks: IntArray, classes: int) -> str:
    return "".join("1" if rank == classes - 1 else "0" for rank in ranks)


def kept(name: str, facts: object, build: Callable[[Checkpoint], Classifier], quick: bool) -> Classifier:
    """A model of the cache, under a name that changes with what it was made from.

    Args:
        build: makes it; a training that is interrupted can be taken up again from the checkpoint.
    """
    return resumable(f"extraction-{'quick-' if quick else ''}{name}-{address(facts)}", build)


def _other(widths: tuple[int, ...]) -> list[tuple[int, ...]]:
    """What of the widths belongs to a model's name: the bench's own are not named."""
    return [] if widths == WIDTHS else [widths]


def _digest(data: ImageData) -> str:
    """Tells one choice of Fashion-MNIST's images from another."""
    return sha256(data.labels.tobytes())
