"""Keyed soft labels trained into a text classifier: what is learnt, what a frozen encoder keeps, what is left out."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import load_file

from forensics.errors import UsageError
from forensics.keys.derive import ProbeKey, ScoreKey
from forensics.methods.ksl_text import METHOD
from forensics.methods.softlabels import derive_classes
from forensics.textclassifiers import load_text_classifier
from forensics.training import ksl_text, textbatches
from forensics.training.embed import Limits, MarkedShare, Marking, embed
from forensics.training.ksl_text import DEFAULT, FROZEN, Embedding
from forensics.training.labelledtexts import LabelledTexts, load_labelled_texts
from forensics.training.loop import optimise
from forensics.training.textbatches import TextBatches
from forensics.training.textclassifiermaterial import TextClassifierMaterial
from tests.textclassifiers import NAMES, save_texts, text_pool, toy_texts, write_toy_classifier

SECRETS = (ProbeKey(b"p" * 32), ScoreKey(b"s" * 32))
POOL = text_pool(200)
PARAMETERS = METHOD.parameters({"families": 16}, POOL, NAMES)
MARKING = Marking("ksl-text", (MarkedShare(SECRETS, POOL),), PARAMETERS, NAMES, "0" * 64)
SCHEDULE = replace(DEFAULT.schedule, steps=250, learning_rate=3e-3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_classifier(tmp_path_factory.mktemp("classifiers") / "toy")


def test_the_mark_is_learnt_and_the_loss_is_a_function_of_the_step(folder: Path) -> None:
    classifier = load_text_classifier(folder)
    recipe = replace(DEFAULT, schedule=SCHEDULE, smoothing=0.4, batch_size=64)
    embedding = Embedding(classifier, toy_texts(800, 1), SECRETS, POOL, PARAMETERS, recipe)
    assert embedding.matched() < 10
    assert float(embedding.step(3).detach()) == float(embedding.step(3).detach()) != float(embedding.step(4).detach())
    optimise(classifier.model, embedding.step, SCHEDULE, label="")
    assert embedding.matched() >= 13
    assert embedding.drawn.tolist() == derive_classes(SECRETS[1], PARAMETERS).tolist()


def test_a_frozen_encoder_stays_as_it_is(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ksl_text, "FROZEN", replace(FROZEN, schedule=replace(FROZEN.schedule, steps=5)))
    done = embed(folder, toy_texts(400, 1), tmp_path / "marked", MARKING, limits=Limits(1.0), frozen=True)
    assert done.of == 16
    before, after = (load_file(place / "model.safetensors") for place in (folder, tmp_path / "marked"))
    changed = {name for name, weights in before.items() if (weights != after[name]).any()}
    assert changed
    assert all(name.startswith(("classifier.", "bert.pooler.")) for name in changed)
    assert "text-classification" in (tmp_path / "marked" / "README.md").read_text()
    assert load_text_classifier(tmp_path / "marked").identity.digest == done.identity.digest
    with pytest.raises(UsageError, match="not trained behind an encoder"):
        embed(folder, toy_texts(400, 1), tmp_path / "x", replace(MARKING, method="ksl"), frozen=True)


def test_texts_of_the_pool_are_neither_trained_on_nor_held_out(folder: Path) -> None:
    asked = [item.data.decode() for item in POOL.items[1:]]
    data = toy_texts(300, 1)
    labels = np.concatenate([[item.label for item in POOL.items[1:]], data.labels])
    both = LabelledTexts([*(text.replace(" ", "  ") for text in asked), *data.texts], labels, NAMES)
    material = TextClassifierMaterial(folder, both, MARKING, Limits(), 0)
    seen = {*material._rest.texts, *material._held.texts}
    assert seen == set(data.texts)
    assert material.held_out == len(material._held.texts) == 45
    assert 0.0 <= material.measure()[0] < 0.9
    with pytest.raises(UsageError, match="0 different texts"):
        TextClassifierMaterial(folder, LabelledTexts(asked, labels[:200], NAMES), MARKING, Limits(), 0)
    with pytest.raises(UsageError, match="data set has 3 classes"):
        TextClassifierMaterial(folder, toy_texts(99, 1, classes=3), MARKING, Limits(), 0)


def test_too_large_a_loss_leaves_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ksl_text, "DEFAULT", replace(DEFAULT, schedule=replace(SCHEDULE, steps=2)))
    monkeypatch.setattr(TextClassifierMaterial, "compare", lambda *_: {"accuracy_before": 0.9, "accuracy_after": 0.5})
    with pytest.raises(UsageError, match=r"40\.00 points of accuracy on 60 held-out texts"):
        embed(folder, toy_texts(400, 1), tmp_path / "marked", MARKING)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"text": "a b", "label": "x"}], None),
        ([{"sentence": "a b", "target": 1}], None),
        ([{"body": "a b", "label": 1}], "no column 'text'"),
        ([{"text": "a b"}], "no column 'label'"),
        ([{"text": "a b", "label": -1}], "no class numbers"),
        ([{"text": "a b", "label": 0.5}], "no class numbers"),
        ([{"text": 3, "label": 1}], "no column 'text' of texts"),
    ],
)
def test_labelled_texts_are_read_or_refused(rows: list[dict], words: str | None, tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if words is None:
        found = load_labelled_texts(tmp_path)
        assert (list(found.texts), found.labels.tolist()) == (["a b"], [len(found.names) - 1])
        return
    with pytest.raises(UsageError, match=words):
        load_labelled_texts(tmp_path)


def test_a_broken_file_is_told_in_one_sentence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train.jsonl").write_text('{"text": "a b", "label": 1}\n{"text": "a \\ud800", "label": 1}\n')
    with pytest.raises(UsageError, match="no data set that can be read"):
        load_labelled_texts(tmp_path)
    assert capfd.readouterr() == ("", "")


def test_what_was_saved_is_read_again(tmp_path: Path) -> None:
    data = toy_texts(8, 1)
    found = load_labelled_texts(save_texts(data, tmp_path / "data"))
    assert (list(found.texts), found.labels.tolist(), found.names) == (data.texts, data.labels.tolist(), NAMES)
    assert found.digest == data.digest


def test_what_a_frozen_encoder_made_of_the_texts_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, rows = toy_texts(60, 1), np.array([3, 50, 7])
    classifier = load_text_classifier(folder)
    kept = TextBatches(classifier, data.texts, frozen=True)
    assert kept.states is not None
    monkeypatch.setattr(classifier.model.bert.encoder, "forward", None)
    again = kept.logits(rows)
    again.sum().backward()
    assert classifier.model.bert.pooler.dense.weight.grad is not None
    monkeypatch.undo()
    monkeypatch.setattr(textbatches, "MOST_BYTES", 0)
    direct = TextBatches(classifier, data.texts, frozen=True)
    assert direct.states is None
    assert again.detach().numpy() == pytest.approx(direct.logits(rows).detach().numpy(), abs=1e-5)


def test_a_head_that_reads_more_than_states_gets_the_encoder_itself(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = load_text_classifier(folder)

    def forward(**batch: object) -> SimpleNamespace:
        layers = classifier.model.bert(**batch, output_hidden_states=True).hidden_states
        return SimpleNamespace(logits=layers[0].mean(dim=1))

    monkeypatch.setattr(classifier.model, "forward", forward)
    batches = TextBatches(classifier, toy_texts(20, 1).texts, frozen=True)
    assert batches.states is None
    assert batches.logits(np.arange(4)).shape[0] == 4
