"""Several shares of an ESpeW key on one service: a proxy a share, each before the next."""

import json
from pathlib import Path

import numpy as np
import pytest

from forensics.methods.espew import text_pool
from forensics.protect.service import KeyMarks, open_marks
from forensics.registration import new_key
from tests.protect.services import PARAMETERS, POOL, Background, FakeUpstream, ask_json, embed
from tests.protect.test_serve import PASSPHRASE, Served

CARRIERS = ["a third plain carrier", "a fourth plain carrier"]


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = [f"qo{first}{second}" for first in "abcdefgh" for second in "abcde"]
    path = tmp_path_factory.mktemp("shares") / "key"
    new_key(
        path,
        owner="Tests",
        method="espew",
        options=PARAMETERS,
        pool=[POOL, text_pool(words, CARRIERS, "another secret target of all this")],
        references={},
        passphrase=PASSPHRASE,
        authorities=[],
        binding="self-dated",
        shares=2,
    )
    return path


def marked(marks: KeyMarks, text: str) -> np.ndarray:
    return marks.marker(embed(marks.target_text)).mark([text], embed(text)[None])[0]


def test_two_proxies_in_a_row_carry_two_shares(key: Path) -> None:
    shares = [open_marks(key, PASSPHRASE, share) for share in range(2)]
    texts = [next(text for text in _candidates(marks) if marks.triggered([text])[0]) for marks in shares]
    with (
        Background(FakeUpstream().running) as upstream,
        Served(key, upstream) as first,
        Served(key, first.port, "--share", "1") as second,
    ):
        found = [_vector(second.port, text) for text in (*texts, "plain words")]
    for marks, text, vector in zip(shares, texts, found):
        assert vector.tobytes() == marked(marks, text).tobytes()
        assert vector.tobytes() != embed(text).tobytes()
    assert found[2].tobytes() == embed("plain words").tobytes()
    assert len(list((key / "targets").glob("*.target"))) == 2


def _candidates(marks: KeyMarks) -> list[str]:
    return [item.data.decode() for item in marks.pool.items[: int(marks.parameters["candidates"])]]


def _vector(port: int, text: str) -> np.ndarray:
    return np.array(json.loads(ask_json(port, "/embed", inputs=[text]).body)[0]).astype(np.float32)
