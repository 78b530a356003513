"""How the recipe of the services bench was chosen: every setting tried, on development keys 0 to 2.

The thief here fits a straight map on frozen features, which takes seconds; the recipe is then used for all students.
"""

from collections.abc import Mapping

from forensics.bench import thieves
from forensics.bench.corpus import package_digest
from forensics.bench.keys import service_key
from forensics.bench.pools import Recipe, sentences, service_pool
from forensics.bench.results import Row
from forensics.bench.service_rows import QUICK, answers, clean_answers, one_row, service, texts_of
from forensics.bench.service_theft import BEFORE, SERVICE, clean_queries, queries, thief_features
from forensics.bench.vectors import unit, vectors

DEVELOPMENT_KEYS = (0, 1, 2)
STUDENT = "frozen features"

TRIED: Mapping[str, tuple[str, Recipe]] = {
    "recipe": ("the recipe: target far from the mean, words filtered, mask 20 %", Recipe()),
    "target-faithful": ("target that a crude imitation gets right best", Recipe(target="faithful")),
    "target-any": ("any target", Recipe(target="any")),
    "target-calm": ("target that candidate words move least", Recipe(target="calm")),
    "words-unfiltered": ("any words of the band", Recipe(filtered=False)),
    "words-unfiltered-target-any": ("any words of the band, any target", Recipe(filtered=False, target="any")),
    "band-002-01": ("words of 0.2 % to 1 % of texts", Recipe(band=(0.002, 0.01))),
    "mask-15-words-28": ("28 words, mask 15 %", Recipe(mask_percent=15, words=28)),
    "mask-25-words-16": ("16 words, mask 25 %", Recipe(mask_percent=25, words=16)),
    "carriers-4": ("4 carriers", Recipe(carriers=4)),
    "without-encoder": ("the recipe, but the claim names no encoder", Recipe()),
}
WITHOUT_ENCODER = "without-encoder"
"""Here nothing calibrates the item scores."""


def tried_cell(setting: str, quick: bool) -> list[Row]:
    """Examines the student of each development key under one setting, plain and after CSE with K = 50."""
    label, recipe = TRIED[setting]
    recipe = QUICK if quick else recipe
    named = None if setting == WITHOUT_ENCODER else package_digest(SERVICE)
    features, own, texts = thief_features(STUDENT, quick), clean_queries(STUDENT, quick), queries(STUDENT, quick)
    traffic = sentences("traffic", 300 if quick else None)
    clean = vectors(SERVICE, traffic)
    rows: list[Row] = []
    for number in DEVELOPMENT_KEYS[:1] if quick else DEVELOPMENT_KEYS:
        made = service_key(number, service_pool(number, recipe), recipe.options, named)
        mark = service(made, "espew").mark
        loss = 1.0 - float((unit(mark(traffic, clean)) * unit(clean)).sum(axis=1).mean())
        asked = thieves.frozen_features(texts_of(made))
        reference = None if named is None else clean_answers(made, quick)
        for before in ("none", "CSE, K = 50"):
            wanted = BEFORE[before](mark(texts, own), unit(features[:, -thieves.WIDTH :]))
            student = thieves.train_head(features, wanted, number, thieves.HeadSettings(epochs=0))
            measurement, verdict = made.score(answers(student(asked)), reference)
            row = one_row(made, "straight map on frozen features", before, "none", "espew", quick, measurement, verdict)
            rows.append(
                {**row, "part": "tried", "setting": label, "loss over traffic": loss, "options": recipe.options}
            )
    return rows
