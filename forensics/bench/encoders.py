"""`bench encoders`: trigger clusters in MiniLM (TMRW) and in image encoders (WPE), through task migration and attacks.

Cells: a key's encoder marked and what that costs; the marked encoder adapted to tasks, compressed, overwritten,
distilled; the unmarked one through the same with every key; 1,000 fresh keys on encoders that were never marked.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from forensics.bench.clustersizes import ENCODERS, POOLS, size_cell
from forensics.bench.clustertables import table
from forensics.bench.clustertrials import DEVELOPMENT_KEYS, TRIED, tried_cell
from forensics.bench.naturalness import naturalness_cell
from forensics.bench.results import Cell, run_cells, single_thread
from forensics.bench.textclusters import ATTACKS, KEYS, MIGRATIONS, attack_cell, clean_cell, mark_cell, migration_cell
from forensics.progress import Progress, silent

__all__ = ["COMMAND", "KEYS", "order", "run", "table"]

COMMAND = "forensics bench encoders"


def run(folder: Path | None, *, quick: bool, jobs: int, progress: Progress = silent) -> dict[str, Any]:
    """Runs what is missing and returns all rows.

    Args:
        quick: one key, an encoder that is hardly marked, two attacks, few fresh keys; nothing is kept.
    """
    single_thread()
    return run_cells("encoders", COMMAND, 2026, _cells(quick), None if quick else folder, jobs=jobs, progress=progress)


def order(names: Iterable[str]) -> list[str]:
    """Returns the names of cells in the order of the tables."""
    present = set(names)
    return [cell.name for cell in _cells(quick=False) if cell.name in present]


def _cells(quick: bool) -> list[Cell]:
    keys = KEYS[:1] if quick else KEYS
    cells = [Cell(f"tmrw-{key}-mark", mark_cell, {"key": key, "quick": quick}) for key in keys]
    cells.append(Cell("tmrw-innocent-mark", clean_cell, {"quick": quick}))
    cells += (
        []
        if quick
        else [Cell(f"tmrw-{key}-naturalness", naturalness_cell, {"key": key, "quick": quick}) for key in keys]
    )
    for kind, cell, names in (("migration", migration_cell, MIGRATIONS), ("attack", attack_cell, ATTACKS)):
        for name in list(names)[: 1 if quick else None]:
            for key in (*keys, None):
                label = "innocent" if key is None else str(key)
                plain = name.replace(" ", "-").replace(",", "").replace(":", "").replace("%", "percent")
                plain = plain.replace("'", "")
                cells.append(Cell(f"tmrw-{label}-{plain}", cell, {"key": key, kind: name, "quick": quick}))
    for encoder in ENCODERS[: 1 if quick else None]:
        cells += [
            Cell(f"tmrw-size-{encoder}-{pool:02d}", size_cell, {"encoder": encoder, "pool": pool, "quick": quick})
            for pool in range(1 if quick else POOLS)
        ]
    return cells + [
        Cell(f"tmrw-tried-{setting}-{key}", tried_cell, {"setting": setting, "key": key, "quick": quick})
        for setting in list(TRIED)[: 1 if quick else None]
        for key in DEVELOPMENT_KEYS[: 1 if quick else None]
    ]
