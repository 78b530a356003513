"""The bench of the proxy runs, and its table prints what was measured."""

from forensics.bench.proxy import cell, order, table


def test_a_quick_cell() -> None:
    (row,) = cell("base64", 2, quick=True)
    assert row["quick"]
    assert row["requests"] > 100
    assert 100.0 <= row["direct_ms"] < 1000.0
    assert row["proxied_ms"] > 100.0
    assert row["processor_ms"] > 0.0
    assert f"| base64 | 2 | {row['direct_ms']:.1f} ms |" in table([row])
    assert order(["float-16", "base64-1", "float-1"]) == ["float-1", "float-16", "base64-1"]
