"""How TMRW's recipe was chosen: every setting that was tried, on development keys 0 to 2."""

from collections.abc import Mapping
from dataclasses import replace

from forensics.attacks.stolen import open_text_encoder
from forensics.bench.clusterkeys import reading_rows, text_key
from forensics.bench.results import Row
from forensics.bench.textclusters import MIGRATIONS, cost, marked_encoder, migrated_rows, stolen, texts_of
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
TRIED_ON = {"recipe": DEVELOPMENT_KEYS, "secret-direction": DEVELOPMENT_KEYS[:1], "slow": DEVELOPMENT_KEYS[:1]}
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
