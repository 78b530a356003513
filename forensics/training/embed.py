"""The embedding trainer: from an unmarked model folder and data to a marked model folder, resumable at any point."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from forensics.canonical import canonical_json, sha256
from forensics.checkpoints import Classifier, load_classifier, read_identity, save_classifier
from forensics.errors import StorageError, UsageError
from forensics.keys.derive import ProbeKey, ScoreKey
from forensics.progress import Progress, silent
from forensics.records import Identity, Pool
from forensics.training.data import ImageData
from forensics.training.loop import Checkpoint, Schedule, accuracy, optimise

HELD_OUT = 0.15
RECOVERY_ROUNDS = 2


class Embedding(Protocol):
    """What a method's training file builds: a loss a step, and how much of the mark is read back."""

    def step(self, index: int) -> torch.Tensor:
        """Returns the loss of a step; all randomness comes from the index."""
        ...

    def matched(self) -> int:
        """Returns how many units of the mark are read back at present."""
        ...


@dataclass(frozen=True)
class Marking:
    """What of a key the trainer needs.

    Attributes:
        method: name; `training/<method>.py` offers `Embedding` and `DEFAULT`.
        secrets: probe and scoring secret of the share that is embedded.
        claim_digest: C, which identifies the run when it is resumed.
        labels: the claim's label list.
    """

    method: str
    secrets: tuple[ProbeKey, ScoreKey]
    pool: Pool
    parameters: dict[str, Any]
    labels: tuple[str, ...]
    claim_digest: str


@dataclass(frozen=True)
class Embedded:
    """What came out.

    Attributes:
        identity: manifest of the marked model folder.
        accuracy_before: on held-out data, before embedding; `accuracy_after` likewise.
        held_out: number of held-out images.
        matched: units of the mark read back without calibration; `of` how many.
    """

    identity: Identity
    accuracy_before: float
    accuracy_after: float
    held_out: int
    matched: int
    of: int


def embed(
    model: Path,
    data: ImageData,
    out: Path,
    marking: Marking,
    *,
    max_accuracy_drop: float = 0.02,
    steps: int | None = None,
    seed: int = 0,
    progress: Progress = silent,
    record: Callable[[Identity], None] = lambda identity: None,
) -> Embedded:
    """Marks a model. An interrupted run is taken up again when called with the same arguments.

    Args:
        model: the unmarked model's folder.
        out: the marked model's folder, which must not exist; work goes on in `<out>.partial`.
        max_accuracy_drop: largest accepted loss on held-out data, as a share (0.02 is two points).
        record: called with the marked model's identity before the folder appears under its final name, to write
            the asset record; called again with the same identity if the run was killed in between.

    Raises:
        UsageError: the data or the model does not suit the claim, or the accuracy cannot be kept.
    """
    if out.exists():
        raise UsageError(f"{out} exists already.", "Choose another --out, or remove it.")
    classifier = load_classifier(model)
    _require_labels(classifier, data, marking)
    rest, held = data.split(HELD_OUT, np.random.default_rng(seed))
    recipe_file = import_module(f"forensics.training.{marking.method}")
    recipe = recipe_file.DEFAULT
    if steps is not None:
        recipe = dataclasses.replace(recipe, schedule=dataclasses.replace(recipe.schedule, steps=steps))
    work = out.with_name(out.name + ".partial")
    settings = {
        "claim": marking.claim_digest,
        "model": classifier.identity.digest,
        "data": _data_digest(data),
        "recipe": repr(recipe),
        "seed": seed,
        "drop": repr(max_accuracy_drop),
    }
    fingerprint = sha256(canonical_json(settings))
    summary = _finished(work, fingerprint)
    if summary is None:
        before = accuracy(classifier.model, held.pixels(classifier), held.labels)
        embedding = recipe_file.Embedding(
            classifier, rest, marking.secrets, marking.pool, marking.parameters, recipe, seed
        )
        checkpoint = Checkpoint(work / "state.pt", fingerprint)
        optimise(
            classifier.model,
            embedding.step,
            recipe.schedule,
            label="Embedding",
            progress=progress,
            checkpoint=checkpoint,
        )
        after = _recover(classifier, embedding, held, before, max_accuracy_drop, recipe.schedule, progress)
        if before - after > max_accuracy_drop:
            shutil.rmtree(work, ignore_errors=True)
            raise UsageError(
                f"The mark costs {100 * (before - after):.2f} points of accuracy on {len(held.labels)} "
                f"held-out images; {100 * max_accuracy_drop:.2f} were allowed, so nothing was written.",
                "Allow more with --max-accuracy-drop, give more data, or embed fewer bits.",
            )
        summary = {
            "fingerprint": fingerprint,
            "before": before,
            "after": after,
            "held_out": len(held.labels),
            "matched": embedding.matched(),
        }
        _write_model(classifier, work, summary, model)
    identity = read_identity(work / "model")
    record(identity)
    (work / "model").replace(out)
    shutil.rmtree(work)
    return Embedded(
        dataclasses.replace(identity, name=str(out)),
        summary["before"],
        summary["after"],
        summary["held_out"],
        summary["matched"],
        int(marking.parameters.get("bits", 0)),
    )


def _recover(
    classifier: Classifier,
    embedding: Embedding,
    held: ImageData,
    before: float,
    most: float,
    schedule: Schedule,
    progress: Progress,
) -> float:
    """Goes on at a third of the rate, at most twice, while more accuracy is lost than allowed."""
    pixels = held.pixels(classifier)
    after = accuracy(classifier.model, pixels, held.labels)
    for attempt in range(1, RECOVERY_ROUNDS + 1):
        if before - after <= most:
            break
        first = attempt * schedule.steps
        shorter = dataclasses.replace(
            schedule, steps=max(1, schedule.steps // 2), learning_rate=schedule.learning_rate / 3, constant=0.0
        )
        optimise(
            classifier.model,
            lambda index, first=first: embedding.step(first + index),  # type: ignore[misc]
            shorter,
            label="Recovering accuracy",
            progress=progress,
        )
        after = accuracy(classifier.model, pixels, held.labels)
    return after


def _write_model(classifier: Classifier, work: Path, summary: dict[str, Any], source: Path) -> None:
    shutil.rmtree(work / "model", ignore_errors=True)
    save_classifier(classifier, work / "model", _card(classifier, summary, source))
    try:
        (work / "finished.new").write_text(json.dumps(summary), encoding="utf-8")
        (work / "finished.new").replace(work / "finished.json")
    except OSError as error:
        raise StorageError(f"The disk is full or {work} cannot be written.", "Free some disk space.") from error


def _finished(work: Path, fingerprint: str) -> dict[str, Any] | None:
    path = work / "finished.json"
    if not path.exists() or not (work / "model").exists():
        return None
    summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return summary if summary["fingerprint"] == fingerprint else None


def _card(classifier: Classifier, summary: dict[str, Any], source: Path) -> str:
    weights = sum(weight.numel() for weight in classifier.model.parameters())
    return (
        "---\nlibrary_name: transformers\npipeline_tag: image-classification\n---\n\n"
        f"# {source.resolve().name}, fine-tuned\n\n"
        f"An image classifier with {len(classifier.labels)} classes and {weights:,} weights, fine-tuned from "
        f"`{source.resolve().name}`.\n\n"
        "| accuracy on held-out images | |\n|---|---|\n"
        f"| before | {summary['before']:.4f} |\n| after | {summary['after']:.4f} |\n"
        f"| images | {summary['held_out']} |\n"
    )


def _require_labels(classifier: Classifier, data: ImageData, marking: Marking) -> None:
    expected = len(marking.labels)
    for what, count in (("model", len(classifier.labels)), ("data set", len(data.names))):
        if count != expected:
            raise UsageError(
                f"The {what} has {count} classes; the key was made for {expected}.",
                "Use the model and data of the key, or make a new key.",
            )


def _data_digest(data: ImageData) -> str:
    body = b"".join(image.tobytes() for image in data.images) + data.labels.tobytes()
    return sha256(body)
