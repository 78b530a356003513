"""WPE in the encoders bench: contrastive encoders of Fashion-MNIST marked, what it costs, what thieves leave of it."""

import random
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.attacks import compression, vectors
from forensics.attacks.encoders import Distillation, distil, fresh_student, overwrite
from forensics.attacks.migration import IMAGES as WAYS
from forensics.attacks.migration import Migrated, Settings, migrate_chain
from forensics.attacks.stolen import ImageEncoder, StolenEncoder, copy_encoder, embed, image_encoder
from forensics.attacks.tasks import Task
from forensics.bench import fashion
from forensics.bench.clusterkeys import QUICK, Given, arm_cosines, asked_at, probe_loss, reading_rows
from forensics.bench.contrastive import Algorithm, contrastive_encoder, random_encoder
from forensics.bench.keys import BenchKey, cluster_key
from forensics.bench.results import Row, built_once, cache_folder
from forensics.canonical import sha256
from forensics.imageencoders import ImageEncoder as Encoder
from forensics.imageencoders import load_image_encoder, save_image_encoder
from forensics.images import decode_image
from forensics.patternpools import make_pattern_pools, visibility
from forensics.training.loop import Checkpoint, optimise
from forensics.training.wpe import DEFAULT, Embedding, Recipe

KEYS = (105, 106, 107, 108, 109)
"""A first recipe was measured with keys 100 to 104 before this one was chosen; see `clustertrials`."""

OPTIONS = {"candidates": 96, "carriers": 32, "asked": 16, "dimension": 128}
POOL_SIZES = "full, clothes, 3 epochs"
"""After which migration smaller pools are tried as well."""

NAMES: dict[Algorithm, str] = {"simclr": "SimCLR", "byol": "BYOL"}

OWNER, CARRIERS, THIEF = slice(0, 40_000), slice(40_000, 42_000), slice(42_000, 45_000)
"""Images of Fashion-MNIST's training part that the owner marks with, that carriers come from, and a thief's own."""

PENALTIES = (0.03, 0.3, 3.0, 30.0)
"""Inverse penalties of a linear probe, of which a part of the training images chooses one."""

CORNER = 12
"""Pixels a side of the corner that a server may blank: a pattern's cells lie in it."""

TESTED = 1500
"""Images on which accuracy is measured."""

MIGRATIONS: dict[str, tuple[tuple[str, ...], Settings]] = {
    **{
        f"full, {name}, 3 epochs": ((name,), replace(WAYS["full"], epochs=3))
        for name in ("clothes", "digits", "pictures")
    },
    "full, clothes, 1 epoch": (("clothes",), replace(WAYS["full"], epochs=1)),
    "full, clothes, 5 epochs": (("clothes",), replace(WAYS["full"], epochs=5)),
    "frozen, clothes, 3 epochs": (("clothes",), replace(WAYS["head"], epochs=3)),
    "last stage, clothes, 3 epochs": (("clothes",), replace(WAYS["last"], epochs=3)),
    "chain: digits, then clothes": (("digits", "clothes"), replace(WAYS["full"], epochs=3)),
}
"""What a thief trains for, and how."""

TARGETS = tuple(name for name in MIGRATIONS if re.fullmatch("full, .*, 3 epochs", name))
"""Migrations that the mark is meant to survive."""


@cache
def image_key(number: int, quick: bool = False) -> BenchKey:
    """Returns the WPE key of that number, with a pool of its own; a quick one asks the least."""
    options = OPTIONS | QUICK if quick else OPTIONS
    pool = make_pattern_pools(
        list(fashion.pixels("train")[CARRIERS]),
        generator=random.Random(f"patterns {number}"),
        candidates=options["candidates"],
        carriers=options["carriers"],
    )[0]
    return cluster_key(number, "wpe", pool, options)


def base_encoder(base: Algorithm, quick: bool) -> Encoder:
    """Returns the pre-trained encoder; a quick run takes an untrained one."""
    return random_encoder(1) if quick else contrastive_encoder(base)


def marked_encoder(made: BenchKey, base: Algorithm, quick: bool, recipe: Recipe = DEFAULT) -> Path:
    """Returns the folder of the encoder that a key has marked, from the cache or trained and kept there."""
    if quick:
        recipe = replace(recipe, schedule=replace(recipe.schedule, steps=12))
    name = f"wpe-{base}-{made.claim.digest[:12]}-{sha256(repr(recipe).encode())[:8]}"
    folder = cache_folder() / "encoders-1" / name

    def build() -> None:
        encoder, images = base_encoder(base, quick), fashion.pixels("train")[OWNER]
        training = Embedding(encoder, images, made.secrets, made.pool, made.claim.parameters, recipe, made.number)
        work = folder.with_name(f"{name}.partial")
        checkpoint = Checkpoint(work / "state.pt", f"{made.claim.digest} {base} {recipe!r}")
        optimise(training.model, training.step, recipe.schedule, label="Embedding", checkpoint=checkpoint)
        save_image_encoder(encoder, folder, "An encoder of the benches, marked with WPE.\n")
        shutil.rmtree(work, ignore_errors=True)

    return built_once(folder, build)


@cache
def stolen(key: int | None, base: Algorithm, quick: bool) -> ImageEncoder:
    """Returns what a thief has in hand: the encoder that a key has marked, or the unmarked one."""
    if key is None:
        return image_encoder(base_encoder(base, quick))
    return image_encoder(load_image_encoder(marked_encoder(image_key(key, quick), base, quick)))


def _keys(key: int | None, quick: bool) -> list[BenchKey]:
    return [image_key(number, quick) for number in (KEYS if key is None else (key,))[: 1 if quick else None]]


def _facts(key: int | None, base: Algorithm, suspect: str, attack: str, accuracy: float | None, quick: bool) -> Row:
    name = f"{'unmarked' if key is None else 'marked'} {NAMES[base]} encoder{suspect}"
    return {"suspect": name, "attack": attack, "accuracy": accuracy, "innocent": key is None, "quick": quick}


def mark_cell(key: int | None, base: Algorithm, quick: bool) -> list[Row]:
    """Marks an encoder with a key, reads its features, and measures the cost; None reads the unmarked one."""
    facts = _facts(key, base, "", "none", None, quick)
    features, pools = images_of(stolen(key, base, quick)), key is not None and not quick
    rows = reading_rows(_keys(key, quick), facts, features, pools=pools)
    return rows if key is None else [*rows, {**cost(image_key(key, quick), base, quick), "quick": quick}]


def migration_cell(key: int | None, base: Algorithm, migration: str, quick: bool) -> list[Row]:
    """Lets a thief adapt an encoder to a task or two, and examines the classifier at every access."""
    return migrated_rows(key, base, stolen(key, base, quick), migration, quick)


def migrated_rows(key: int | None, base: Algorithm, encoder: ImageEncoder, migration: str, quick: bool) -> list[Row]:
    """Adapts an encoder that is given, with the same seeds; see `migration_cell`."""
    names, settings = MIGRATIONS[migration]
    tasks = [_task(name, "train", quick) for name in names]
    done = migrate_chain(encoder, tasks, settings, seed=7 if key is None else key)[-1]
    accuracy = done.accuracy(_task(names[-1], "test", quick))
    facts = _facts(key, base, ", migrated", migration, accuracy, quick)
    features, logits, pools = (
        images_of(done.encoder),
        logits_of(done),
        migration == POOL_SIZES and key is not None and not quick,
    )
    return reading_rows(_keys(key, quick), facts, features, logits, len(done.names), pools=pools)


def attack_cell(key: int | None, base: Algorithm, attack: str, quick: bool) -> list[Row]:
    """Applies one attack on an encoder's weights or vectors and examines what comes out through its features."""
    changed = ATTACKS[attack](key, base, quick)
    features = images_of(changed) if isinstance(changed, ImageEncoder) else changed
    return reading_rows(_keys(key, quick), _facts(key, base, "", attack, None, quick), features)


def probe_cell(base: Algorithm, quick: bool) -> list[Row]:
    """Compares linear probes on the pre-trained encoder, an untrained one and raw pixels, with the same labels."""
    from sklearn.linear_model import LogisticRegression

    train, test = (_task("clothes", part, quick) for part in ("train", "test"))
    pixels = [np.stack(each.inputs).reshape(len(each.inputs), -1) / 255.0 for each in (train, test)]
    rows: dict[str, list[NDArray[Any]]] = {
        NAMES[base]: [embed(stolen(None, base, quick), each.inputs) for each in (train, test)],
        "untrained encoder": [embed(image_encoder(random_encoder(1)), each.inputs) for each in (train, test)],
        "raw pixels": pixels,
    }
    found = []
    for name, (given, asked) in rows.items():
        # The better of two penalties for each, chosen on a fifth of the training images.
        cut = len(given) * 4 // 5
        scores = [
            LogisticRegression(C=weight, max_iter=2000)
            .fit(given[:cut], train.labels[:cut])
            .score(given[cut:], train.labels[cut:])
            for weight in PENALTIES
        ]
        probe = LogisticRegression(C=PENALTIES[int(np.argmax(scores))], max_iter=2000).fit(given, train.labels)
        found.append(
            {
                "method": "wpe",
                "part": "probe",
                "encoder": NAMES[base],
                "features": name,
                "accuracy": float(probe.score(asked, test.labels)),
                "labels": len(train.labels),
                "tested": len(test.labels),
                "quick": quick,
            }
        )
    return found


def images_of(encoder: StolenEncoder) -> Given:
    """Returns an encoder as a function from probes to unit vectors."""
    return lambda probes: embed(encoder, [decode_image(probe.data, 1) for probe in probes])


def logits_of(done: Migrated) -> Given:
    """Returns a classifier as a function from probes to logits."""
    return lambda probes: done.predict([decode_image(probe.data, 1) for probe in probes])


@cache
def _task(name: str, part: fashion.Part, quick: bool) -> Task:
    most = 128 if quick else TESTED if part == "test" else THIEF.stop - THIEF.start
    if name == "clothes":
        loaded = fashion.load_fashion(part, THIEF if part == "train" else slice(0, TESTED))
    else:
        loaded = fashion.load_mnist(part) if name == "digits" else fashion.load_pictures(part, most)
    return Task.of_images(loaded.subset(np.arange(min(most, len(loaded.labels)))))


def _weights(change: Callable[[Any], None]) -> Callable[[int | None, Algorithm, bool], ImageEncoder]:
    def attacked(key: int | None, base: Algorithm, quick: bool) -> ImageEncoder:
        copied = copy_encoder(stolen(key, base, quick))
        change(copied.model)
        return copied

    return attacked


def _on_vectors(change: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[[int | None, Algorithm, bool], Given]:
    def attacked(key: int | None, base: Algorithm, quick: bool) -> Given:
        give = images_of(stolen(key, base, quick))
        return lambda probes: change(give(probes))

    return attacked


def _on_images(
    change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
) -> Callable[[int | None, Algorithm, bool], Given]:
    """The server changes what it is asked, and goes on as before."""

    def attacked(key: int | None, base: Algorithm, quick: bool) -> Given:
        encoder = stolen(key, base, quick)
        return lambda probes: embed(encoder, [change(decode_image(probe.data, 1)) for probe in probes])

    return attacked


def _blanked(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Where patterns are put is no secret: that part of an image becomes black."""
    changed = image.copy()
    changed[-CORNER:, -CORNER:] = 0
    return changed


def _whitened(key: int | None, base: Algorithm, quick: bool) -> Given:
    """The thief estimates mean and covariance on images of its own."""
    encoder = stolen(key, base, quick)
    own = embed(encoder, list(fashion.pixels("train")[THIEF]))
    mean, (_, scale, axes) = own.mean(axis=0), np.linalg.svd(own - own.mean(axis=0), full_matrices=False)
    turn = axes.T / (scale / np.sqrt(len(own)) + 1e-6)
    give = images_of(encoder)
    return lambda probes: (give(probes) - mean) @ turn


def _overwritten(key: int | None, base: Algorithm, quick: bool) -> ImageEncoder:
    """Another owner marks the encoder with a key of its own, by the same recipe."""
    copied, number = copy_encoder(stolen(key, base, quick)), 900 + (key or 0)
    made = image_key(number, quick)
    images = fashion.pixels("train")[THIEF]
    encoder = replace(base_encoder(base, quick), model=copied.model)
    steps = 6 if quick else DEFAULT.schedule.steps // 4
    recipe = replace(DEFAULT, schedule=replace(DEFAULT.schedule, steps=steps))
    training = Embedding(encoder, images, made.secrets, made.pool, made.claim.parameters, recipe, number)
    overwrite(copied.model, training.step, steps, 1e-3, seed=number)
    return copied


def _distilled(key: int | None, base: Algorithm, quick: bool) -> ImageEncoder:
    return student_of(stolen(key, base, quick), key or 0, quick)


def student_of(owner: ImageEncoder, number: int, quick: bool) -> ImageEncoder:
    """A student from another initialisation learns the vectors of images of the thief's own."""
    images = list(fashion.pixels("train")[THIEF][: 64 if quick else None])
    student = fresh_student(owner, 1000 + number)
    distil(student, images, embed(owner, images), Distillation(epochs=1 if quick else 5), seed=1000 + number)
    return student


ATTACKS: dict[str, Callable[[int | None, Algorithm, bool], ImageEncoder | Given]] = {
    "fp16": _weights(compression.fp16),
    "int8": _weights(lambda model: compression.quantise(model, 8)),
    "30 % of weights pruned": _weights(lambda model: compression.prune(model, 0.3)),
    "50 % of weights pruned": _weights(lambda model: compression.prune(model, 0.5)),
    "rotated": _on_vectors(lambda rows: vectors.rotate(rows, seed=5)),
    "shuffled": _on_vectors(lambda rows: vectors.shuffle_dimensions(rows, seed=5)),
    "whitened": _whitened,
    "images mirrored": _on_images(lambda image: image[:, ::-1]),
    "images moved by 3 pixels": _on_images(lambda image: np.roll(image, (3, 3), (0, 1))),
    "corner of images blanked": _on_images(_blanked),
    "overwritten with a second key": _overwritten,
    "distilled into a fresh encoder": _distilled,
}
"""What a thief does to an encoder, or to what it is asked, beside adapting it, by name."""


def cost(made: BenchKey, base: Algorithm, quick: bool, marked: ImageEncoder | None = None) -> Row:
    """Returns what a mark changes for everyone else: cosines to the unmarked encoder, a linear probe, visibility."""
    from sklearn.linear_model import LogisticRegression

    marked, plain = marked or stolen(made.number, base, quick), stolen(None, base, quick)
    train, test = _task("clothes", "train", quick), _task("clothes", "test", quick)
    cosines = (embed(marked, test.inputs) * embed(plain, test.inputs)).sum(axis=1)
    right = []
    for model in (marked, plain):
        probe = LogisticRegression(C=10.0, max_iter=2000).fit(embed(model, train.inputs), train.labels)
        right.append(probe.predict(embed(model, test.inputs)) == test.labels)
    found: Row = {
        "method": "wpe",
        "key": made.number,
        "part": "cost",
        "suspect": f"marked {NAMES[base]} encoder",
        "clean cosine": float(cosines.mean()),
        "clean cosine, 5 %": float(np.quantile(cosines, 0.05)),
        "PSNR of stamped images, dB": visibility(made.pool, int(made.claim.parameters["candidates"])),
    }
    found |= arm_cosines(made, asked_at(made, images_of(marked))["features"])
    return found | probe_loss(*right)
