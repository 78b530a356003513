"""`bench speed`: the start of the command line, and examinations against a bare forward pass through the same model."""

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from forensics.bench.data import load_digits, load_photographs
from forensics.bench.results import Cell, Row, run_cells, single_thread
from forensics.checkpoints import Classifier, load_classifier, save_classifier
from forensics.examination import examine, make_kit
from forensics.images import decode_image
from forensics.keys.folder import KeyFolder
from forensics.methods.cleancheckpoint import CLEAN
from forensics.progress import Progress, silent
from forensics.registration import new_key
from forensics.suspects.folder import FolderSuspect
from forensics.suspects.remembered import RememberedSuspect
from forensics.training.classifier import small_resnet
from forensics.training.data import ImageData

COMMAND = "forensics bench speed"
PASSPHRASE = "bench"  # noqa: S105 - the key of a bench protects nothing


def run(folder: Path | None, *, quick: bool, jobs: int, progress: Progress = silent) -> dict[str, Any]:
    """Runs what is missing and returns all rows; always one process, whatever `jobs` says."""
    single_thread()
    repeats = 1 if quick else 5
    cells = [
        Cell("start", start_cell, {"repeats": repeats, "quick": quick}),
        Cell("digits", digits_cell, {"repeats": repeats, "quick": quick}),
        Cell("resnet-18", resnet_cell, {"repeats": min(3, repeats), "quick": quick}),
    ]
    return run_cells("speed", COMMAND, 0, cells, None if quick else folder, progress=progress)


def order(names: Iterable[str]) -> list[str]:
    """Returns the names of cells in the order of the table."""
    present = set(names)
    return [name for name in ("start", "digits", "resnet-18") if name in present]


def start_cell(repeats: int, quick: bool) -> list[Row]:
    """Times `forensics --help` as a whole process."""
    times = [
        _clock(lambda: subprocess.run([sys.executable, "-m", "forensics", "--help"], check=True, capture_output=True))
        for _ in range(repeats + 1)
    ]
    return [
        {"what": "forensics --help", "seconds": statistics.median(times[1:]), "target": "at most 0.5 s", "quick": quick}
    ]


def digits_cell(repeats: int, quick: bool) -> list[Row]:
    """Examines a small ResNet on 32-pixel digits: 512 views."""
    data = load_digits()
    return _examinations("digits, 32 pixels", data, small_resnet(data, 0), 8, repeats, quick)


def resnet_cell(repeats: int, quick: bool) -> list[Row]:
    """Examines ResNet-18 at full width on 224-pixel photographs: 128 views."""
    data = load_photographs(64, 224)
    classifier = small_resnet(data, 0, widths=(64, 128, 256, 512))
    return _examinations("ResNet-18, 224 pixels", data, classifier, 2, repeats, quick)


def table(rows: list[Row]) -> str:
    """Returns the rows as a Markdown table."""
    lines = ["| what | median | first of a key | bare forward pass | ratio | target |", "|---|---|---|---|---|---|"]
    for row in rows:
        bare = f"{row['bare_seconds']:.2f} s" if "bare_seconds" in row else ""
        ratio = f"{row['ratio']:.2f}" if "ratio" in row else ""
        first = f"{row['first_seconds']:.2f} s" if "first_seconds" in row else ""
        lines.append(f"| {row['what']} | {row['seconds']:.2f} s | {first} | {bare} | {ratio} | {row['target']} |")
    return "\n".join(lines)


def _examinations(
    what: str, data: ImageData, classifier: Classifier, banks: int, repeats: int, quick: bool
) -> list[Row]:
    """Alternates whole examinations with bare forward passes of the same probes, decoded beforehand."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        save_classifier(classifier, place / "model", "# bench\n")
        new_key(
            place / "key",
            owner="Bench",
            method="ofsw",
            options={"bits": 64, "banks": banks},
            pool=data,
            references={CLEAN: place / "model"},
            passphrase=PASSPHRASE,
            authorities=[],
            binding="self-dated",
        )
        key = KeyFolder.open(place / "key").unlock(PASSPHRASE)
        suspect = FolderSuspect(load_classifier(place / "model"))
        named = [RememberedSuspect(suspect)]
        plan = make_kit(key).plan
        images = [decode_image(probe.data, suspect.classifier.channels) for probe in plan.probes]
        pixels = suspect.classifier.pixels(images)
        whole: list[float] = []
        bare: list[float] = []
        for _ in range(repeats + 1):
            bare.append(_clock(lambda: _forward(suspect.classifier, pixels, plan.batch_size)))
            whole.append(_clock(lambda: examine(key, suspect, place / "case", named=named)))
            shutil.rmtree(place / "case")
        ratio = statistics.median(a / b for a, b in zip(whole[1:], bare[1:], strict=True))
        seconds, views = statistics.median(whole[1:]), len(plan.probes)
        target = "ratio at most 1.3" if banks == 2 else f"at most 3 ms x {views} views + 1 s"
        return [
            {
                "what": f"examine, {what}, {views} views",
                "seconds": seconds,
                "first_seconds": whole[0],
                "bare_seconds": statistics.median(bare[1:]),
                "ratio": ratio,
                "milliseconds a view": 1000.0 * seconds / views,
                "target": target,
                "quick": quick,
            }
        ]


def _forward(classifier: Classifier, pixels: Any, size: int) -> np.ndarray:
    import torch

    with torch.inference_mode():
        return torch.cat(
            [classifier.model(pixels[start : start + size]).logits for start in range(0, len(pixels), size)]
        ).numpy()


def _clock(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
