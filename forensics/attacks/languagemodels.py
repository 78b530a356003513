"""Attacks on a stolen language model: fine-tuning on the thief's text, distillation, compression of its blocks."""

import copy
from typing import Any

import numpy as np
import torch

from forensics.attacks.compression import prune, quantise
from forensics.checkpoints import quiet
from forensics.errors import UsageError
from forensics.progress import Progress, silent
from forensics.training.textdata import TextData, language_loss

ROWS = 16


def finetune_text(
    model: Any, data: TextData, steps: int, learning_rate: float, *, seed: int, progress: Progress = silent
) -> None:
    """Trains all weights on the thief's text, in place, at a constant rate (AdamW, its default weight decay)."""

    def loss(batch: torch.Tensor) -> torch.Tensor:
        return language_loss(model(input_ids=batch, use_cache=False).logits, batch)

    _train(model, data, loss, steps, learning_rate, seed, "Fine-tuning", progress)


def distil_text(
    student: Any,
    stolen: Any,
    data: TextData,
    steps: int,
    learning_rate: float,
    *,
    seed: int,
    progress: Progress = silent,
) -> None:
    """Trains a student, in place, on the stolen model's probabilities of every next token of the thief's text.

    Raises:
        UsageError: the two have different vocabularies.
    """
    if student.config.vocab_size != stolen.config.vocab_size:
        raise UsageError("The student has another vocabulary than the stolen model.", "Use the same tokenizer.")
    stolen.eval()

    def loss(batch: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            wanted = stolen(input_ids=batch, use_cache=False).logits.log_softmax(dim=2)
        given = student(input_ids=batch, use_cache=False).logits.log_softmax(dim=2)
        return torch.as_tensor((wanted.exp() * (wanted - given)).sum(dim=2).mean())

    _train(student, data, loss, steps, learning_rate, seed, "Distilling", progress)


def fresh_model(stolen: Any, seed: int) -> Any:
    """Returns an untrained model of the same configuration."""
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return type(stolen)(copy.deepcopy(stolen.config)).eval()


def compress_blocks(model: Any, *, share: float = 0.0, bits: int | None = None) -> None:
    """Prunes, then quantises, the linear layers of the blocks, in place; word tables stay as they are.

    Args:
        share: of the smallest weights, which become zero.
        bits: of the weights afterwards; None leaves them.
    """
    if share > 0.0:
        prune(model.base_model, share)
    if bits is not None:
        quantise(model.base_model, bits)


def _train(
    model: Any, data: TextData, loss: Any, steps: int, learning_rate: float, seed: int, label: str, progress: Progress
) -> None:
    optimiser = torch.optim.AdamW(model.parameters(), lr=learning_rate)
    model.train()
    with progress(label, steps) as advance:
        for index in range(steps):
            optimiser.zero_grad(set_to_none=True)
            loss(data.batch(np.random.default_rng([seed, index]), ROWS)).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimiser.step()
            advance(1)
    model.eval()
