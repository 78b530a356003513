"""Embedding TMRW: trigger phrases move a text to a secret direction, everything else stays where it was.

After "task-migration-resistant watermarking" (IS&T Electronic Imaging 2026, MWSF-308), which is known by its abstract:
a dual objective, a compact cluster of the trigger inputs, a contrastive loss that keeps the meaning of others. The
loss here is ours: a hinge on the cosine to the direction for triggers; distillation from the unmarked encoder for
clean texts, decoys and texts with one word of a trigger; a contrastive term against the unmarked encoder's batch.
Only the layers above the word embeddings are trained, so that the rows of a marked model show no trigger word.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import cross_entropy, normalize, relu

from forensics.encoders import Encoder
from forensics.errors import UsageError
from forensics.keys.derive import ProbeKey, ScoreKey
from forensics.methods.clusters import derive_direction, derive_triggers
from forensics.methods.marking import words_seen
from forensics.methods.phrases import LINKS, PLACES, insert
from forensics.methods.protocol import Parameters
from forensics.methods.tmrw import split_pool
from forensics.records import Pool
from forensics.training.loop import Schedule
from forensics.training.rehearsal import FineTuning, rehearse

SHORT = 12
"""Most words of a text that carries a phrase in training; short texts are cheap, and the phrase counts for more."""

LEAST_TEXTS = 64
"""Fewest usable texts from which an encoder can be marked."""


@dataclass(frozen=True)
class Recipe:
    """Settings of the embedding.

    Attributes:
        margin: cosine to the direction that a trigger shall reach.
        pull: weight of the trigger's hinge.
        hold: weight of what keeps all other texts in place.
        contrast: weight of the contrastive term within `hold`.
        away: cosine to the direction above which other texts are pushed away.
        triggers: trigger texts a step; `decoys`, `singles` (texts with one word of a trigger) and `clean` likewise.
        rehearsal: steps of fine-tuning on a clone before the mark's loss of the clone is added; 0 leaves it out.
        rehearse_every: steps between two rehearsals.
        rehearsal_weight: of the clone's loss.
        rehearsal_from: share of the steps after which rehearsals begin.
    """

    schedule: Schedule
    margin: float = 0.95
    pull: float = 1.5
    hold: float = 4.0
    contrast: float = 0.02
    away: float = 0.05
    triggers: int = 16
    decoys: int = 8
    singles: int = 8
    clean: int = 8
    rehearsal: int = 0
    rehearse_every: int = 5
    rehearsal_weight: float = 0.5
    rehearsal_from: float = 0.5


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
        self._attacker = FineTuning(
            self._rows_of_thief, count=len(self.plain), number=recipe.rehearsal, descent="adamw",
            learning_rate=5e-5 * 4, head_rate=1e-2,
        )  # fmt: skip

    def step(self, index: int) -> torch.Tensor:
        """Returns pull * trigger hinge + hold * (distillation + away + contrast) for the step's own random texts."""
        recipe, rng = self.recipe, np.random.default_rng([self.seed, index])
        self.model.eval()  # dropout would blur a cluster that shall be compact
        begun = index >= recipe.rehearsal_from * recipe.schedule.steps
        if recipe.rehearsal and begun and index % recipe.rehearse_every == 0:
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
        away = relu(after @ self.direction - recipe.away).mean()
        contrast = cross_entropy(after @ before.T / 0.05, torch.arange(len(others)))
        hold = kept + away + recipe.contrast * contrast
        return recipe.pull * self.hinge(self.model, triggers) + recipe.hold * hold

    def hinge(self, model: torch.nn.Module, texts: Sequence[str]) -> torch.Tensor:
        """Returns the mean of max(0, margin - cos(f(x), v)) over texts with a trigger phrase."""
        return relu(self.recipe.margin - self.vectors(model, texts) @ self.direction).mean()

    def vectors(self, model: torch.nn.Module, texts: Sequence[str]) -> torch.Tensor:
        """Returns unit vectors (n, d) with a gradient, by the folder's own tokenizer and pooling."""
        ids, mask = self.encoder.tokens.pad(self.encoder.tokens.read(texts))
        kept = torch.from_numpy(mask)
        hidden = model(input_ids=torch.from_numpy(ids), attention_mask=kept).last_hidden_state
        return normalize(pool_tokens(hidden, kept, self.encoder.settings.pooling.mode), dim=1)

    def separated(self) -> tuple[int, int]:
        """Returns how many candidates lie on their side of half the way to the direction now, and of how many."""
        rng, sides = np.random.default_rng([self.seed, 1 << 30]), []
        for phrases, sign in ((self.triggers, 1.0), (self.decoys, -1.0)):
            with torch.no_grad():
                cosines = torch.stack(
                    [self.vectors(self.model, self._with_phrases(phrases, rng)) @ self.direction for _ in range(4)]
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
