import json
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
