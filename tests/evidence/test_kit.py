from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from forensics.canonical import canonical_json, parse_json, sha256
from forensics.errors import CaseError
from forensics.evidence.kit import read_kit, write_kit
from forensics.examination import make_kit
from forensics.records import Plan, Probe
from tests.evidence.conftest import Line


@pytest.fixture
def kit_folder(line: Line, tmp_path: Path) -> Path:
    kit = make_kit(line.key)
    write_kit(tmp_path / "KIT", kit.claim, kit.tokens, kit.share, kit.plan)
    return tmp_path / "KIT"


def remade(folder: Path) -> None:
    """Brings the manifest up to date, as somebody would who changes a kit on purpose."""
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "manifest-sha256.txt"
    )
    lines = [f"{sha256((folder / name).read_bytes())}  {name}\n" for name in names]
    (folder / "manifest-sha256.txt").write_text("".join(lines))


def test_a_kit_comes_back_as_the_plan_that_was_written(line: Line, kit_folder: Path) -> None:
    kit, made = read_kit(kit_folder), make_kit(line.key)
    assert kit == made
    assert kit.plan.digest == made.plan.digest
    assert kit.tokens == line.key.folder.tokens
    assert len(list((kit_folder / "probes").iterdir())) == 96


def test_all_kinds_of_probes_survive(line: Line, tmp_path: Path) -> None:
    probes = (
        Probe(b"\x89PNG"),
        Probe("ein Wörtchen\n".encode(), "text/plain"),
        Probe(b"", "text/plain"),
        Probe(b"prompt", "text/plain", "score", b" and how it goes on"),
        Probe(b"prompt", "text/plain", "score", b""),
    )
    plan = Plan(probes, batch_size=2)
    write_kit(tmp_path / "KIT", line.key.claim, (), 0, plan)
    kit = read_kit(tmp_path / "KIT")
    assert kit.plan == plan
    assert kit.tokens == ()


def test_a_kit_holds_no_secret_no_pool_and_no_label(line: Line, kit_folder: Path) -> None:
    opening = line.key.opening()
    forbidden = [*line.key.secrets(), *(bytes.fromhex(opening[name]) for name in ("seed", "salt"))]
    forbidden += [item.data for item in line.key.pool().items]
    forbidden += [sha256(item.data).encode() for item in line.key.pool().items]
    for path in kit_folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(secret in content or secret.hex().encode() in content for secret in forbidden)
            assert path.name == "claim.json" or b"label" not in content


def test_a_flipped_bit_anywhere_is_noticed(kit_folder: Path) -> None:
    rng = np.random.default_rng(0)
    paths = [path for path in kit_folder.rglob("*") if path.is_file()]
    for path in [*rng.choice(paths, 30), kit_folder / "plan.json", kit_folder / "manifest-sha256.txt"]:
        raw = path.read_bytes()
        position = int(rng.integers(len(raw)))
        path.write_bytes(raw[:position] + bytes([raw[position] ^ 1]) + raw[position + 1 :])
        with pytest.raises(CaseError):
            read_kit(kit_folder)
        path.write_bytes(raw)
    read_kit(kit_folder)


def drop_probe(folder: Path) -> None:
    (folder / "probes" / "00003.png").unlink()


def swap_probes(folder: Path) -> None:
    first, second = folder / "probes" / "00003.png", folder / "probes" / "00004.png"
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)


def extra_file(folder: Path) -> None:
    (folder / "probes" / "labels.txt").write_text("3\n")


def edit_plan(change: Callable[[dict], None]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        body = parse_json((folder / "plan.json").read_bytes())
        change(body)
        (folder / "plan.json").write_bytes(canonical_json(body))

    return edit


@pytest.mark.parametrize(
    "spoil",
    [
        drop_probe,
        swap_probes,
        extra_file,
        edit_plan(lambda body: body["probes"].reverse()),
        edit_plan(lambda body: body["probes"].pop()),
        edit_plan(lambda body: body.update(batch_size=7)),
        edit_plan(lambda body: body.update(batch_size=0)),
        edit_plan(lambda body: body.update(claim="0" * 64)),
        edit_plan(lambda body: body.update(label="x")),
        edit_plan(lambda body: body["probes"][0].update(file="../../etc/passwd")),
        edit_plan(lambda body: body["probes"][0].update(file="/etc/passwd")),
        edit_plan(lambda body: body["probes"][0].update(operation="train")),
        lambda folder: (folder / "plan.json").write_bytes(b"[" * 100_000),
        lambda folder: (folder / "plan.json").write_bytes(b"\xff"),
        lambda folder: (folder / "claim.json").write_bytes(b"{}"),
        lambda folder: (folder / "plan.json").unlink(),
        lambda folder: (folder / "probes" / "link.png").symlink_to("/etc/passwd"),
    ],
)
def test_a_kit_that_was_changed_on_purpose_is_refused(kit_folder: Path, spoil: Callable[[Path], None]) -> None:
    spoil(kit_folder)
    remade(kit_folder)
    with pytest.raises(CaseError):
        read_kit(kit_folder)


def test_nothing_is_overwritten_and_nothing_is_read_where_there_is_nothing(line: Line, kit_folder: Path) -> None:
    kit = make_kit(line.key)
    with pytest.raises(CaseError, match="exists already"):
        write_kit(kit_folder, kit.claim, kit.tokens, kit.share, kit.plan)
    with pytest.raises(CaseError, match="no kit at"):
        read_kit(kit_folder / "nothing")
