"""OFSW on scikit-learn's handwritten digits: four suspects, copied, compressed and independent."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from forensics.attacks import run_attack
from forensics.bench.data import load_digits
from forensics.bench.models import BASE
from forensics.checkpoints import Classifier, load_classifier, save_classifier
from forensics.demo.stage import PASSPHRASE, Examined, Stage
from forensics.methods.ofsw import CLEAN
from forensics.progress import Progress
from forensics.registration import embed_key
from forensics.suspects import open_suspect
from forensics.suspects.remembered import RememberedSuspect
from forensics.training.classifier import small_resnet, train
from forensics.training.data import ImageData, load_images, save_images

SUSPECTS = {
    "marked": "the owner's marked model itself",
    "fine-tuned": "a copy fine-tuned for 10 epochs on images the owner did not use",
    "compressed": "a copy pruned by 30 % and rounded to 8 bits",
    "independent": "a model trained independently, without the mark",
}

REFERENCES = {
    "independent": "trained by this demonstration on the thief's images, without the mark",
    "reference": "trained by this demonstration on the thief's images from other first weights, without the mark",
}
"""Independent models that must not respond; the demonstration's claim asks for one of them."""


def tell(stage: Stage) -> list[Examined]:
    """Runs what is not there yet and returns the suspects in the order of the story."""
    say, progress, model = stage.say, stage.progress, stage.model
    rest, test = load_digits().split(0.2, np.random.default_rng(1))
    owner, thief = rest.split(0.4, np.random.default_rng(2))
    counts = [len(part.labels) for part in (owner, thief, test)]
    say("Data: {} digits of the owner, {} of a thief, {} for testing.".format(*counts))
    for name, part in (("owner", owner), ("thief", thief)):
        stage.once(stage.out / "data" / name, partial(save_images, part))
    say("The owner trains a model.")
    _model(stage, "unmarked", lambda: _trained(owner, 1, progress))
    say("The owner makes a key of 64 bits; a local demonstration authority timestamps the claim.")
    stage.make_key(
        "ofsw", SUSPECTS, least=1, options={"bits": 64, "banks": 8}, pool=owner, references={CLEAN: model("unmarked")}
    )
    say("The owner embeds the key by training.")
    if not model("marked").exists():
        embed_key(
            stage.key,
            model("unmarked"),
            load_images(stage.out / "data" / "owner"),
            model("marked"),
            passphrase=PASSPHRASE,
            authority=stage.authority,
            progress=progress,
        )
    say("Others take the model, or train one of their own.")
    _model(stage, "fine-tuned", lambda: _attacked(model("marked"), thief, (("finetune", {}),), progress))
    compression = (("prune", {"share": 0.3}), ("quantise", {"bits": 8.0}))
    _model(stage, "compressed", lambda: _attacked(model("marked"), None, compression, progress))
    for seed, name in enumerate(REFERENCES, start=3):
        _model(stage, name, partial(_trained, thief, seed, progress))
    say("An examiner asks each of the four models the same probes; the answers are scored, opened, sealed, reported.")
    clean = RememberedSuspect(open_suspect(str(model("unmarked"))))
    return stage.examine(SUSPECTS, "handwritten digits", [clean], REFERENCES)


def _trained(data: ImageData, seed: int, progress: Progress) -> Classifier:
    classifier = small_resnet(data, seed)
    train(classifier, data, BASE, seed, progress=progress)
    return classifier


def _attacked(
    model: Path, data: ImageData | None, steps: tuple[tuple[str, dict[str, Any]], ...], progress: Progress
) -> Classifier:
    classifier = load_classifier(model)
    for attack, settings in steps:
        run_attack(attack, classifier, data, settings, progress)
    return classifier


def _model(stage: Stage, name: str, build: Callable[[], Classifier]) -> None:
    card = f"# {name}\n\nMade by `forensics demo`.\n"
    stage.once(stage.model(name), lambda fresh: save_classifier(build(), fresh, card))
