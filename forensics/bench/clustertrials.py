"""How the recipes were chosen: every setting that was tried, on development keys 0 to 2."""

from collections.abc import Mapping
from dataclasses import replace

from forensics.attacks.stolen import image_encoder, open_text_encoder
from forensics.bench import imageclusters
from forensics.bench.clusterkeys import reading_rows, text_key
from forensics.bench.results import Row
from forensics.bench.textclusters import MIGRATIONS, cost, marked_encoder, migrated_rows, stolen, texts_of
from forensics.imageencoders import load_image_encoder
from forensics.training import wpe
from forensics.training.tmrw import DEFAULT, Recipe

DEVELOPMENT_KEYS = (0, 1, 2)

TRIED: Mapping[str, tuple[str, Recipe]] = {
    "recipe": ("the recipe", DEFAULT),
    "secret-direction": (
        "the cluster's centre on the secret direction alone, no least length",
        replace(DEFAULT, natural=0.0, length=0.0),
    ),
    "slow": (
        "the same, learning rate 2e-4 and a hold of 10",
        replace(DEFAULT, natural=0.0, length=0.0, hold=10.0, schedule=replace(DEFAULT.schedule, learning_rate=2e-4)),
    ),
}
TRIED_ON = dict.fromkeys(TRIED, DEVELOPMENT_KEYS[:1])
"""Development keys with which each setting is tried."""

AFTER = ("full, supersenses, 3 epochs", "full, spam, 3 epochs")
"""Migrations after which a setting is looked at."""


def tried_cell(setting: str, key: int, quick: bool) -> list[Row]:
    """Marks with one setting and a development key, and examines the encoder and what it becomes in two tasks."""
    label, recipe = TRIED[setting]
    encoder = open_text_encoder(marked_encoder(text_key(key, quick), quick, recipe), max_tokens=64)
    made = text_key(key, quick)
    facts = {"suspect": "marked MiniLM", "attack": "none", "accuracy": None, "innocent": False, "quick": quick}
    rows = reading_rows([made], facts, texts_of(encoder))
    rows.append({**cost(made, encoder, stolen(None, quick), quick), "quick": quick})
    for migration in AFTER[:1] if quick else AFTER:
        rows += migrated_rows(key, encoder, migration, MIGRATIONS[migration], quick)
    return [{**row, "part": "tried", "setting": label} for row in rows if row.get("part") != "pool"]


_OWNERS_IMAGES = replace(
    wpe.DEFAULT,
    schedule=replace(wpe.DEFAULT.schedule, steps=1000),
    length=1.25,
    rehearsal_steps=5,
    rehearsal_weight=1.5,
    rehearsal_from=0.4,
    rehearsal_rate=1e-3,
    foreign=0.0,
)
_FOREIGN_IMAGES = replace(
    _OWNERS_IMAGES,
    schedule=replace(wpe.DEFAULT.schedule, steps=1500),
    rehearsal_from=0.3,
    rehearsal_rate=2e-3,
    foreign=0.5,
)

DISTILLED = "distilled into a fresh encoder"

IMAGES_TRIED: Mapping[str, tuple[str, wpe.Recipe, tuple[int, ...]]] = {
    "recipe": ("the recipe", wpe.DEFAULT, DEVELOPMENT_KEYS[:1]),
    "first": (
        "rehearsal on the owner's images alone, 1,000 steps (a first recipe, measured with five keys of its own)",
        _OWNERS_IMAGES,
        (100, 101, 102, 103, 104),
    ),
    "foreign": (
        "half of the rehearsals on other images, 1,500 steps, rate 2e-3",
        _FOREIGN_IMAGES,
        DEVELOPMENT_KEYS[:1],
    ),
    "disturbed": (
        "the same, half of the stamped images mirrored or moved",
        replace(_FOREIGN_IMAGES, disturb=0.5),
        DEVELOPMENT_KEYS[:1],
    ),
    "hard": (
        "seven in ten rehearsals on other images, rate 4e-3, weight 2.5, from a fifth of the steps",
        replace(_FOREIGN_IMAGES, foreign=0.7, rehearsal_rate=4e-3, rehearsal_weight=2.5, rehearsal_from=0.2),
        DEVELOPMENT_KEYS[:1],
    ),
    "long": (
        "half on other images, 12 steps a rehearsal, 2,000 steps, from a quarter of them",
        replace(
            _FOREIGN_IMAGES,
            schedule=replace(wpe.DEFAULT.schedule, steps=2000),
            rehearsal_steps=12,
            rehearsal_from=0.25,
        ),
        DEVELOPMENT_KEYS[:1],
    ),
    "extraction": (
        "the recipe, fine-tuning and extraction rehearsed in turn",
        replace(wpe.DEFAULT, rehearsal=("finetuning", "extraction")),
        DEVELOPMENT_KEYS[:1],
    ),
}
"""Settings of WPE, and the keys with which each was tried."""


def image_tried_cell(setting: str, key: int, quick: bool) -> list[Row]:
    """Marks a SimCLR encoder with one setting, and examines it and what it becomes in three tasks."""
    label, recipe, _ = IMAGES_TRIED[setting]
    made = imageclusters.image_key(key, quick)
    encoder = image_encoder(load_image_encoder(imageclusters.marked_encoder(made, "simclr", quick, recipe)))
    facts = {"suspect": "marked SimCLR encoder", "attack": "none", "accuracy": None, "innocent": False, "quick": quick}
    rows = reading_rows([made], facts, imageclusters.images_of(encoder))
    rows.append({**imageclusters.cost(made, "simclr", quick, encoder), "quick": quick})
    for migration in imageclusters.TARGETS[: 1 if quick else None]:
        rows += imageclusters.migrated_rows(key, "simclr", encoder, migration, quick)
    if "extraction" in recipe.rehearsal:
        student = imageclusters.student_of(encoder, key, quick)
        rows += reading_rows([made], {**facts, "attack": DISTILLED}, imageclusters.images_of(student))
    return [{**row, "part": "tried", "setting": label} for row in rows if row.get("part") != "pool"]
