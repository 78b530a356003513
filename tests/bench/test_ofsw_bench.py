"""The bench of OFSW on Fashion-MNIST: its cells, its tables from made-up rows, and one attack on made-up images."""

from typing import Any

import numpy as np
import pytest

from forensics.bench import ofsw, ofswattacks, ofswtables
from forensics.bench.classifiers import labels_only, rounded
from forensics.bench.keys import bench_key
from forensics.disclosure import disclosed_share
from forensics.methods.ofsw import METHOD
from forensics.records import AnswerKind, Answers
from tests.line import small_digits


def test_cells_have_names_of_their_own_and_every_attack_has_its_innocent() -> None:
    cells = ofsw._cells(quick=False)
    names = [cell.name for cell in cells]
    assert len(set(names)) == len(names)
    assert ofsw.order(reversed(names)) == names
    survival = [cell.arguments for cell in cells if cell.run is ofsw.survival_cell]
    for width, bits, attack in {(each["width"], each["bits"], each["attack"]) for each in survival}:
        keys = {
            each["key"] for each in survival if (each["width"], each["bits"], each["attack"]) == (width, bits, attack)
        }
        assert keys == {100, 101, 102, None}
    assert {each["bits"] for each in survival} == {32, 64, 128, 256}
    assert {key for name in ofsw.TRIED for key in ofsw.TRIED_ON} <= {0, 1, 2}
    assert len(ofsw._cells(quick=True)) < 10


def row(**changes: Any) -> dict[str, Any]:
    facts = {
        **{"part": "survival", "width": "quarter", "n": 128, "key": 100, "suspect": "marked model", "attack": "none"},
        **{"seen": "probabilities", "access": "scores", "innocent": False, "verdict": "SUPPORTED", "matched": 120},
        **{"p_value": 1e-20, "log10_p": -20.0, "accuracy": 0.9, "method": "ofsw", "quick": False},
    }
    return {**facts, **changes}


INNOCENT = {
    "suspect": "unmarked model, trained as long",
    "innocent": True,
    "verdict": "NOT_SUPPORTED",
    "matched": 60,
    "p_value": 0.8,
}


def test_tables_show_guilt_only_beside_innocents() -> None:
    alone = ofswtables.table([row(), row(attack="int4", key=101)])
    assert "marked model" not in alone
    both = ofswtables.table([row(), row(key=101, matched=90, p_value=1e-5), row(**INNOCENT), row(attack="int4")])
    assert "| none | marked model | probabilities | 2 of 2 | 105 (90) | 1.0e-05 | 0.9000 |" in both
    assert "| none | unmarked model, trained as long | probabilities | 0 of 1 | 60 (60) | 8.0e-01 | 0.9000 |" in both
    assert "int4" not in both
    assert "| quarter width | 128 | 100 | 0.9000 | 0.9000 | +0.00 |" in both


def test_the_table_of_fresh_keys_counts_at_each_level() -> None:
    null = [row(**INNOCENT, part="null", seen="", key=index) for index in range(98)]
    null += [row(**{**INNOCENT, "p_value": value}, part="null", key=200) for value in (0.0005, 0.04)]
    assert "| none | 100 | 2 (" in ofswtables.table(null)
    assert "| 5.0e-04 | 0 |" in ofswtables.table(null)


def test_the_figure_needs_128_bits_at_quarter_width() -> None:
    drawn = ofsw.figure([row(), row(**{**INNOCENT, "log10_p": -0.1}), row(width="full", attack="int4")])
    assert ">none</text>" in drawn
    assert "int4" not in drawn


def test_rounded_answers_know_their_resolution() -> None:
    logits = np.array([[2.0, 0.0, -9.0], [0.0, 0.0, 0.0]])
    answers = Answers(AnswerKind.LOGITS, logits, np.zeros(2, dtype=np.bool_), ("a", "b", "c"))
    given = rounded(answers, 2)
    assert given.kind is AnswerKind.PROBABILITIES
    assert given.resolution == pytest.approx(0.01)
    assert given.values.tolist() == [[0.88, 0.12, 0.0], [0.33, 0.33, 0.33]]
    assert labels_only(answers).values.tolist() == [0, 0]


@pytest.mark.parametrize("kernels", [True, False])
def test_a_thief_without_the_triggers_filters_images_of_his_own(kernels: bool) -> None:
    data = small_digits(slice(0, 80))
    made = bench_key(0, data, "0" * 64, pool_seed=0, bits=16, banks=2)
    share = disclosed_share(made.secrets, made.pool, made.claim.parameters)
    own = ofswattacks._on_own_images(share, data, made, kernels=kernels)
    assert own.views.shape == share.views.shape
    assert (own.bits == share.bits).all()
    assert np.array_equal(own.kernels, share.kernels) == kernels
    assert not np.array_equal(own.views, share.views)
    assert np.allclose(own.kernels @ own.kernels.transpose(0, 2, 1), np.eye(16), atol=1e-9)
    assert METHOD.items(made.claim.parameters) == 16
