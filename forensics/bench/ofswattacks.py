"""What thieves do to a classifier in the OFSW bench; each is a function from a model to a model of its own."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from forensics.attacks import run_attack
from forensics.attacks.extraction import Theft, extract
from forensics.attacks.opened import OpenedShare, unlearn
from forensics.bench.keys import BenchKey
from forensics.bench.models import clone
from forensics.bench.ofswmodels import parts
from forensics.checkpoints import Classifier
from forensics.disclosure import disclosed_share
from forensics.methods.ofsw import filtered_views
from forensics.records import IntArray
from forensics.training.data import ImageData

Attack = Callable[[Classifier, BenchKey, bool], Classifier]
"""From a model, the owner's key, of which an attack uses what its name says, and whether the run is a quick one."""


def _in_place(*steps: tuple[str, Mapping[str, float]]) -> Attack:
    def attack(model: Classifier, made: BenchKey, quick: bool) -> Classifier:
        stolen = clone(model)
        for name, settings in steps:
            shorter = {"epochs": 1} if quick and "epochs" in settings else {}
            run_attack(name, stolen, _thief(quick), {**settings, **shorter})
        return stolen

    return attack


def _overwritten(model: Classifier, made: BenchKey, quick: bool) -> Classifier:
    """The thief trains a payload as long as the owner's, of his own, with his own images."""
    stolen = clone(model)
    settings = {"bits": made.claim.rule.n, "seed": 7, **({"steps": 20, "banks": 2} if quick else {})}
    run_attack("overwrite", stolen, _thief(quick), settings)
    return stolen


def _unlearned(what: str) -> Attack:
    def attack(model: Classifier, made: BenchKey, quick: bool) -> Classifier:
        stolen, share = clone(model), disclosed_share(made.secrets, made.pool, made.claim.parameters)
        if what != "views":
            share = _on_own_images(share, _thief(quick), made, kernels=what == "kernels")
        settings = {"epochs": 1 if quick else 2, "learning-rate": 1e-3, "freeze": 1, "seed": 7}
        unlearn(stolen, _thief(quick), [share], settings)
        return stolen

    return attack


def _on_own_images(share: OpenedShare, data: ImageData, made: BenchKey, *, kernels: bool) -> OpenedShare:
    """What a thief makes of the payload without the triggers: his own images, and the owner's kernels or his own."""
    rng = np.random.default_rng(11)
    banks, size = share.kernels.shape[:2]
    rows = rng.permutation(len(data.labels))[:banks]
    drawn = share.kernels if kernels else np.linalg.qr(rng.standard_normal((banks, size, size)))[0]
    views = [filtered_views(data.images[row], drawn[bank], made.claim.parameters) for bank, row in enumerate(rows)]
    return replace(share, views=np.stack(views), truth=data.labels[rows], kernels=drawn)


def _distilled(queries: str, answers: str, student: str) -> Attack:
    def attack(model: Classifier, made: BenchKey, quick: bool) -> Classifier:
        theft = Theft(queries=queries, answers=answers, student=student, steps=20 if quick else 1570, seed=11)
        return extract(model, _thief(quick).images, theft)

    return attack


def _thief(quick: bool) -> ImageData:
    thief = parts().thief
    first: IntArray = np.arange(256)
    return thief.subset(first) if quick else thief


_DISTILLED = {
    f"distilled, {queries} queries, {answers} labels{', plain CNN' if student == 'cnn' else ''}": _distilled(
        queries, answers, student
    )
    for queries, answers, student in (
        ("clean", "soft", "same"),
        ("mixed", "soft", "same"),
        ("filtered", "soft", "same"),
        ("clean", "hard", "same"),
        ("mixed", "hard", "same"),
        ("filtered", "hard", "same"),
        ("clean", "soft", "cnn"),
        ("mixed", "soft", "cnn"),
        ("filtered", "soft", "cnn"),
    )
}

ATTACKS: Mapping[str, Attack] = {
    "fine-tuning, 10 epochs, 1e-4": _in_place(("finetune", {"epochs": 10, "learning-rate": 1e-4, "seed": 7})),
    "fine-tuning, 10 epochs, 1e-3": _in_place(("finetune", {"epochs": 10, "learning-rate": 1e-3, "seed": 7})),
    "overwritten with a key of his own": _overwritten,
    "unlearning, payload known": _unlearned("payload"),
    "unlearning, payload and kernels known": _unlearned("kernels"),
    "unlearning, everything known": _unlearned("views"),
    "pruning 30 %": _in_place(("prune", {"share": 0.3})),
    "pruning 50 %": _in_place(("prune", {"share": 0.5})),
    "fp16": _in_place(("fp16", {})),
    "int8": _in_place(("quantise", {"bits": 8})),
    "int4": _in_place(("quantise", {"bits": 4})),
    **_DISTILLED,
}
"""In the order of the tables."""

FULL_WIDTH = (
    "fine-tuning, 10 epochs, 1e-4",
    "fine-tuning, 10 epochs, 1e-3",
    "overwritten with a key of his own",
    "distilled, clean queries, soft labels",
)
OTHER_LENGTHS = ("fine-tuning, 10 epochs, 1e-3", "distilled, filtered queries, soft labels")
DERIVED = (
    "fine-tuning, 10 epochs, 1e-3",
    "distilled, clean queries, soft labels",
    "overwritten with a key of his own",
)
"""What innocent models go through before fresh keys are put to them."""
