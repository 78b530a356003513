"""The shares bench: its keys open like any other, and its tables follow from rows alone."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forensics.bench import shares
from forensics.bench.keys import BenchKey
from forensics.keys.opening import verify_opening
from forensics.keys.shares import Share, leaf, merkle_proof
from forensics.records import Answers
from tests.line import small_digits

FOLDER = Path(__file__).parents[2] / "docs" / "results" / "shares"


@pytest.fixture(scope="module")
def made():
    return shares.share_keys(100, small_digits(slice(0, 400)), "0" * 64, pool_seed=5)


def test_every_share_of_a_bench_key_opens_its_claim(made) -> None:
    claim = made[0].claim
    drawn = [Share(shares._bytes(100, index, b"seed"), shares._bytes(100, index, b"salt")) for index in range(3)]
    leaves = [
        leaf(share, index=index, count=3, method="ofsw", pool=key.pool.digest)
        for index, (share, key) in enumerate(zip(drawn, made, strict=True))
    ]
    for index, (share, key) in enumerate(zip(drawn, made, strict=True)):
        opening = {
            "index": index,
            "seed": share.seed.hex(),
            "salt": share.salt.hex(),
            "proof": [step.hex() for step in merkle_proof(leaves, index)],
            "pool": [item.entry for item in key.pool.items],
        }
        opened = verify_opening(claim, [], opening)
        assert (opened.probe_key, opened.score_key) == key.secrets
    items = [item.data for key in made for item in key.pool.items]
    assert len(items) == len(set(items)) == 3 * shares.POOL


def row(key: int, suspect: str, attack: str, share: int, matched: int, p: float, kept: float) -> dict[str, Any]:
    return {
        "key": key, "suspect": suspect, "attack": attack, "share": share, "matched": matched, "p_value": p,
        "accuracy": kept, "verdict": "SUPPORTED" if p < 1e-9 else "INCONCLUSIVE", "development": key < 100,
    }  # fmt: skip


def rows() -> Iterator[dict[str, Any]]:
    for key in (100, 101):
        for share in range(2):
            yield row(key, "marked", "none", share, 64, 1e-19, 0.99)
            yield row(
                key, "marked", "unlearning", share, 10 * key - 1000 + 50 * share, 0.5 if share == 0 else 1e-12, 0.98
            )
    for share in range(3):
        yield row(0, "marked", "unlearning", share, 7 + share, 0.5, 0.97)


def test_the_tables_follow_from_the_rows() -> None:
    lines = shares.table(list(rows())).splitlines()
    assert "| marked | none | 0, opened | 2 of 2 (22 %) | 64 (64) | 1.0e-19 (1.0e-19) | 0.9900 | +0.00 |" in lines
    assert "| marked | unlearning | 0, opened | 0 of 2 (0 %) | 5 (0) | 5.0e-01 (5.0e-01) | 0.9800 | -1.00 |" in lines
    assert "| marked | unlearning | 1 | 2 of 2 (22 %) | 55 (50) | 1.0e-12 (1.0e-12) | 0.9800 | -1.00 |" in lines
    assert lines[-1] == "| unlearning | 0 | 7 / 8 / 9 | 0.9700 |"


def test_cells_have_names_of_their_own_and_the_tables_their_order() -> None:
    names = [cell.name for cell in shares._cells(quick=False)]
    assert len(names) == len(set(names)) == len(shares.KEYS) * len(shares.ATTACKS) + len(shares.TRIED)
    assert shares.order(reversed(names)) == names
    assert shares.ATTACKS.items() <= shares.TRIED.items()


def test_a_quick_run_scores_every_share_as_a_look_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """One cell with the large parts replaced by small ones."""
    data, charged, score = small_digits(slice(0, 400)), [], BenchKey.score

    def scored(key: BenchKey, answers: Answers, clean: Answers, examinations: int) -> Any:
        charged.append(examinations)
        return score(key, answers, clean, examinations)

    monkeypatch.setattr(shares, "BITS", 16)
    monkeypatch.setattr(shares, "BANKS", 2)
    monkeypatch.setattr(shares, "digit_parts", lambda _: (data, small_digits(slice(400, 640)), data))
    monkeypatch.setattr(shares, "digit_base", lambda _: _base(data))
    monkeypatch.setattr(BenchKey, "score", scored)
    shares._story.cache_clear()
    found = shares.attack_cell(100, 0, "unlearning, inverted bits, 1e-3", True)
    shares._story.cache_clear()
    assert [(each["suspect"], each["innocent"], each["share"]) for each in found] == [
        (suspect, suspect == "control", share) for suspect in ("marked", "control") for share in range(3)
    ]
    assert charged == [1, 2, 3] * 2
    assert all(each["quick"] and not each["development"] and each["n"] == 16 for each in found)
    json.dumps(found)


def _base(data):
    from forensics.training.classifier import small_resnet

    made = small_resnet(data, 0, widths=(8, 16), depths=(1, 1))
    return replace(made, identity=replace(made.identity, digest="0" * 64))
