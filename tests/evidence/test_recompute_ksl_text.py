"""The script of a case of keyed soft labels for texts reads what was answered as the method does."""

from pathlib import Path

import numpy as np
import pytest

from forensics.codec import decode_answers, encode_answers
from forensics.evidence.case import opened_files
from forensics.evidence.recompute import LONGEST, render_recompute
from forensics.evidence.recompute.ksl_text import measure, words
from forensics.keys.derive import ProbeKey, ScoreKey
from forensics.methods.cleancheckpoint import CLEAN
from forensics.methods.ksl_text import METHOD, see_texts
from forensics.methods.wordtable import read_table
from forensics.records import AnswerKind, Answers
from forensics.rules import draft_rule
from tests.textclassifiers import NAMES, text_pool

PROBE, SCORE = ProbeKey(b"p" * 32), ScoreKey(b"s" * 32)
N = 60


@pytest.mark.parametrize("kind", [AnswerKind.LOGITS, AnswerKind.LABELS])
def test_the_script_agrees_with_the_method(kind: AnswerKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool, missing = text_pool(N), np.arange(N) % 17 == 3
    for name, data in opened_files(0, pool).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    monkeypatch.chdir(tmp_path)
    values = np.random.default_rng(1).normal(size=(2, N, 4)).astype(np.float32).astype(np.float64)
    suspect, clean = (Answers(AnswerKind.LOGITS, each, np.zeros(N, dtype=np.bool_), NAMES) for each in values)
    if kind is AnswerKind.LABELS:
        suspect = Answers(kind, np.where(missing, -1, values[0].argmax(axis=1)), missing, NAMES)
    parameters = METHOD.parameters({"families": 10}, pool, NAMES)
    evidence = {
        "answers": encode_answers(suspect),
        "references": [{"role": CLEAN, "answers": encode_answers(clean)}],
    }
    share = {"index": 0, "pool": [item.entry for item in pool.items]}
    items, drawn, matched, p = measure(PROBE, SCORE, {"parameters": parameters, "labels": list(NAMES)}, share, evidence)
    answers = decode_answers(evidence["answers"]), {CLEAN: decode_answers(evidence["references"][0]["answers"])}
    reading = METHOD.read(PROBE, pool, parameters, NAMES, *answers)
    found = METHOD.measure(SCORE, parameters, reading, draft_rule(METHOD.spec, 10).model_dump())
    assert any(items)
    assert np.abs(np.array(items) - found.items).max() <= 1e-9
    assert (drawn, matched, float(p)) == (list(found.target), found.matched, found.p_value)
    next(tmp_path.rglob("0007.txt")).write_text("another text")
    with pytest.raises(SystemExit, match="Text 7 is another"):
        measure(PROBE, SCORE, {"parameters": parameters, "labels": list(NAMES)}, share, evidence)


def test_the_script_sees_a_text_as_the_method_does() -> None:
    table = read_table(b"one 10 -3\ntwo 5 4")
    as_script = {"one": [10, -3], "two": [5, 4]}
    for text in ('One, "two" (three)', "one one TWO", "nothing known", "", "two\u00a0one\u2028one"):
        assert words(text, as_script, 2) == see_texts([text], table)[0].tolist()


def test_the_script_is_short() -> None:
    assert len(render_recompute("ksl-text").decode().splitlines()) <= LONGEST
