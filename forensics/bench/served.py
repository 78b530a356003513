"""`bench served`: a copy of all-MiniLM-L6-v2 trained on marked vectors, examined as a folder and behind infinity.

The server is not ours: it runs in its own environment (`.ci/servers infinity`), behind an API key, on loopback. The
same with a copy that was trained as long on unmarked vectors.
"""

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from forensics.acquisition import ask
from forensics.bench.corpus import package
from forensics.bench.foreign import infinity
from forensics.bench.keys import BenchKey
from forensics.bench.results import Cell, Row, cache_folder, run_cells, single_thread
from forensics.bench.service_rows import clean_answers, made_key, service
from forensics.bench.service_theft import SERVICE, clean_queries, queries
from forensics.encoders import load_encoder
from forensics.progress import Progress, silent
from forensics.records import Answers
from forensics.suspects import open_suspect
from forensics.suspects.remote.connection import Connection

COMMAND = "forensics bench served"
KEY, TEXTS, BATCH, RATE = 100, 6000, 32, 2e-4
API_KEY = "loopback-key"


def run(folder: Path | None, *, quick: bool, jobs: int, progress: Progress = silent) -> dict[str, Any]:
    """Runs what is missing and returns all rows.

    Args:
        quick: copies that are hardly trained; nothing is kept.
        jobs: has no effect; one server runs at a time.
    """
    single_thread()
    cells = [
        Cell(f"served-{'marked' if marked else 'unmarked'}", served_cell, {"marked": marked, "quick": quick})
        for marked in (True, False)
    ]
    return run_cells("served", COMMAND, 2026, cells, None if quick else folder, progress=progress)


def order(names: Iterable[str]) -> list[str]:
    """Returns the names of cells in the order of the table."""
    present = set(names)
    return [name for name in ("served-marked", "served-unmarked") if name in present]


def served_cell(marked: bool, quick: bool) -> list[Row]:
    """Examines one copy in both ways."""
    made = made_key(KEY, quick)
    copy = _copy(made, marked, quick)
    local = ask(open_suspect(str(copy)), made.plan)
    with tempfile.TemporaryDirectory() as scratch, infinity(copy, "copy", API_KEY, Path(scratch)) as url:
        connection = Connection(api_key=API_KEY, concurrency=4)
        remote = ask(open_suspect(f"openai+{url}/v1#copy", connection=connection), made.plan)
    gap = float(np.nanmax(np.abs(local.values - remote.values)))
    return [
        _row(made, "a folder", local, marked, quick, gap),
        _row(made, "infinity 0.0.78, OpenAI embeddings", remote, marked, quick, gap),
    ]


def table(rows: list[Row]) -> str:
    """Returns the rows as a Markdown table."""
    lines = [
        "| copy trained on | asked as | verdict | p | AUC | unanswered | largest difference between the two |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {'un' if row['innocent'] else ''}marked vectors | {row['suspect']} | {row['verdict']} | "
            f"{row['p_value']:.1e} | {row['auc']:.3f} | {row['missing_share']:.0%} | {row['largest difference']:.1e} |"
        )
    return "\n".join(lines)


def _row(made: BenchKey, place: str, answers: Answers, marked: bool, quick: bool, gap: float) -> Row:
    measurement, verdict = made.score(answers, clean_answers(made, quick))
    return {
        "method": "espew",
        "key": made.number,
        "suspect": place,
        "attack": "none",
        "access": measurement.access,
        "innocent": not marked,
        "verdict": verdict.outcome.value,
        "p_value": measurement.p_value,
        "statistic": measurement.statistic,
        "n": measurement.n,
        "matched": measurement.matched,
        "auc": measurement.effect.value,
        "missing_share": measurement.missing_share,
        "largest difference": gap,
        "quick": quick,
    }


def _copy(made: BenchKey, marked: bool, quick: bool) -> Path:
    """Returns the folder of the copy, from the cache or trained and kept there."""
    name = f"served-{'marked' if marked else 'unmarked'}-{made.claim.digest[:12]}{'-quick' if quick else ''}"
    folder = cache_folder() / "encoders-1" / name
    if folder.exists():
        return folder
    most = 64 if quick else TEXTS
    texts, returned = queries("transformer", quick)[:most], clean_queries("transformer", quick)[:most]
    if marked:
        returned = service(made, "espew").mark(texts, returned)
    fresh = folder.with_name(f".{name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(package(SERVICE), fresh)
    _train(fresh, texts, returned, 17)
    fresh.replace(folder)
    return folder


def _train(folder: Path, texts: tuple[str, ...], wanted: np.ndarray[Any, Any], seed: int) -> None:
    """Fine-tunes the model of a folder in place, once over the texts, until it returns the vectors (cosine loss)."""
    import torch
    from safetensors.torch import load_file, save_file
    from torch.nn.functional import normalize
    from transformers import AutoTokenizer

    before = load_file(folder / "model.safetensors")
    model: Any = load_encoder(folder).model
    reader: Any = AutoTokenizer.from_pretrained(str(folder))
    random, rows = np.random.default_rng(seed), torch.from_numpy(np.asarray(wanted, dtype=np.float32))
    ordered = np.argsort([len(text) + 8 * random.random() for text in texts], kind="stable")
    batches = [ordered[at : at + BATCH] for at in range(0, len(ordered), BATCH)]
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE)
    slower = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.05, total_iters=len(batches))
    model.train()
    for at in random.permutation(len(batches)):
        chosen = batches[at]
        batch = reader([texts[row] for row in chosen], padding=True, return_tensors="pt")
        weights = batch["attention_mask"][:, :, None].float()
        pooled = (model(**batch).last_hidden_state * weights).sum(dim=1) / weights.sum(dim=1)
        loss = 1.0 - (normalize(pooled, dim=1) * rows[torch.from_numpy(chosen)]).sum(dim=1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        slower.step()
    trained = model.state_dict()
    weights_now = {key: trained.get(key, value).contiguous() for key, value in before.items()}
    save_file(weights_now, folder / "model.safetensors", metadata={"format": "pt"})
