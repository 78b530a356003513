import copy
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from forensics.attacks.encoders import Distillation, distil, fresh_student, overwrite, reset_words
from forensics.attacks.lora import LowRank, attach, merge
from forensics.attacks.migration import IMAGES, TEXTS, Settings, migrate, migrate_chain
from forensics.attacks.stolen import copy_encoder, embed, image_encoder, open_text_encoder
from forensics.attacks.tasks import Task
from forensics.checkpoints import load_classifier
from forensics.encoders import load_encoder
from forensics.errors import UsageError
from forensics.textclassifiers import load_text_classifier
from forensics.training.classifier import small_resnet
from tests.line import small_digits
from tests.suspects.encoders import TEXTS as SENTENCES
from tests.suspects.encoders import WORDS, write_encoder


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder") / "public")


@pytest.fixture(scope="module")
def texts(folder: Path):
    return open_text_encoder(folder)


@pytest.fixture(scope="module")
def images():
    return image_encoder(small_resnet(small_digits(slice(0, 60)), 0, widths=(8, 16), depths=(1, 1)))


def sentences(words: tuple[str, ...], seed: int, count: int = 160) -> Task:
    """Texts whose class is which of two words they hold."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    fill = [w for w in WORDS if w.isalpha() and w not in words]
    rows = [" ".join([*rng.choice(fill, rng.integers(1, 6)), words[label]]) for label in labels]
    return Task(rows, labels, ("first", "second"))


ANIMALS, PLACES = sentences(("cat", "dog"), 1), sentences(("mat", "tree"), 2)
QUICK = dataclasses.replace(TEXTS["full"], epochs=6, learning_rate=1e-2, batch=16)


def state(model) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def changed(before: dict[str, torch.Tensor], model) -> set[str]:
    return {name for name, value in model.state_dict().items() if not torch.equal(before[name], value)}


def test_features_are_the_mean_token_vectors_of_the_service(folder: Path, texts) -> None:
    given = [text for text in SENTENCES if text]
    assert np.allclose(embed(texts, given), load_encoder(folder).embed(given), atol=1e-5)


def test_full_migration_learns_and_leaves_the_stolen_encoder_alone(texts) -> None:
    before, generator = state(texts.model), torch.get_rng_state()
    found = migrate(texts, ANIMALS, QUICK, seed=5)
    assert not changed(before, texts.model)
    assert torch.equal(generator, torch.get_rng_state())
    assert found.accuracy(sentences(("cat", "dog"), 9)) > 0.9
    assert found.predict(ANIMALS.inputs[:3]).shape == (3, 2)
    assert np.allclose(np.linalg.norm(found.embed(ANIMALS.inputs[:3]), axis=1), 1.0, atol=1e-5)
    assert not np.allclose(found.embed(ANIMALS.inputs[:3]), embed(texts, ANIMALS.inputs[:3]), atol=1e-3)


def test_the_thief_has_a_seed_of_its_own(texts) -> None:
    rows = []
    for seed, noise in ((5, 0), (5, 1), (6, 0)):
        torch.manual_seed(noise)
        rows.append(migrate(texts, ANIMALS, dataclasses.replace(QUICK, epochs=1), seed=seed).predict(ANIMALS.inputs))
    assert np.array_equal(rows[0], rows[1])
    assert not np.allclose(rows[0], rows[2], atol=1e-3)


@pytest.mark.parametrize("head", ["mean", "library"])
def test_what_each_way_trains(texts, head: str) -> None:
    before = state(texts.model)
    pooler = {name for name in before if name.startswith("pooler.") and head == "library"}
    trained = {}
    for way in ("head", "last", "lora"):
        settings = dataclasses.replace(QUICK, way=way, epochs=1, learning_rate=1e-2)
        found = migrate(texts, ANIMALS, settings, seed=3, head=head)
        trained[way] = changed(before, found.encoder.model)
        assert not any(isinstance(module, LowRank) for module in found.network.modules())
    assert trained["head"] == pooler
    assert all(name.startswith(("encoder.layer.1.", "pooler.")) for name in trained["last"])
    assert "encoder.layer.1.attention.self.query.weight" in trained["last"]
    lora = {name for name in before if "encoder.layer" in name and before[name].dim() == 2}
    assert trained["lora"] == lora | pooler


def test_a_low_rank_part_begins_at_nothing_has_its_rank_and_merges_exactly() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(12, 10), torch.nn.Tanh(), torch.nn.Linear(10, 3))
    plain, inputs, before = copy.deepcopy(model), torch.randn(5, 12), model[0].weight.detach().clone()
    attach(model, 2, 16.0, leave=("2",))
    assert torch.equal(model(inputs), plain(inputs))
    assert [name for name, value in model.named_parameters() if value.requires_grad] == ["0.down", "0.up"]
    torch.nn.init.normal_(model[0].up)
    wanted = model(inputs)
    merge(model)
    assert torch.allclose(model(inputs), wanted, atol=1e-5)
    assert int(torch.linalg.matrix_rank(model[0].weight.detach() - before, atol=1e-4)) == 2
    with pytest.raises(UsageError, match="rank of 0"):
        attach(model, 0, 1.0)


def test_a_chain_of_two_tasks(texts) -> None:
    longer = dataclasses.replace(QUICK, epochs=15)
    first, second = migrate_chain(texts, [ANIMALS, PLACES], longer, seed=2)
    alone = migrate(texts, ANIMALS, longer, seed=2)
    assert np.array_equal(first.predict(ANIMALS.inputs), alone.predict(ANIMALS.inputs))
    assert second.accuracy(sentences(("mat", "tree"), 9)) > 0.9
    assert changed(state(first.encoder.model), second.encoder.model)


def test_the_librarys_classifier_is_a_folder_that_answers_alike(texts, tmp_path: Path) -> None:
    found = migrate(texts, ANIMALS, QUICK, seed=1, head="library")
    found.save(tmp_path / "out", "# migrated\n")
    loaded = load_text_classifier(tmp_path / "out")
    assert loaded.labels == ("first", "second")
    assert np.allclose(loaded.logits(ANIMALS.inputs), found.predict(ANIMALS.inputs), atol=1e-4)
    with pytest.raises(UsageError, match="no class of the Transformers library"):
        migrate(texts, ANIMALS, dataclasses.replace(QUICK, epochs=1), seed=1).save(tmp_path / "mean", "")


@pytest.mark.parametrize("way", ["full", "head", "last"])
def test_image_encoders_migrate(images, tmp_path: Path, way: str) -> None:
    data = small_digits(slice(100, 260))
    odd = Task(data.images, data.labels % 2, ("even", "odd"))
    before = state(images.model)
    found = migrate(images, odd, dataclasses.replace(IMAGES[way], epochs=8, batch=32, learning_rate=1e-2), seed=4)
    assert not changed(before, images.model)
    moved = changed(before, found.encoder.model)
    if way == "head":
        assert not moved, "a frozen encoder keeps its weights and BatchNorm's statistics"
    elif way == "last":
        assert moved
        assert all(name.startswith("encoder.stages.1.") for name in moved)
    else:
        assert any(name.startswith("embedder.") for name in moved)
        assert found.accuracy(odd) > 0.85
    found.save(tmp_path / "out", "# migrated\n")
    loaded = load_classifier(tmp_path / "out")
    with torch.inference_mode():
        logits = loaded.model(loaded.pixels(data.images[:5])).logits.numpy()
    assert np.allclose(logits, found.predict(data.images[:5]), atol=1e-4)
    assert found.embed(data.images[:5]).shape == (5, 16)


@pytest.mark.parametrize(
    ("task", "settings", "words"),
    [
        (Task(["a", "b"], np.array([0, 2]), ("x", "y")), QUICK, "beyond its 2 classes"),
        (Task(["a", "b"], np.array([0, 0]), ("x",)), QUICK, "two classes"),
        (ANIMALS, Settings("last", last=3), "last 3"),
        (ANIMALS, Settings("lora", rank=0), "rank of 0"),
    ],
)
def test_faults_are_one_sentence(texts, task: Task, settings: Settings, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        migrate(texts, task, settings, seed=0)


def test_images_have_no_linear_layers_for_low_rank_parts(images) -> None:
    data = small_digits(slice(0, 20))
    with pytest.raises(UsageError, match="no linear layer"):
        migrate(images, Task.of_images(data), Settings("lora"), seed=0)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float((a * b).sum(axis=1).mean())


def test_distillation_into_a_smaller_student(texts) -> None:
    asked = [*ANIMALS.inputs, *PLACES.inputs]
    vectors = embed(texts, asked)
    student = fresh_student(texts, 8, num_hidden_layers=1)
    assert student.model.config.num_hidden_layers == 1
    assert texts.model.config.num_hidden_layers == 2
    start = cosine(embed(student, asked), vectors)
    distil(student, asked, vectors, Distillation(epochs=10, learning_rate=1e-2), seed=1)
    unseen = sentences(("cat", "dog"), 77).inputs
    assert cosine(embed(student, unseen), embed(texts, unseen)) > max(0.7, start + 0.2)
    with pytest.raises(UsageError, match="16 numbers"):
        distil(student, asked, vectors[:, :8], seed=1)
    with pytest.raises(UsageError, match="no 'layers'"):
        fresh_student(texts, 0, layers=1)


def test_distillation_of_images(images) -> None:
    pictures = small_digits(slice(0, 100)).images
    student = fresh_student(images, 8)
    assert changed(state(images.model), student.model)
    vectors = embed(images, pictures)
    start = cosine(embed(student, pictures), vectors)
    distil(student, pictures, vectors, Distillation(epochs=10, learning_rate=1e-2), seed=1)
    assert cosine(embed(student, pictures), vectors) > start + 0.5 * (1 - start)


def test_overwriting_minimises_what_it_is_given_and_repeats(texts) -> None:
    target = torch.nn.functional.normalize(torch.linspace(-1.0, 1.0, 16), dim=0)
    results = []
    for _ in range(2):
        own = copy_encoder(texts)
        batch = own.batch(own.prepare(ANIMALS.inputs[:8]), np.arange(8))

        def step(index: int, own=own, batch=batch) -> torch.Tensor:
            own.model.train()
            return 1 - torch.nn.functional.cosine_similarity(own.features(batch), target[None]).mean()

        before = float(step(0).detach())
        overwrite(own.model, step, 15, 1e-2, seed=4)
        results.append(embed(own, ANIMALS.inputs[:8]))
        assert 1 - float((results[-1] @ target.numpy()).mean()) < 0.5 * before
        assert not own.model.training
    assert np.array_equal(*results)


def test_resetting_words_finds_exactly_the_changed_rows(texts) -> None:
    marked = copy_encoder(texts)
    table = marked.model.get_input_embeddings().weight
    with torch.no_grad():
        table[[7, 12]] += 0.5
        table[9] *= 1.0 + 1e-4
    assert reset_words(marked.model, texts.model, least=0.01).tolist() == [7, 12]
    assert reset_words(marked.model, texts.model).tolist() == [9]
    assert torch.equal(table, texts.model.get_input_embeddings().weight)
    marked.model.resize_token_embeddings(20)
    with pytest.raises(UsageError, match="table of"):
        reset_words(marked.model, texts.model)
