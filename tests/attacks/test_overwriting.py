"""A thief's own payload in a stolen classifier."""

import numpy as np
import pytest

from forensics.attacks import run_attack
from forensics.attacks.overwriting import _draw
from forensics.bench.models import clone
from forensics.errors import UsageError
from forensics.training.classifier import small_resnet, train
from forensics.training.loop import Schedule, accuracy
from tests.line import small_digits

SETTINGS = {"steps": 60, "bits": 16, "banks": 2, "seed": 5}


def test_the_thiefs_payload_is_learnt_and_the_task_is_kept() -> None:
    data = small_digits(slice(0, 300))
    owners = small_resnet(data, 0, widths=(8, 16), depths=(1, 1))
    train(owners, data, Schedule(100, learning_rate=3e-3), 0)
    stolen = clone(owners)
    before = accuracy(owners.model, data.pixels(owners), data.labels)
    run_attack("overwrite", stolen, data, SETTINGS)

    def matched(model) -> int:
        """The seed gives the thief's key again."""
        banks = _draw(model, data, 16, 2, 64.0, np.random.default_rng(5))
        read = sum(bank.read(model.model) for bank in banks)
        return int(((read >= 0) == (banks[0].taught > 0)).sum())

    assert matched(owners) <= 13
    assert matched(stolen) == 16
    assert accuracy(stolen.model, data.pixels(stolen), data.labels) > before - 0.1
    assert not stolen.model.training


@pytest.mark.parametrize("changes", [{"bits": 2}, {"bits": 1021}, {"banks": 0}, {"banks": 301}])
def test_an_impossible_payload_is_refused(changes: dict[str, float]) -> None:
    data = small_digits(slice(0, 300))
    with pytest.raises(UsageError, match="not possible"):
        run_attack("overwrite", small_resnet(data, 0, widths=(4, 4), depths=(1, 1)), data, {**SETTINGS, **changes})
