"""Batches of texts for a classifier in training; what a frozen encoder makes of the texts is computed only once."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from forensics.checkpoints import library
from forensics.records import IntArray
from forensics.textclassifiers import TextClassifier
from forensics.training.loop import evaluating

MOST_BYTES = 1 << 30
"""A frozen encoder's states of all texts are computed anew at each step where they need more memory."""

_ROWS, _COMPARED, _NEAR = 64, 8, 1e-4


class TextBatches:
    """A classifier's logits of training texts, with gradients.

    Args:
        frozen: whether the encoder stays as it is, and nothing but what follows it is trained.
    """

    def __init__(self, classifier: TextClassifier, texts: Sequence[str], *, frozen: bool) -> None:
        self._classifier, self._frozen = classifier, frozen
        self._tokens = classifier.tokens.read(list(texts))
        self.states: list[NDArray[np.float32]] | None = None
        if frozen:
            _freeze(classifier.model)
            self.states = self._states()

    def logits(self, rows: IntArray) -> torch.Tensor:
        """Returns the logits of the texts at these positions, (b, classes), in training mode."""
        model: Any = self._classifier.model
        model.train()
        if self._frozen:
            model.base_model.eval()
        with self._replayed(rows) if self.states else nullcontext():
            return torch.as_tensor(model(**self._batch(rows)).logits)

    def _states(self) -> list[NDArray[np.float32]] | None:
        """Last hidden states of each text, (tokens, width); None where they are too many or a head reads other things.

        Heads of the library differ in what they take from an encoder; whether this one answers alike with states that
        were kept is tried out on some texts.
        """
        model: Any = self._classifier.model
        if sum(len(each) for each in self._tokens) * model.config.hidden_size * 4 > MOST_BYTES:
            return None
        order = np.argsort([len(each) for each in self._tokens], kind="stable")
        found: list[NDArray[np.float32]] = [np.zeros((0, 0), dtype=np.float32)] * len(order)
        with evaluating(model):
            for start in range(0, len(order), _ROWS):
                rows = order[start : start + _ROWS]
                hidden = model.base_model(**self._batch(rows)).last_hidden_state.numpy()
                for row, each in zip(rows, hidden, strict=True):
                    found[row] = each[: len(self._tokens[row])].copy()
            self.states, rows = found, order[-_COMPARED:]
            direct = model(**self._batch(rows)).logits
            try:
                with self._replayed(rows):
                    replayed = model(**self._batch(rows)).logits
            except (AttributeError, IndexError, TypeError, RuntimeError):
                return None
        return found if torch.allclose(direct, replayed, rtol=_NEAR, atol=_NEAR) else None

    @contextmanager
    def _replayed(self, rows: IntArray) -> Iterator[None]:
        """Lets the encoder answer with what is kept of these texts, inside a `with` block."""
        base: Any = self._classifier.model.base_model
        kept = [torch.from_numpy(self.states[row]) for row in rows] if self.states else []
        hidden = torch.nn.utils.rnn.pad_sequence(kept, batch_first=True)
        pooler = getattr(base, "pooler", None)

        def forward(*_: object, **__: object) -> Any:
            pooled = None if pooler is None else pooler(hidden)
            return library().modeling_outputs.BaseModelOutputWithPooling(hidden, pooled)

        base.forward = forward
        try:
            yield
        finally:
            del base.forward

    def _batch(self, rows: IntArray) -> dict[str, torch.Tensor]:
        ids, mask = self._classifier.tokens.pad([self._tokens[row] for row in rows])
        return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}


def _freeze(model: Any) -> None:
    """Stops the training of a classifier's encoder; what pools for the head is trained with the head."""
    model.base_model.requires_grad_(False)
    pooler = getattr(model.base_model, "pooler", None)
    if isinstance(pooler, torch.nn.Module):
        pooler.requires_grad_(True)
