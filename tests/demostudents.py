"""What the tests of the stories of extraction share: no PDF is written, and every case stands up to `check`."""

from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace

import pytest

from forensics.cli.demo import _ranks
from forensics.cli.results import result_object
from forensics.demo.stage import Examined, Stage
from forensics.demo.students import REFERENCES
from forensics.evidence.check import check_case
from forensics.progress import silent

Told = tuple[Path, list[Examined], list[Path]]
"""Folder of the story, who was examined, and where reports would have been written."""


def tell(out: Path, story: Callable[[Stage], list[Examined]]) -> Told:
    """Tells a story in a folder, without its PDFs."""
    written: list[Path] = []

    def write(case: Path, out: Path, **_: object) -> SimpleNamespace:
        written.append(out)
        return SimpleNamespace(sha256="0" * 64)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("forensics.demo.stage.write_report", write)
        found = story(Stage(out, lambda line: None, silent))
    return out, found, written


def require_checked(told: Told, suspects: Iterable[str]) -> None:
    """Each suspect has its case and report, passes `check`, is no other under a new name, and has its controls."""
    out, found, written = told
    assert [each.name for each in found] == [path.stem for path in written] == list(suspects)
    for each in found:
        result = check_case(each.case.path, trust=out / "authority" / "root.pem")
        assert result.ok, result.reasons
        assert result.reproduced
        controls = each.case.evidence.score.controls
        own = ["positive"] if each.name != "marked" else []
        others = len(REFERENCES) - (each.name in REFERENCES)
        assert [control.role for control in controls] == [*own, "predecessor", *["reference"] * others]
        assert all(control.documented for control in controls if control.role == "reference")
    assert len({each.case.evidence.suspect.digest for each in found}) == len(found)


def require_row(told: Told, families: int) -> None:
    """The table's row of the first suspect gives access, families led, mean rank and p."""
    case = told[1][0].case
    measured = case.evidence.score.measurement
    access, first, mean, p = _ranks(result_object(case)).split()
    assert (access, first) == ("scores", f"{measured.matched}/{families}")
    assert float(mean) == pytest.approx(float(measured.effect.value), abs=0.006)
    assert float(p) == pytest.approx(float(measured.p_value), rel=0.06)
