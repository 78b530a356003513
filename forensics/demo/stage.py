"""What all demonstrations share: an authority, folders that are made once, and the way from a suspect to its report."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from forensics.canonical import now, utc
from forensics.errors import UsageError
from forensics.evidence.case import EXHIBITS, CaseFolder, add_exhibit
from forensics.evidence.entries import entry_signer
from forensics.evidence.provenance import Origin
from forensics.evidence.schema import Dated
from forensics.evidence.seal import seal_case
from forensics.evidence.signer import load_signer
from forensics.examination import examine, open_case
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.keys.folder import KeyFolder, UnlockedKey
from forensics.progress import Progress
from forensics.registration import embed_key, new_key
from forensics.report import write_report
from forensics.suspects import Suspect, open_suspect

if TYPE_CHECKING:
    from pyhanko.sign import SimpleSigner

    from forensics.checkpoints import Classifier
    from forensics.training.data import ImageData
    from forensics.training.embed import Data, Embedded

PASSPHRASE = "demonstration"  # noqa: S105 - the key of a demonstration protects nothing
ACTOR = "forensics demo"


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


@dataclass(frozen=True)
class Stage:
    """The folder of a demonstration, and who is told of its steps."""

    out: Path
    say: Callable[[str], None]
    progress: Progress

    @property
    def key(self) -> Path:
        """The key's folder."""
        return self.out / "key"

    def model(self, name: str) -> Path:
        """Returns the folder of a model by its name in the story."""
        return self.out / "models" / name

    @cached_property
    def authority(self) -> DemonstrationAuthority:
        """The demonstration's own authority, with the certificate of who signs."""

        def build(fresh: Path) -> None:
            authority = DemonstrationAuthority.create()
            authority.save(fresh)
            (fresh / "signer.p12").write_bytes(authority.signer_p12(PASSPHRASE))
            (fresh / "root.pem").write_bytes(authority.root_pem)

        return DemonstrationAuthority.load(self.once(self.out / "authority", build))

    def once(self, folder: Path, build: Callable[[Path], object]) -> Path:
        """Returns a folder, built where it is not there; it appears whole or not at all.

        Args:
            build: writes a folder of the name that it is given.
        """
        if not folder.exists():
            fresh = folder.with_name(f".{folder.name}.new")
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.parent.mkdir(parents=True, exist_ok=True)
            build(fresh)
            fresh.replace(folder)
        return folder

    def make_key(self, method: str, suspects: Mapping[str, str], *, least: int = 0, **choices: Any) -> None:
        """Makes the key where it is not there.

        Args:
            suspects: as many examinations are charged.
            least: independent models that the claim asks for.
            choices: options, pool and references of `registration.new_key`.

        Raises:
            UsageError: the folder holds the key of another method.
        """
        if self.key.exists():
            if KeyFolder.open(self.key).claim.method != method:
                raise UsageError(f"{self.out} holds another demonstration.", "Choose another --out.")
            return
        new_key(
            self.key,
            owner="Demonstration owner",
            method=method,
            passphrase=PASSPHRASE,
            authorities=[self.authority],
            binding="demonstration",
            rule={"examinations": len(suspects), "references": least},
            **choices,
        )

    def mark(self, data: "Data", **choices: Any) -> "Embedded | None":
        """Embeds the key into the model called `unmarked`, which gives the one called `marked`; None if that is there.

        Args:
            choices: for `registration.embed_key`.
        """
        if self.model("marked").exists():
            return None
        return embed_key(
            self.key,
            self.model("unmarked"),
            data,
            self.model("marked"),
            passphrase=PASSPHRASE,
            authority=self.authority,
            progress=self.progress,
            **choices,
        )

    def classifier(self, name: str, build: "Callable[[], Classifier]") -> None:
        """Makes an image classifier of the story where it is not there."""
        from forensics.checkpoints import save_classifier

        card = f"# {name}\n\nMade by `forensics demo`.\n"
        self.once(self.model(name), lambda fresh: save_classifier(build(), fresh, card))

    def share_out(self, images: "ImageData") -> "tuple[ImageData, ImageData]":
        """Gives the owner and a thief images of their own, and says how many; a fifth stays for testing."""
        rest, test = images.split(0.2, np.random.default_rng(1))
        owner, thief = rest.split(0.4, np.random.default_rng(2))
        counts = [len(part.labels) for part in (owner, thief, test)]
        self.say("Data: {} digits of the owner, {} of a thief, {} for testing.".format(*counts))
        return owner, thief

    def examine(
        self,
        suspects: Mapping[str, str],
        subject: str,
        named: Sequence[Suspect] = (),
        references: Mapping[str, str] | None = None,
    ) -> list[Examined]:
        """Examines models, opens and seals their cases and writes the signed reports, as far as that is not done.

        All are examined before any case is opened: whoever reads an opened share knows what to train against.

        Args:
            suspects: what each is, by the name of its model; the owner's own is called `marked` and is the positive
                control of the others, what it was before is called `unmarked`.
            subject: what the demonstration is about.
            named: the models that the claim names.
            references: where each independent model comes from, by its name.
        """
        unlocked = KeyFolder.open(self.key).unlock(PASSPHRASE)
        for name in suspects:
            path = self.out / "cases" / name
            if path.exists() and CaseFolder.load(path).evidence.score is not None:
                continue
            others = {str(self.model(other)): source for other, source in (references or {}).items() if other != name}
            examine(
                unlocked,
                open_suspect(str(self.model(name))),
                path,
                suspect_date=Dated(value=utc(now()), source="made by this demonstration"),
                positive=None if name == "marked" else str(self.model("marked")),
                predecessor=str(self.model("unmarked")),
                references=list(others),
                provenance={
                    other: Origin(source=source, date=now().date(), vouched_by=f"the command `{ACTOR}`")
                    for other, source in others.items()
                },
                authority=self.authority,
                named=named,
                actor=ACTOR,
                resume=True,
                progress=self.progress,
            )
        details = self.out / "case.toml"
        details.write_text(DETAILS.format(subject=subject), encoding="utf-8")
        signer = load_signer(self.out / "authority" / "signer.p12", PASSPHRASE)
        return [self._close(name, story, unlocked, signer, details) for name, story in suspects.items()]

    def _close(self, name: str, story: str, key: UnlockedKey, signer: "SimpleSigner", details: Path) -> Examined:
        """Opens a scored case, adds what is known of the suspect, seals it, and writes the report."""
        path, report, exhibit = self.out / "cases" / name, self.out / "reports" / f"{name}.pdf", "suspect.txt"
        case = CaseFolder.load(path)
        if not case.opened:
            case = open_case(key, path, actor=ACTOR)
        if not case.closed:
            if EXHIBITS + exhibit not in case.content:
                about = f"The model '{name}': {story}.\n".encode()
                moment = now()
                signs = entry_signer(signer, self.authority, moment)
                add_exhibit(path, exhibit, about, actor=ACTOR, moment=moment, signer=signs)
            case = seal_case(path, signer, self.authority, actor=ACTOR, moment=now())
        report.parent.mkdir(parents=True, exist_ok=True)
        with self.progress(f"Writing {name}.pdf", 1) as advance:
            written = write_report(
                path, report, details=details, signer=signer, authority=self.authority, overwrite=True
            )
            advance(1)
        return Examined(name, story, case, report, written.sha256)


DETAILS = """\
# Nobody examined anything here: what a person would have to supply is missing, and so each report stays a draft.
[report]
number = "DEMO"
version = "1"

[court]
caption = "A demonstration on {subject}; there is no case"

[instructions]
questions = ["Do the answers of this model support the claim that information from the owner's key reached it?"]
material_supplied = ["The model folder, made by the command `forensics demo`"]
"""
