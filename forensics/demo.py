"""The whole story on scikit-learn's handwritten digits: owner, key, mark, four suspects, four cases, four reports."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from forensics.attacks import run_attack
from forensics.bench.data import load_digits
from forensics.bench.models import BASE
from forensics.bench.results import single_thread
from forensics.canonical import now, utc
from forensics.checkpoints import Classifier, load_classifier, save_classifier
from forensics.evidence.case import CaseFolder
from forensics.evidence.schema import Dated
from forensics.evidence.seal import seal_case
from forensics.evidence.signer import load_signer
from forensics.examination import examine, open_case
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.keys.folder import KeyFolder
from forensics.methods.ofsw import CLEAN
from forensics.progress import Progress, silent
from forensics.registration import embed_key, new_key
from forensics.report import write_report
from forensics.suspects import Suspect, open_suspect
from forensics.suspects.remembered import RememberedSuspect
from forensics.training.classifier import small_resnet, train
from forensics.training.data import ImageData, load_images, save_images

PASSPHRASE = "demonstration"  # noqa: S105 - the key of a demonstration protects nothing
ACTOR = "forensics demo"

SUSPECTS = {
    "marked": "the owner's marked model itself",
    "fine-tuned": "a copy fine-tuned for 10 epochs on images the owner did not use",
    "compressed": "a copy pruned by 30 % and rounded to 8 bits",
    "independent": "a model trained independently, without the mark",
}


@dataclass(frozen=True)
class Examined:
    """One suspect of the demonstration.

    Attributes:
        case: opened and sealed.
        report: signed PDF; `report_sha256` its digest.
    """

    name: str
    story: str
    case: CaseFolder
    report: Path
    report_sha256: str


def run_demo(out: Path, say: Callable[[str], None], progress: Progress = silent) -> list[Examined]:
    """Runs what is not there yet; interrupted, it goes on where it stopped.

    Args:
        out: folder for everything that is made.
        say: gets one line a step of the story.
    """
    single_thread()
    models, key_path = out / "models", out / "key"
    rest, test = load_digits().split(0.2, np.random.default_rng(1))
    owner, thief = rest.split(0.4, np.random.default_rng(2))
    counts = [len(part.labels) for part in (owner, thief, test)]
    say("Data: {} digits of the owner, {} of a thief, {} for testing.".format(*counts))
    _data(out / "data" / "owner", owner)
    _data(out / "data" / "thief", thief)
    authority = _authority(out / "authority")
    say("The owner trains a model.")
    _model(models / "unmarked", lambda: _trained(owner, 1, progress))
    say("The owner makes a key of 64 bits; a local demonstration authority timestamps the claim.")
    if not key_path.exists():
        new_key(
            key_path,
            owner="Demonstration owner",
            method="ofsw",
            options={"bits": 64, "banks": 8},
            pool=owner,
            references={CLEAN: models / "unmarked"},
            passphrase=PASSPHRASE,
            authorities=[authority],
            binding="demonstration",
            rule={"examinations": len(SUSPECTS)},
        )
    say("The owner embeds the key by training.")
    if not (models / "marked").exists():
        embed_key(
            key_path,
            models / "unmarked",
            load_images(out / "data" / "owner"),
            models / "marked",
            passphrase=PASSPHRASE,
            authority=authority,
            progress=progress,
        )
    say("Others take the model, or train one of their own.")
    _model(models / "fine-tuned", lambda: _attacked(models / "marked", thief, (("finetune", {}),), progress))
    compression = (("prune", {"share": 0.3}), ("quantise", {"bits": 8.0}))
    _model(models / "compressed", lambda: _attacked(models / "marked", None, compression, progress))
    _model(models / "independent", lambda: _trained(thief, 3, progress))
    say("An examiner asks each of the four models the same probes; the answers are scored, opened, sealed, reported.")
    clean = RememberedSuspect(open_suspect(str(models / "unmarked")))
    return [_examined(out, name, story, clean, authority, progress) for name, story in SUSPECTS.items()]


def _examined(
    out: Path, name: str, story: str, clean: Suspect, authority: DemonstrationAuthority, progress: Progress
) -> Examined:
    case_path, report = out / "cases" / name, out / "reports" / f"{name}.pdf"
    unlocked = KeyFolder.open(out / "key").unlock(PASSPHRASE)
    model = out / "models" / name
    if not case_path.exists() or CaseFolder.load(case_path).evidence.score is None:
        examine(
            unlocked,
            open_suspect(str(model)),
            case_path,
            suspect_date=Dated(value=utc(now()), source="made by this demonstration"),
            positive=None if name == "marked" else str(out / "models" / "marked"),
            authority=authority,
            named=[clean],
            actor=ACTOR,
            resume=True,
            progress=progress,
        )
    case = CaseFolder.load(case_path)
    if not case.opened:
        case = open_case(unlocked, case_path, actor=ACTOR)
    signer = load_signer(out / "authority" / "signer.p12", PASSPHRASE)
    if not case.closed:
        case = seal_case(case_path, signer, authority, actor=ACTOR, moment=now())
    report.parent.mkdir(parents=True, exist_ok=True)
    with progress(f"Writing {name}.pdf", 1) as advance:
        written = write_report(
            case_path, report, details=_details(out), signer=signer, authority=authority, overwrite=True
        )
        advance(1)
    return Examined(name, story, case, report, written.sha256)


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


def _authority(folder: Path) -> DemonstrationAuthority:
    if not folder.exists():
        authority = DemonstrationAuthority.create()
        fresh = folder.with_name(f".{folder.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        authority.save(fresh)
        (fresh / "signer.p12").write_bytes(authority.signer_p12(PASSPHRASE))
        (fresh / "root.pem").write_bytes(authority.root_pem)
        fresh.replace(folder)
    return DemonstrationAuthority.load(folder)


def _model(folder: Path, build: Callable[[], Classifier]) -> None:
    if not folder.exists():
        save_classifier(build(), folder, f"# {folder.name}\n\nMade by `forensics demo`.\n")


def _data(folder: Path, data: ImageData) -> None:
    if folder.exists():
        return
    fresh = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    save_images(data, fresh)
    fresh.replace(folder)


def _details(out: Path) -> Path:
    """Writes what a person would supply for a report; here it says that nobody did."""
    path = out / "case.toml"
    path.write_text(DETAILS, encoding="utf-8")
    return path


DETAILS = """\
# Nobody examined anything here: what a person would have to supply is missing, and so each report stays a draft.
[report]
number = "DEMO"
version = "1"

[court]
caption = "A demonstration on handwritten digits; there is no case"

[instructions]
questions = ["Do the answers of this model support the claim that information from the owner's key reached it?"]
material_supplied = ["The model folder, made by the command `forensics demo`"]
"""
