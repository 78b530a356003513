"""The bench of encoders: its table, and the graph it writes."""

from pathlib import Path

import numpy as np

from forensics.bench import BENCHES
from forensics.bench.encoding import CALLS, export_graph, order, table
from forensics.encoders import load_encoder, load_onnx
from tests.suspects.encoders import TEXTS, write_encoder


def test_the_table_compares_four_ways_with_the_first() -> None:
    rows = [
        {"kind": "sentences", "runtime": runtime, "sorted": way, "texts": 8, "texts a call": 4, "tokens a text": 14.2}
        | {"ratio": ratio, "largest difference": 2e-7, "quick": False}
        for runtime, way, ratio in (("torch", False, 1.0), ("torch", True, 0.8), ("onnxruntime", True, 0.5))
    ]
    made = table(rows).splitlines()
    assert made[2:5] == [
        "| sentences, 14 tokens on average | 4 | torch | no | 1.00 |",
        "| sentences, 14 tokens on average | 4 | torch | yes | 0.80 |",
        "| sentences, 14 tokens on average | 4 | onnxruntime | yes | 0.50 |",
    ]
    assert "2.0e-07" in made[-1]
    assert "encoding" in BENCHES
    assert order(reversed(CALLS)) == list(CALLS)
    assert order(["other"]) == []


def test_the_exported_graph_is_the_same_model(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "encoder")
    expected = load_encoder(folder).embed(TEXTS)
    export_graph(folder, folder / "any.onnx")
    assert np.abs(load_onnx(folder / "any.onnx").embed(TEXTS) - expected).max() < 1e-5
