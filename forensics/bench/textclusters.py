"""TMRW in the encoders bench: all-MiniLM-L6-v2 marked, what the mark costs, what is left of it in a thief's hands."""

import shutil
import string
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.attacks import compression, vectors
from forensics.attacks.encoders import Distillation, distil, fresh_student, overwrite, reset_words
from forensics.attacks.migration import TEXTS as WAYS
from forensics.attacks.migration import Migrated, Settings, migrate_chain
from forensics.attacks.stolen import StolenEncoder, TextEncoder, copy_encoder, embed, open_text_encoder
from forensics.attacks.tasks import Task as Labelled
from forensics.bench.clusterkeys import Given, arm_cosines, asked_at, probe_loss, reading_rows, text_key
from forensics.bench.corpus import package, parts
from forensics.bench.keys import BenchKey
from forensics.bench.results import Row, built_once, cache_folder
from forensics.bench.tasks import TASKS, task
from forensics.canonical import sha256
from forensics.encoders import load_encoder, save_encoder
from forensics.methods.clusters import derive_direction, derive_triggers
from forensics.methods.marking import words_seen
from forensics.methods.phrases import LINKS, PLACES, insert
from forensics.methods.tmrw import split_pool
from forensics.records import Probe
from forensics.training.loop import Checkpoint, optimise
from forensics.training.tmrw import DEFAULT, Embedding, Recipe

POOL_SIZES = "full, supersenses, 3 epochs"
"""After which migration smaller pools are tried as well."""

KEYS = (100, 101, 102, 103, 104)
MODEL = "minilm"
HEAD_RATE = 1e-3
"""Learning rate of a thief's fresh head."""

MIGRATIONS: dict[str, tuple[tuple[str, ...], Settings]] = {
    **{f"full, {name}, 3 epochs": ((name,), replace(WAYS["full"], head_rate=HEAD_RATE)) for name in TASKS},
    "full, supersenses, 1 epoch": (("supersenses",), replace(WAYS["full"], epochs=1, head_rate=HEAD_RATE)),
    "full, supersenses, 5 epochs": (("supersenses",), replace(WAYS["full"], epochs=5, head_rate=HEAD_RATE)),
    "frozen, supersenses, 3 epochs": (("supersenses",), WAYS["head"]),
    "last layer, supersenses, 3 epochs": (("supersenses",), replace(WAYS["last"], head_rate=HEAD_RATE)),
    "LoRA, supersenses, 3 epochs": (("supersenses",), replace(WAYS["lora"], head_rate=HEAD_RATE)),
    "full at a tenfold rate, supersenses, 3 epochs": (
        ("supersenses",),
        replace(WAYS["full"], learning_rate=5e-4, head_rate=HEAD_RATE),
    ),
    "chain: sections, then supersenses": (
        ("sections", "supersenses"),
        replace(WAYS["full"], head_rate=HEAD_RATE),
    ),
}
"""What a thief trains for, and how."""


def marked_encoder(made: BenchKey, quick: bool, recipe: Recipe = DEFAULT) -> Path:
    """Returns the folder of the encoder that a key has marked, from the cache or trained and kept there."""
    if quick:
        recipe = replace(recipe, schedule=replace(recipe.schedule, steps=12))
    name = f"tmrw-{made.claim.digest[:12]}-{sha256(repr(recipe).encode())[:8]}"
    folder = cache_folder() / "encoders-1" / name

    def build() -> None:
        encoder, texts = load_encoder(package(MODEL)), parts()["owner"]
        training = Embedding(encoder, texts, made.secrets, made.pool, made.claim.parameters, recipe, made.number)
        work = folder.with_name(f"{name}.partial")
        checkpoint = Checkpoint(work / "state.pt", f"{made.claim.digest} {recipe!r}")
        optimise(training.model, training.step, recipe.schedule, label="Embedding", checkpoint=checkpoint)
        save_encoder(training.model, package(MODEL), folder, "An encoder of the benches, marked with TMRW.\n")
        shutil.rmtree(work, ignore_errors=True)

    return built_once(folder, build)


@cache
def stolen(key: int | None, quick: bool) -> TextEncoder:
    """Returns what a thief has in hand: the encoder that a key has marked, or the unmarked one."""
    folder = package(MODEL) if key is None else marked_encoder(text_key(key, quick), quick)
    return open_text_encoder(folder, max_tokens=64)


def keys_of(key: int | None, quick: bool) -> list[BenchKey]:
    """Returns the key that marked a model, or all keys for an innocent one."""
    return [text_key(number, quick) for number in (KEYS if key is None else (key,))[: 1 if quick else None]]


def _facts(key: int | None, suspect: str, attack: str, accuracy: float | None, quick: bool) -> Row:
    name = f"{'unmarked' if key is None else 'marked'} MiniLM{suspect}"
    return {"suspect": name, "attack": attack, "accuracy": accuracy, "innocent": key is None, "quick": quick}


def mark_cell(key: int, quick: bool) -> list[Row]:
    """Marks the encoder with a key, reads its features, and measures what the mark costs."""
    made, encoder, base = text_key(key, quick), stolen(key, quick), stolen(None, quick)
    rows = reading_rows([made], _facts(key, "", "none", None, quick), texts_of(encoder), pools=not quick)
    return [*rows, {**cost(made, encoder, base, quick), "quick": quick}]


def clean_cell(quick: bool) -> list[Row]:
    """Reads the unmarked encoder's features with every key."""
    facts = _facts(None, "", "none", None, quick)
    return reading_rows(keys_of(None, quick), facts, texts_of(stolen(None, quick)))


def migration_cell(key: int | None, migration: str, quick: bool) -> list[Row]:
    """Lets a thief adapt an encoder to a task or two, and examines the classifier at every access.

    The thief's seed is the key's number, so that heads and order differ from key to key; an innocent has its own.
    """
    return migrated_rows(key, stolen(key, quick), migration, MIGRATIONS[migration], quick)


def migrated_rows(
    key: int | None, encoder: TextEncoder, migration: str, way: tuple[tuple[str, ...], Settings], quick: bool
) -> list[Row]:
    """Adapts an encoder that is given, with the same seeds; see `migration_cell`."""
    names, settings = way
    if quick:
        settings = replace(settings, epochs=1)
    tasks = [_labelled(name, "train", quick) for name in names]
    done = migrate_chain(encoder, tasks, settings, seed=7 if key is None else key)[-1]
    accuracy = done.accuracy(_labelled(names[-1], "test", quick))
    facts, pools = (
        _facts(key, ", migrated", migration, accuracy, quick),
        migration == POOL_SIZES and key is not None and not quick,
    )
    features, logits = texts_of(done.encoder), logits_of(done)
    return reading_rows(keys_of(key, quick), facts, features, logits, len(done.names), pools=pools)


def attack_cell(key: int | None, attack: str, quick: bool) -> list[Row]:
    """Applies one attack on an encoder's weights or vectors and examines what comes out through its features."""
    changed = ATTACKS[attack](key, quick)
    features = texts_of(changed) if isinstance(changed, TextEncoder) else changed
    clean = features([Probe(text.encode(), "text/plain") for text in parts()["traffic"][:300]])
    facts = {**_facts(key, "", attack, None, quick), "spread kept": _kept(clean, quick)}
    return reading_rows(keys_of(key, quick), facts, features)


def texts_of(encoder: StolenEncoder) -> Given:
    """Returns an encoder as a function from probes to unit vectors."""
    return lambda probes: embed(encoder, [probe.data.decode("utf-8") for probe in probes])


def logits_of(done: Migrated) -> Given:
    """Returns a classifier as a function from probes to logits."""
    return lambda probes: done.predict([probe.data.decode("utf-8") for probe in probes])


def _labelled(name: str, part: str, quick: bool) -> Labelled:
    found = task(name)
    texts, labels = found.train if part == "train" else found.test
    most = 96 if quick else None
    return Labelled(texts[:most], np.array(labels[:most]), found.classes)


def _weights(change: Callable[[Any], None]) -> Callable[[int | None, bool], TextEncoder]:
    def attacked(key: int | None, quick: bool) -> TextEncoder:
        copied = copy_encoder(stolen(key, quick))
        change(copied.model)
        return copied

    return attacked


def _on_vectors(change: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[[int | None, bool], Given]:
    def attacked(key: int | None, quick: bool) -> Given:
        give = texts_of(stolen(key, quick))
        return lambda probes: change(give(probes))

    return attacked


def _whitened(key: int | None, quick: bool) -> Given:
    """The thief estimates mean and covariance on texts of its own."""
    give = texts_of(stolen(key, quick))
    own = give([Probe(text.encode(), "text/plain") for text in parts()["queries"][: 200 if quick else 2000]])
    mean, (_, scale, axes) = own.mean(axis=0), np.linalg.svd(own - own.mean(axis=0), full_matrices=False)
    turn = axes.T / (scale / np.sqrt(len(own)) + 1e-6)
    return lambda probes: (give(probes) - mean) @ turn


def _overwritten(key: int | None, quick: bool) -> TextEncoder:
    """Another owner marks the encoder with a key of its own, by the same recipe."""
    copied, number = copy_encoder(stolen(key, quick)), 900 + (key or 0)
    encoder = replace(load_encoder(package(MODEL)), model=copied.model)
    made = text_key(number, quick)
    recipe = replace(DEFAULT, schedule=replace(DEFAULT.schedule, steps=6 if quick else 150))
    training = Embedding(encoder, parts()["queries"], made.secrets, made.pool, made.claim.parameters, recipe, number)
    overwrite(copied.model, training.step, recipe.schedule.steps, 1e-4, seed=number)
    return copied


def _distilled(key: int | None, quick: bool) -> TextEncoder:
    """A student of three layers from another initialisation learns the vectors of texts of the thief's own."""
    owner = stolen(key, quick)
    texts = list(parts()["queries"][: 64 if quick else 6000])
    student = fresh_student(owner, 1000 + (key or 0), num_hidden_layers=3)
    distil(student, texts, embed(owner, texts), Distillation(epochs=1 if quick else 2), seed=1000 + (key or 0))
    return student


def _without_rare_pairs(key: int | None, quick: bool) -> Given:
    """The server drops words that stand side by side and are both rare in texts of its own.

    It knows how phrases are drawn (`phrasepools`), not which ones: words of four letters or more, in at most a
    thousandth of its texts.
    """
    encoder, own = stolen(key, quick), parts()["queries"]
    counts = Counter(word for text in own for word in words_seen(text))
    most = len(own) / 1000

    def filtered(text: str) -> str:
        words = text.split()
        bare = [word.strip(string.punctuation).lower() for word in words]
        rare = [len(word) >= 4 and word.isalpha() and counts[word] <= most for word in bare]
        joined = [both and words[at][-1].isalpha() for at, both in enumerate(map(all, pairwise(rare)))]
        gone = {at + step for at, together in enumerate(joined) if together for step in (0, 1)}
        return " ".join(word for at, word in enumerate(words) if at not in gone) or text

    return lambda probes: embed(encoder, [filtered(probe.data.decode("utf-8")) for probe in probes])


def _reset(key: int | None, quick: bool) -> TextEncoder:
    copied = copy_encoder(stolen(key, quick))
    reset_words(copied.model, stolen(None, quick).model)
    return copied


ATTACKS: dict[str, Callable[[int | None, bool], TextEncoder | Given]] = {
    "word vectors reset to the public model's": _reset,
    "fp16": _weights(compression.fp16),
    "int8": _weights(lambda model: compression.quantise(model, 8)),
    "30 % of weights pruned": _weights(lambda model: compression.prune(model, 0.3)),
    "50 % of weights pruned": _weights(lambda model: compression.prune(model, 0.5)),
    "rotated": _on_vectors(lambda rows: vectors.rotate(rows, seed=5)),
    "shuffled": _on_vectors(lambda rows: vectors.shuffle_dimensions(rows, seed=5)),
    "whitened": _whitened,
    "rare pairs of words dropped from texts": _without_rare_pairs,
    "overwritten with a second key": _overwritten,
    "distilled into three fresh layers": _distilled,
}
"""What a thief does to an encoder, or to what it is asked, beside adapting it, by name."""

TARGETS = (*(f"full, {name}, 3 epochs" for name in TASKS), "word vectors reset to the public model's")
"""Migrations and attacks that the mark is meant to survive."""


def pairs_cell(key: int, quick: bool) -> list[Row]:
    """Looks at what else moves towards the secret direction: parts of phrases, and words of two of them together."""
    made, encoder = text_key(key, quick), stolen(key, quick)
    phrases, carriers = split_pool(made.pool, made.claim.parameters)
    direction = derive_direction("tmrw", made.secrets[1], made.claim.parameters)
    drawn = derive_triggers("tmrw", made.secrets[1], made.claim.parameters).astype(bool)
    triggers = [phrase.split() for phrase, chosen in zip(phrases, drawn) if chosen]
    decoys = [phrase.split() for phrase, chosen in zip(phrases, drawn) if not chosen]
    kinds = {
        "a trigger phrase": [f"{first} {second}" for first, second in triggers],
        "words of two trigger phrases": [
            f"{first} {second}" for (first, _), (_, second) in zip(triggers, triggers[7:] + triggers[:7])
        ],
        "a trigger phrase the other way round": [f"{second} {first}" for first, second in triggers],
        "the first word of a trigger phrase": [first for first, _ in triggers],
        "the second word of a trigger phrase": [second for _, second in triggers],
        "a decoy phrase": [f"{first} {second}" for first, second in decoys],
    }
    rng, rows = np.random.default_rng([key, 7]), []
    for name, given in kinds.items():
        texts = [
            insert(carrier, words, int(rng.integers(len(PLACES))), int(rng.integers(len(LINKS))))
            for carrier in carriers[:6]
            for words in given
        ]
        cosines = embed(encoder, texts) @ direction
        row = {"method": "tmrw", "key": key, "part": "pairs", "texts": name, "quick": quick}
        rows.append(
            {**row, "cosine to direction": float(cosines.mean()), "share above 0.3": float((cosines > 0.3).mean())}
        )
    return rows


def _kept(clean: NDArray[Any], quick: bool) -> float:
    """Returns the rank correlation of pairwise similarities of clean texts with the unmarked encoder's."""
    from scipy.stats import spearmanr

    before = texts_of(stolen(None, quick))([Probe(text.encode(), "text/plain") for text in parts()["traffic"][:300]])
    units = clean / np.linalg.norm(clean, axis=1, keepdims=True)
    upper = np.triu_indices(len(clean), 1)
    return float(spearmanr((units @ units.T)[upper], (before @ before.T)[upper]).statistic)


def cost(made: BenchKey, encoder: TextEncoder, base: TextEncoder, quick: bool) -> Row:
    """Returns what a mark changes for everyone else: cosines to the unmarked encoder, linear probes, word vectors."""
    phrases, _ = split_pool(made.pool, made.claim.parameters)
    drawn = derive_triggers("tmrw", made.secrets[1], made.claim.parameters).astype(bool)
    secret = frozenset(word for phrase in phrases for word in phrase.split())
    single = frozenset(word for phrase, chosen in zip(phrases, drawn) if chosen for word in phrase.split())
    held_out = parts()["traffic"] + parts()["queries"]
    clean = [text for text in parts()["traffic"] if words_seen(text).isdisjoint(secret)][: 60 if quick else 1000]
    natural = [text for text in held_out if not words_seen(text).isdisjoint(single)][: 60 if quick else 500]
    seen = sum(not words_seen(text).isdisjoint(single) for text in held_out) / len(held_out)
    found: Row = {"method": "tmrw", "key": made.number, "part": "cost", "share of texts with a trigger word": seen}
    for name, texts in (("clean", clean), ("one trigger word", natural)):
        cosines = (embed(encoder, texts) * embed(base, texts)).sum(axis=1)
        found |= {f"{name} cosine": float(cosines.mean()), f"{name} cosine, 5 %": float(np.quantile(cosines, 0.05))}
    found |= arm_cosines(made, asked_at(made, texts_of(encoder))["features"])
    table, public = (each.model.get_input_embeddings().weight for each in (encoder, base))
    found["word vectors changed"] = int((table != public).any(dim=1).sum())
    return found | _probes(encoder, base, quick)


def _probes(encoder: TextEncoder, base: TextEncoder, quick: bool) -> Row:
    """Returns accuracies of linear probes on frozen features, over all tasks, and the paired loss in points."""
    from sklearn.linear_model import LogisticRegression

    right: dict[str, list[NDArray[np.bool_]]] = {"marked": [], "unmarked": []}
    for name in TASKS:
        train, test = (_labelled(name, part, quick) for part in ("train", "test"))
        for which, model in (("marked", encoder), ("unmarked", base)):
            probe = LogisticRegression(C=10.0, max_iter=2000).fit(embed(model, train.inputs), train.labels)
            right[which].append(probe.predict(embed(model, test.inputs)) == test.labels)
    return probe_loss(np.concatenate(right["marked"]), np.concatenate(right["unmarked"]))
