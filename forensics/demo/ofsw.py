"""OFSW on scikit-learn's handwritten digits: four suspects, copied, compressed and independent."""

from functools import partial
from pathlib import Path
from typing import Any

from forensics.attacks import run_attack
from forensics.bench.data import load_digits
from forensics.bench.models import BASE
from forensics.checkpoints import Classifier, load_classifier
from forensics.demo.stage import Examined, Stage
from forensics.methods.cleancheckpoint import CLEAN
from forensics.progress import Progress
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
    owner, thief = stage.share_out(load_digits())
    for name, part in (("owner", owner), ("thief", thief)):
        stage.once(stage.out / "data" / name, partial(save_images, part))
    say("The owner trains a model.")
    stage.classifier("unmarked", lambda: _trained(owner, 1, progress))
    say("The owner makes a key of 64 bits; a local demonstration authority timestamps the claim.")
    stage.make_key(
        "ofsw", SUSPECTS, least=1, options={"bits": 64, "banks": 8}, pool=owner, references={CLEAN: model("unmarked")}
    )
    say("The owner embeds the key by training.")
    stage.mark(load_images(stage.out / "data" / "owner"))
    say("Others take the model, or train one of their own.")
    stage.classifier("fine-tuned", lambda: _attacked(model("marked"), thief, (("finetune", {}),), progress))
    compression = (("prune", {"share": 0.3}), ("quantise", {"bits": 8.0}))
    stage.classifier("compressed", lambda: _attacked(model("marked"), None, compression, progress))
    for seed, name in enumerate(REFERENCES, start=3):
        stage.classifier(name, partial(_trained, thief, seed, progress))
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
