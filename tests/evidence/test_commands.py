"""The commands that a case and a report print for those without this tool, run to the letter."""

import html
import re
import subprocess
from pathlib import Path

import pytest

from forensics.evidence.case import CaseFolder
from forensics.report.details import load_details
from forensics.report.render import render_html
from forensics.report.view import make_report
from tests.evidence.conftest import Line


@pytest.fixture
def case(line: Line, copy_of) -> Path:  # type: ignore[no-untyped-def]
    """The sealed case with the root beside the folder, as the texts name it; one root is above everything here."""
    path = copy_of(line.sealed)
    for name in ("ROOT.pem", "TSA.pem"):
        (path.parent / name).write_bytes(line.trust.read_bytes())
    return path


def logical_lines(text: str) -> list[str]:
    return [line for line in re.sub(r"\\\n\s*", "", text).splitlines() if line.strip()]


def run(command: str, case: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", command], cwd=case, capture_output=True, text=True, check=False)


def instructions(case: Path) -> list[str]:
    text = (case / "data" / "VERIFY.txt").read_text()
    blocks = re.findall(r"(?:^ {5}\S.*\n(?: {7}.*\n)*)+", text, re.MULTILINE)
    return [line.strip() for block in blocks for line in logical_lines(block)]


def printed(line: Line) -> list[str]:
    folder = CaseFolder.load(line.sealed)
    report = make_report(
        folder.evidence, load_details(None), manifest_sha256=folder.manifest_sha256, files=folder.content
    )
    blocks = re.findall(r"<pre>(.*?)</pre>", render_html(report), re.DOTALL)
    (block,) = [html.unescape(each) for each in blocks if "sha256sum" in each]
    return logical_lines(block)


def test_instructions_of_a_case_work_to_the_letter(line: Line, case: Path) -> None:
    commands = instructions(case)
    assert [command.split()[0] for command in commands].count("openssl") == 3
    for needed in ("sha256sum -c manifest", "openssl cms -verify -cades", "openssl ts -verify", "python3 -I"):
        assert any(command.startswith(needed) for command in commands), needed
    outputs = {}
    for command in commands:
        done = run(command, case)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        outputs[command] = done.stdout + done.stderr
    text = "\n".join(outputs.values())
    assert "CAdES Verification successful" in text
    assert "Verification: OK" in text
    assert "Time stamp:" in text
    previous, link = (outputs[next(key for key in outputs if key.startswith(f"sed -n {line}p"))] for line in (3, 4))
    assert previous.split()[0] in link
    head = next(output for command, output in outputs.items() if command.startswith("tail -n 1 data/transcript"))
    assert head.split()[0] == CaseFolder.load(line.sealed).evidence.transcript_head


def test_commands_of_a_report_work_to_the_letter(line: Line, case: Path) -> None:
    commands = printed(line)
    assert [command.split()[0] for command in commands] == ["sha256sum", "sha256sum", "openssl", "python3"]
    outputs = [run(command, case) for command in commands]
    assert [done.returncode for done in outputs] == [0, 0, 0, 0], [done.stderr for done in outputs]
    assert outputs[0].stdout.split()[0] == CaseFolder.load(line.sealed).manifest_sha256
    assert "CAdES Verification successful" in outputs[2].stderr


@pytest.mark.parametrize("name", ["data/evidence.json", "data/claim/claim.json", "bag-info.txt", "manifest-sha256.txt"])
def test_any_change_makes_a_printed_command_fail(line: Line, case: Path, name: str) -> None:
    commands, path = printed(line), case / name
    path.write_bytes(path.read_bytes().replace(b"1", b"2", 1))
    assert run(commands[1], case).returncode != 0


def test_seal_written_anew_fails_under_the_root(line: Line, case: Path) -> None:
    """Whoever changes a file and all checksums cannot make the signature."""
    seal = printed(line)[2]
    manifest = case / "manifest-sha256.txt"
    manifest.write_bytes(manifest.read_bytes().replace(b"0", b"1", 1))
    tags = case / "tagmanifest-sha256.txt"
    digest = run("sha256sum manifest-sha256.txt", case).stdout.split()[0]
    tags.write_text(re.sub(r"[0-9a-f]{64}(?=  manifest-sha256)", digest, tags.read_text()))
    assert run("sha256sum -c tagmanifest-sha256.txt", case).returncode == 0
    assert run(seal, case).returncode != 0
