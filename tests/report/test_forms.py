"""The command line of the report's forms."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from forensics.canonical import sha256_file
from forensics.cli.report import report
from forensics.errors import ForensicsError
from forensics.evidence.bag import render_bag
from forensics.evidence.storage import create_folder
from tests.report.cases import make_evidence


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    evidence = make_evidence("SUPPORTED", bits=16, controls=False)
    path = tmp_path_factory.mktemp("case") / "CASE"
    create_folder(path, render_bag({"data/evidence.json": evidence.core}, evidence))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(report, [str(argument) for argument in arguments])


def test_summary_and_redaction_are_flags_and_html_names_a_file(case: Path, tmp_path: Path) -> None:
    pdf, html = tmp_path / "summary.pdf", tmp_path / "report.html"
    done = run(case, "--out", pdf, "--summary", "--redacted", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["pages"] == 2
    done = run(case, "--out", pdf, "--html", html, "--overwrite", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["html"] == str(html)
    assert told["html_sha256"] == sha256_file(html)
    assert told["sha256"] == sha256_file(pdf)


def test_what_cannot_be_combined_is_refused(case: Path, tmp_path: Path) -> None:
    done = run(case, "--out", tmp_path / "a.pdf", "--html", tmp_path / "a.html", "--summary")
    assert isinstance(done.exception, ForensicsError)
    assert list(tmp_path.iterdir()) == []


def test_the_html_is_named_on_the_terminal(case: Path, tmp_path: Path) -> None:
    html = tmp_path / "report.html"
    done = run(case, "--out", tmp_path / "report.pdf", "--html", html)
    assert f"Wrote {html}, a copy for the screen." in done.stdout
    assert sha256_file(html) in done.stdout
