"""The wheel carries templates and fonts: a report is rendered from an installed copy, outside the source tree."""

import os
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SCRIPT = """
import sys
from pathlib import Path
import forensics
from forensics.report import write_report
from forensics.report.assets import template_folder

installed = Path(forensics.__file__).parent
assert installed.is_relative_to(Path(sys.prefix)), installed
assert Path(str(template_folder())) == installed / "templates"
print(write_report(Path(sys.argv[1]), Path(sys.argv[2])).pages)
"""


@pytest.mark.slow
def test_installed_wheel_renders_a_report(tmp_path: Path) -> None:
    from forensics.evidence.bag import render_bag
    from forensics.evidence.storage import create_folder
    from tests.report.cases import make_evidence

    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "forensics/templates/report.html.j2" in names
    assert "forensics/templates/case.toml" in names
    for language in ("de", "fr"):
        assert f"forensics/templates/locale/{language}/LC_MESSAGES/report.po" in names
    assert "forensics/templates/fonts/LICENSE" in names
    assert sum(name.endswith(".ttf") for name in names) == 8

    evidence = make_evidence("SUPPORTED", bits=16, controls=False)
    create_folder(tmp_path / "CASE", render_bag({"data/evidence.json": evidence.core}, evidence))
    home = tmp_path / "venv"
    venv.EnvBuilder(with_pip=False).create(home)
    python = home / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    packages = next((home / "lib").glob("python*/site-packages"))
    # Third-party libraries come from the running environment; its editable install of this project must not win.
    (packages / "zz-others.pth").write_text("\n".join(site.getsitepackages()), encoding="utf-8")
    done = subprocess.run(
        [str(python), "-W", "ignore", "-c", SCRIPT, str(tmp_path / "CASE"), str(tmp_path / "report.pdf")],
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF-1.7")
