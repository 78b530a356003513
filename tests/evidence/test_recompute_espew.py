"""The script of an ESpeW case reads every table of vectors as the method does."""

import ast
import builtins
import sys

import numpy as np
import pytest

from forensics.canonical import through_decimals
from forensics.codec import decode_answers, encode_answers
from forensics.evidence.recompute import LONGEST, render_recompute
from forensics.evidence.recompute.espew import measure, subset_tail
from forensics.keys.derive import ProbeKey, ScoreKey
from forensics.methods.espew import ENCODER, METHOD, derive_order
from forensics.records import AnswerKind, Answers
from forensics.rules import draft_rule
from forensics.statistics import subset_test
from tests.services import SIZES, FakeService, service_marker, small_pool

PROBE, SCORE = ProbeKey(b"p" * 32), ScoreKey(b"s" * 32)
POOL = small_pool()
PARAMETERS = METHOD.parameters(SIZES, POOL, ())
PLAN = METHOD.plan(PROBE, POOL, PARAMETERS)
ORDER = derive_order(PROBE, PARAMETERS)
RULE = draft_rule(METHOD.spec, 40).model_dump()


def test_the_script_is_short_and_needs_the_standard_library_alone() -> None:
    script = render_recompute("espew").decode()
    assert len(script.splitlines()) <= LONGEST
    assert max(map(len, script.splitlines())) <= 120
    imported = {
        name.name if isinstance(node, ast.Import) else str(node.module)
        for node in ast.walk(ast.parse(script))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }
    assert {name.split(".")[0] for name in imported} <= sys.stdlib_module_names
    assert "open(" not in script


@pytest.mark.parametrize("method", ["espew", "ofsw"])
def test_the_script_imports_what_its_method_uses(method: str) -> None:
    """A method's own imports are dropped when the parts are joined; those of the common part must hold them."""
    tree = ast.parse(render_recompute(method).decode())
    known = set(dir(builtins)) | {name.id for name in ast.walk(tree) if isinstance(name, ast.Name) and stored(name)}
    for node in ast.walk(tree):
        match node:
            case ast.Import() | ast.ImportFrom():
                known |= {each.asname or each.name for each in node.names}
            case ast.FunctionDef() | ast.ClassDef():
                known.add(node.name)
            case ast.arg():
                known.add(node.arg)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert used - known <= {"__name__"}


def stored(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def table(values: np.ndarray, gone: list[int]) -> dict:
    missing = np.isin(np.arange(len(values)), gone)
    rows = np.where(missing[:, None], np.nan, through_decimals(values))
    return encode_answers(Answers(AnswerKind.VECTORS, rows, missing))


def positions(*numbers: int) -> list[int]:
    """Where in the plan the texts of these numbers stand: 0 the target, then 2 carriers, then words by carrier."""
    return [int(np.flatnonzero(number == ORDER)[0]) for number in numbers]


def records() -> dict[str, dict]:
    rng = np.random.default_rng(1)
    noise, marked = rng.normal(size=(83, 12)), FakeService("m", service_marker(SCORE, POOL, PARAMETERS))
    answered = marked.answer(PLAN.probes).values
    coarse = np.round(answered[:, :6], 1)
    wide = table(noise, [])
    wide["values"][3], wide["values"][9] = ["1.0"] * 500, []
    odd = table(noise, [])
    odd["values"][4], odd["values"][5] = ["nan"] * 12, ["inf"] * 12
    odd["values"][6] = ["0.0"] * 12
    return {
        "marked": table(answered, []),
        "noise": table(noise, []),
        "ties": table(coarse, []),
        "huge": table(noise * 1e30, []),
        "missing words": table(noise, positions(3, 4, 5, 6, 21)),
        "missing carrier": table(answered, positions(1)),
        "missing target": table(answered, positions(0)),
        "missing all": table(noise, list(range(83))),
        "constant": table(np.full((83, 12), 0.3), []),
        "zero": table(np.zeros((83, 12)), []),
        "another width": wide,
        "not finite": odd,
    }


RECORDS = records()


ENCODERS = {
    "no encoder": None,
    "the unmarked encoder": table(FakeService("clean").answer(PLAN.probes).values, []),
    "an encoder with gaps": table(FakeService("clean").answer(PLAN.probes).values, positions(1, 2, 7, 8, 20)),
    "an encoder without the target": table(FakeService("clean").answer(PLAN.probes).values, positions(0)),
    "another encoder of the same width": table(np.random.default_rng(2).normal(size=(83, 12)), []),
}


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("name", RECORDS)
def test_the_script_reads_every_table_like_the_method(name: str, encoder: str) -> None:
    record, clean = RECORDS[name], ENCODERS[encoder]
    references = [{"role": ENCODER, "answers": clean}] if clean else []
    evidence = {"answers": record, "references": references}
    items, target, matched, p = measure(PROBE, SCORE, {"parameters": PARAMETERS}, {}, evidence)
    named = {ENCODER: decode_answers(clean)} if clean else {}
    reading = METHOD.read(PROBE, POOL, PARAMETERS, (), decode_answers(record), named)
    found = METHOD.measure(SCORE, PARAMETERS, reading, RULE)
    assert np.allclose(items, found.items, rtol=0, atol=2**-29)
    assert target == list(found.target)
    assert matched == found.matched
    assert float(p) == found.p_value
    assert 0 < p <= 1


@pytest.mark.parametrize("seed", range(30))
def test_the_tail_is_that_of_the_exact_test(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(5, 40))
    drawn = rng.permutation(n)[: int(rng.integers(1, n // 2 + 1))].tolist()
    ranks = rng.integers(2, 2 * n, n).tolist()
    assert subset_tail(ranks, drawn) == subset_test(ranks, np.isin(np.arange(n), drawn)).exact
