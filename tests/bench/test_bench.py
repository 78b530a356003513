import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from forensics.bench.results import Cell, Row, run_cells

CALLS: list[int] = []


def _cell(number: int, fail: bool = False) -> list[Row]:
    CALLS.append(number)
    if fail:
        raise KeyboardInterrupt
    return [{"key": number, "quick": False}]


def test_finished_cells_are_kept_and_not_run_again(tmp_path: Path) -> None:
    CALLS.clear()
    cells = [Cell("one", _cell, {"number": 1}), Cell("two", _cell, {"number": 2, "fail": True})]
    with pytest.raises(KeyboardInterrupt):
        run_cells("b", "forensics bench b", 0, cells, tmp_path)
    cells[1] = Cell("two", _cell, {"number": 2})
    found = run_cells("b", "forensics bench b", 0, cells, tmp_path)
    assert CALLS == [1, 2, 2]
    assert [row["key"] for row in found["rows"]] == [1, 2]
    kept = json.loads((tmp_path / "one.json").read_text())
    assert {"name", "command", "seed", "environment", "rows"} <= kept.keys()
    assert kept["command"] == "forensics bench b"


def test_nothing_is_kept_without_a_folder() -> None:
    found = run_cells("b", "c", 0, [Cell("one", _cell, {"number": 1})], None)
    assert found["rows"]


def test_bench_keys_are_derived_in_full_and_differ() -> None:
    from forensics.bench.keys import bench_key
    from tests.line import small_digits

    data = small_digits(slice(0, 80))
    made = [bench_key(number, data, "0" * 64, pool_seed=number, bits=16, banks=2) for number in (100, 100, 101)]
    assert made[0].secrets == made[1].secrets
    assert made[0].plan.digest == made[1].plan.digest
    assert made[0].secrets != made[2].secrets
    assert made[0].claim.digest != made[2].claim.digest


def test_two_processes_build_a_cached_model_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from forensics.bench.models import cached
    from forensics.checkpoints import Classifier
    from forensics.training.classifier import small_resnet
    from tests.line import small_digits

    monkeypatch.setenv("FORENSICS_CACHE", str(tmp_path))
    data, built = small_digits(slice(0, 20)), []

    def build() -> Classifier:
        time.sleep(0.3)
        built.append(1)
        return small_resnet(data, 0, widths=(4, 4), depths=(1, 1))

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: cached("tiny", build), range(2)))
    assert built == [1]
    assert found[0].identity.digest == found[1].identity.digest


def test_threads_that_load_models_leave_the_library_as_it_was(tmp_path: Path) -> None:
    from transformers import PreTrainedModel

    from forensics.checkpoints import load_classifier, save_classifier
    from forensics.training.classifier import small_resnet
    from tests.line import small_digits

    before = PreTrainedModel.tie_weights
    save_classifier(small_resnet(small_digits(slice(0, 20)), 0, widths=(4, 4), depths=(1, 1)), tmp_path / "m", "# m\n")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: load_classifier(tmp_path / "m"), range(12)))
    assert PreTrainedModel.tie_weights is before


def test_a_long_training_is_taken_up_again_and_leaves_no_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from forensics.bench.models import resumable
    from forensics.checkpoints import Classifier
    from forensics.training.classifier import small_resnet
    from forensics.training.loop import Checkpoint
    from tests.line import small_digits

    monkeypatch.setenv("FORENSICS_CACHE", str(tmp_path))
    data = small_digits(slice(0, 20))

    def killed(checkpoint: Checkpoint) -> Classifier:
        checkpoint.path.write_bytes(b"half")
        raise KeyboardInterrupt

    def again(checkpoint: Checkpoint) -> Classifier:
        assert checkpoint.path.read_bytes() == b"half"
        return small_resnet(data, 0, widths=(4, 4), depths=(1, 1))

    with pytest.raises(KeyboardInterrupt):
        resumable("tiny", killed)
    resumable("tiny", again)
    assert not list(tmp_path.rglob("*.state.pt"))
    assert resumable("tiny", killed).channels == 1  # from the cache


@pytest.mark.parametrize(
    ("name", "blocks"),
    [("ofsw.md", 5), ("espew.md", 2), ("remote.md", 2), ("protect.md", 1), ("encoders.md", 1), ("shares.md", 1)],
)
def test_the_pages_tables_are_those_of_the_results(name: str, blocks: int) -> None:
    from forensics.bench.tables import figures, rewrite

    docs = Path(__file__).parents[2] / "docs"
    page = (docs / name).read_text(encoding="utf-8")
    assert page.count("<!-- table: ") == blocks
    assert rewrite(page, docs / "results") == page
    for file, drawn in figures(page, docs / "results").items():
        assert (docs / "figures" / file).read_text(encoding="utf-8") == drawn
        assert f"](figures/{file})" in page


def test_results_meet_the_targets_that_the_page_states() -> None:
    """64 of 64 bits for every key and split, SUPPORTED after fine-tuning at 1e-4, no false alarm."""
    from forensics.bench.digits import KEYS, NULL_LEVELS, SPLITS
    from forensics.statistics import allowed_rejections

    folder = Path(__file__).parents[2] / "docs" / "results" / "digits"
    rows = [row for path in folder.glob("*.json") for row in json.loads(path.read_bytes())["rows"]]
    scored = [row for row in rows if row["access"] == "scores" and not row["quick"]]
    whole = [row for row in scored if row["suspect"] == "marked" and row["attack"] == "none"]
    assert len(whole) == len(KEYS) * len(SPLITS)
    assert all(row["matched"] == row["n"] == 64 for row in whole)
    tuned = [row for row in scored if row["suspect"] == "marked" and row["attack"] == "fine-tuning, 10 epochs, 1e-4"]
    assert len(tuned) == len(whole)
    assert all(row["verdict"] == "SUPPORTED" for row in tuned)
    assert not any(row["verdict"] == "SUPPORTED" for row in rows if row["innocent"])
    null = [row["p_value"] for row in rows if row["suspect"].startswith("independent")]
    assert len(null) == 1000
    for level in NULL_LEVELS:
        assert sum(p <= level for p in null) <= allowed_rejections(1000, level, len(NULL_LEVELS))
