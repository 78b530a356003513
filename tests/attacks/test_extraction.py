"""Extraction: what is asked, what is answered, who learns, and what a folder can hold."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from forensics.attacks.extraction import ANSWERS, Theft, ask, average, extract, given, learn, regress_out
from forensics.attacks.queries import QUERIES, draw_queries
from forensics.attacks.students import STUDENTS, PlainNet, fresh_model
from forensics.checkpoints import Classifier, load_classifier, save_classifier
from forensics.cli.attack import attack
from forensics.errors import UsageError
from forensics.training.classifier import small_resnet, train
from forensics.training.data import save_images
from forensics.training.loop import Schedule
from tests.line import small_digits

SHORT = Theft(steps=2, batch=8)


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    return list(small_digits(slice(600, 900)).images)


@pytest.fixture(scope="module")
def teacher() -> Classifier:
    data = small_digits(slice(0, 600))
    classifier = small_resnet(data, 0, widths=(8, 16), depths=(1, 1))
    train(classifier, data, Schedule(80, learning_rate=5e-3), 0)
    return classifier


def agreement(first: Classifier, second: Classifier, images: list[np.ndarray]) -> float:
    return float((ask(first, images).argmax(axis=1) == ask(second, images).argmax(axis=1)).mean())


@pytest.mark.parametrize("student", STUDENTS)
def test_every_student_has_the_teachers_classes_and_first_weights_of_its_own(
    teacher: Classifier, images: list[np.ndarray], student: str
) -> None:
    before = {name: weight.clone() for name, weight in teacher.model.state_dict().items()}
    stolen = extract(teacher, images[:20], dataclasses.replace(SHORT, student=student))
    assert stolen.labels == teacher.labels
    assert ask(stolen, images[:3]).shape == (3, 10)
    assert not stolen.model.training
    assert all(torch.equal(weight, before[name]) for name, weight in teacher.model.state_dict().items())
    if student == "same":
        first = dict(stolen.model.named_parameters())["resnet.embedder.embedder.convolution.weight"]
        assert float((first.detach() - before["resnet.embedder.embedder.convolution.weight"]).abs().max()) > 0.1
    count, own = (sum(weight.numel() for weight in each.model.parameters()) for each in (stolen, teacher))
    assert (count < own) is (student == "smaller")


def test_a_student_learns_what_the_teacher_answers_not_what_is_true(
    teacher: Classifier, images: list[np.ndarray]
) -> None:
    turned = np.roll(ask(teacher, images), 1, axis=1)
    stolen = learn(teacher, images, turned, Theft(student="mlp", steps=120, batch=32))
    assert (ask(stolen, images).argmax(axis=1) == turned.argmax(axis=1)).mean() > 0.8


@pytest.mark.parametrize("queries", ["clean", "mixed", "filtered"])
def test_a_theft_succeeds_and_repeats_to_the_bit(teacher: Classifier, images: list[np.ndarray], queries: str) -> None:
    theft = Theft(queries=queries, student="mlp", steps=100, batch=32, seed=3)
    stolen, again = (extract(teacher, images[:200], theft) for _ in range(2))
    assert np.array_equal(ask(stolen, images[:20]), ask(again, images[:20]))
    other = extract(teacher, images[:200], dataclasses.replace(theft, seed=4, steps=2))
    assert not np.array_equal(ask(stolen, images[:20]), ask(other, images[:20]))
    # Seven tenths agree on images that were not asked; one in ten by chance.
    assert agreement(teacher, stolen, images[200:]) > 0.5


def test_queries_drawn_anew_keep_shape_and_are_not_the_images(images: list[np.ndarray]) -> None:
    shown, rng = np.stack(images[:30]), np.random.default_rng(0)
    known = {image.tobytes() for image in shown}
    for kind in QUERIES:
        drawn = draw_queries(kind, shown, 40, rng)
        assert drawn.shape == (40, *shown.shape[1:])
        assert drawn.dtype == np.uint8
        same = sum(image.tobytes() in known for image in drawn)
        wanted = {"clean": 40, "shifted": 40, "filtered": 20}.get(kind)
        assert same == wanted if wanted is not None else same < 5
    assert len({image.tobytes() for image in draw_queries("noise", shown, 40, rng)}) == 40
    assert draw_queries("noise", shown, 1, rng).shape == (1, *shown.shape[1:])


def test_filtered_queries_have_one_contrast(images: list[np.ndarray]) -> None:
    filtered = draw_queries("filtered", np.stack(images), 40, np.random.default_rng(1))[:20].astype(float)
    assert filtered.mean(axis=(1, 2, 3)) == pytest.approx(128.0, abs=6.0)
    assert filtered.std(axis=(1, 2, 3)) == pytest.approx(60.0, abs=8.0)


def test_forms_of_answers() -> None:
    rows = np.array([[0.5, 0.25, 0.125, 0.1, 0.025], [0.0, 0.004, 0.996, 0.0, 0.0]])
    assert given(rows, "soft") is rows
    assert given(rows, "hard").tolist() == [[1, 0, 0, 0, 0], [0, 0, 1, 0, 0]]
    assert given(rows, "top3")[0] == pytest.approx([0.5, 0.25, 0.125, 0.0625, 0.0625])
    assert given(rows, "rounded")[1] == pytest.approx([0, 0, 1, 0, 0], abs=1e-8)
    tempered = given(rows, "tempered")
    assert tempered[0, 0] / tempered[0, 1] == pytest.approx(2**0.5)
    for form in ANSWERS:
        assert given(rows, form).sum(axis=1) == pytest.approx(1.0)
    assert given(np.full((1, 300), 1 / 300), "rounded") == pytest.approx(1 / 300)
    assert given(np.array([[0.7, 0.3]]), "top3") == pytest.approx(np.array([[0.7, 0.3]]))


def test_an_average_answers_the_mean(teacher: Classifier, images: list[np.ndarray]) -> None:
    other = extract(teacher, images[:20], dataclasses.replace(SHORT, student="cnn"))
    both = average(teacher, other)
    mean = (ask(teacher, images[:9]) + ask(other, images[:9])) / 2.0
    assert ask(both, images[:9]) == pytest.approx(mean, abs=1e-6)
    assert type(extract(both, images[:20], SHORT).model) is type(teacher.model)
    assert isinstance(fresh_model("same", other.model, (1, 16, 16), teacher.labels), PlainNet)
    with pytest.raises(UsageError, match="differ"):
        average(teacher, dataclasses.replace(other, labels=("a", "b")))


def test_the_adaptive_thief_removes_what_the_cells_predict_and_leaves_the_rest(images: list[np.ndarray]) -> None:
    shown = images[:250]
    grey = np.stack(shown)[..., 0] / 255.0
    corner, rng = grey[:, 4:8, 4:8].mean(axis=(1, 2)), np.random.default_rng(2)
    logits = 4.0 * np.eye(3)[np.arange(250) % 3] + rng.normal(0.0, 0.3, (250, 3))
    logits[:, 2] += 2.0 * corner

    def follows(answers: np.ndarray) -> float:
        ratio, first = np.log(answers[:, 2] / answers[:, 1]), answers.argmax(axis=1) == 0
        return abs(float(np.corrcoef(ratio[first], corner[first])[0, 1]))

    answers = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    cleansed = regress_out(shown, answers, cells=4)
    assert follows(answers) > 0.5
    assert follows(cleansed) < 0.1
    assert cleansed.sum(axis=1) == pytest.approx(1.0)
    assert (cleansed.argmax(axis=1) == answers.argmax(axis=1)).mean() > 0.95


@pytest.mark.parametrize(
    "changes",
    [{"queries": "own"}, {"answers": "all"}, {"student": "wide"}, {"steps": 0}, {"learning_rate": float("nan")}],
)
def test_thefts_that_are_none(changes: dict) -> None:
    with pytest.raises(UsageError):
        Theft(**changes)


def test_images_that_cannot_be_asked(teacher: Classifier, images: list[np.ndarray]) -> None:
    for few in (images[:1], [images[0], images[1][:8]]):
        with pytest.raises(UsageError, match="two images or more, all of one size"):
            extract(teacher, few, SHORT)
    plain = extract(teacher, images[:20], dataclasses.replace(SHORT, student="cnn"))
    with pytest.raises(UsageError, match="No 'smaller' student"):
        extract(plain, images[:20], dataclasses.replace(SHORT, student="smaller"))


def test_the_command(teacher: Classifier, images: list[np.ndarray], tmp_path: Path) -> None:
    save_classifier(teacher, tmp_path / "model", "# model\n")
    save_images(small_digits(slice(600, 640)), tmp_path / "data")

    def run(*settings: str) -> tuple[int, str]:
        words = ["extract", "--model", tmp_path / "model", "--data", tmp_path / "data", "--out", tmp_path / "out"]
        for setting in ("steps=2", "batch=8", *settings):
            words += ["--set", setting]
        done = CliRunner().invoke(attack, [str(each) for each in words])
        return done.exit_code, str(done.exception or done.output)

    for setting, said in (
        ("student=cnn", "cannot be saved"),
        ("queries=own", "no 'own' for queries"),
        ("steps=many", "'steps' of many cannot be used"),
        ("student=3", "'student' of 3.0 cannot be used"),
        ("seed", "not NAME=VALUE"),
        ("temperature=2", "no setting 'temperature'"),
    ):
        code, output = run(setting)
        assert code, setting
        assert said in output
        assert not (tmp_path / "out").exists()
    assert "stay the same" in run("queries=mixed", "regress-out=7")[1]
    assert run("student=vit", "answers=hard", "regress-out=4")[0] == 0
    stolen = load_classifier(tmp_path / "out")
    assert stolen.labels == teacher.labels
    assert type(stolen.model).__name__ == "ViTForImageClassification"


@pytest.mark.parametrize("cells", [0, 17, 500])
def test_cells_that_the_images_do_not_have_are_refused(images: list[np.ndarray], cells: int) -> None:
    answers = np.full((len(images), 10), 0.1)
    with pytest.raises(UsageError, match="cannot be regressed on"):
        regress_out(images, answers, cells)


def test_images_of_unlike_sizes_are_refused_before_anything_is_regressed(images: list[np.ndarray]) -> None:
    with pytest.raises(UsageError, match="all of one size"):
        regress_out([images[0], images[0][:8]], np.full((2, 10), 0.1))
