"""The script of a case of keyed soft labels reads every kind of answers as the method does."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from forensics.codec import decode_answers, encode_answers
from forensics.evidence.case import opened_files
from forensics.evidence.recompute import LONGEST, render_recompute
from forensics.evidence.recompute.ksl import cells as script_cells
from forensics.evidence.recompute.ksl import measure
from forensics.images import encode_png
from forensics.keys.derive import ProbeKey, ScoreKey
from forensics.methods.cleancheckpoint import CLEAN
from forensics.methods.ksl import GRID, METHOD, cells
from forensics.records import AnswerKind, Answers, Pool, PoolItem
from forensics.rules import draft_rule
from tests.evidence.test_recompute import answered

PROBE, SCORE = ProbeKey(b"p" * 32), ScoreKey(b"s" * 32)
NAMES = ("zero", "one", "two", "three")
N = 90


@pytest.fixture(scope="module")
def pool() -> Pool:
    images = np.random.default_rng(7).integers(0, 256, (N, 10, 12, 3), dtype=np.uint8)
    return Pool(tuple(PoolItem(encode_png(image), "image/png", index % 4) for index, image in enumerate(images)))


@pytest.fixture
def case(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an opened share's pool, in which the script is run."""
    for name, data in opened_files(0, pool).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def many(answers: Answers) -> Answers:
    """The same kind of answers, as many as the pool has images."""
    rows = np.arange(N) % answers.n
    values = answers.values[rows].copy()
    if answers.kind is not AnswerKind.LABELS:
        values = values + 0.001 * np.arange(N)[:, None] * (np.arange(values.shape[1]) == 1)
    return dataclasses.replace(answers, values=values, missing=answers.missing[rows])


CLEAN_ONE = many(answered(AnswerKind.LOGITS, 2))
PAIRS = {
    "logits": (many(answered(AnswerKind.LOGITS, 1)), CLEAN_ONE),
    "log-probabilities": (many(answered(AnswerKind.LOG_PROBABILITIES, 1)), CLEAN_ONE),
    "probabilities": (many(answered(AnswerKind.PROBABILITIES, 1, (), 0.01)), CLEAN_ONE),
    "labels": (many(answered(AnswerKind.LABELS, 1)), many(answered(AnswerKind.LABELS, 2))),
    "labels against logits": (many(answered(AnswerKind.LABELS, 1)), CLEAN_ONE),
    "logits against labels": (many(answered(AnswerKind.LOGITS, 1)), many(answered(AnswerKind.LABELS, 2))),
    "missing answers": (many(answered(AnswerKind.LOGITS, 1, (0, 5, 47))), CLEAN_ONE),
    "nothing answered": (many(answered(AnswerKind.LOGITS, 1, tuple(range(48)))), CLEAN_ONE),
    "the clean model itself": (CLEAN_ONE, CLEAN_ONE),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_the_script_reads_every_kind_of_answers_like_the_method(pair: str, pool: Pool, case: Path) -> None:
    suspect, clean = PAIRS[pair]
    suspect = dataclasses.replace(suspect, labels=("three", "one", "zero", "two"))
    parameters = METHOD.parameters({"families": 12}, pool, NAMES)
    records = encode_answers(suspect), encode_answers(clean)
    evidence = {"answers": records[0], "references": [{"role": CLEAN, "answers": records[1]}]}
    share = {"index": 0, "pool": [item.entry for item in pool.items]}
    items, drawn, matched, p = measure(PROBE, SCORE, {"parameters": parameters, "labels": list(NAMES)}, share, evidence)
    reading = METHOD.read(PROBE, pool, parameters, NAMES, *map(_decoded, records))
    found = METHOD.measure(SCORE, parameters, reading, draft_rule(METHOD.spec, 12).model_dump())
    assert np.abs(np.array(items) - found.items).max() <= 1e-9
    assert any(items) == (pair != "nothing answered")
    assert drawn == list(found.target)
    assert matched == found.matched
    assert float(p) == found.p_value


def _decoded(record: dict) -> Answers | dict[str, Answers]:
    return decode_answers(record) if record["labels"][0] == "three" else {CLEAN: decode_answers(record)}


@pytest.mark.parametrize("shape", [(28, 28, 1), (10, 13, 3), (5, 300, 3), (200, 120, 3)])
def test_the_script_reads_images_without_a_library(shape: tuple[int, ...], tmp_path: Path) -> None:
    """Also images with sides that no cell divides, and with more than one stored block."""
    image = np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)
    item = PoolItem(encode_png(image), "image/png", 0)
    path = tmp_path / "0000.png"
    path.write_bytes(item.data)
    assert script_cells(path, item.entry["sha256"], GRID) == cells(image, GRID).tolist()
    with pytest.raises(SystemExit, match="another image"):
        script_cells(path, "0" * 64, GRID)


def test_the_script_is_short() -> None:
    assert len(render_recompute("ksl").decode().splitlines()) <= LONGEST
