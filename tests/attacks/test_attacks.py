import numpy as np
import pytest
import torch

from forensics.attacks import ATTACKS, run_attack
from forensics.bench.models import clone
from forensics.checkpoints import Classifier
from forensics.errors import UsageError
from forensics.training.classifier import small_resnet
from tests.line import small_digits


@pytest.fixture(scope="module")
def data():
    return small_digits(slice(0, 60))


@pytest.fixture
def model(data) -> Classifier:
    return small_resnet(data, 0, widths=(4, 4), depths=(1, 1))


def _weights(classifier: Classifier) -> torch.Tensor:
    return torch.cat(
        [m.weight.flatten() for m in classifier.model.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    ).detach()


def test_pruning_zeroes_the_smallest_share(model: Classifier) -> None:
    before = _weights(model).abs()
    run_attack("prune", model, None, {"share": 0.3})
    after = _weights(model)
    assert float((after == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    assert float(before[after == 0].max()) <= float(before[after != 0].min())


def test_quantised_weights_have_few_levels(model: Classifier) -> None:
    exact = _weights(model)
    run_attack("quantise", model, None, {"bits": 8})
    rounded = _weights(model)
    assert 0.0 < float((exact - rounded).abs().max()) < 0.01
    layer = next(m for m in model.model.modules() if isinstance(m, torch.nn.Linear))
    assert all(len(row.unique()) <= 255 for row in layer.weight)


def test_half_precision(model: Classifier) -> None:
    run_attack("fp16", model, None, {})
    assert torch.equal(_weights(model), _weights(model).half().float())


def test_fine_tuning_learns_and_is_repeatable(model: Classifier, data) -> None:
    from forensics.training.loop import accuracy

    twin = clone(model)
    settings = {"epochs": 15, "learning-rate": 1e-2, "seed": 1}
    run_attack("finetune", model, data, settings)
    run_attack("finetune", twin, data, settings)
    assert torch.equal(_weights(model), _weights(twin))
    assert accuracy(model.model, data.pixels(model), data.labels) > 0.5
    assert not model.model.training


def test_clone_is_independent(model: Classifier) -> None:
    twin = clone(model)
    run_attack("prune", twin, None, {"share": 0.5})
    assert float((_weights(model) == 0).float().mean()) < 0.1


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("erase", {}, "no attack"),
        ("prune", {"shrae": 0.1}, "no setting 'shrae'"),
        ("prune", {"share": 1.5}, "cannot be pruned"),
        ("quantise", {"bits": 1}, "1 bits"),
        ("finetune", {}, "needs data"),
    ],
)
def test_faults_are_one_sentence(model: Classifier, name: str, settings: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        run_attack(name, model, None, settings)


def test_every_attack_has_defaults_that_run(model: Classifier, data) -> None:
    for name in ATTACKS:
        attacked = clone(model)
        run_attack(name, attacked, data, {})
        assert np.isfinite(_weights(attacked).numpy()).all()
