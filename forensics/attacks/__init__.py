"""Removal attacks: functions from a model to a model, with no knowledge of any key.

This table is of attacks on an image classifier in memory; `migration`, `encoders` and `vectors` hold those on encoders
and on what they answer, `folders` those from folder to folder.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from forensics.attacks.compression import fp16, prune, quantise
from forensics.attacks.finetuning import finetune
from forensics.attacks.overwriting import SETTINGS as OVERWRITING
from forensics.attacks.overwriting import overwrite_mark
from forensics.checkpoints import Classifier
from forensics.errors import UsageError
from forensics.progress import Progress, silent
from forensics.training.data import ImageData


@dataclass(frozen=True)
class Attack:
    """An attack by name.

    Attributes:
        run: changes the classifier in place; takes the thief's data (or None), its settings, and a progress bar.
        needs_data: whether it trains.
        settings: names and defaults.
    """

    name: str
    summary: str
    run: Callable[[Classifier, ImageData | None, Mapping[str, float], Progress], None]
    needs_data: bool
    settings: Mapping[str, float]


ATTACKS = {
    attack.name: attack
    for attack in (
        Attack(
            "finetune",
            "train on with true labels (AdamW, the thief's own loop)",
            lambda model, data, s, progress: finetune(
                model, _given(data), int(s["epochs"]), s["learning-rate"], int(s["seed"]), progress
            ),
            True,
            {"epochs": 10, "learning-rate": 1e-4, "seed": 0},
        ),
        Attack(
            "overwrite",
            "train a payload of the thief's own into the model, as OFSW does",
            lambda model, data, s, progress: overwrite_mark(model, _given(data), s, progress),
            True,
            OVERWRITING,
        ),
        Attack(
            "prune",
            "set the smallest weights of all layers together to zero",
            lambda classifier, _data, s, _progress: prune(classifier.model, s["share"]),
            False,
            {"share": 0.3},
        ),
        Attack(
            "quantise",
            "round the weights to so many bits, a scale for each output channel",
            lambda classifier, _data, s, _progress: quantise(classifier.model, int(s["bits"])),
            False,
            {"bits": 8},
        ),
        Attack("fp16", "round the weights to half precision", lambda classifier, *_: fp16(classifier.model), False, {}),
    )
}


def run_attack(
    name: str,
    classifier: Classifier,
    data: ImageData | None,
    settings: Mapping[str, float],
    progress: Progress = silent,
) -> None:
    """Runs an attack in place.

    Args:
        settings: overrides of the attack's defaults.

    Raises:
        UsageError: the attack or a setting does not exist, or data is missing.
    """
    if name not in ATTACKS:
        raise UsageError(f"There is no attack '{name}'.", f"Choose one of: {', '.join(sorted(ATTACKS))}.")
    attack = ATTACKS[name]
    unknown = sorted(set(settings) - set(attack.settings))
    if unknown:
        known = ", ".join(attack.settings) or "none"
        raise UsageError(f"'{name}' has no setting '{unknown[0]}'.", f"Its settings: {known}.")
    if attack.needs_data and data is None:
        raise UsageError(f"'{name}' trains and needs data.", "Name a data set with --data.")
    attack.run(classifier, data, {**attack.settings, **settings}, progress)


def _given(data: ImageData | None) -> ImageData:
    assert data is not None
    return data
