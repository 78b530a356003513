import copy
import dataclasses
import hashlib
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from datasets import Dataset

from forensics.checkpoints import load_classifier, read_identity
from forensics.errors import UsageError
from forensics.keys.derive import ProbeKey, ScoreKey
from forensics.keys.folder import KeyFolder
from forensics.methods.ofsw import METHOD, calibrated, derive_kernels, evaluation, weights
from forensics.records import AnswerKind, Answers
from forensics.registration import embed_key
from forensics.training.classifier import small_resnet
from forensics.training.data import load_images, load_plain_images, save_images
from forensics.training.embed import Limits, MarkedShare, Marking, embed
from forensics.training.loop import Checkpoint, Schedule, freeze_batch_norm, optimise, predict
from forensics.training.ofsw import DEFAULT, Embedding, bank_weights
from forensics.training.orthogonality import Orthogonality
from tests.line import PASSPHRASE, Line, small_digits

SECRETS = (ProbeKey(hashlib.sha256(b"p").digest()), ScoreKey(hashlib.sha256(b"s").digest()))


@pytest.fixture(scope="module")
def owner():
    return small_digits(slice(0, 120))


@pytest.fixture
def tiny(owner):
    return small_resnet(owner, 0, widths=(4, 4), depths=(1, 1))


@pytest.fixture
def marking(owner):
    pool = owner.pool(8)
    parameters = METHOD.parameters({"bits": 16, "banks": 2}, pool, owner.names)
    return Marking("ofsw", (MarkedShare(SECRETS, pool),), parameters, owner.names, "0" * 64)


def test_differentiable_weights_equal_the_methods(owner, tiny, marking) -> None:
    embedding = Embedding(tiny, owner, SECRETS, marking.shares[0].pool, marking.parameters)
    logits = predict(tiny.model, embedding.views.flatten(0, 1))
    ours = bank_weights(logits.reshape(2, 16, -1), embedding.truth, embedding.kernels).sum(dim=0).numpy()
    answers = Answers(AnswerKind.LOGITS, logits.double().numpy(), np.zeros(32, dtype=np.bool_), owner.names)
    kernels = derive_kernels(SECRETS[0], marking.parameters)
    theirs, _ = weights(kernels, evaluation(answers, embedding.truth.numpy(), owner.names, "scores"))
    assert np.allclose(ours, theirs, atol=1e-3)
    assert np.allclose(calibrated(theirs, theirs), 0.0, atol=1e-9)


def test_a_step_has_a_gradient_for_the_mark_alone(owner, tiny, marking) -> None:
    embedding = Embedding(tiny, owner, SECRETS, marking.shares[0].pool, marking.parameters)
    freeze_batch_norm(tiny.model)
    banks = torch.arange(2)
    loss = embedding.hinge(tiny.model(embedding.views.flatten(0, 1)).logits.reshape(2, 16, -1), banks)
    loss.backward()
    assert sum(float(p.grad.abs().sum()) for p in tiny.model.parameters() if p.grad is not None) > 0.0


def test_steps_depend_on_their_index_alone(owner, tiny, marking) -> None:
    first = Embedding(tiny, owner, SECRETS, marking.shares[0].pool, marking.parameters).step(7)
    again = Embedding(tiny, owner, SECRETS, marking.shares[0].pool, marking.parameters).step(7)
    other = Embedding(tiny, owner, SECRETS, marking.shares[0].pool, marking.parameters).step(8)
    assert first.item() == again.item()
    assert first.item() != other.item()


def test_embedding_keeps_batch_norm_statistics(owner, tiny, marking) -> None:
    before = {name: value.clone() for name, value in tiny.model.named_buffers()}
    recipe = dataclasses.replace(DEFAULT, schedule=Schedule(3), orthogonality=0.01)
    embedding = Embedding(tiny, owner, SECRETS, marking.shares[0].pool, marking.parameters, recipe)
    optimise(tiny.model, embedding.step, recipe.schedule, label="")
    for name, value in tiny.model.named_buffers():
        assert torch.equal(before[name], value), name


def test_interrupted_optimisation_resumes_as_the_same_run(owner, marking, tmp_path: Path) -> None:
    schedule = Schedule(8)

    def run(folder: Path, stop: int | None) -> dict[str, torch.Tensor]:
        classifier = small_resnet(owner, 0, widths=(4, 4), depths=(1, 1))
        embedding = Embedding(classifier, owner, SECRETS, marking.shares[0].pool, marking.parameters)

        def step(index: int) -> torch.Tensor:
            if index == stop:
                raise KeyboardInterrupt
            return embedding.step(index)

        checkpoint = Checkpoint(folder / "state.pt", "same", every=3)
        try:
            optimise(classifier.model, step, schedule, label="", checkpoint=checkpoint)
        except KeyboardInterrupt:
            return run(folder, None)
        return classifier.model.state_dict()

    straight, resumed = run(tmp_path / "a", None), run(tmp_path / "b", 5)
    for name, value in straight.items():
        assert torch.equal(value, resumed[name]), name


def test_a_checkpoint_of_another_run_is_refused(owner, tiny, tmp_path: Path) -> None:
    def loss(_: int) -> torch.Tensor:
        return sum((p**2).sum() for p in tiny.model.parameters())

    optimise(tiny.model, loss, Schedule(2), label="", checkpoint=Checkpoint(tmp_path / "s.pt", "one", every=1))
    with pytest.raises(UsageError, match="other settings"):
        optimise(tiny.model, loss, Schedule(2), label="", checkpoint=Checkpoint(tmp_path / "s.pt", "two", every=1))


def test_dropout_is_the_same_in_a_run_that_was_interrupted(tmp_path: Path) -> None:
    def run(checkpoint: Checkpoint | None, stop: int = 8) -> tuple[torch.Tensor, list[torch.Tensor]]:
        model, dropped = torch.nn.Sequential(torch.nn.Linear(30, 1), torch.nn.Dropout(0.5)), []
        with torch.no_grad():
            model[0].weight.fill_(0.1)
            model[0].bias.fill_(0.0)

        def step(index: int) -> torch.Tensor:
            if index == stop:
                raise InterruptedError
            dropped.append(torch.nn.functional.dropout(torch.ones(30), 0.5))
            return model(dropped[-1][None]).sum()

        before = torch.get_rng_state()
        optimise(model, step, Schedule(8, learning_rate=0.1), label="", checkpoint=checkpoint)
        assert torch.equal(before, torch.get_rng_state())
        return model[0].weight.detach(), dropped

    whole, seen = run(None)
    assert not torch.equal(seen[0], seen[1])
    saved = Checkpoint(tmp_path / "state.pt", "one", every=3)
    with pytest.raises(InterruptedError):
        run(saved, stop=5)
    torch.rand(7)
    resumed, rest = run(saved)
    assert torch.equal(resumed, whole)
    assert all(torch.equal(one, other) for one, other in zip(rest, seen[3:], strict=True))


def test_marked_folder_is_standard_and_says_nothing_secret(line: Line) -> None:
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    AutoModelForImageClassification.from_pretrained(line.marked)
    AutoImageProcessor.from_pretrained(line.marked, backend="pil")
    assert {path.name for path in line.marked.iterdir()} == {
        "README.md",
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
    }
    assert not line.marked.with_name("marked.partial").exists()
    claim = KeyFolder.open(line.key).claim
    unlocked = KeyFolder.open(line.key).unlock(PASSPHRASE)
    for path in line.marked.iterdir():
        content = path.read_bytes()
        assert claim.digest.encode() not in content
        assert unlocked.shares[0].seed not in content
        assert b"watermark" not in content.lower()


def test_asset_record_names_the_marked_model(line: Line) -> None:
    from forensics.recording import asset_record

    record = asset_record(KeyFolder.open(line.key))
    assert record.digest == read_identity(line.marked).digest
    assert record.token.demonstration


def test_accuracy_that_cannot_be_kept_writes_nothing(line: Line, marking, owner, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"points of accuracy.*nothing was written"):
        embed(line.unmarked, owner, tmp_path / "out", marking, limits=Limits(accuracy_drop=-1.0), steps=2)
    assert list(tmp_path.iterdir()) == []


def test_kill_between_record_and_rename_is_finished(line: Line, marking, owner, tmp_path: Path) -> None:
    seen: list[str] = []

    def killed(identity, _) -> None:
        seen.append(identity.digest)
        raise KeyboardInterrupt

    settings = {"limits": Limits(accuracy_drop=1.0), "steps": 2}
    with pytest.raises(KeyboardInterrupt):
        embed(line.unmarked, owner, tmp_path / "out", marking, record=killed, **settings)
    done = embed(line.unmarked, owner, tmp_path / "out", marking, record=lambda i, _: seen.append(i.digest), **settings)
    assert seen == [done.identity.digest] * 2
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


def test_wrong_number_of_classes_and_existing_output(line: Line, marking, owner, tmp_path: Path) -> None:
    fewer = dataclasses.replace(owner, labels=owner.labels % 4, names=("a", "b", "c", "d"))
    with pytest.raises(UsageError, match="data set has 4 classes; the key was made for 10"):
        embed(line.unmarked, fewer, tmp_path / "out", marking)
    with pytest.raises(UsageError, match="exists already"):
        embed(line.unmarked, owner, line.marked, marking)
    with pytest.raises(UsageError, match="marked a model already"):
        embed_key(line.key, line.unmarked, owner, tmp_path / "out", passphrase=PASSPHRASE, authority=None)


def test_data_round_trip_and_faults(owner, tmp_path: Path) -> None:
    save_images(owner, tmp_path / "data")
    found = load_images(tmp_path / "data")
    assert found.names == owner.names
    assert np.array_equal(found.labels, owner.labels)
    assert all(np.array_equal(a, b) for a, b in zip(found.images, owner.images, strict=True))
    with pytest.raises(UsageError, match="no data set"):
        load_images(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no data set"):
        load_images(tmp_path / "empty")
    Dataset.from_dict({"text": ["a"], "label": [0]}).save_to_disk(str(tmp_path / "text"))
    with pytest.raises(UsageError, match="no column 'image'"):
        load_images(tmp_path / "text")


def test_a_file_is_not_looked_for_in_a_public_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(datasets, "load_dataset", lambda name: asked.append(name))
    (tmp_path / "corpus.txt").write_text("a line\n")
    with pytest.raises(UsageError, match=r"corpus\.txt: it is no folder"):
        load_images(tmp_path / "corpus.txt")
    assert asked == []


def test_images_without_labels_are_read_whole_and_of_one_size(owner, tmp_path: Path) -> None:
    save_images(owner, tmp_path / "data")
    found = load_plain_images(tmp_path / "data")
    assert found.dtype == np.uint8
    assert np.array_equal(found, np.stack(owner.images))
    first, second = (np.zeros((side, 4, 1), dtype=np.uint8) for side in (4, 5))
    save_images(dataclasses.replace(owner, images=[first, second], labels=np.zeros(2, np.int64)), tmp_path / "unlike")
    with pytest.raises(UsageError, match=r"unlike sizes, such as 4 x 4 \(1\) and 4 x 5 \(1\) pixels"):
        load_plain_images(tmp_path / "unlike")
    with pytest.raises(UsageError, match=r"no data set.*with an image column\.$"):
        load_plain_images(tmp_path / "nothing")


def test_orthogonal_filters_are_not_penalised_and_parallel_ones_are() -> None:
    torch.manual_seed(0)
    regulariser = Orthogonality(probing="gaussian")
    inputs = torch.randn(4096, 8)
    orthogonal = torch.linalg.qr(torch.randn(8, 8)).Q
    parallel = torch.randn(1, 8).repeat(8, 1)
    low, high = (float(regulariser.layer_penalty(inputs @ w.T)) for w in (orthogonal, parallel))
    assert low < 0.01
    assert high > 50.0


def test_angle_estimate_on_gaussian_probes() -> None:
    """theta approaches 1 - 2 angle / pi (paper, eq. 6) as gamma grows."""
    torch.manual_seed(1)
    inputs = torch.randn(20_000, 2)
    regulariser = Orthogonality(gamma=1000.0, weak=1.0, strict=0.0)
    for angle in (0.3, 1.0, 2.0):
        filters = torch.tensor([[1.0, 0.0], [np.cos(angle), np.sin(angle)]], dtype=torch.float32)
        penalty = float(regulariser.layer_penalty(inputs @ filters.T))
        assert abs(penalty**0.5 - abs(1 - 2 * angle / np.pi)) < 3 / 20_000**0.5 + 0.01


def test_hooks_are_gone_after_the_block(tiny, owner) -> None:
    regulariser = Orthogonality()
    with regulariser.watch(tiny.model):
        tiny.model(owner.pixels(tiny)[:4])
    assert float(regulariser.penalty()) > 0.0
    tiny.model(owner.pixels(tiny)[:4])
    assert float(regulariser.penalty()) == 0.0


def test_loading_twice_gives_the_same_model(line: Line) -> None:
    once, twice = load_classifier(line.marked), load_classifier(line.marked)
    pixels = small_digits(slice(0, 4)).pixels(once)
    assert torch.equal(predict(once.model, pixels), predict(copy.deepcopy(twice.model), pixels))
