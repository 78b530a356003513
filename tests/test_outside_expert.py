"""The outside expert's page, followed to the letter: only basic commands, openssl and a bare Python are there."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pypdfium2
import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "outside-expert.md"
SAMPLES = ROOT / "evidence_samples"
BASIC = ("sh", "cat", "cp", "head", "tail", "ls", "mkdir", "mv", "rm", "sha256sum", "sort", "test", "wc")
"""Commands of a Unix system that the page may use; others, `openssl` and `python3` apart, are not found."""


@dataclass(frozen=True)
class Done:
    """Where following the page ended."""

    section: str
    ok: bool
    output: str


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the programs that the page names and no other."""
    folder = tmp_path_factory.mktemp("commands")
    base = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    found = {name: shutil.which(name) for name in (*BASIC, "openssl")} | {"python3": str(base)}
    for name, place in found.items():
        if place is None:
            pytest.skip(f"{name} is not installed")
        (folder / name).symlink_to(place)
    return folder


def follow(folder: Path, commands: Path) -> Done:
    """Saves each Python block as its first line says and runs each shell block, until one fails."""
    output = ""
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        title = section.split("\n", 1)[0]
        for kind, block in re.findall(r"```(sh|python)\n(.*?)```", section, re.DOTALL):
            if kind == "python":
                name = re.match(r"# (\w+\.py)\n", block)
                assert name is not None
                (folder / name[1]).write_text(block, encoding="utf-8")
                continue
            surroundings = {"PATH": str(commands), "HOME": str(folder), "LC_ALL": "C"}
            done = subprocess.run(
                ["sh", "-eu"], input=block.encode(), cwd=folder, env=surroundings, capture_output=True
            )
            output += (done.stdout + done.stderr).decode(errors="replace")
            if done.returncode != 0:
                return Done(title, False, output)
    return Done("", True, output)


@pytest.fixture
def received(tmp_path: Path) -> Path:
    """A folder with what an expert receives, and the root."""
    shutil.copytree(SAMPLES / "case", tmp_path / "case")
    for name in ("report.pdf", "root.pem"):
        shutil.copy(SAMPLES / name, tmp_path / name)
    return tmp_path


def test_the_page_leads_to_its_end(received: Path, commands: Path) -> None:
    done = follow(received, commands)
    assert done.ok, (done.section, done.output[-2000:])
    assert done.output.count("Verification: OK") >= 4
    assert done.output.count("CAdES Verification successful") == 2
    assert "\nDIFFERS " not in done.output
    assert "\nFAILS " not in done.output
    assert done.output.count("agrees ") >= 9


def test_what_the_page_prints_is_what_a_reader_sees(received: Path, commands: Path) -> None:
    done = follow(received, commands)
    shown = re.search(r"attached evidence\.json ([0-9a-f ]{67})", done.output)
    listed = re.search(r"manifest of the case   ([0-9a-f ]{67})", done.output)
    assert shown is not None
    assert listed is not None
    document = pypdfium2.PdfDocument(received / "report.pdf")
    pages = [document[place].get_textpage().get_text_range() for place in range(len(document))]
    digits = [re.sub(r"[^0-9a-f]", "", page) for page in pages]
    assert all(shown[1].replace(" ", "") in page for page in digits)
    assert any(listed[1].replace(" ", "") in page for page in digits)


def _case_byte(folder: Path) -> None:
    path = folder / "case" / "data" / "evidence.json"
    path.write_bytes(path.read_bytes().replace(b'"case":"', b'"case":"another ', 1))


def _file_more(folder: Path) -> None:
    (folder / "case" / "data" / "notes.txt").write_bytes(b"x")


def _link(folder: Path) -> None:
    path = folder / "case" / "data" / "evidence.json"
    path.rename(folder / "elsewhere.json")
    path.symlink_to(folder / "elsewhere.json")


def _twin(folder: Path) -> None:
    """One answer changed and every checksum written anew."""
    shutil.rmtree(folder / "case")
    shutil.copytree(SAMPLES / "tampered", folder / "case")


def _unsealed_twin(folder: Path) -> None:
    """The same, and the signature taken away."""
    _twin(folder)
    (folder / "case" / "tagmanifest-sha256.txt.p7s").unlink()


def _stranger(folder: Path) -> None:
    from forensics.keys.demonstration import DemonstrationAuthority

    (folder / "root.pem").write_bytes(DemonstrationAuthority.create().root_pem)


def _page_byte(folder: Path) -> None:
    path = folder / "report.pdf"
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"stream\n") + 50] ^= 1
    path.write_bytes(bytes(raw))


def _appended(folder: Path) -> None:
    path = folder / "report.pdf"
    path.write_bytes(path.read_bytes() + b"% a later revision\n%%EOF\n")


def _unsigned(folder: Path) -> None:
    path = folder / "report.pdf"
    raw = path.read_bytes()
    path.write_bytes(raw[: raw.index(b"%%EOF") + 6])


@pytest.mark.parametrize(
    ("alter", "section"),
    [
        (_case_byte, "1."),
        (_file_more, "1."),
        (_link, "1."),
        (_twin, "2."),
        (_unsealed_twin, "1."),
        (_stranger, "2."),
        (_page_byte, "7."),
        (_appended, "7."),
        (_unsigned, "7."),
    ],
)
def test_the_page_stops_at_what_was_altered(
    received: Path, commands: Path, alter: Callable[[Path], None], section: str
) -> None:
    alter(received)
    done = follow(received, commands)
    assert not done.ok
    assert done.section.startswith(section), (done.section, done.output[-500:])


def test_each_later_step_sees_what_it_is_there_for(received: Path, commands: Path) -> None:
    """With the signatures out of the way, a step of its own finds each forgery that a signer could have made."""
    assert follow(received, commands).ok
    evidence, transcript = (received / "case" / "data" / name for name in ("evidence.json", "transcript.jsonl"))
    python = str(commands / "python3")

    def refuses(script: Path, folder: Path = received) -> bool:
        done = subprocess.run([python, "-I", "-S", script], cwd=folder, capture_output=True, env={"PATH": ""})
        return done.returncode != 0

    def altered(path: Path, old: bytes, new: bytes, script: str, folder: Path = received) -> bool:
        raw = path.read_bytes()
        assert old in raw
        path.write_bytes(raw.replace(old, new, 1))
        found = refuses(Path(script), folder)
        path.write_bytes(raw)
        return found

    assert altered(transcript, b'"event":"batch"', b'"event":"Batch"', "chains.py")
    assert altered(evidence, b'"values":[["', b'"values":[["1', "chains.py")
    matched = re.search(rb'"matched":\d+,"missing_share"', evidence.read_bytes())
    assert matched is not None
    assert altered(evidence, matched[0], b'"matched":9,"missing_share"', "data/recompute.py", received / "case")
    assert altered(evidence, b'"n_star":"', b'"n_star":"9', "rule.py")
    assert altered(evidence, b'"G2":true', b'"G2":false', "rule.py")
    assert altered(evidence, b'"case":"', b'"case":"another ', "attached.py")
    stated = re.search(rb'"suspect":\{"source":"[^"]*","value":"[^"]*"', evidence.read_bytes())
    assert stated is not None
    for day, wrong in ((b"2020-01-01", True), (b"2100-01-01", True), (b"2100-01-01T00:00:00+01:00", True)):
        other = re.sub(rb'"value":"[^"]*"', b'"value":"' + day + b'"', stated[0])
        assert altered(evidence, stated[0], other, "rule.py") is wrong
    own = re.search(rb'"value":"(\d{4}-\d\d-\d\d)', stated[0])
    assert own is not None
    for same in (b'"value":"' + own[1] + b'"', b'"value":null'):
        assert not altered(evidence, stated[0], re.sub(rb'"value":"[^"]*"', same, stated[0]), "rule.py")
    released = re.search(rb'"release":\{"source":"[^"]*","value":"\d{4}', evidence.read_bytes())
    assert released is not None
    assert altered(evidence, released[0], released[0][:-4] + b"2001", "rule.py")
    assert not refuses(Path("chains.py"))


def test_a_missing_timestamp_of_the_transcript_is_named(received: Path, commands: Path) -> None:
    assert follow(received, commands).ok

    def rule() -> subprocess.CompletedProcess[str]:
        python = str(commands / "python3")
        return subprocess.run([python, "-I", "-S", "rule.py"], cwd=received, capture_output=True, text=True)

    assert "NO TIMESTAMP" not in rule().stdout
    assert "answers: " in rule().stdout
    (received / "case" / "data" / "transcript.tst").unlink()
    assert "NO TIMESTAMP of the transcript" in rule().stdout
    assert rule().returncode == 0


def test_dates_that_do_not_rise_contradict_a_record_that_says_so(received: Path, commands: Path) -> None:
    """An outcome that draws the consequence is none of the expert's business; one that does not is."""
    assert follow(received, commands).ok
    path = received / "case" / "data" / "evidence.json"
    body = json.loads(path.read_bytes())
    body["dates"]["suspect"]["value"] = "2020-01-01"

    def rule() -> subprocess.CompletedProcess[str]:
        path.write_text(json.dumps(body))
        python = str(commands / "python3")
        return subprocess.run([python, "-I", "-S", "rule.py"], cwd=received, capture_output=True, text=True)

    done = rule()
    assert done.returncode != 0
    assert "the dates rise: False" in done.stdout
    assert "claim lies after suspect" in done.stdout
    body["score"]["verdict"] |= {
        "outcome": "INVALID_CLAIM",
        "gates": {**body["score"]["verdict"]["gates"], "G1": False},
    }
    assert rule().returncode == 0
