"""Keyed soft labels in text classifiers, in the extraction bench: MiniLM on WordNet's supersenses, trained and frozen.

The owner's classifiers begin from the public MiniLM with a fresh head and are trained with their whole encoder, or with
what follows it alone. A marked model is one of them trained on in the same way with a key's soft labels; the control is
trained on as long with ordinary labels. Thieves begin from the public MiniLM too, with texts, code and seeds of theirs.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch.nn.functional import cross_entropy

from forensics.attacks.migration import TEXTS, Head, Migrated, Settings, migrate
from forensics.attacks.stolen import TextEncoder, open_text_encoder
from forensics.attacks.tasks import Task
from forensics.attacks.textextraction import extract_texts
from forensics.bench.classifiers import labels_only
from forensics.bench.corpus import package
from forensics.bench.extractionmodels import calibration, row_of
from forensics.bench.keys import BenchKey, ksl_text_key
from forensics.bench.models import Shelf
from forensics.bench.results import Cell, Row, address, built_once, cache_folder
from forensics.bench.tasks import labelled_glosses
from forensics.checkpoints import library, quiet
from forensics.records import AnswerKind, Answers
from forensics.suspects.media import numbers
from forensics.textclassifiers import TextClassifier, load_text_classifier, save_text_classifier
from forensics.training.ksl_text import DEFAULT, FROZEN, Embedding, Recipe
from forensics.training.labelledtexts import LabelledTexts
from forensics.training.loop import Checkpoint, Schedule, optimise
from forensics.training.textbatches import TextBatches

OWNER, RESERVED, THIEF, TESTED = 8_000, 6_000, 8_000, 2_000
"""Texts of the owner to train on, those for pools, the thief's, and those to test on."""

QUICK_TEXTS, QUICK_STEPS, POOL, QUICK_POOL = 100, 4, 2_000, 60
BASE = Schedule(500, learning_rate=1e-4, constant=0.2, weight_decay=0.01, warm_up=50)
CLEAN_SEEDS = (900, 901)
SEED, INNOCENT_SEED = 1_000, 1_100
"""Seeds of the thieves of marked models, to which the key's number is added, and of those of the control."""

RECIPES: Mapping[str, Recipe] = {"frozen": FROZEN, "trained": DEFAULT}
"""How the owner trains and marks: what follows the encoder alone, or the encoder as well."""

TRIED: Mapping[str, tuple[float, ...]] = {"frozen": (0.05, 0.1, 0.2, 0.3, 0.4), "trained": (0.1, 0.2, 0.3)}
TRIED_ON = 0
"""Smoothings tried in either way, and the development key."""

WHOLE, HEAD = replace(TEXTS["full"], epochs=2), replace(TEXTS["head"], epochs=10)
"""How thieves train: all weights and the library's head, or a layer on the mean of the public encoder's tokens."""

TEXT_MODELS: Shelf[TextClassifier] = Shelf("texts-1", load_text_classifier, save_text_classifier)

POOLS, KEYS_A_POOL, FIRST_NULL_KEY = 50, 20, 50_000

Given = Callable[[Sequence[str]], NDArray[Any]]
"""Returns a model's logits (n, classes) of texts."""


@dataclass(frozen=True, eq=False)
class Ground:
    """Texts of all parts.

    Attributes:
        owner, reserve, thief, test: no text stands in two of them.
    """

    owner: LabelledTexts
    reserve: LabelledTexts
    thief: LabelledTexts
    test: LabelledTexts


@cache
def ground(quick: bool = False) -> Ground:
    """Returns the parts of WordNet's glosses."""
    texts, labels, names = labelled_glosses()
    sizes = [QUICK_TEXTS] * 4 if quick else [OWNER, RESERVED, THIEF, TESTED]
    starts = np.concatenate([[0], np.cumsum([OWNER, RESERVED, THIEF, TESTED])])
    whole = LabelledTexts(texts, np.asarray(labels, dtype=np.int64), names)
    return Ground(*(whole.subset(np.arange(start, start + size)) for start, size in zip(starts, sizes)))


def cells(keys: Sequence[int], quick: bool) -> list[Cell]:
    """Returns the cells of this part."""
    found: list[Cell] = []
    for way in ("frozen",) if quick else RECIPES:
        tried = () if quick else TRIED[way]
        thieves = [] if quick else [name for name, theft in THIEVES.items() if theft.way == way]
        for smoothing in tried:
            name = f"text-tried-{way}-{smoothing:g}-{TRIED_ON}".replace(".", "_")
            found.append(Cell(name, tried_cell, {"way": way, "smoothing": smoothing}))
        found += [Cell(f"text-{way}-{key}", key_cell, {"key": key, "way": way, "quick": quick}) for key in keys]
        for thief in thieves:
            found += [Cell(f"text-theft-{key}-{thief}", theft_cell, {"key": key, "thief": thief}) for key in keys]
            found.append(Cell(f"text-innocent-{thief}", innocent_cell, {"keys": list(keys), "thief": thief}))
    if not quick:
        found += [Cell(f"text-null-{index}", null_cell, {"innocent": index}) for index in range(len(INNOCENTS))]
    return found


def key_cell(key: int, way: str, quick: bool) -> list[Row]:
    """Marks the owner's model with a key in one way, beside the control that was trained on as long."""
    made = key_of(key, way, quick)
    rows = []
    for suspect, model in (("marked", marked(made, way, quick)), ("control", control(way, quick))):
        innocent = suspect == "control"
        rows += reading_rows(made, way, suspect, "none", model.logits, innocent=innocent, quick=quick)
    return rows


def theft_cell(key: int, thief: str) -> list[Row]:
    """Steals the marked model of a key."""
    theft = THIEVES[thief]
    made = key_of(key, theft.way)
    rows = []
    for attack, stolen in theft.run(marked(made, theft.way), SEED + key):
        rows += reading_rows(made, theft.way, "marked", attack, stolen, innocent=False)
    return rows


def innocent_cell(keys: Sequence[int], thief: str) -> list[Row]:
    """Steals the control in the same way; the claim of every key is examined."""
    theft, rows = THIEVES[thief], []
    for attack, stolen in theft.run(control(theft.way), INNOCENT_SEED):
        for key in keys:
            rows += reading_rows(key_of(key, theft.way), theft.way, "control", attack, stolen, innocent=True)
    return rows


def tried_cell(way: str, smoothing: float) -> list[Row]:
    """Marks a model with one setting and the development key; a thief learns the classes that it names."""
    made = key_of(TRIED_ON, way)
    model = marked(made, way, recipe=replace(RECIPES[way], smoothing=smoothing))
    facts = {"part": "texts tried", "way": way, "smoothing": smoothing}
    stolen = _stolen(model, HEAD if way == "frozen" else WHOLE, "hard", SEED)
    return [
        row
        for attack, given in (("none", model.logits), ("hard answers", stolen.predict))
        for row in reading_rows(made, way, "marked", attack, given, innocent=False, facts=facts)
    ]


def null_cell(innocent: int) -> list[Row]:
    """Examines fresh keys of all pools on one innocent model."""
    name, build = INNOCENTS[innocent]
    texts = ground().reserve.texts
    known = [_looked_up(texts, each(texts)) for each in (build(), *(model.logits for model in clean("frozen")))]
    rows: list[Row] = []
    for pool in range(POOLS):
        for index in range(innocent, KEYS_A_POOL, len(INNOCENTS)):
            made = key_of(FIRST_NULL_KEY + pool * KEYS_A_POOL + index, "frozen", False, pool)
            answers, *before = (_answers(made, each) for each in known)
            row = row_of(made, name, "none", answers, before, innocent=True)
            rows.append({**row, "part": "texts null", "pool": pool, "quick": False})
    return rows


@lru_cache(maxsize=4)
def key_of(number: int, way: str, quick: bool = False, pool_seed: int | None = None) -> BenchKey:
    """Returns the key of that number for the owner's models of one way.

    Args:
        pool_seed: which texts; else the number's own.
    """
    first, *_ = models = clean(way, quick)
    size = QUICK_POOL if quick else POOL
    digests = [each.identity.digest for each in models]
    seed = number if pool_seed is None else FIRST_NULL_KEY + pool_seed
    return ksl_text_key(number, ground(quick).reserve, first.word_vectors, digests, pool_seed=seed, texts=size)


@lru_cache(maxsize=4)
def clean(way: str, quick: bool = False) -> tuple[TextClassifier, ...]:
    """Returns the owner's unmarked classifiers, which every claim names: MiniLM with a fresh head, trained in a way."""
    recipe = _recipe(quick, replace(DEFAULT, schedule=BASE) if way == "trained" else FROZEN)

    def build(seed: int, checkpoint: Checkpoint) -> TextClassifier:
        classifier = fresh(ground(quick).owner.names, seed)
        _train_plain(classifier, recipe, seed, quick, checkpoint)
        return classifier

    facts = (recipe.schedule, recipe.batch_size, OWNER)
    return tuple(_kept(f"clean-{way}-{seed}", facts, partial(build, seed), quick) for seed in CLEAN_SEEDS)


def control(way: str, quick: bool = False) -> TextClassifier:
    """Returns the owner's first model trained on as long as a marked one, with ordinary labels."""
    recipe, start = _recipe(quick, RECIPES[way]), clean(way, quick)[0]

    def build(checkpoint: Checkpoint) -> TextClassifier:
        classifier = _copy(start)
        _train_plain(classifier, recipe, 7, quick, checkpoint)
        return classifier

    return _kept(f"control-{way}", (start.identity.digest, recipe.schedule, recipe.batch_size), build, quick)


def marked(made: BenchKey, way: str, quick: bool = False, recipe: Recipe | None = None) -> TextClassifier:
    """Returns the owner's first model with a key's mark, by the recipe of a way or another."""
    chosen = recipe or _recipe(quick, RECIPES[way])

    def build(checkpoint: Checkpoint) -> TextClassifier:
        classifier = _copy(clean(way, quick)[0])
        embedding = Embedding(
            classifier, ground(quick).owner, made.secrets, made.pool, made.claim.parameters, chosen, made.number
        )
        optimise(classifier.model, embedding.step, chosen.schedule, label="Embedding", checkpoint=checkpoint)
        classifier.model.eval()
        return classifier

    return _kept(f"marked-{made.number}", (made.claim.digest, chosen), build, quick)


def fresh(names: tuple[str, ...], seed: int) -> TextClassifier:
    """Returns the public MiniLM with a head of first weights."""
    place = cache_folder() / TEXT_MODELS.name / f"fresh-{seed}"

    def build() -> None:
        public = package("minilm")
        with quiet(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = library().AutoModelForSequenceClassification.from_pretrained(
                public, id2label=dict(enumerate(names)), label2id={name: at for at, name in enumerate(names)}
            )
        place.mkdir(parents=True)
        model.save_pretrained(place)
        for each in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
            (place / each).write_bytes((public / each).read_bytes())

    return load_text_classifier(built_once(place, build))


def reading_rows(
    made: BenchKey,
    way: str,
    suspect: str,
    attack: str,
    given: Given,
    *,
    innocent: bool,
    quick: bool = False,
    facts: Mapping[str, Any] | None = None,
) -> list[Row]:
    """Examines a model through probabilities and through the top class alone."""
    test = ground(quick).test
    quality = calibration(softmax(given(test.texts).astype(np.float64), axis=1), test.labels)
    before = [_answers(made, each.logits) for each in clean(way, quick)]
    answers = _answers(made, given)
    return [
        {
            **row_of(made, f"{suspect}, {way}", attack, each, before, innocent=innocent),
            "part": "texts",
            **quality,
            **(facts or {}),
            "quick": quick,
        }
        for each in (answers, labels_only(answers))
    ]


def _recipe(quick: bool, recipe: Recipe) -> Recipe:
    return replace(recipe, schedule=replace(recipe.schedule, steps=QUICK_STEPS), batch_size=8) if quick else recipe


def _train_plain(classifier: TextClassifier, recipe: Recipe, seed: int, quick: bool, checkpoint: Checkpoint) -> None:
    """Trains with ordinary labels, otherwise as a marked model is."""
    data = ground(quick).owner
    truth = torch.from_numpy(data.labels)
    batches = TextBatches(classifier, data.texts, frozen=recipe.frozen)

    def step(index: int) -> torch.Tensor:
        rows = np.random.default_rng([seed, index]).integers(0, len(truth), recipe.batch_size)
        return cross_entropy(batches.logits(rows), truth[torch.from_numpy(rows)])

    optimise(classifier.model, step, recipe.schedule, label="Training", checkpoint=checkpoint)
    classifier.model.eval()


def _copy(classifier: TextClassifier) -> TextClassifier:
    return replace(classifier, model=copy.deepcopy(classifier.model))


def _kept(name: str, facts: object, build: Callable[[Checkpoint], TextClassifier], quick: bool) -> TextClassifier:
    """A model of the cache, under a name that changes with what it was made from."""
    return TEXT_MODELS.resumable(f"{'quick-' if quick else ''}{name}-{address(facts)}", build)


@cache
def _public() -> TextEncoder:
    return open_text_encoder(package("minilm"))


def _stolen(teacher: TextClassifier, settings: Settings, answers: str, seed: int, regress_out: int = 0) -> Migrated:
    texts = ground().thief.texts
    head: Head = "mean" if settings.way == "head" else "library"
    return extract_texts(
        teacher, texts, _public(), settings, answers=answers, regress_out=regress_out, seed=seed, head=head
    )


@dataclass(frozen=True, eq=False)
class Theft:
    """How a thief goes about it.

    Attributes:
        way: how the model was marked that he asks.
        run: steals from a model with a seed; returns what was done and what came of it.
    """

    way: str
    run: Callable[[TextClassifier, int], list[tuple[str, Given]]]


def _theft(
    way: str, answers: str, settings: Settings, told: str, *, regress_out: int = 0, then_truth: bool = False
) -> Theft:
    def steal(teacher: TextClassifier, seed: int) -> list[tuple[str, Given]]:
        taught = _stolen(teacher, settings, answers, seed, regress_out)
        found: list[tuple[str, Given]] = [(told, taught.predict)]
        if then_truth:
            task = Task(list(ground().thief.texts), ground().thief.labels, ground().thief.names)
            tuned = migrate(taught.encoder, task, replace(settings, epochs=1), seed=seed + 1, head="library")
            found.append((f"{told}, then an epoch of true labels with a fresh head", tuned.predict))
        return found

    return Theft(way, steal)


_ON, _GUESSED = "a head on the public encoder", "without what words predict"

THIEVES: Mapping[str, Theft] = {
    "head-soft": _theft("frozen", "soft", HEAD, f"soft answers, {_ON}"),
    "head-hard": _theft("frozen", "hard", HEAD, f"hard answers, {_ON}"),
    "head-rounded": _theft("frozen", "rounded", HEAD, f"answers of two digits, {_ON}"),
    "head-regressed": _theft("frozen", "soft", HEAD, f"soft answers {_GUESSED}, {_ON}", regress_out=32),
    "whole-soft": _theft("frozen", "soft", WHOLE, "soft answers"),
    "whole-hard": _theft("frozen", "hard", WHOLE, "hard answers"),
    "soft": _theft("trained", "soft", WHOLE, "soft answers", then_truth=True),
    "hard": _theft("trained", "hard", WHOLE, "hard answers"),
    "regressed": _theft("trained", "soft", WHOLE, f"soft answers {_GUESSED}", regress_out=32),
}


def _answers(made: BenchKey, given: Given) -> Answers:
    """Puts a key's whole plan to a model."""
    logits = given([probe.data.decode("utf-8") for probe in made.plan.probes])
    return numbers(AnswerKind.LOGITS, np.asarray(logits, dtype=np.float32), made.claim.labels)


def _looked_up(texts: Sequence[str], logits: NDArray[Any]) -> Given:
    rows = {" ".join(text.split()): row for row, text in enumerate(texts)}
    return lambda asked: logits[[rows[text] for text in asked]]


def _truthful() -> Migrated:
    """The thief's own model, which asked nobody."""
    own = ground().thief
    return migrate(_public(), Task(list(own.texts), own.labels, own.names), HEAD, seed=INNOCENT_SEED)


def _student(answers: str) -> Callable[[], Given]:
    return lambda: _stolen(control("frozen"), HEAD, answers, INNOCENT_SEED).predict


INNOCENTS: tuple[tuple[str, Callable[[], Given]], ...] = (
    ("control, frozen", lambda: control("frozen").logits),
    ("the thief's true labels", lambda: _truthful().predict),
    ("control, soft answers", _student("soft")),
    ("control, hard answers", _student("hard")),
)
"""To which fresh keys are put."""
