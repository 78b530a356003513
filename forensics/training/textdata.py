"""Running text for training language models: one row of tokens, windows drawn from it, perplexity on it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from forensics.encoderfiles import TokenReader
from forensics.errors import UsageError

WINDOW = 128
"""Tokens of a window, unless the model takes fewer."""

_AT_ONCE, _WHOLE = 16, 1 << 24


@dataclass(frozen=True, eq=False)
class TextData:
    """Documents as one row of tokens.

    Attributes:
        ids: int64 (tokens,).
        window: tokens of one window.
    """

    ids: NDArray[np.int64]
    window: int = WINDOW

    def batch(self, rng: np.random.Generator, rows: int) -> torch.Tensor:
        """Returns windows from random places, int64 (rows, window)."""
        starts = rng.integers(0, len(self.ids) - self.window + 1, rows)
        return torch.from_numpy(np.stack([self.ids[start : start + self.window] for start in starts]))

    def split(self, share: float) -> tuple["TextData", "TextData"]:
        """Returns what is left and the last part of that share."""
        cut = len(self.ids) - max(self.window, round(share * len(self.ids)))
        if cut < self.window:
            raise UsageError("The text is too short to hold a part of it out.", "Give more text.")
        return TextData(self.ids[:cut], self.window), TextData(self.ids[cut:], self.window)


def read_tokens(tokens: TokenReader, texts: Sequence[str], window: int = WINDOW) -> TextData:
    """Splits documents with a model's own tokenizer and puts them in a row, a line break between two of them.

    Raises:
        UsageError: fewer tokens than one window.
    """
    longest = min(window, tokens.settings.max_tokens)
    # Documents are longer than what the model takes at a time, and windows are cut from all of them.
    whole = TokenReader(replace(tokens.settings, max_tokens=_WHOLE))
    ids = np.concatenate([np.empty(0, dtype=np.int64), *whole.read([f"{text}\n" for text in texts])])
    if len(ids) < longest:
        raise UsageError(f"The text has {len(ids)} tokens, fewer than a window of {longest}.", "Give more text.")
    return TextData(ids, longest)


def language_loss(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Returns the mean negative log-probability of each token after those before it.

    Args:
        logits: (rows, tokens, vocabulary).
        ids: (rows, tokens).
    """
    return cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


def perplexity(model: Any, data: TextData, most: int = 512) -> float:
    """Returns exp of the mean loss over the windows of a text, side by side, in evaluation mode.

    Args:
        most: windows that are looked at.
    """
    count = min(most, len(data.ids) // data.window)
    rows = torch.from_numpy(data.ids[: count * data.window].reshape(count, data.window))
    training, total = model.training, 0.0
    model.eval()
    with torch.inference_mode():
        for batch in rows.split(_AT_ONCE):
            total += float(language_loss(model(input_ids=batch, use_cache=False).logits, batch)) * len(batch)
    model.train(training)
    return math.exp(total / count)
