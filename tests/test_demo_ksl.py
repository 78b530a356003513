"""The story of keyed soft labels at a small size: everything is made, examined, opened and sealed."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from forensics.bench.data import load_digits
from forensics.cli.demo import _ranks
from forensics.cli.results import result_object
from forensics.demo.ksl import SUSPECTS, tell_digits
from forensics.demo.stage import Examined, Stage
from forensics.evidence.check import check_case
from forensics.progress import silent

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Examined], list[Path]]:
    written: list[Path] = []

    def write(case: Path, out: Path, **_: object) -> SimpleNamespace:
        written.append(out)
        return SimpleNamespace(sha256="0" * 64)

    out = tmp_path_factory.mktemp("ksl") / "demo"
    digits = load_digits().subset(np.arange(500))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("forensics.demo.stage.write_report", write)
        found = tell_digits(Stage(out, lambda line: None, silent), digits, pool_size=80, steps=3, drop=1.0)
    return out, found, written


def test_three_models_are_examined_and_everything_can_be_checked(
    told: tuple[Path, list[Examined], list[Path]],
) -> None:
    out, found, written = told
    assert [each.name for each in found] == [path.stem for path in written] == list(SUSPECTS)
    for each in found:
        result = check_case(each.case.path, trust=out / "authority" / "root.pem")
        assert result.ok, result.reasons
        assert result.reproduced
        controls = each.case.evidence.score.controls
        own = ["positive"] if each.name != "marked" else []
        others = 1 if each.name == "honest" else 2
        assert [control.role for control in controls] == [*own, "predecessor", *["reference"] * others]
        assert all(control.documented for control in controls if control.role == "reference")
    digests = {each.case.evidence.suspect.digest for each in found}
    assert len(digests) == 3  # three models, none of them another under a new name


def test_the_table_gives_families_and_mean_rank(told: tuple[Path, list[Examined], list[Path]]) -> None:
    row = result_object(told[1][0].case)
    measured = told[1][0].case.evidence.score.measurement
    access, first, mean, p = _ranks(row).split()
    assert (access, first) == ("scores", f"{measured.matched}/24")
    assert float(mean) == pytest.approx(float(measured.effect.value), abs=0.006)
    assert float(p) == pytest.approx(float(measured.p_value), rel=0.06)
