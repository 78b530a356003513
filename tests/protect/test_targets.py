"""The store of target vectors: what goes when it is full, and what stays."""

import asyncio
import os
from pathlib import Path

import numpy as np
import pytest

from forensics.protect.targets import FullError, Targets
from tests.protect.services import MARKS, SECRET, Background, FakeUpstream, ask_json, start_proxy


def store(folder: Path, most: int = 4) -> Targets:
    return Targets(folder, bytes(SECRET), MARKS, most)


async def fetch(targets: Targets, key: str) -> None:
    async def ask() -> np.ndarray:
        return np.ones(8, dtype=np.float32)

    await targets.fetch(key, ask)


def names(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.target")}


def test_a_flood_of_options_displaces_no_target_in_use(tmp_path: Path) -> None:
    async def flood() -> None:
        targets = store(tmp_path)
        await fetch(targets, "ours")
        assert targets.known("ours") is not None
        (ours,) = names(tmp_path)
        for number in range(40):
            await fetch(targets, f"flood {number}")
        assert ours in names(tmp_path)
        assert len(names(tmp_path)) == 4
        assert len(targets) == 4

    asyncio.run(flood())


def test_where_all_are_in_use_further_ones_are_refused_before_they_are_asked_for(tmp_path: Path) -> None:
    async def fill() -> None:
        targets = store(tmp_path)
        for number in range(4):
            for _ in range(2):
                await fetch(targets, f"used {number}")
        kept = names(tmp_path)
        for each in (targets, store(tmp_path)):
            with pytest.raises(FullError):
                await each.fetch("new", lambda: pytest.fail("it was asked for"))
        assert names(tmp_path) == kept
        await fetch(targets, "used 2")

    asyncio.run(fill())


def test_a_week_without_use_makes_room(tmp_path: Path) -> None:
    async def fill() -> None:
        targets = store(tmp_path)
        for number in range(4):
            for _ in range(2):
                await fetch(targets, f"used {number}")
        old = sorted(tmp_path.glob("*.used"))[0]
        os.utime(old, (1.0, 1.0))
        await fetch(targets, "new")
        assert old.stem not in names(tmp_path)
        assert not old.exists()
        assert len(names(tmp_path)) == 4

    asyncio.run(fill())


def test_a_full_store_is_a_429_in_the_shape_of_the_route(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Targets.__init__, "__defaults__", (2,))
    with Background(FakeUpstream().running) as upstream, start_proxy(upstream, tmp_path / "t") as started:
        port = started.listen.port
        for number in range(2):
            for _ in range(2):
                assert ask_json(port, "/v1/embeddings", input="x", option=number).status == 200
        refused = ask_json(port, "/v1/embeddings", input="x", option=7)
        assert (refused.status, b"rate_limit_error" in refused.body) == (429, True)
        assert ask_json(port, "/embed", inputs="x").status == 429
        assert ask_json(port, "/v1/embeddings", input="x", option=1).status == 200
