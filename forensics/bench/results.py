"""Cells of a bench: each finished cell is one file of rows, so that a bench can be stopped and taken up again."""

import fcntl
import json
import os
import platform
import re
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from forensics.canonical import canonical_json, sha256
from forensics.progress import Progress, silent

Row = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One unit of work.

    Attributes:
        name: file name of its result, without ending.
        run: a function of a module, so that another process can import it.
        arguments: its keyword arguments; JSON values only.
    """

    name: str
    run: Callable[..., list[Row]]
    arguments: dict[str, Any]


def environment() -> dict[str, str]:
    """Returns what a reader needs to repeat a figure: versions, processor, threads."""
    import torch

    packages = ("torch", "transformers", "numpy", "scipy")
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": str(os.cpu_count()),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads a process": "1",
        **{name: version(name) for name in packages},
    }


def run_cells(
    bench: str,
    command: str,
    seed: int,
    cells: Sequence[Cell],
    folder: Path | None,
    *,
    jobs: int = 1,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Runs the cells that have no result yet and returns all rows in the order of the cells.

    Args:
        folder: where results lie and go, or None to keep nothing.
        jobs: processes, each with one torch thread.
    """
    found: dict[str, list[Row]] = {}
    if folder is not None:
        found = {
            cell.name: json.loads(path.read_bytes())["rows"]
            for cell in cells
            if (path := folder / f"{cell.name}.json").exists()
        }
    todo = [cell for cell in cells if cell.name not in found]
    head = {"name": bench, "command": command, "seed": seed, "environment": environment()}

    def keep(cell: Cell, rows: list[Row]) -> None:
        found[cell.name] = rows
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            fresh = folder / f".{cell.name}.new"
            fresh.write_text(json.dumps({**head, "rows": rows}, indent=1) + "\n", encoding="utf-8")
            fresh.replace(folder / f"{cell.name}.json")

    with progress(f"bench {bench}", len(todo)) as advance:
        if jobs == 1:
            for cell in todo:
                keep(cell, cell.run(**cell.arguments))
                advance(1)
        elif todo:
            with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=single_thread) as pool:
                running = {pool.submit(cell.run, **cell.arguments): cell for cell in todo}
                for done in as_completed(running):
                    keep(running[done], done.result())
                    advance(1)
    return {**head, "rows": [row for cell in cells for row in found[cell.name]]}


def built_once(folder: Path, build: Callable[[], None]) -> Path:
    """Returns a folder of the cache, built first where it is missing; a second process waits for the first.

    Args:
        build: makes the folder, whole or not at all.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            build()
    return folder


def slug(words: str) -> str:
    """Returns what a cell is called after words: small letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", words.lower().replace("%", "percent")).strip("-")


def address(facts: object) -> str:
    """Returns what a model of the cache is called after: it changes with whatever the model was made from.

    Args:
        facts: with a `repr` that says it all, such as recipes, seeds and digests.
    """
    return sha256(canonical_json({"made from": repr(facts)}))[:12]


def single_thread() -> None:
    """Gives this process one torch thread: several processes with one thread each beat one with several."""
    import torch

    torch.set_num_threads(1)


def cache_folder() -> Path:
    """Returns where models of the benches are kept between runs (`$FORENSICS_CACHE`, else the user's cache)."""
    if "FORENSICS_CACHE" in os.environ:
        return Path(os.environ["FORENSICS_CACHE"])
    base = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    return Path(os.environ.get("XDG_CACHE_HOME", base)) / "model-forensics"
