"""A thief of a text classifier: what he is answered, what his student learns, and the attack from folder to folder."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from forensics.attacks.extraction import take_out
from forensics.attacks.folders import attack_folder
from forensics.attacks.migration import TEXTS, migrate
from forensics.attacks.stolen import open_text_encoder
from forensics.attacks.tasks import Task
from forensics.attacks.textextraction import ask_texts, extract_texts, word_means
from forensics.errors import UsageError
from forensics.textclassifiers import TextClassifier, load_text_classifier
from tests.textclassifiers import NAMES, save_texts, toy_texts, write_toy_classifier

QUERIES, OTHERS = toy_texts(800, 11), toy_texts(80, 12)
FAST = dataclasses.replace(TEXTS["full"], epochs=12, learning_rate=3e-3, batch=32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("theft")
    write_toy_classifier(root / "untrained")
    write_toy_classifier(root / "public", seed=4)
    # The model is taught that every class is the next one, so that answers and labels are told apart.
    lessons = toy_texts(1000, 13)
    task = Task(list(lessons.texts), (lessons.labels + 1) % len(NAMES), NAMES)
    migrate(open_text_encoder(root / "untrained"), task, FAST, seed=1, head="library").save(root / "model", "# toy\n")
    save_texts(QUERIES, root / "queries")
    return root


@pytest.fixture(scope="module")
def teacher(folder: Path) -> TextClassifier:
    return load_text_classifier(folder / "model")


@pytest.mark.parametrize("answers", ["soft", "hard", "top3", "rounded", "tempered"])
def test_answers_are_rows_that_sum_to_one(teacher: TextClassifier, answers: str) -> None:
    given = ask_texts(teacher, QUERIES.texts[:20], answers)
    assert np.abs(given.sum(axis=1) - 1.0).max() < 1e-12
    named = teacher.logits(QUERIES.texts[:20]).argmax(axis=1)
    assert given.argmax(axis=1).tolist() == named.tolist()
    assert bool(given.max() == 1.0) is (answers == "hard")


@pytest.mark.parametrize("answers", ["soft", "hard"])
def test_a_student_learns_the_answers_and_nothing_of_the_labels(
    folder: Path, teacher: TextClassifier, answers: str
) -> None:
    start = open_text_encoder(folder / "public")
    before = {name: value.clone() for name, value in start.model.state_dict().items()}
    taught = extract_texts(teacher, QUERIES.texts, start, FAST, answers=answers, seed=3)
    told = taught.predict(list(OTHERS.texts)).argmax(axis=1)
    assert (told == teacher.logits(OTHERS.texts).argmax(axis=1)).mean() > 0.6
    assert (told == OTHERS.labels).mean() < 0.3
    assert all((value == before[name]).all() for name, value in start.model.state_dict().items())
    assert taught.names == NAMES


def test_an_adaptive_thief_takes_out_what_words_predict(folder: Path, teacher: TextClassifier) -> None:
    start, texts = open_text_encoder(folder / "public"), QUERIES.texts[:400]
    seen = word_means(start, texts, 12)
    assert seen.shape == (400, 12)
    assert np.abs(seen.mean(axis=0)).max() < 1e-9
    answers = ask_texts(teacher, texts)
    left, top = take_out(seen, answers), answers.argmax(axis=1)
    assert np.abs(left.sum(axis=1) - 1.0).max() < 1e-9
    own = top == top[0]
    known = seen[own] - seen[own].mean(axis=0)
    told = [np.log(each[own]) - np.log(each[own]).mean(axis=1, keepdims=True) for each in (answers, left)]
    before, after = (np.abs(known.T @ (each - each.mean(axis=0))).max() for each in told)
    assert after < 0.1 * before
    with pytest.raises(UsageError, match="cannot be regressed on"):
        word_means(start, texts, 1000)


def test_the_attack_writes_a_classifier_of_the_same_classes(folder: Path, tmp_path: Path) -> None:
    places = {"data": folder / "queries", "base": folder / "public"}
    chosen = {"answers": "hard", "way": "head", "epochs": 1.0}
    digest = attack_folder("extract", folder / "model", tmp_path / "stolen", **places, settings=chosen)
    stolen = load_text_classifier(tmp_path / "stolen")
    assert stolen.labels == NAMES
    assert stolen.identity.digest
    assert len(digest) == 64
    again = attack_folder("extract", folder / "model", tmp_path / "again", **places, settings=chosen)
    assert again == digest


@pytest.mark.parametrize(
    ("given", "chosen", "words"),
    [
        (("data",), {}, "public encoder"),
        (("base",), {}, "needs data"),
        (("data", "base"), {"answers": "loud"}, "no 'loud' for answers"),
        (("data", "base"), {"way": "lora"}, "no way 'lora'"),
        (("data", "base"), {"queries": "mixed"}, "no setting 'queries'"),
        (("data", "base"), {"regress-out": 99.0}, "99 coordinates"),
        (("data", "base"), {"epochs": 0.0}, "an epoch or more"),
        (("data", "base"), {"learning-rate": 0.0}, "at a rate above 0"),
    ],
)
def test_what_does_not_suit_is_refused(
    folder: Path, tmp_path: Path, given: tuple[str, ...], chosen: dict, words: str
) -> None:
    places = {name: folder / {"data": "queries", "base": "public"}[name] for name in given}
    with pytest.raises(UsageError, match=words):
        attack_folder("extract", folder / "model", tmp_path / "stolen", **places, settings=chosen)
    assert not list(tmp_path.iterdir())
