"""`bench encoders`: trigger clusters in MiniLM (TMRW) and in image encoders (WPE), through task migration and attacks.

Cells: a key's encoder marked and what that costs; the marked encoder adapted to tasks, compressed, overwritten,
distilled; the unmarked one through the same with every key; 1,000 fresh keys on encoders that were never marked.
"""

import math
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from forensics.bench import imageclusters, textclusters
from forensics.bench.clustersizes import ENCODERS, POOLS, size_cell
from forensics.bench.clustertables import NAMES, table
from forensics.bench.clustertrials import IMAGES_TRIED, TRIED_ON, image_tried_cell, tried_cell
from forensics.bench.figures import survival_lines, survival_svg
from forensics.bench.keys import LARGEST_P
from forensics.bench.naturalness import naturalness_cell
from forensics.bench.results import Cell, Row, run_cells, single_thread
from forensics.bench.textclusters import KEYS
from forensics.progress import Progress, silent

__all__ = ["COMMAND", "KEYS", "figure", "order", "run", "table"]

COMMAND = "forensics bench encoders"

FEWER = 3
"""Keys of the attacks that no target names; the encoder that was never marked goes through all of them."""


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


def figure(rows: Sequence[Row]) -> str:
    """Returns the figure of the page: what is left of the marks, key by key."""
    lines = survival_lines(row for row in rows if row.get("part") is None)
    return survival_svg("What is left of the marks after each attack", lines, NAMES, math.log10(LARGEST_P))


def _cells(quick: bool) -> list[Cell]:
    return [*_text_cells(quick), *_image_cells(quick)]


def _text_cells(quick: bool) -> list[Cell]:
    keys = KEYS[:1] if quick else KEYS
    cells = [Cell(f"tmrw-{key}-mark", textclusters.mark_cell, {"key": key, "quick": quick}) for key in keys]
    cells.append(Cell("tmrw-innocent-mark", textclusters.clean_cell, {"quick": quick}))
    if not quick:
        cells += [Cell(f"tmrw-{key}-pairs", textclusters.pairs_cell, {"key": key, "quick": quick}) for key in keys]
        cells += [Cell(f"tmrw-{key}-naturalness", naturalness_cell, {"key": key, "quick": quick}) for key in keys]
    migrations, attacks = textclusters.MIGRATIONS, textclusters.ATTACKS
    cells += _against(
        "tmrw", "migration", textclusters.migration_cell, migrations, KEYS, textclusters.TARGETS, {}, quick
    )
    cells += _against("tmrw", "attack", textclusters.attack_cell, attacks, KEYS, textclusters.TARGETS, {}, quick)
    for encoder in ENCODERS[: 1 if quick else None]:
        cells += [
            Cell(f"tmrw-size-{encoder}-{pool:02d}", size_cell, {"encoder": encoder, "pool": pool, "quick": quick})
            for pool in range(1 if quick else POOLS)
        ]
    if quick:
        return cells
    return cells + [
        Cell(f"tmrw-tried-{setting}-{key}", tried_cell, {"setting": setting, "key": key, "quick": quick})
        for setting, keys in TRIED_ON.items()
        for key in keys
    ]


def _image_cells(quick: bool) -> list[Cell]:
    cells: list[Cell] = []
    migrations, attacks, targets = imageclusters.MIGRATIONS, imageclusters.ATTACKS, imageclusters.TARGETS
    image_keys = imageclusters.KEYS
    for base in ("simclr",) if quick else ("simclr", "byol"):
        begin, fixed = f"wpe-{base}", {"base": base}
        cells.append(Cell(f"{begin}-probe", imageclusters.probe_cell, {**fixed, "quick": quick}))
        for key in (*image_keys[: 1 if quick else None if base == "simclr" else FEWER], None):
            label = "innocent" if key is None else str(key)
            cells.append(Cell(f"{begin}-{label}-mark", imageclusters.mark_cell, {"key": key, **fixed, "quick": quick}))
        if base == "simclr":
            cells += _against(
                begin, "migration", imageclusters.migration_cell, migrations, image_keys, targets, fixed, quick
            )
            cells += _against(begin, "attack", imageclusters.attack_cell, attacks, image_keys, targets, fixed, quick)
        else:
            cells += _against(begin, "migration", imageclusters.migration_cell, targets, image_keys, (), fixed, quick)
    if quick:
        return cells
    return cells + [
        Cell(f"wpe-tried-{setting}-{key}", image_tried_cell, {"setting": setting, "key": key, "quick": quick})
        for setting, (_, _, keys) in IMAGES_TRIED.items()
        for key in keys
    ]


def _against(
    begin: str,
    kind: str,
    cell: Callable[..., list[Row]],
    names: Iterable[str],
    keys: Sequence[int],
    targets: Collection[str],
    fixed: dict[str, Any],
    quick: bool,
) -> list[Cell]:
    """Returns a cell for every key, and one for the innocent encoder with all keys, under each name.

    Args:
        keys: those of the tables.
        targets: names that are run with all keys; the others with fewer.
    """
    cells = []
    for name in list(names)[: 1 if quick else None]:
        plain = re.sub("[,:']", "", name).replace("%", "percent").replace(" ", "-")
        for key in (*keys[: 1 if quick else None if name in targets else FEWER], None):
            label = "innocent" if key is None else str(key)
            arguments = {"key": key, **fixed, kind: name, "quick": quick}
            cells.append(Cell(f"{begin}-{label}-{plain}", cell, arguments))
    return cells
