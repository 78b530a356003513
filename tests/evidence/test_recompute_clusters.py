"""The script of a TMRW or WPE case reads every table of answers as the method does."""

import ast
import builtins
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from forensics.canonical import sha256
from forensics.codec import decode_answers, encode_answers
from forensics.evidence.recompute import LONGEST, PARTS, render_recompute
from forensics.evidence.recompute.clusters import measure
from forensics.evidence.recompute.common import canonical
from forensics.keys.derive import ScoreKey
from forensics.methods.clusters import APART, components
from forensics.methods.tmrw import METHOD as TMRW
from forensics.methods.wpe import METHOD as WPE
from forensics.records import AnswerKind, Answers
from forensics.rules import draft_rule
from tests.clusters import (
    CANDIDATES,
    CARRIERS,
    PROBE,
    SCORE,
    SIZES,
    made_up_answers,
    phrase_pool,
    rows_of_group,
    without,
)

KINDS = [kind for kind in AnswerKind if kind is not AnswerKind.TOP_K]


def test_one_script_serves_both_methods_and_is_short() -> None:
    script = render_recompute("tmrw")
    assert script == render_recompute("wpe")
    lines = script.decode().splitlines()
    assert len(lines) <= LONGEST
    assert max(map(len, lines)) <= 120
    assert "open(" not in script.decode()


def test_the_script_needs_the_standard_library_alone_and_imports_what_it_uses() -> None:
    nodes = list(ast.walk(ast.parse(render_recompute("tmrw").decode())))
    known = set(dir(builtins)) | {each.id for each in nodes if isinstance(each, ast.Name) and stored(each)}
    for node in nodes:
        match node:
            case ast.Import():
                assert {each.name for each in node.names} <= sys.stdlib_module_names
                known |= {each.name for each in node.names}
            case ast.ImportFrom():
                assert str(node.module).split(".")[0] in sys.stdlib_module_names
                known |= {each.name for each in node.names}
            case ast.FunctionDef() | ast.ClassDef():
                known.add(node.name)
            case ast.arg():
                known.add(node.arg)
    assert {node.id for node in nodes if isinstance(node, ast.Name)} - known <= {"__name__"}


def stored(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def test_the_plan_of_two_passes_is_hashed_with_its_groups() -> None:
    """The script hashes what `Plan.digest` covers; scripts of one pass say nothing of groups."""
    plan = TMRW.plan(PROBE, phrase_pool(), SIZES)
    record = {
        "batch_size": plan.batch_size,
        "digest": "",
        "groups": list(plan.groups),
        "keep": plan.keep,
        "probes": [probe.digest for probe in plan.probes],
    }
    line = next(each for each in render_recompute("tmrw").decode().splitlines() if "asked = canonical(" in each)
    names = {"plan": record, "canonical": canonical}
    exec(line.strip(), names)
    assert sha256(names["asked"]) == plan.digest
    assert all(b'"groups"' not in render_recompute(method) for method in ("espew", "ofsw"))


def test_parts_alone_are_no_methods() -> None:
    from forensics.errors import UsageError

    for name in ("clusters", "softlabels", "subset", "common", "__init__", "../tmrw"):
        with pytest.raises(UsageError, match="no recompute script"):
            render_recompute(name)
    assert set(PARTS) == {"espew", "ksl", "ksl_text", "tmrw", "wpe"}


def compare(method, answers: Answers, key: ScoreKey = SCORE, sizes: dict[str, int] = SIZES) -> float:
    record = encode_answers(answers)
    claim = {"parameters": sizes, "method": method.spec.name}
    items, target, matched, p = measure(PROBE, key, claim, {}, {"answers": record})
    reading = method.read(PROBE, None, sizes, (), decode_answers(record), {})
    found = method.measure(key, sizes, reading, draft_rule(method.spec, sizes["candidates"]).model_dump())
    assert np.allclose(items, found.items, rtol=0, atol=2**-29)
    assert target == list(found.target)
    assert matched == found.matched
    assert max(float(p), 2.0**-128) == pytest.approx(found.p_value, rel=1e-12)
    assert 0 < p <= 1
    return found.p_value


@pytest.mark.parametrize("method", [TMRW, WPE], ids=["tmrw", "wpe"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_script_reads_every_kind_of_answers_like_the_method(method, kind: AnswerKind) -> None:
    marked = made_up_answers(method, kind, shift=6.0)
    assert compare(method, marked) < 1e-6
    assert compare(method, marked, ScoreKey(b"t" * 32)) > 1e-4
    for seed in range(3):
        compare(method, made_up_answers(method, kind, shift=0.3, seed=seed))


@pytest.mark.parametrize("kind", KINDS)
def test_the_script_fills_gaps_like_the_method(kind: AnswerKind) -> None:
    answers = made_up_answers(TMRW, kind, shift=2.0)
    item_gone = [rows_of_group(group)[5] for group in range(CARRIERS)]
    for rows in (
        [0],
        [0, 1, 2],
        [7, 8, 90],
        item_gone,
        rows_of_group(1),
        list(range(CARRIERS)),
        list(range(answers.n)),
    ):
        compare(TMRW, without(answers, rows))
    compare(TMRW, replace(answers, values=np.repeat(answers.values[:1], answers.n, axis=0)))


def test_the_script_reads_odd_rows_like_the_method() -> None:
    for kind, change in (
        (AnswerKind.VECTORS, lambda values: values * 1e200),
        (AnswerKind.VECTORS, lambda values: np.round(values)),
        (AnswerKind.LOGITS, lambda values: values * 1e300),
        (AnswerKind.LOGITS, np.round),
        (AnswerKind.LOG_PROBABILITIES, lambda values: values * 1e300),
        (AnswerKind.LOG_PROBABILITIES, lambda values: values * 1e-90),
        (AnswerKind.PROBABILITIES, lambda values: np.round(values, 1)),
        (AnswerKind.PROBABILITIES, lambda values: values * 3.0 - 0.5),
    ):
        answers = made_up_answers(TMRW, kind, shift=1.0)
        compare(TMRW, replace(answers, values=change(answers.values), resolution=0.1))
    answers = made_up_answers(TMRW, AnswerKind.VECTORS, shift=1.0)
    answers.values[[0, 9, 40]] = 0.0
    compare(TMRW, answers)


def test_the_script_finds_no_component_where_the_method_finds_none() -> None:
    answers = made_up_answers(TMRW, AnswerKind.LABELS, shift=1.0)
    values = np.zeros(answers.n, dtype=np.int64)
    for group, place in ((0, 3), (1, 9), (3, 20)):
        values[rows_of_group(group)[place]] = 1
    assert compare(TMRW, replace(answers, values=values)) == 1.0


@pytest.mark.parametrize("gap", [0.0, APART / 3, 3 * APART, 1e-4, 0.3])
def test_the_script_finds_the_component_of_the_method_however_near_the_second_is(gap: float) -> None:
    from forensics.evidence.recompute.clusters import leading

    basis = np.linalg.qr(np.random.default_rng(2).normal(size=(CANDIDATES, CANDIDATES)))[0]
    values = np.array([5.0, 5.0 * (1.0 - gap), *np.linspace(0.1, 0.0, CANDIDATES - 2)])
    products = (basis * values) @ basis.T
    first, along = leading(products.tolist())
    unit = np.array(along) / np.linalg.norm(along)
    second, _ = leading((products - first * np.outer(unit, unit)).tolist())
    expected = components(products, 1)[0]
    assert (first - second > APART * first) == expected.any() == (gap > APART)
    assert first == pytest.approx(5.0, rel=APART)
    if gap > APART:
        assert np.allclose(along, expected, rtol=0, atol=2**-29)


def test_a_text_with_a_trailing_null_is_another_text() -> None:
    answers = made_up_answers(TMRW, AnswerKind.TEXT, shift=6.0)
    values = answers.values.copy()
    values[rows_of_group(0)[2]] += "\0"
    compare(TMRW, replace(answers, values=values))


def test_the_script_takes_no_minute() -> None:
    """A quarter of the carriers of a usual case, and far less than a quarter of a minute."""
    sizes = {"candidates": 96, "carriers": 4, "asked": 4, "dimension": 384}
    values = np.random.default_rng(1).normal(size=(4 * 97, 384))
    started = time.process_time()
    compare(TMRW, Answers(AnswerKind.VECTORS, values, np.zeros(len(values), dtype=np.bool_)), sizes=sizes)
    assert time.process_time() - started < 15
