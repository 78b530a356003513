"""The embedding trainer: from an unmarked model folder and data to a marked model folder, resumable at any point."""

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from forensics.canonical import canonical_json, sha256
from forensics.errors import StorageError, UsageError
from forensics.methods import load_method
from forensics.progress import Progress, silent
from forensics.records import FloatArray, Identity
from forensics.training.data import ImageData
from forensics.training.encodermaterial import ImageMaterial, TextMaterial
from forensics.training.labelledtexts import LabelledTexts
from forensics.training.languagematerial import LanguageMaterial
from forensics.training.loop import Checkpoint, Schedule, optimise
from forensics.training.material import ImageClassifierMaterial, Limits, MarkedShare, Marking, Material, Together
from forensics.training.textclassifiermaterial import TextClassifierMaterial

__all__ = ["Data", "Embedded", "Limits", "MarkedShare", "Marking", "embed"]

RECOVERY_ROUNDS = 2

Data: TypeAlias = ImageData | LabelledTexts | Sequence[str] | NDArray[np.uint8]
"""What a mark is trained with: labelled images or texts; documents; or images, uint8 (n, height, width, channels)."""

MATERIALS: Mapping[str, Callable[[Path, Any, Marking, Limits, int], Material]] = {
    "labelled images": ImageClassifierMaterial,
    "labelled texts": TextClassifierMaterial,
    "phrases": TextMaterial,
    "patterns": ImageMaterial,
    "passages": LanguageMaterial,
}
"""What a mark is trained into, by what a share's pool is made of (`MethodSpec.pool`)."""


@dataclass(frozen=True)
class Embedded:
    """What came out.

    Attributes:
        identity: manifest of the marked model folder.
        figures: what was kept, on held-out data: `accuracy_before` and `accuracy_after`, or `cosine` with the vectors
            before, in the mean, and `cosine_low`, its 5 % quantile.
        sentence: the figures in words.
        held_out: number of held-out inputs.
        read_back: for each share, units of the mark read back without calibration, and of how many.
    """

    identity: Identity
    figures: Mapping[str, float]
    sentence: str
    held_out: int
    read_back: tuple[tuple[int, int], ...]

    @property
    def matched(self) -> int:
        """Units of all shares that are read back."""
        return sum(matched for matched, _ in self.read_back)

    @property
    def of(self) -> int:
        """Units of all shares."""
        return sum(of for _, of in self.read_back)


def embed(
    model: Path,
    data: Data,
    out: Path,
    marking: Marking,
    *,
    limits: Limits | None = None,
    steps: int | None = None,
    seed: int = 0,
    fresh: bool = False,
    rehearse: Sequence[str] = (),
    last_blocks: int | None = None,
    frozen: bool = False,
    progress: Progress = silent,
    record: Callable[[Identity, Identity], None] = lambda marked, unmarked: None,
) -> Embedded:
    """Marks a model. An interrupted run is taken up again when called with the same arguments.

    Args:
        model: the unmarked model's folder.
        data: what the method is trained with.
        out: the marked model's folder, which must not exist; work goes on in `<out>.partial`.
        limits: how much of the model may be lost.
        fresh: train the model's architecture from first weights of the seed; losses are counted from the model.
        rehearse: thieves to be rehearsed in place of the recipe's, by the names of the method's training file.
        last_blocks: how many of a language model's last blocks are trained, and nothing else; None trains all weights.
        frozen: train what follows a text classifier's encoder, and nothing else.
        record: called with the identities of the marked and of the unmarked model before the folder appears under its
            final name, to write the asset record; called again with the same identity if the run was killed in between.

    Raises:
        UsageError: the data or the model does not suit the claim, or what must be kept cannot be kept.
    """
    if out.exists():
        raise UsageError(f"{out} exists already.", "Choose another --out, or remove it.")
    recipe_file = import_module(f"forensics.training.{marking.method.replace('-', '_')}")
    if fresh and not getattr(recipe_file, "FROM_SCRATCH", False):
        raise UsageError(
            f"A mark of {marking.method} is trained into a model that has learned its task.",
            "Leave --from-scratch out.",
        )
    if frozen and not hasattr(recipe_file, "FROZEN"):
        raise UsageError(f"A mark of {marking.method} is not trained behind an encoder.", "Leave --frozen-encoder out.")
    recipe = recipe_file.FROZEN if frozen else recipe_file.DEFAULT
    if rehearse:
        recipe = dataclasses.replace(recipe, rehearsal=_known_thieves(marking.method, recipe_file, rehearse))
    if last_blocks is not None:
        if not hasattr(recipe, "blocks"):
            raise UsageError(
                f"A mark of {marking.method} is not trained into blocks of a language model.",
                "Leave --last-blocks out.",
            )
        recipe = dataclasses.replace(recipe, blocks=last_blocks)
    if steps is not None:
        recipe = dataclasses.replace(recipe, schedule=dataclasses.replace(recipe.schedule, steps=steps))
    material = MATERIALS[load_method(marking.method).spec.pool](model, data, marking, limits or Limits(), seed)
    work = out.with_name(out.name + ".partial")
    settings = {
        "claim": marking.claim_digest,
        "model": material.identity.digest,
        "data": material.data_digest,
        "recipe": repr(recipe),
        "seed": seed,
        **material.limit(),
    }
    if fresh:
        settings["weights"] = "fresh"
    fingerprint = sha256(canonical_json(settings))
    summary = _finished(work, fingerprint)
    if summary is None:
        before = material.measure()
        if fresh:
            material.renew(seed)
        embedding = material.embedding(recipe_file, recipe)
        checkpoint = Checkpoint(work / "state.pt", fingerprint)
        optimise(
            embedding.model,
            embedding.step,
            recipe.schedule,
            label="Embedding",
            progress=progress,
            checkpoint=checkpoint,
        )
        figures = _recover(material, embedding, before, recipe.schedule, progress)
        if lost := material.loss(figures):
            shutil.rmtree(work, ignore_errors=True)
            raise UsageError(*lost)
        read_back = [material.read_back(part) for part in embedding.parts]
        summary = {"fingerprint": fingerprint, "figures": figures, "read_back": read_back}
        _write_model(material, work, summary, model)
    identity = material.read_identity(work / "model")
    record(identity, material.identity)
    (work / "model").replace(out)
    shutil.rmtree(work)
    return Embedded(
        dataclasses.replace(identity, name=str(out)),
        summary["figures"],
        material.sentence(summary["figures"]),
        material.held_out,
        tuple((matched, of) for matched, of in summary["read_back"]),
    )


def _recover(
    material: Material, embedding: Together, before: FloatArray, schedule: Schedule, progress: Progress
) -> dict[str, float]:
    """Goes on at a third of the rate, at most twice, while more is lost than allowed; returns what was kept."""
    figures = material.compare(before, material.measure())
    for attempt in range(1, RECOVERY_ROUNDS + 1):
        if material.loss(figures) is None:
            break
        first = attempt * schedule.steps
        shorter = dataclasses.replace(
            schedule, steps=max(1, schedule.steps // 2), learning_rate=schedule.learning_rate / 3, constant=0.0
        )
        optimise(
            embedding.model,
            lambda index, first=first: embedding.step(first + index),  # type: ignore[misc]
            shorter,
            label=material.keeping,
            progress=progress,
        )
        figures = material.compare(before, material.measure())
    return figures


def _write_model(material: Material, work: Path, summary: dict[str, Any], source: Path) -> None:
    shutil.rmtree(work / "model", ignore_errors=True)
    material.save(work / "model", summary["figures"], source)
    try:
        (work / "finished.new").write_text(json.dumps(summary), encoding="utf-8")
        (work / "finished.new").replace(work / "finished.json")
    except OSError as error:
        raise StorageError(f"The disk is full or {work} cannot be written.", "Free some disk space.") from error


def _known_thieves(method: str, recipe_file: Any, names: Sequence[str]) -> tuple[str, ...]:
    """Returns the thieves to be rehearsed, each once.

    Raises:
        UsageError: the method has none of that name.
    """
    known: tuple[str, ...] = getattr(recipe_file, "THIEVES", ())
    for name in names:
        if name not in known:
            raise UsageError(
                f"A mark of {method} cannot be embedded with a rehearsal of '{name}'.",
                f"Choose among: {', '.join(known)}." if known else "Leave --rehearse out.",
            )
    return tuple(dict.fromkeys(names))


def _finished(work: Path, fingerprint: str) -> dict[str, Any] | None:
    path = work / "finished.json"
    if not path.exists() or not (work / "model").exists():
        return None
    summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return summary if summary["fingerprint"] == fingerprint else None
