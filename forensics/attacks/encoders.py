"""Attacks on a stolen encoder's weights beyond compression: distillation, overwriting, resetting word vectors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from forensics.attacks.stolen import AnyEncoder, StolenEncoder
from forensics.checkpoints import quiet
from forensics.errors import UsageError
from forensics.progress import Progress, silent


@dataclass(frozen=True)
class Distillation:
    """How a student is trained: AdamW with a linear fall of the rate, on 1 - cosine."""

    epochs: int = 3
    learning_rate: float = 5e-4
    batch: int = 32


def fresh_student(encoder: AnyEncoder, seed: int, **changes: Any) -> AnyEncoder:
    """Returns an untrained encoder of the same architecture, or of a smaller one.

    Args:
        seed: of its first weights.
        changes: to the configuration, such as `num_hidden_layers=3` or `depths=[1, 1, 1, 1]`.

    Raises:
        UsageError: the configuration has no such entry.
    """
    stated = encoder.model.config.to_dict()
    unknown = sorted(set(changes) - set(stated))
    if unknown:
        raise UsageError(f"The encoder's configuration has no '{unknown[0]}'.", "Name an entry of its config.json.")
    config = type(encoder.model.config).from_dict({**stated, **changes})
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return encoder.with_model(type(encoder.model)(config).eval())


def distil(
    student: StolenEncoder,
    inputs: Sequence[Any],
    vectors: NDArray[np.float32],
    settings: Distillation = Distillation(),
    *,
    seed: int,
    progress: Progress = silent,
) -> None:
    """Trains a student, in place, to give the vectors that the stolen encoder gave.

    Args:
        inputs: the thief's texts or images, without labels.
        vectors: (n, d) the stolen encoder's answers to them; their lengths do not matter.
        seed: of the order of the inputs and of dropout.

    Raises:
        UsageError: fewer than two inputs, or a student of another width.
    """
    if len(inputs) < 2 or len(vectors) != len(inputs):
        raise UsageError("Distillation needs at least two inputs with a vector each.", "Give the thief more data.")
    order, prepared = np.random.default_rng([seed, 2]), student.prepare(inputs)
    with torch.no_grad():
        width = student.features(student.batch(prepared, np.zeros(1, dtype=np.int64))).shape[1]
    if width != np.asarray(vectors).shape[1]:
        raise UsageError(
            f"The student's vectors have {width} numbers, those of the encoder {np.asarray(vectors).shape[1]}.",
            "Change its depth, not its width.",
        )
    wanted = torch.nn.functional.normalize(torch.as_tensor(np.asarray(vectors, dtype=np.float32)), dim=1)
    starts = [start for start in range(0, len(inputs), settings.batch) if len(inputs) - start > 1]
    steps = settings.epochs * len(starts)
    optimiser = torch.optim.AdamW(student.model.parameters(), lr=settings.learning_rate)
    falling = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1.0 - step / max(1, steps))
    student.model.train()
    with progress("Distilling", settings.epochs) as advance, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for _ in range(settings.epochs):
            shuffled = order.permutation(len(inputs))
            for start in starts:
                rows = shuffled[start : start + settings.batch]
                features = student.features(student.batch(prepared, rows))
                cosines = torch.nn.functional.cosine_similarity(features, wanted[torch.from_numpy(rows)])
                optimiser.zero_grad(set_to_none=True)
                (1.0 - cosines).mean().backward()
                optimiser.step()
                falling.step()
            advance(1)
    student.model.eval()


def overwrite(
    model: torch.nn.Module,
    step: Callable[[int], torch.Tensor],
    steps: int,
    learning_rate: float,
    *,
    seed: int,
    progress: Progress = silent,
) -> None:
    """Trains a second mark, or anything else, into a model, in place (AdamW, all weights).

    Args:
        step: from the index of a step to the loss on that very model; it sets the model's mode.
        seed: of torch's generator, for dropout.
    """
    model.requires_grad_(True)
    optimiser = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.0)
    with progress("Overwriting", steps) as advance, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for index in range(steps):
            optimiser.zero_grad(set_to_none=True)
            step(index).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimiser.step()
            advance(1)
    model.eval()


def reset_words(model: Any, base: Any, least: float = 1e-6) -> NDArray[np.int64]:
    """Puts the public base model's word vectors back where the stolen model's differ from them, in place.

    Args:
        model: `transformers` text model.
        base: the public one of the same vocabulary.
        least: rows are reset that differ by more than this share of the base row's length.

    Returns:
        the token numbers that were reset, which is also what a thief learns of the trigger words.

    Raises:
        UsageError: the tables of word vectors are of different sizes.
    """
    table, public = model.get_input_embeddings().weight, base.get_input_embeddings().weight
    if table.shape != public.shape:
        raise UsageError(
            f"The word vectors are a table of {tuple(table.shape)}, those of the base {tuple(public.shape)}.",
            "Name the public model that this one was made from.",
        )
    with torch.no_grad():
        rows = (table - public).norm(dim=1) > least * public.norm(dim=1)
        table[rows] = public[rows]
    found: NDArray[np.int64] = rows.nonzero().flatten().numpy()
    return found
