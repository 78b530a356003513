"""`bench services`: ESpeW on all-MiniLM-L6-v2, two thieves, their attacks, innocents, and the size of the tests.

Cells: a key's service marked, stolen and attacked; students of the unmarked service and real encoders through the same;
1,000 fresh keys from 50 pools on an innocent student; what the mark and the attacks cost.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from forensics.attacks import vectors as attacks
from forensics.bench import thieves
from forensics.bench.pools import sentences
from forensics.bench.results import Cell, Row, run_cells, single_thread
from forensics.bench.service_rows import attack_rows, made_key, service
from forensics.bench.service_sizes import POOLS, size_cell
from forensics.bench.service_tables import table
from forensics.bench.service_theft import SERVICE, STUDENTS, clean_queries, queries, stolen, thief_features
from forensics.bench.service_trials import TRIED, tried_cell
from forensics.bench.vectors import Vectors, unit, vectors
from forensics.progress import Progress, silent

__all__ = ["COMMAND", "KEYS", "order", "run", "table"]

COMMAND = "forensics bench services"
KEYS = (100, 101, 102, 103, 104)
BASELINE = (("frozen features", "none"), ("frozen features", "CSE, K = 50"))
"""Where EmbMarker is tried beside ESpeW, for comparison."""

ENCODERS = ("minilm", "minilm-int8", "paraphrase-minilm")


def run(folder: Path | None, *, quick: bool, jobs: int, progress: Progress = silent) -> dict[str, Any]:
    """Runs what is missing and returns all rows.

    Args:
        quick: one key, small students, few fresh keys; nothing is kept.
    """
    single_thread()
    return run_cells("services", COMMAND, 2026, _cells(quick), None if quick else folder, jobs=jobs, progress=progress)


def order(names: Iterable[str]) -> list[str]:
    """Returns the names of cells in the order of the tables."""
    present = set(names)
    return [cell.name for cell in _cells(quick=False) if cell.name in present]


def _cells(quick: bool) -> list[Cell]:
    keys, pools = (KEYS[:1], 1) if quick else (KEYS, POOLS)
    cells = [Cell(f"cost-{key}", cost_cell, {"key": key, "quick": quick}) for key in keys]
    for student, before in STUDENTS.items():
        for attack in before[:2] if quick else before:
            name = f"{student}-{attack}".replace(" ", "-").replace(",", "").replace("=-", "").replace(".", "_")
            for mark in ("espew", "embmarker") if (student, attack) in BASELINE else ("espew",):
                cells += [
                    Cell(
                        f"{mark}-{key}-{name}",
                        guilt_cell,
                        {"key": key, "student": student, "before": attack, "mark": mark, "quick": quick},
                    )
                    for key in keys
                ]
            cells.append(
                Cell(f"innocent-{name}", innocent_cell, {"student": student, "before": attack, "quick": quick})
            )
    cells += [Cell(f"encoder-{name}", encoder_cell, {"name": name, "quick": quick}) for name in ENCODERS]
    cells += [Cell(f"size-{pool:02d}", size_cell, {"pool": pool, "quick": quick}) for pool in range(pools)]
    settings = list(TRIED)[: 1 if quick else None]
    return cells + [Cell(f"tried-{name}", tried_cell, {"setting": name, "quick": quick}) for name in settings]


def guilt_cell(key: int, student: str, before: str, mark: str, quick: bool) -> list[Row]:
    """Marks the service with one key, lets a thief train on the returned vectors, and examines the student."""
    made = made_key(key, quick)

    def trained() -> thieves.Embed:
        return stolen(student, before, service(made, mark).mark, 10 * key + 1, quick)

    return attack_rows(made, trained, student, before, mark, quick)


def innocent_cell(student: str, before: str, quick: bool) -> list[Row]:
    """Trains a student of the unmarked service in the same way and examines it with every key."""

    @cache
    def trained() -> thieves.Embed:
        return stolen(student, before, lambda _, rows: rows, 7, quick)

    keys = KEYS[:1] if quick else KEYS
    return [row for key in keys for row in attack_rows(made_key(key, quick), trained, student, before, "none", quick)]


def encoder_cell(name: str, quick: bool) -> list[Row]:
    """Examines a real encoder that was never marked with every key."""

    def model(texts: Sequence[str]) -> Vectors:
        return vectors(name, texts, keep=False)

    keys = KEYS[:1] if quick else KEYS
    return [
        row for key in keys for row in attack_rows(made_key(key, quick), lambda: model, name, "none", "none", quick)
    ]


def cost_cell(key: int, quick: bool) -> list[Row]:
    """Measures what the mark costs the service's customers, and what CSE costs the thief."""
    made = made_key(key, quick)
    texts = sentences("traffic", 300 if quick else None)
    clean = vectors(SERVICE, texts)
    rows: list[Row] = []
    for mark in ("espew", "embmarker"):
        watermark = service(made, mark)
        given, hit = watermark.mark(texts, clean), watermark.triggered(texts)
        loss = 1.0 - (unit(given).astype(np.float64) * unit(clean)).sum(axis=1)
        rows.append(
            {
                "part": "cost",
                "method": mark,
                "key": key,
                "texts": len(texts),
                "marked": int(hit.sum()),
                "loss over traffic": float(loss.mean()),
                "loss on marked texts": float(loss[hit].mean()) if hit.any() else 0.0,
                "largest loss": float(loss.max()),
                "quick": quick,
            }
        )
    student = "frozen features"
    asked, own = queries(student, quick), clean_queries(student, quick)
    other = unit(thief_features(student, quick)[:, -thieves.WIDTH :])
    returned, hit = service(made, "espew").mark(asked, own), service(made, "espew").triggered(asked)
    for components in (10, 50, 100):
        cleansed = attacks.eliminate_shared(returned, other, components, seed=7)
        left = unit(clean - (clean @ cleansed.basis.T) @ cleansed.basis)
        rows.append(
            {
                "part": "price",
                "method": "espew",
                "key": key,
                "attack": f"CSE, K = {components}",
                "cosine": float((left * clean).sum(axis=1).mean()),
                **kept_structure(clean, left),
                "suspects": int(cleansed.suspects.sum()),
                "marked among suspects": float(hit[cleansed.suspects].mean()),
                "marked among all": float(hit.mean()),
                "quick": quick,
            }
        )
    return rows


def kept_structure(clean: Vectors, left: Vectors, neighbours: int = 10) -> dict[str, float]:
    """Returns how much of the vectors' use is left: rank correlation of similarities, and neighbours kept of ten."""
    from scipy.stats import spearmanr

    before, after = clean @ clean.T, left @ left.T
    pairs = np.triu_indices(len(clean), 1)
    some = np.random.default_rng(9).permutation(len(pairs[0]))[:100_000]
    chosen = (pairs[0][some], pairs[1][some])
    for similarities in (before, after):
        np.fill_diagonal(similarities, -np.inf)
    near = [np.argpartition(-similarities, neighbours, axis=1)[:, :neighbours] for similarities in (before, after)]
    kept = [len(set(one) & set(other)) for one, other in zip(near[0].tolist(), near[1].tolist())]
    return {
        "spearman": float(spearmanr(before[chosen], after[chosen]).statistic),
        "neighbours kept": float(np.mean(kept) / neighbours),
    }
