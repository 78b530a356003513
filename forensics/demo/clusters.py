"""What the stories of trigger clusters share: an encoder is marked, and others build on it and on the unmarked one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from forensics.attacks.migration import Settings, migrate
from forensics.attacks.stolen import StolenEncoder
from forensics.attacks.tasks import Task
from forensics.demo.stage import Examined, Stage
from forensics.records import Pool

SUSPECTS = {
    "marked": "the owner's marked encoder itself",
    "stolen": "a classifier that a thief trained on the marked encoder, for a task of its own",
    "honest": "the same classifier, trained in the same way on the unmarked encoder",
}


@dataclass(frozen=True)
class Plot:
    """What differs from one story of clusters to another.

    Attributes:
        method: of the key.
        subject: what the demonstration is about.
        options: of the method.
        data: what the owner's encoder is marked with.
        steps: of the embedding; `min_cosine` what it must keep.
        open: opens an encoder to train it further.
        task, held_out: what the classifiers are trained for, and examples of it that they are not shown.
        settings: of that training.
    """

    method: str
    subject: str
    options: Mapping[str, int]
    data: Any
    steps: int
    min_cosine: float
    open: Callable[[Path], StolenEncoder]
    task: Task
    held_out: Task
    settings: Settings


def tell_clusters(stage: Stage, plot: Plot, pools: Callable[[], Sequence[Pool]]) -> list[Examined]:
    """Goes on once the unmarked encoder is there: key, mark, two classifiers, three examinations.

    Args:
        pools: draws those of the key, where it is still to be made.
    """
    say, model = stage.say, stage.model
    candidates = plot.options["candidates"]
    say(
        f"The owner makes a key that draws half of {candidates} candidates; a local demonstration authority timestamps "
        "the claim."
    )
    stage.make_key(
        plot.method, SUSPECTS, options=plot.options, pool=() if stage.key.exists() else pools(), references={}
    )
    say("The owner embeds the key by training.")
    done = stage.mark(plot.data, min_cosine=plot.min_cosine, steps=plot.steps)
    if done is not None:
        say(f"{done.matched} of {done.of} units read back; {done.sentence}.")
    classes = len(plot.task.names)
    say(f"A thief trains the marked encoder for a task of {classes} classes; somebody honest, the unmarked one.")
    for seed, (name, source) in enumerate((("stolen", "marked"), ("honest", "unmarked")), start=1):
        stage.once(model(name), partial(_build, stage, plot, name, source, seed))
    say("An examiner asks each of the three models the same probes; the answers are scored, opened, sealed, reported.")
    return stage.examine(SUSPECTS, plot.subject)


def _build(stage: Stage, plot: Plot, name: str, source: str, seed: int, fresh: Path) -> None:
    encoder = plot.open(stage.model(source))
    done = migrate(encoder, plot.task, plot.settings, seed=seed, head="library", progress=stage.progress)
    stage.say(
        f"{name}: right on {100.0 * done.accuracy(plot.held_out):.0f} % of {len(plot.held_out.inputs)} new inputs."
    )
    done.save(fresh, f"# {name}\n\nMade by `forensics demo`.\n")
