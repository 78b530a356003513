"""`bench encoding`: processor time of MiniLM in torch and in onnxruntime, texts sorted by length and as they come."""

import shutil
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from forensics.bench.corpus import package, parts
from forensics.bench.results import Cell, Row, run_cells, single_thread
from forensics.encoders import Encoder, load_encoder, load_onnx
from forensics.progress import Progress, silent

COMMAND = "forensics bench encoding"
TEXTS = 128
KINDS = {"sentences": (1,), "sentences and paragraphs": (1, 4, 1, 8, 2)}
"""How many sentences a text has, in turn."""
CALLS = {"sentences-64": ("sentences", 64), "mixed-64": ("sentences and paragraphs", 64)}
CALLS["mixed-128"] = ("sentences and paragraphs", 128)
"""What is asked, and how many texts a call: a plan's batch, and several."""


def run(folder: Path | None, *, quick: bool, jobs: int, progress: Progress = silent) -> dict[str, Any]:
    """Runs what is missing and returns all rows; always one process, whatever `jobs` says."""
    single_thread()
    cells = [
        Cell(name, call_cell, {"kind": kind, "size": size, "quick": quick, "repeats": 1 if quick else 3})
        for name, (kind, size) in CALLS.items()
    ]
    return run_cells("encoding", COMMAND, 0, cells, None if quick else folder, progress=progress)


def order(names: Iterable[str]) -> list[str]:
    """Returns the names of cells in the order of the table."""
    present = set(names)
    return [name for name in CALLS if name in present]


def call_cell(kind: str, size: int, repeats: int, quick: bool) -> list[Row]:
    """Embeds the same texts in four ways, in turn, and compares each round with torch on unsorted texts."""
    asked = _texts(KINDS[kind], 32 if quick else TEXTS)
    with tempfile.TemporaryDirectory() as scratch:
        place, folder = Path(scratch) / "minilm", package("minilm")
        shutil.copytree(folder, place, ignore=shutil.ignore_patterns("*.safetensors", "*.onnx"))
        export_graph(folder, place / "model.onnx")
        forms = {"torch": load_encoder(folder), "onnxruntime": load_onnx(place / "model.onnx")}
        lengths = [len(ids) for ids in forms["torch"].tokens.read(asked)]
        gap = float(np.abs(forms["torch"].embed(asked) - forms["onnxruntime"].embed(asked)).max())
        ways = [(runtime, sort) for runtime in forms for sort in (False, True)]
        seconds: dict[tuple[str, bool], list[float]] = {way: [] for way in ways}
        for _ in range(repeats):
            for runtime, sort in ways:
                seconds[runtime, sort].append(_clock(forms[runtime], asked, size, sort))
    first = seconds[ways[0]]
    return [
        {
            "kind": kind,
            "runtime": runtime,
            "sorted": sort,
            "texts": len(asked),
            "texts a call": size,
            "tokens a text": statistics.mean(lengths),
            "processor seconds": statistics.median(taken),
            "ratio": statistics.median(ours / base for ours, base in zip(taken, first, strict=True)),
            "largest difference": gap,
            "quick": quick,
        }
        for (runtime, sort), taken in seconds.items()
    ]


def table(rows: list[Row]) -> str:
    """Returns the rows as a Markdown table."""
    lines = [
        "| texts | texts a call | runtime | sorted by length | processor time, torch unsorted = 1 |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        shown, what = "yes" if row["sorted"] else "no", f"{row['kind']}, {row['tokens a text']:.0f} tokens on average"
        lines.append(f"| {what} | {row['texts a call']} | {row['runtime']} | {shown} | {row['ratio']:.2f} |")
    gap = max(row["largest difference"] for row in rows)
    return "\n".join([*lines, "", f"{rows[0]['texts']} texts, one thread; the runtimes differ by at most {gap:.1e}."])


def export_graph(folder: Path, to: Path) -> None:
    """Writes the token vectors of a folder's encoder, of the BERT family, as an ONNX graph; the folder is trusted."""
    import torch
    from transformers import AutoModel

    class Tokens(torch.nn.Module):
        def __init__(self, model: Any) -> None:
            super().__init__()
            self.model = model

        def forward(self, ids: torch.Tensor, mask: torch.Tensor, kinds: torch.Tensor) -> Any:
            return self.model(input_ids=ids, attention_mask=mask, token_type_ids=kinds).last_hidden_state

    model = Tokens(AutoModel.from_pretrained(folder, local_files_only=True, attn_implementation="eager").eval())
    ids = torch.arange(5, 19).reshape(2, 7)
    names = ["input_ids", "attention_mask", "token_type_ids"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (ids, torch.ones_like(ids), torch.zeros_like(ids)),
            str(to),
            input_names=names,
            output_names=["last_hidden_state"],
            dynamic_axes={name: {0: "texts", 1: "tokens"} for name in (*names, "last_hidden_state")},
            opset_version=17,
            dynamo=False,
        )


def _texts(lengths: tuple[int, ...], count: int) -> list[str]:
    found = iter(parts()["traffic"])
    return [" ".join(islice(found, lengths[index % len(lengths)])) for index in range(count)]


def _clock(encoder: Encoder, texts: list[str], size: int, sort: bool) -> float:
    started = time.process_time()
    for first in range(0, len(texts), size):
        encoder.embed(texts[first : first + size], sort=sort)
    return time.process_time() - started
