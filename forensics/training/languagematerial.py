"""Language models into which a mark is trained: their perplexity on text that is held out must not rise far."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from forensics.canonical import canonical_json, sha256
from forensics.errors import UsageError
from forensics.languagemodels import load_language_model, read_language_model_identity, save_language_model
from forensics.methods.ofsw_text import read_pool
from forensics.records import FloatArray, Identity
from forensics.training.material import (
    HELD_OUT,
    Limits,
    Marking,
    Material,
    Together,
    count_weights,
    model_card,
)
from forensics.training.textdata import perplexity, read_tokens

FEWEST = 20
"""Fewest different documents with which a language model is trained."""


class LanguageMaterial(Material):
    """A language model with documents. Those that hold a passage of the key are left out: probes shall be new to it.

    Raises:
        UsageError: too few documents, or too short ones.
        ModelError: the model's folder breaks a rule.
    """

    keeping = "Recovering perplexity"

    def __init__(self, model: Path, data: Sequence[str], marking: Marking, limits: Limits, seed: int) -> None:
        passages = [each.text for share in marking.shares for each in read_pool(share.pool)[1]]
        texts = [text for text in dict.fromkeys(data) if not any(passage in text for passage in passages)]
        if len(texts) < FEWEST:
            raise UsageError(
                f"The data has {len(texts)} different documents without a passage of the key; {FEWEST} are the least.",
                "Give more, some thousand if possible.",
            )
        order = np.random.default_rng(seed).permutation(len(texts))
        cut = max(1, round(HELD_OUT * len(texts)))
        self.loaded = load_language_model(model)
        self.identity, self.model = self.loaded.identity, self.loaded.model
        self._held, self._rest = (
            read_tokens(self.loaded.tokens, [texts[row] for row in np.sort(rows)])
            for rows in (order[:cut], order[cut:])
        )
        self.held_out = len(self._held.ids)
        self.data_digest = sha256(canonical_json(list(data)))
        self._marking, self._most, self._seed = marking, limits.perplexity_rise, seed

    def limit(self) -> dict[str, str]:
        """Returns the largest accepted rise."""
        return {"rise": repr(self._most)}

    def embedding(self, recipe_file: Any, recipe: Any) -> Together:
        """Returns the method's `Embedding` of every share."""
        return Together(
            [
                recipe_file.Embedding(
                    self.loaded,
                    self._rest,
                    share.secrets,
                    share.pool,
                    self._marking.parameters,
                    recipe,
                    self._seed + number,
                )
                for number, share in enumerate(self._marking.shares)
            ]
        )

    def read_back(self, embedding: Any) -> tuple[int, int]:
        """Returns the payload bits that are read back, and how many there are."""
        return embedding.matched(), int(self._marking.parameters["bits"])

    def measure(self) -> FloatArray:
        """Returns the perplexity of held-out documents, (1,)."""
        return np.array([perplexity(self.model, self._held)])

    def compare(self, before: FloatArray, after: FloatArray) -> dict[str, float]:
        """Returns both perplexities."""
        return {"perplexity_before": float(before[0]), "perplexity_after": float(after[0])}

    def loss(self, figures: Mapping[str, float]) -> tuple[str, str] | None:
        """Tells of too large a rise of the perplexity."""
        rise = figures["perplexity_after"] / figures["perplexity_before"] - 1.0
        if rise <= self._most:
            return None
        return (
            f"The mark raises the perplexity of {self.held_out} held-out tokens by {100 * rise:.1f} %; "
            f"{100 * self._most:.1f} % are allowed, so nothing was written.",
            "Allow more with --max-perplexity-rise, give more text, or embed fewer bits.",
        )

    def sentence(self, figures: Mapping[str, float]) -> str:
        """Returns both perplexities in words."""
        before, after = figures["perplexity_before"], figures["perplexity_after"]
        return f"perplexity {before:.2f} before, {after:.2f} after, on {self.held_out} held-out tokens"

    def save(self, folder: Path, figures: Mapping[str, float], source: Path) -> None:
        """Writes a folder of a language model."""
        card = model_card(
            "text-generation",
            source,
            f"A language model with {count_weights(self.model):,} weights",
            {
                "perplexity of held-out text": "",
                "before": f"{figures['perplexity_before']:.2f}",
                "after": f"{figures['perplexity_after']:.2f}",
                "tokens": str(self.held_out),
            },
        )
        save_language_model(self.loaded, folder, card)

    def read_identity(self, folder: Path) -> Identity:
        """Returns the manifest of a folder that was written."""
        return read_language_model_identity(folder)
