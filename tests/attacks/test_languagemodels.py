import copy

import numpy as np
import pytest
import torch

from forensics.attacks.compression import fp16
from forensics.attacks.languagemodels import compress_blocks, distil_text, finetune_text, fresh_model
from forensics.errors import UsageError
from forensics.training.textdata import TextData, perplexity, read_tokens
from tests.languagemodels import documents, untrained


@pytest.fixture(scope="module")
def data() -> TextData:
    return read_tokens(untrained().tokens, documents(200, 21), 32)


@pytest.fixture(scope="module")
def tuned(data: TextData):
    model = copy.deepcopy(untrained().model)
    finetune_text(model, data, 60, 3e-3, seed=1)
    return model


def test_fine_tuning_learns_the_text(tuned, data: TextData) -> None:
    assert perplexity(untrained().model, data, 20) > 500
    assert perplexity(tuned, data, 20) < 40


def test_a_student_learns_what_the_stolen_model_knows(tuned, data: TextData) -> None:
    student = fresh_model(tuned, 5)
    before = perplexity(student, data, 20)
    distil_text(student, tuned, data, 40, 3e-3, seed=2)
    assert perplexity(student, data, 20) < 0.3 * before
    assert not torch.equal(student.transformer.wte.weight, tuned.transformer.wte.weight)


def test_a_student_of_another_vocabulary_is_refused(tuned, data: TextData) -> None:
    other = fresh_model(tuned, 0)
    other.config.vocab_size += 1
    with pytest.raises(UsageError, match="another vocabulary"):
        distil_text(other, tuned, data, 1, 1e-3, seed=0)


def _blocks(model) -> list[np.ndarray]:
    return [
        module.weight.detach().numpy() for module in model.modules() if type(module).__name__ in ("Conv1D", "Linear")
    ][:-1]


def test_pruning_takes_the_smallest_weights_of_the_blocks_alone(tuned) -> None:
    model = copy.deepcopy(tuned)
    compress_blocks(model, share=0.4)
    before, after = (np.concatenate([each.ravel() for each in _blocks(m)]) for m in (tuned, model))
    assert (after == 0).mean() == pytest.approx(0.4, abs=1e-3)
    assert np.abs(before[after == 0]).max() <= np.abs(after[after != 0]).min()
    assert torch.equal(model.transformer.wte.weight, tuned.transformer.wte.weight)


def test_quantised_blocks_have_few_values_for_each_output(tuned) -> None:
    model = copy.deepcopy(tuned)
    compress_blocks(model, bits=4)
    for before, weight in zip(_blocks(tuned), _blocks(model)):
        assert max(len(np.unique(weight[:, column])) for column in range(weight.shape[1])) <= 15
        # One scale for each output channel, which GPT-2 keeps in the columns.
        assert np.allclose(np.abs(weight).max(axis=0), np.abs(before).max(axis=0), rtol=1e-5)
    assert torch.equal(model.transformer.wte.weight, tuned.transformer.wte.weight)


def test_half_precision_rounds_everything(tuned) -> None:
    model = copy.deepcopy(tuned)
    fp16(model)
    assert torch.equal(model.transformer.wte.weight, tuned.transformer.wte.weight.half().float())
