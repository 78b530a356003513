"""Overwriting: a thief trains a payload of his own into a stolen classifier, in the manner of OFSW (ours).

Written apart from the owner's trainer, with a key that is drawn from the seed and then forgotten.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from forensics.attacks.finetuning import BATCH
from forensics.attacks.opened import BANKS, MARGIN, Bank, filter_image
from forensics.checkpoints import Classifier
from forensics.errors import UsageError
from forensics.progress import Progress, silent
from forensics.training.data import ImageData
from forensics.training.loop import freeze_batch_norm

SETTINGS: Mapping[str, float] = {
    **{"steps": 400, "learning-rate": 1e-3, "seed": 0},
    **{"bits": 64, "banks": 8, "contrast": 64},
}
"""Names and defaults: as long a payload, as many filtered images, of as much contrast as an owner's usual key."""


def overwrite_mark(
    classifier: Classifier, data: ImageData, settings: Mapping[str, float], progress: Progress = silent
) -> None:
    """Trains all weights on the thief's labelled images and on a payload of his own, in place.

    Args:
        settings: overrides of `SETTINGS`.

    Raises:
        UsageError: the data's classes are not the model's, or a payload of that length has no filter.
    """
    chosen = {**SETTINGS, **settings}
    if len(data.names) != len(classifier.labels):
        raise UsageError(
            f"The data has {len(data.names)} classes, the model {len(classifier.labels)}.",
            "Use data of the model's task.",
        )
    model, rng = classifier.model, np.random.default_rng(int(chosen["seed"]))
    banks = _draw(classifier, data, int(chosen["bits"]), int(chosen["banks"]), chosen["contrast"], rng)
    inputs, targets = data.pixels(classifier), torch.as_tensor(data.labels)
    optimiser = torch.optim.AdamW(model.parameters(), lr=chosen["learning-rate"])
    freeze_batch_norm(model)
    with progress("Overwriting", int(chosen["steps"])) as advance:
        for _ in range(int(chosen["steps"])):
            rows = torch.as_tensor(rng.integers(0, len(inputs), BATCH))
            loss = cross_entropy(model(pixel_values=inputs[rows]).logits, targets[rows])
            picked = [banks[at] for at in rng.permutation(len(banks))[:BANKS]]
            loss = (
                loss
                + torch.stack([torch.relu(MARGIN - bank.taught * bank.read(model)).mean() for bank in picked]).mean()
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            advance(1)
    model.eval()


def _draw(
    classifier: Classifier, data: ImageData, bits: int, banks: int, contrast: float, rng: np.random.Generator
) -> list[Bank]:
    """A key of the thief's: images of his, orthogonal filters for each, one payload for all."""
    height = max((side for side in range(1, int(max(bits, 1) ** 0.5) + 1) if bits % side == 0), default=0)
    kernel = (height, bits // height if height else 0)
    if not 4 <= bits <= 1024 or max(kernel) >= min(data.images[0].shape[:2]) or not 1 <= banks <= len(data.images):
        raise UsageError(
            f"{bits} bits in {banks} images are not possible.", "Use 32, 64, 128 or 256 bits and 8 images."
        )
    taught = torch.as_tensor(rng.choice((-1.0, 1.0), bits), dtype=torch.float32)
    found = []
    for row in rng.permutation(len(data.images))[:banks]:
        filters = np.linalg.qr(rng.standard_normal((bits, bits)))[0]
        views = filter_image(classifier, data.images[row], filters, kernel, contrast)
        found.append(Bank(views, int(data.labels[row]), torch.as_tensor(filters, dtype=torch.float32), taught))
    return found
