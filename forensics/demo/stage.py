"""What all demonstrations share: an authority, folders that are made once, and the way from a suspect to its report."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from forensics.canonical import now, utc
from forensics.errors import UsageError
from forensics.evidence.case import CaseFolder
from forensics.evidence.schema import Dated
from forensics.evidence.seal import seal_case
from forensics.evidence.signer import load_signer
from forensics.examination import examine, open_case
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.keys.folder import KeyFolder
from forensics.progress import Progress
from forensics.registration import new_key
from forensics.report import write_report
from forensics.suspects import Suspect, open_suspect

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

    def make_key(self, method: str, suspects: Mapping[str, str], **choices: Any) -> None:
        """Makes the key where it is not there.

        Args:
            suspects: as many examinations are charged.
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
            rule={"examinations": len(suspects)},
            **choices,
        )

    def examine(self, name: str, story: str, subject: str, named: Sequence[Suspect] = ()) -> Examined:
        """Examines a model, opens and seals its case and writes the signed report, as far as that is not done.

        Args:
            name: of the model; the owner's own is called `marked` and is the positive control of the others.
            story: what it is.
            subject: what the demonstration is about.
            named: the models that the claim names.
        """
        case_path, report = self.out / "cases" / name, self.out / "reports" / f"{name}.pdf"
        unlocked = KeyFolder.open(self.key).unlock(PASSPHRASE)
        if not case_path.exists() or CaseFolder.load(case_path).evidence.score is None:
            examine(
                unlocked,
                open_suspect(str(self.model(name))),
                case_path,
                suspect_date=Dated(value=utc(now()), source="made by this demonstration"),
                positive=None if name == "marked" else str(self.model("marked")),
                authority=self.authority,
                named=named,
                actor=ACTOR,
                resume=True,
                progress=self.progress,
            )
        case = CaseFolder.load(case_path)
        if not case.opened:
            case = open_case(unlocked, case_path, actor=ACTOR)
        signer = load_signer(self.out / "authority" / "signer.p12", PASSPHRASE)
        if not case.closed:
            case = seal_case(case_path, signer, self.authority, actor=ACTOR, moment=now())
        report.parent.mkdir(parents=True, exist_ok=True)
        details = self.out / "case.toml"
        details.write_text(DETAILS.format(subject=subject), encoding="utf-8")
        with self.progress(f"Writing {name}.pdf", 1) as advance:
            written = write_report(
                case_path, report, details=details, signer=signer, authority=self.authority, overwrite=True
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
