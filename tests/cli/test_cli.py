"""The command line as a user meets it: exit codes, one sentence an error, JSON that stays."""

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from forensics.cli import VERBS
from forensics.cli.acquisition import UNDATED
from tests.line import PASSPHRASE, Line, small_digits

pytestmark = pytest.mark.slow


def run(*arguments: object, passphrase: str | None = PASSPHRASE, **environment: str) -> subprocess.CompletedProcess:
    full = {**os.environ, **environment}
    full.pop("FORENSICS_PASSPHRASE", None)
    if passphrase is not None:
        full["FORENSICS_PASSPHRASE"] = passphrase
    command = [sys.executable, "-m", "forensics", *map(str, arguments)]
    return subprocess.run(command, env=full, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def refused(result: subprocess.CompletedProcess, code: int, *words: str) -> None:
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    lines = [line for line in result.stderr.strip().splitlines() if line != UNDATED]
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("forensics: ")
    for word in words:
        assert word in lines[0]


@pytest.fixture(scope="module")
def case(line: Line, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "case"
    done = run("examine", line.key, line.marked, "--case", path, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["verdict"] == "SUPPORTED"
    expected = {"verdict", "method", "suspect", "binding", "p_value", "log10_p", "n_star", "statistic", "n", "matched"}
    assert expected | {"effect", "published", "gates", "reasons", "case", "manifest_sha256"} <= found.keys()
    assert found["gates"]["G3"] is None
    assert found["binding"] == "demonstration"
    return path


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_has_help_that_loads_nothing_heavy(verb: str) -> None:
    code = (
        "import sys, click\nfrom forensics.cli import root\n"
        f"try:\n    root.main([{verb!r}, '--help'], standalone_mode=False)\nfinally:\n"
        "    heavy = {'torch', 'transformers', 'weasyprint', 'scipy', 'pyhanko'} & set(sys.modules)\n"
        "    assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_check_loads_neither_torch_nor_weasyprint(case: Path) -> None:
    code = (
        "import sys\nfrom forensics.cli import root\n"
        f"try:\n    root.main(['check', {str(case)!r}], standalone_mode=False)\nexcept SystemExit:\n    pass\n"
        "assert not {'torch', 'transformers', 'weasyprint'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_open_seal_report_check(line: Line, case: Path, tmp_path: Path) -> None:
    signer = tmp_path / "signer.p12"
    signer.write_bytes(line.authority.signer_p12("secret"))
    root = tmp_path / "root.pem"
    root.write_bytes(line.authority.root_pem)
    path = tmp_path / "case"
    shutil.copytree(case, path)
    key = shutil.copytree(line.key, tmp_path / "key")
    assert run("case", "open", path, key).returncode == 0
    refused(run("examine", key, line.marked, "--case", tmp_path / "next"), 2, "Every share of the key was opened")
    exhibit = tmp_path / "letter.txt"
    exhibit.write_text("instructions")
    assert run("case", "add", path, exhibit).returncode == 0
    sealing = ("case", "seal", path, "--signer", signer, "--demonstration", line.authority_folder)
    assert run(*sealing, FORENSICS_SIGNER_PASSPHRASE="secret").returncode == 0
    checked = run("check", path, "--trust", root, "--json")
    found = json.loads(checked.stdout)
    assert checked.returncode == 0, found
    assert found["ok"]
    assert found["trusted"] is True
    assert found["reproduced"] is True
    unknown = run("check", path)
    assert unknown.returncode == 0
    assert "signer NOT identified" in unknown.stdout.splitlines()[0]
    refused(run("case", "add", path, exhibit, "--name", "again.txt"), 2, "sealed")
    refused(run("score", line.key, path), 2, "sealed")
    report = tmp_path / "report.pdf"
    written = run("report", path, "--out", report, "--signer", signer, "--json", FORENSICS_SIGNER_PASSPHRASE="secret")
    assert written.returncode == 0, written.stderr
    assert json.loads(written.stdout)["draft"] is True
    assert run("check", report, "--case", path, "--trust", root).returncode == 0
    refused(run("report", path, "--out", report), 2, "exists already")
    (path / "data" / "evidence.json").write_bytes((path / "data" / "evidence.json").read_bytes() + b" ")
    assert run("check", path, "--trust", root).returncode == 1
    assert run("check", report, "--case", path, "--trust", root).returncode == 1


def test_wrong_passphrase(line: Line, tmp_path: Path) -> None:
    refused(run("examine", line.key, line.marked, "--case", tmp_path / "c", passphrase="wrong"), 2, "passphrase")
    refused(run("probes", line.key, "--out", tmp_path / "k", passphrase=None), 2, "FORENSICS_PASSPHRASE")
    assert list(tmp_path.iterdir()) == []


def test_passphrase_file(line: Line, tmp_path: Path) -> None:
    (tmp_path / "pass").write_text(PASSPHRASE + "\n")
    arguments = ("probes", line.key, "--out", tmp_path / "kit", "--passphrase-file", tmp_path / "pass")
    assert run(*arguments, passphrase=None).returncode == 0
    refused(
        run("probes", line.key, "--out", tmp_path / "k", "--passphrase-file", tmp_path / "none"), 2, "cannot be read"
    )


def test_suspects_that_are_none(line: Line, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(run("examine", line.key, tmp_path / "empty", "--case", tmp_path / "c"), 2, "config.json is missing")
    shutil.copytree(line.marked, tmp_path / "pickle")
    (tmp_path / "pickle" / "model.safetensors").rename(tmp_path / "pickle" / "pytorch_model.bin")
    refused(run("examine", line.key, tmp_path / "pickle", "--case", tmp_path / "c"), 2, "pickle")
    refused(run("examine", line.key, "ftp://somewhere", "--case", tmp_path / "c"), 2, "no suspect")
    refused(run("examine", line.key, "replay:nowhere", "--case", tmp_path / "c"), 2, "replay")
    assert not (tmp_path / "c").exists()
    assert not (tmp_path / "c.partial").exists()


def test_suspect_with_another_number_of_labels(line: Line, tmp_path: Path) -> None:
    import dataclasses

    from forensics.checkpoints import save_classifier
    from forensics.training.classifier import small_resnet

    data = small_digits(slice(0, 20))
    fewer = dataclasses.replace(data, labels=data.labels % 3, names=("a", "b", "c"))
    save_classifier(small_resnet(fewer, 0, widths=(4, 4), depths=(1, 1)), tmp_path / "three", "# three\n")
    refused(run("examine", line.key, tmp_path / "three", "--case", tmp_path / "c"), 2, "3 labels", "10")
    assert {path.name for path in tmp_path.iterdir()} == {"three"}


def test_case_of_another_key(line: Line, case: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    common = ("--owner", "Other", "--pool", line.data, "--pool-size", 16, "--bits", 32, "--banks", 2)
    made = run("key", "new", other, *common, "--reference-checkpoint", line.unmarked, "--no-timestamp", "--json")
    assert made.returncode == 0, made.stderr
    copy = tmp_path / "case"
    shutil.copytree(case, copy)
    refused(run("score", other, copy), 2, "another key")
    refused(run("score", line.key, copy), 2, "scored once")
    shown = run("key", "show", other, passphrase=None)
    assert shown.returncode == 0
    assert "self-dated" in shown.stdout
    result = json.loads(run("examine", other, line.marked, "--case", tmp_path / "new", "--json").stdout)
    assert result["binding"] == "self-dated"
    assert result["verdict"] != "SUPPORTED"


def test_key_new_refuses_what_does_not_fit(line: Line, tmp_path: Path) -> None:
    common = ("key", "new", tmp_path / "key", "--owner", "O", "--pool", line.data)
    refused(run(*common, "--reference-checkpoint", line.unmarked), 2, "--tsa", "--no-timestamp")
    refused(run(*common, "--no-timestamp"), 2, "clean-checkpoint")
    dated = (*common, "--no-timestamp", "--reference-checkpoint", line.unmarked)
    refused(run(*dated, "--bits", 32, "--min-effect", "0.5"), 2, "0.5", "chance")
    refused(run(*dated, "--bits", 32, "--alpha", "2"), 2, "alpha")
    refused(run(*dated, "--owner", " "), 2, "no name")
    assert run(*dated, "--pool-size", -3).returncode == 2
    refused(run(*common, "--no-timestamp", "--reference-checkpoint", line.unmarked, "--bits", "67"), 2, "67 bits")
    refused(
        run(*common, "--no-timestamp", "--method", "nothing", "--reference-checkpoint", line.unmarked), 2, "nothing"
    )
    unreached = (*common, "--bits", 32, "--reference-checkpoint", line.unmarked, "--tsa", "http://127.0.0.1:9/tsr")
    refused(run(*unreached), 3, "127.0.0.1")
    assert list(tmp_path.iterdir()) == []
    refused(run("key", "new", line.key, "--owner", "O", "--pool", line.data, "--no-timestamp"), 2, "exists already")
    refused(run("key", "show", tmp_path), 2, "no key folder")


def test_authority_that_answers_rubbish(line: Line, tmp_path: Path) -> None:
    class Rubbish(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.end_headers()
            self.wfile.write(b"rubbish")

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Rubbish)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        arguments = ("--owner", "O", "--pool", line.data, "--bits", 32, "--reference-checkpoint", line.unmarked)
        url = f"http://127.0.0.1:{server.server_port}/tsr"
        refused(run("key", "new", tmp_path / "key", *arguments, "--tsa", url), 3, "127.0.0.1")
    finally:
        server.shutdown()
    assert list(tmp_path.iterdir()) == []


def test_interrupt_is_one_sentence_and_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    from forensics import cli

    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.root, "main", interrupted)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 130
    assert capsys.readouterr().err.startswith("forensics: Interrupted")


def test_full_disk_is_one_sentence_and_leaves_nothing(line: Line, tmp_path: Path, monkeypatch, capsys) -> None:
    from forensics import cli

    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cli.root, "main", full)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2
    assert "disk is full" in capsys.readouterr().err


@pytest.fixture
def little_disk(tmp_path: Path):
    """Mounts a file system of 64 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], check=False).returncode:
        pytest.skip("mounting needs root")
    yield place
    subprocess.run(["umount", place], check=True)


def test_disk_that_is_really_full(line: Line, little_disk: Path) -> None:
    commands = {
        "kit": ("probes", line.key, "--out", little_disk / "kit"),
        "model": ("attack", "prune", "--model", line.marked, "--out", little_disk / "model"),
        "key": (
            *("key", "new", little_disk / "key", "--owner", "O", "--pool", line.data, "--no-timestamp"),
            *("--bits", 32, "--pool-size", 500, "--reference-checkpoint", line.unmarked),
        ),
    }
    for name, command in commands.items():
        refused(run(*command), 2)
        assert list(little_disk.iterdir()) == [], name
    refused(run("examine", line.key, line.marked, "--case", little_disk / "case"), 2, "full")
    assert not (little_disk / "case").exists()


def test_a_key_marks_one_model(line: Line, tmp_path: Path) -> None:
    arguments = ("embed", line.key, "--model", line.unmarked, "--data", line.data, "--out", tmp_path / "again")
    refused(run(*arguments), 2, "marked a model already")
    assert list(tmp_path.iterdir()) == []


def test_dry_run_asks_nothing(line: Line, tmp_path: Path) -> None:
    done = run("examine", line.key, line.marked, "--case", tmp_path / "c", "--dry-run", "--json")
    found = json.loads(done.stdout)
    assert found["probes"] == 128
    assert 0.0 <= found["power"] <= 1.0
    assert list(tmp_path.iterdir()) == []


def test_dates_need_a_form_and_a_source(line: Line, tmp_path: Path) -> None:
    arguments = ("examine", line.key, line.marked, "--case", tmp_path / "c")
    refused(run(*arguments, "--suspect-date", "2026-11-22"), 2, "source")
    refused(run(*arguments, "--suspect-date", "soon", "--date-source", "x"), 2, "not a date")
    refused(run(*arguments, "--suspect-date", "2999-01-01", "--date-source", "x"), 2, "lies in the future")
    assert list(tmp_path.iterdir()) == []


def test_methods_power_and_attack(line: Line, tmp_path: Path) -> None:
    assert "ofsw" in run("methods").stdout
    assert "Null hypothesis" in run("methods", "ofsw").stdout
    refused(run("methods", "nothing"), 2, "nothing")
    found = json.loads(run("power", line.key, "--effect", "0.9", "--json").stdout)
    assert found["n"] == 32
    refused(run("power", line.key, "--effect", "0.50001"), 2)
    attacked = ("attack", "prune", "--model", line.marked, "--out", tmp_path / "pruned", "--set")
    assert run(*attacked, "share=0.3").returncode == 0
    refused(run(*attacked, "share=0.3"), 2, "exists already")
    refused(run("attack", "finetune", "--model", line.marked, "--out", tmp_path / "x"), 2, "--data")
    refused(run("attack", "erase", "--model", line.marked, "--out", tmp_path / "x"), 2, "erase")
    refused(run("attack", "prune", "--model", line.marked, "--out", tmp_path / "x", "--set", "share=2"), 2, "2.0")
    assert {path.name for path in tmp_path.iterdir()} == {"pruned"}


def test_check_of_nothing_and_of_rubbish(tmp_path: Path) -> None:
    refused(run("check", tmp_path / "nothing"), 2, "nothing")
    (tmp_path / "x.pdf").write_bytes(b"rubbish")
    assert run("check", tmp_path / "x.pdf").returncode == 1
    (tmp_path / "folder").mkdir()
    assert run("check", tmp_path / "folder").returncode == 1
