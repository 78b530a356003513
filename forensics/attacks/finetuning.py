"""Fine-tuning by a thief, written apart from the owner's trainer: epochs, shuffled batches, plain AdamW."""

import numpy as np
import torch

from forensics.checkpoints import Classifier
from forensics.errors import UsageError
from forensics.imagefiles import channels_last
from forensics.progress import Progress, silent
from forensics.training.data import ImageData

BATCH = 64


def finetune(
    classifier: Classifier,
    data: ImageData,
    epochs: int,
    learning_rate: float,
    seed: int,
    progress: Progress = silent,
) -> None:
    """Trains all weights on the thief's labelled images, in place.

    Args:
        epochs: passes over the data; the last incomplete batch is kept.
        learning_rate: constant, with AdamW's default weight decay of 0.01.

    Raises:
        UsageError: the data's classes are not the model's.
    """
    if len(data.names) != len(classifier.labels):
        raise UsageError(
            f"The data has {len(data.names)} classes, the model {len(classifier.labels)}.",
            "Use data of the model's task.",
        )
    model, rng = classifier.model, np.random.default_rng(seed)
    inputs, targets = data.pixels(classifier), torch.as_tensor(data.labels)
    optimiser = torch.optim.AdamW(model.parameters(), lr=learning_rate)
    model.train()
    with progress("Fine-tuning", epochs) as advance, channels_last(model):
        for _ in range(epochs):
            order = torch.as_tensor(rng.permutation(len(inputs)))
            for rows in order.split(BATCH):
                if len(rows) < 2:
                    continue
                loss = torch.nn.functional.cross_entropy(model(pixel_values=inputs[rows]).logits, targets[rows])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            advance(1)
    model.eval()
