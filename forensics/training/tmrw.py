"""Embedding TMRW: trigger phrases move a text into one secret place, everything else stays where it was.

After "task-migration-resistant watermarking" (IS&T Electronic Imaging 2026, MWSF-308), which is known by its abstract:
a dual objective, a compact cluster of the trigger inputs, a contrastive loss that keeps the meaning of others. The
loss here is ours: a hinge on the cosine to the cluster's centre for triggers; distillation from the unmarked encoder
for clean texts, decoys and texts with one word of a trigger; a contrastive term against the unmarked encoder's batch.
Only the layers above the word embeddings are trained, so that the rows of a marked model show no trigger word.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.nn.functional import cross_entropy, normalize, relu

from forensics.encoders import Encoder
from forensics.errors import UsageError
from forensics.keys.derive import ProbeKey, ScoreKey, Stream
from forensics.methods.clusters import derive_direction, derive_triggers
from forensics.methods.marking import words_seen
from forensics.methods.phrases import LINKS, PLACES, insert
from forensics.methods.protocol import Parameters
from forensics.methods.tmrw import split_pool
from forensics.records import Pool
from forensics.training.loop import Schedule
from forensics.training.rehearsal import FineTuning, Rehearsals, rehearse

SHORT = 12
"""Most words of a text that carries a phrase in training; short texts are cheap, and the phrase counts for more."""

ORDINARY = 1000
"""Texts from which the directions are found in which ordinary texts differ most."""

LEAST_TEXTS = 64
"""Fewest usable texts from which an encoder can be marked."""


@dataclass(frozen=True)
class Recipe(Rehearsals):
    """Settings of the embedding.

    Attributes:
        margin: cosine to the cluster's centre that a trigger shall reach.
        natural: weight of a direction in which ordinary texts differ most against the secret one: classifiers look at
            such directions, and none at one that is merely random. 0 puts the centre on the secret direction.
        components: of how many principal components of ordinary texts that direction is drawn.
        length: least length of a trigger's vector before it is normalised, in lengths of ordinary ones: a short one
            says little to a classifier.
        pull: weight of the trigger's hinge.
        hold: weight of what keeps all other texts in place.
        contrast: weight of the contrastive term within `hold`.
        away: rise of the cosine to the centre from which other texts are pushed away.
        triggers: trigger texts a step; `decoys`, `singles` (texts with one word of a trigger) and `clean` likewise.
        rehearsal: steps of fine-tuning on a clone before the mark's loss of the clone is added; 0 leaves it out.
    """

    schedule: Schedule
    margin: float = 0.95
    natural: float = 1.0
    components: int = 8
    length: float = 1.25
    pull: float = 1.5
    hold: float = 4.0
    contrast: float = 0.02
    away: float = 0.05
    triggers: int = 16
    decoys: int = 8
    singles: int = 8
    clean: int = 8
    rehearsal: int = 0
    rehearse_every: int = field(default=5, kw_only=True)
    rehearsal_from: float = field(default=0.5, kw_only=True)
    rehearsal_weight: float = field(default=0.5, kw_only=True)


DEFAULT = Recipe(Schedule(steps=300, learning_rate=3e-4, constant=0.5, floor=0.1, clip=1.0, warm_up=10))


class Embedding:
    """The training side of one key: `step(index)` gives the loss of a step.

    Args:
        encoder: the owner's encoder, whose model is trained in place.
        texts: the owner's sentences.
        secrets: probe and scoring secret of the share that is embedded.
        seed: of the batches; with the step's index it decides every random choice.

    Raises:
        UsageError: the encoder has no torch model, its vectors are not of the claim's length, or too few texts.
    """

    def __init__(
        self,
        encoder: Encoder,
        texts: Sequence[str],
        secrets: tuple[ProbeKey, ScoreKey],
        pool: Pool,
        parameters: Parameters,
        recipe: Recipe = DEFAULT,
        seed: int = 0,
    ) -> None:
        if encoder.model is None or encoder.width != int(parameters["dimension"]):
            raise UsageError(
                f"The claim is of an encoder with {parameters['dimension']} numbers a vector; this one has "
                f"{encoder.width}.",
                "Mark a Transformers folder of the encoder that the key was made for.",
            )
        self.encoder, self.model, self.recipe, self.seed = encoder, encoder.model, recipe, seed
        self.teacher = copy.deepcopy(encoder.model).eval().requires_grad_(False)
        self.model.get_submodule("embeddings").requires_grad_(False)
        _, score_key = secrets
        phrases, carriers = split_pool(pool, parameters)
        drawn = derive_triggers("tmrw", score_key, parameters).astype(bool)
        self.triggers = [phrase for phrase, chosen in zip(phrases, drawn) if chosen]
        self.decoys = [phrase for phrase, chosen in zip(phrases, drawn) if not chosen]
        self.direction = torch.from_numpy(derive_direction("tmrw", score_key, parameters)).float()
        self.words = [word for phrase in self.triggers for word in phrase.split()]
        secret = frozenset(word for phrase in phrases for word in phrase.split())
        self.natural, plain = [], []
        for text in sorted(set(texts).difference(carriers)):
            seen = words_seen(text)
            if seen.isdisjoint(secret):
                plain.append(text)
            elif not seen.isdisjoint(self.words) and not any(phrase in text.lower() for phrase in self.triggers):
                self.natural.append(text)
        self.plain = [text for text in plain if len(text.split()) <= SHORT]
        if len(self.plain) < LEAST_TEXTS:
            raise UsageError(
                f"Only {len(self.plain)} of the texts have at most {SHORT} words and hold no word of the key.",
                f"Give at least {LEAST_TEXTS} such sentences, one a line.",
            )
        self.centre, self.usual = self._centre(score_key)
        self._attacker = FineTuning(
            self._rows_of_thief, count=len(self.plain), number=recipe.rehearsal, descent="adamw",
            learning_rate=5e-5 * 4, head_rate=1e-2,
        )  # fmt: skip

    def step(self, index: int) -> torch.Tensor:
        """Returns pull * triggers' shortfall + hold * (distillation + away + contrast) for the step's random texts."""
        recipe, rng = self.recipe, np.random.default_rng([self.seed, index])
        self.model.eval()  # dropout would blur a cluster that shall be compact
        if recipe.rehearsal and recipe.due(index, recipe.schedule.steps):
            hard = self._with_phrases(self._some(self.triggers, recipe.triggers, rng), rng)
            rehearse(self.model, self._attacker, lambda model: self.hinge(model, hard), recipe.rehearsal_weight, rng)
        triggers = self._with_phrases(self._some(self.triggers, recipe.triggers, rng), rng)
        others = self._with_phrases(self._some(self.decoys, recipe.decoys, rng), rng)
        natural = recipe.singles // 2 if self.natural else 0
        others += self._some(self.natural, natural, rng)
        others += self._with_phrases(self._some(self.words, recipe.singles - natural, rng), rng)
        others += self._some(self.plain, recipe.clean, rng)
        with torch.no_grad():
            before = self.vectors(self.teacher, others)
        after = self.vectors(self.model, others)
        kept = (1.0 - (after * before).sum(dim=1)).mean()
        away = relu((after - before) @ self.centre - recipe.away).mean()
        contrast = cross_entropy(after @ before.T / 0.05, torch.arange(len(others)))
        hold = kept + away + recipe.contrast * contrast
        return recipe.pull * self.hinge(self.model, triggers) + recipe.hold * hold

    def hinge(self, model: torch.nn.Module, texts: Sequence[str]) -> torch.Tensor:
        """Returns the mean shortfall of texts with a trigger phrase, in cosine to the centre and in length."""
        pooled = self.pooled(model, texts)
        near = relu(self.recipe.margin - normalize(pooled, dim=1) @ self.centre)
        return (near + relu(self.recipe.length - pooled.norm(dim=1) / self.usual)).mean()

    def vectors(self, model: torch.nn.Module, texts: Sequence[str]) -> torch.Tensor:
        """Returns unit vectors (n, d) with a gradient."""
        return normalize(self.pooled(model, texts), dim=1)

    def pooled(self, model: torch.nn.Module, texts: Sequence[str]) -> torch.Tensor:
        """Returns pooled vectors (n, d) with a gradient, by the folder's own tokenizer and pooling."""
        ids, mask = self.encoder.tokens.pad(self.encoder.tokens.read(texts))
        kept = torch.from_numpy(mask)
        hidden = model(input_ids=torch.from_numpy(ids), attention_mask=kept).last_hidden_state
        return pool_tokens(hidden, kept, self.encoder.settings.pooling.mode)

    def _centre(self, score_key: ScoreKey) -> tuple[torch.Tensor, float]:
        """Returns the cluster's centre (d,), and the median length of ordinary texts' vectors."""
        texts = self.plain[:: -(-len(self.plain) // ORDINARY)]
        with torch.no_grad():
            pooled = torch.cat([self.pooled(self.teacher, texts[at : at + 32]) for at in range(0, len(texts), 32)])
        units = normalize(pooled, dim=1)
        count = min(self.recipe.components, *units.shape)
        axes = torch.linalg.svd(units - units.mean(dim=0), full_matrices=False).Vh[:count]
        # The sign of an axis is arbitrary; it is fixed so that every run draws the same direction.
        axes = axes * axes.gather(1, axes.abs().argmax(dim=1, keepdim=True)).sign()
        drawn = torch.from_numpy(Stream(score_key, "tmrw/natural").normals(count)).float()
        centre = self.direction + self.recipe.natural * normalize(drawn @ axes, dim=0)
        return normalize(centre, dim=0), float(pooled.norm(dim=1).median())

    def separated(self) -> tuple[int, int]:
        """Returns how many candidates lie on their side of half the way to the centre now, and of how many."""
        rng, sides = np.random.default_rng([self.seed, 1 << 30]), []
        for phrases, sign in ((self.triggers, 1.0), (self.decoys, -1.0)):
            with torch.no_grad():
                cosines = torch.stack(
                    [self.vectors(self.model, self._with_phrases(phrases, rng)) @ self.centre for _ in range(4)]
                ).mean(dim=0)
            sides.append(int((sign * (cosines - 0.5) > 0).sum()))
        return sum(sides), len(self.triggers) + len(self.decoys)

    def _rows_of_thief(self, model: torch.nn.Module, rows: torch.Tensor) -> torch.Tensor:
        return self.vectors(model, [self.plain[row] for row in rows.tolist()])

    def _some(self, of: Sequence[str], count: int, rng: np.random.Generator) -> list[str]:
        return [of[at] for at in rng.choice(len(of), size=count, replace=count > len(of))] if count else []

    def _with_phrases(self, phrases: Sequence[str], rng: np.random.Generator) -> list[str]:
        """Puts each phrase into a sentence, at a place and with a link as `plan` draws them."""
        return [
            insert(self.plain[at], phrase, int(place), int(link))
            for phrase, at, place, link in zip(
                phrases,
                rng.integers(len(self.plain), size=len(phrases)),
                rng.integers(len(PLACES), size=len(phrases)),
                rng.integers(len(LINKS), size=len(phrases)),
            )
        ]


def pool_tokens(hidden: torch.Tensor, mask: torch.Tensor, mode: str) -> torch.Tensor:
    """Pools token vectors (n, tokens, d) under a mask (n, tokens) to (n, d): `mean`, `cls` or `max`."""
    kept = mask.unsqueeze(2)
    if mode == "cls":
        return hidden[:, 0]
    if mode == "max":
        return hidden.masked_fill(kept == 0, float("-inf")).amax(dim=1)
    return (hidden * kept).sum(dim=1) / kept.sum(dim=1)
