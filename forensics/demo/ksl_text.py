"""Keyed soft labels on WordNet's supersenses: a text classifier, a student of its answers, and one of another's."""

import itertools
import random
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from forensics.attacks.migration import TEXTS, Migrated, Settings, migrate
from forensics.attacks.stolen import open_text_encoder
from forensics.attacks.tasks import Task
from forensics.attacks.textextraction import extract_texts
from forensics.demo.stage import Examined, Stage
from forensics.methods.cleancheckpoint import CLEAN
from forensics.suspects import open_suspect
from forensics.suspects.remembered import RememberedSuspect
from forensics.textclassifiers import load_text_classifier
from forensics.textpools import make_text_pools
from forensics.training.labelledtexts import LabelledTexts

SUSPECTS = {
    "marked": "the owner's marked model itself",
    "stolen": "a classifier on a public encoder that a thief trained on the marked model's answers to his own texts",
    "honest": "the same, trained in the same way on the unmarked model's answers to the same texts",
}
REFERENCES = {
    "honest": "trained by this demonstration on the unmarked model's answers to the thief's texts",
    "reference": "trained by this demonstration on the thief's texts and their true labels, without the mark",
}

FIRST, OWNER, THIEF, POOL = 4000, 8000, 3000, 1000
"""Texts with which the owner trains, and with which he marks; those of the thief; and texts that are asked."""

STEPS, DROP = 1600, 0.04
"""Of the embedding, and the largest accepted loss of accuracy as a share."""

SETTINGS = replace(TEXTS["head"], epochs=4, learning_rate=2e-3)
"""How everybody else trains: the public encoder stays as it is, and the library's head learns behind it."""


@dataclass(frozen=True, eq=False)
class Texts:
    """What the story is told with.

    Attributes:
        encoder: folder of the public encoder from which everybody begins.
        first, owner, asked, thief: labelled texts, none of them in two parts. The owner marks with texts on which his
            model was not trained, so that the accuracy before and after is that on new texts.
    """

    encoder: Path
    first: LabelledTexts
    owner: LabelledTexts
    asked: LabelledTexts
    thief: LabelledTexts


def tell(stage: Stage) -> list[Examined]:
    """Runs what is not there yet.

    Raises:
        UsageError: a package was not fetched.
    """
    return tell_texts(stage, real_texts(), size=POOL, steps=STEPS, drop=DROP, settings=SETTINGS)


def real_texts() -> Texts:
    """Returns MiniLM and WordNet's glosses from the packages of the benches.

    Raises:
        UsageError: one of them was not fetched.
    """
    from forensics.bench.corpus import package
    from forensics.bench.tasks import labelled_glosses

    encoder, (texts, labels, names) = package("minilm"), labelled_glosses()
    whole = LabelledTexts(texts, np.asarray(labels, dtype=np.int64), names)
    # Some texts have too few common words to be asked.
    cuts = np.cumsum([0, FIRST, OWNER, POOL + POOL // 4, THIEF])
    return Texts(encoder, *(whole.subset(np.arange(start, end)) for start, end in itertools.pairwise(cuts)))


def tell_texts(
    stage: Stage, texts: Texts, *, size: int, steps: int, drop: float, settings: Settings, families: int = 24
) -> list[Examined]:
    """Tells the story with these texts.

    Args:
        size: texts that a suspect is asked.
        steps: of the embedding.
        drop: largest accepted loss of accuracy of the marked model, as a share.
        settings: of everybody else's training.
    """
    say, model, owner, thief = stage.say, stage.model, texts.owner, texts.thief
    counts = [len(part.texts) for part in (texts.first, owner, thief)]
    say(
        "Data: {} texts with which the owner trains, {} with which he marks, {} of a thief; {} are asked.".format(
            *counts, size
        )
    )

    def trained(data: LabelledTexts, seed: int) -> Migrated:
        task = Task(list(data.texts), data.labels, data.names)
        encoder = open_text_encoder(texts.encoder)
        return migrate(encoder, task, settings, seed=seed, head="library", progress=stage.progress)

    def student(teacher: str, seed: int) -> Migrated:
        taught, encoder = load_text_classifier(model(teacher)), open_text_encoder(texts.encoder)
        return extract_texts(taught, thief.texts, encoder, settings, seed=seed, progress=stage.progress)

    def save(done: Migrated, fresh: Path) -> None:
        done.save(fresh, f"# {fresh.name}\n\nMade by `forensics demo`.\n")

    say("The owner trains a classifier on a public text encoder, which stays as it is.")
    stage.once(model("unmarked"), lambda fresh: save(trained(texts.first, 1), fresh))
    say(f"The owner makes a key of {families} families; a local demonstration authority timestamps the claim.")
    if not stage.key.exists():
        pools = make_text_pools(
            texts.asked.texts,
            texts.asked.labels.tolist(),
            load_text_classifier(model("unmarked")).word_vectors,
            generator=random.SystemRandom(),
            size=size,
        )
        stage.make_key(
            "ksl-text",
            SUSPECTS,
            least=1,
            options={"families": families},
            pool=pools,
            labels=owner.names,
            references={CLEAN: model("unmarked")},
        )
    say("The owner trains the classifier on, with soft labels that the key directs.")
    done = stage.mark(owner, steps=steps, max_accuracy_drop=drop, frozen=True)
    if done is not None:
        say(f"{done.matched} of {done.of} units read back; {done.sentence}.")
    say("A thief puts his own texts to the marked model and trains a classifier on its answers; others are honest.")
    stage.once(model("stolen"), lambda fresh: save(student("marked", 3), fresh))
    stage.once(model("honest"), lambda fresh: save(student("unmarked", 4), fresh))
    stage.once(model("reference"), lambda fresh: save(trained(thief, 5), fresh))
    say("An examiner sends the same texts to each of the three models; all is scored, opened, sealed, reported.")
    clean = RememberedSuspect(open_suspect(str(model("unmarked"))))
    return stage.examine(SUSPECTS, "English dictionary glosses", [clean], REFERENCES)
