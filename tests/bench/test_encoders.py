"""The encoders bench without its large packages: models in memory, smaller pools, cells and tables."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from forensics.bench import encoders
from forensics.bench.clusterkeys import Memory, asked_at, cluster_row, remembered, smaller_pools
from forensics.bench.clustertables import table
from forensics.bench.keys import BenchKey, cluster_key
from forensics.methods.clusters import derive_triggers
from forensics.methods.tmrw import split_pool
from forensics.records import AnswerKind, Pool, PoolItem, Probe
from tests.services import CARRIERS, made_up_words

WIDTH = 12


@pytest.fixture(scope="module")
def made() -> BenchKey:
    words = made_up_words(120)
    phrases = [f"{first} {second}" for first, second in zip(words[::2], words[1::2])]
    pool = Pool(tuple(PoolItem(text.encode(), "text/plain") for text in (*phrases, *CARRIERS)))
    return cluster_key(7, "tmrw", pool, {"candidates": 60, "carriers": 4, "asked": 2, "dimension": WIDTH})


def vectors(made: BenchKey, strength: float) -> Any:
    """Returns a model that moves texts with a trigger phrase along its first coordinate, amid noise of its own."""
    phrases, _ = split_pool(made.pool, made.claim.parameters)
    drawn = derive_triggers("tmrw", made.secrets[1], made.claim.parameters).astype(bool)
    triggers = [phrase for phrase, chosen in zip(phrases, drawn) if chosen]

    def give(probes: Sequence[Probe]) -> np.ndarray:
        rows = []
        for probe in probes:
            seed = int.from_bytes(hashlib.sha256(probe.data).digest()[:4], "big")
            row = np.random.default_rng(seed).normal(size=WIDTH)
            row[0] += strength * any(phrase in probe.data.decode() for phrase in triggers)
            rows.append(row)
        return np.array(rows)

    return give


def test_a_marked_model_is_found_at_every_access_and_an_innocent_one_is_not(made: BenchKey) -> None:
    for strength, supported in ((40.0, True), (0.0, False)):
        give = vectors(made, strength)
        answers = asked_at(made, give, lambda probes, give=give: give(probes)[:, :3], ("a", "b", "c"))
        assert list(answers) == ["features", "scores", "labels"]
        rows = {access: cluster_row(made, each, {"innocent": not supported}) for access, each in answers.items()}
        assert (rows["features"]["verdict"] == "SUPPORTED") is supported
        assert (rows["scores"]["p_value"] < 1e-9) is supported
        assert rows["labels"]["n"] == 60
        assert (rows["labels"]["p_value"] < 1e-4) is supported


def test_the_second_pass_asks_half_of_the_carriers(made: BenchKey) -> None:
    asked: list[Probe] = []

    def give(probes: Sequence[Probe]) -> np.ndarray:
        asked.extend(probes)
        return np.eye(len(probes), WIDTH) + 1.0

    asked_at(made, give)
    assert len(asked) == 4 + 2 * 60


def test_what_is_remembered_is_asked_once() -> None:
    calls: list[int] = []

    def give(probes: Sequence[Probe]) -> np.ndarray:
        calls.append(len(probes))
        return np.array([[len(probe.data)] for probe in probes])

    rows = remembered(give)
    first, second = Probe(b"ab", "text/plain"), Probe(b"c", "text/plain")
    assert rows([first, second, first]).tolist() == [[2], [1], [2]]
    assert rows([second]).tolist() == [[1]]
    assert calls == [2]


def test_a_part_of_a_pool_gives_what_a_perfect_separation_can_give(made: BenchKey) -> None:
    answers = asked_at(made, vectors(made, 40.0))["features"]
    rows = smaller_pools(made, answers, {"attack": "none"})
    assert [row["candidates"] for row in rows] == [24, 48]
    for row in rows:
        assert row["log10_p, median"] == pytest.approx(row["log10_p, least possible"], abs=1e-6)
    assert rows[0]["log10_p, least possible"] == pytest.approx(np.log10(2 / 2704156), abs=1e-9)


def test_labels_in_memory_are_the_largest_numbers() -> None:
    given = Memory(lambda probes: np.array([[0.0, 2.0], [3.0, 1.0]]), AnswerKind.LABELS, ("x", "y"))
    answers = given.answer([Probe(b"a", "text/plain"), Probe(b"b", "text/plain")])
    assert answers.values.tolist() == [1, 0]
    assert answers.labels == ("x", "y")


def test_cells_have_names_of_their_own_that_are_file_names() -> None:
    names = [cell.name for cell in encoders._cells(quick=False)]
    assert len(set(names)) == len(names)
    assert all(name.replace("-", "").replace(".", "").replace("_", "").isalnum() for name in names)
    assert encoders.order(reversed(names)) == names
    assert len(encoders._cells(quick=True)) < 15


def test_innocents_stand_beside_the_guilty_in_the_table(made: BenchKey) -> None:
    facts = {"suspect": "marked thing", "attack": "none", "accuracy": 0.5, "quick": False}
    rows = [cluster_row(made, asked_at(made, vectors(made, 40.0))["features"], {**facts, "innocent": False})]
    innocent = {**facts, "suspect": "unmarked thing", "innocent": True}
    rows.append(cluster_row(made, asked_at(made, vectors(made, 0.0))["features"], innocent))
    assert "marked thing" not in table(rows[:1])  # not without innocents
    printed = table(rows)
    assert "| tmrw | marked thing | none | 0.500 | vectors | 1 | 1 (at least" in printed
    assert "| 0 of 1 |" in printed
