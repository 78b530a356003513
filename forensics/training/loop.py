"""One optimisation loop for training, embedding and fine-tuning: schedule, checkpoints, resume, progress."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from forensics.errors import StorageError, UsageError
from forensics.imagefiles import channels_last
from forensics.progress import Progress, silent
from forensics.records import IntArray

Step = Callable[[int], torch.Tensor]
"""Maps a step's index to its loss; all randomness comes from the index, so that a resumed run is the same run.

What a model draws by itself, such as dropout, comes from it as well: `optimise` seeds torch with it.
"""


@dataclass(frozen=True)
class Schedule:
    """AdamW with a constant learning rate, then a cosine down to a share of it.

    Attributes:
        constant: share of the steps at the full rate.
        floor: share of the full rate at the end.
        clip: largest norm of the gradient.
        warm_up: steps over which the rate rises to its full height.
    """

    steps: int
    learning_rate: float = 1e-3
    constant: float = 0.6
    floor: float = 0.02
    clip: float = 5.0
    weight_decay: float = 0.0
    warm_up: int = 0

    def rate(self, step: int) -> float:
        """Returns the learning rate at a step."""
        start = self.constant * self.steps
        if step < start:
            return self.learning_rate * min(1.0, (step + 1) / max(1, self.warm_up))
        progress = (step - start) / max(1.0, self.steps - start)
        return self.learning_rate * (self.floor + (1.0 - self.floor) * 0.5 * (1.0 + math.cos(math.pi * progress)))


@dataclass(frozen=True)
class Checkpoint:
    """Where a run saves its state, every how many steps, and what identifies the run."""

    path: Path
    fingerprint: str
    every: int = 50


def optimise(
    model: torch.nn.Module,
    step: Step,
    schedule: Schedule,
    *,
    label: str,
    progress: Progress = silent,
    checkpoint: Checkpoint | None = None,
    observe: Callable[[int], None] | None = None,
) -> None:
    """Runs a schedule to its end, or resumes it from its checkpoint.

    Args:
        observe: called after each step with its index, for measurements that do not change the model.

    Raises:
        StorageError: a checkpoint cannot be written.
        UsageError: the checkpoint belongs to another run.
    """
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    first = _restore(checkpoint, model, optimiser) if checkpoint else 0
    with progress(label, schedule.steps) as advance, torch.random.fork_rng(devices=[]), channels_last(model):
        advance(first)
        for index in range(first, schedule.steps):
            torch.manual_seed(index)
            for group in optimiser.param_groups:
                group["lr"] = schedule.rate(index)
            optimiser.zero_grad(set_to_none=True)
            step(index).backward()
            torch.nn.utils.clip_grad_norm_(weights, schedule.clip)
            optimiser.step()
            if observe:
                observe(index)
            if checkpoint and (index + 1) % checkpoint.every == 0:
                _save(checkpoint, index + 1, model, optimiser)
            advance(1)


def freeze_batch_norm(model: torch.nn.Module) -> None:
    """Puts a model in training mode with the running statistics of every BatchNorm left as they are."""
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()


def shifted(images: torch.Tensor, rng: np.random.Generator, most: int) -> torch.Tensor:
    """Rolls a batch by up to `most` pixels in each direction, the same for the whole batch."""
    if most == 0:
        return images
    down, right = (int(value) for value in rng.integers(-most, most + 1, 2))
    return torch.roll(images, (down, right), (2, 3))


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Puts a model in evaluation mode without gradients inside a `with` block; every module's mode is restored."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def predict(model: torch.nn.Module, images: torch.Tensor, batch_size: int = 256) -> torch.Tensor:
    """Returns logits (n, classes) in evaluation mode; the model's mode is restored."""
    with evaluating(model):
        return torch.cat(
            [model(images[start : start + batch_size]).logits for start in range(0, len(images), batch_size)]
        )


def accuracy(model: torch.nn.Module, images: torch.Tensor, labels: IntArray) -> float:
    """Returns the share of images whose largest logit is the label's."""
    return float((predict(model, images).argmax(dim=1).numpy() == labels).mean())


def _save(checkpoint: Checkpoint, step: int, model: torch.nn.Module, optimiser: torch.optim.Optimizer) -> None:
    checkpoint.path.parent.mkdir(parents=True, exist_ok=True)
    fresh = checkpoint.path.with_suffix(".new")
    state = {
        "fingerprint": checkpoint.fingerprint,
        "step": step,
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
    }
    try:
        torch.save(state, fresh)
        fresh.replace(checkpoint.path)
    except (OSError, RuntimeError) as error:
        fresh.unlink(missing_ok=True)
        raise StorageError(f"The checkpoint {checkpoint.path} cannot be written.", "Free some disk space.") from error


def _restore(checkpoint: Checkpoint, model: torch.nn.Module, optimiser: torch.optim.Optimizer) -> int:
    if not checkpoint.path.exists():
        return 0
    state = torch.load(checkpoint.path, weights_only=True)
    if state["fingerprint"] != checkpoint.fingerprint:
        raise UsageError(
            f"{checkpoint.path.parent} holds an unfinished run with other settings.",
            "Remove that folder to start anew.",
        )
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])
