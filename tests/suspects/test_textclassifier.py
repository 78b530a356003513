"""Text classifiers in Transformers folders: what they answer, and the broken and hostile ones."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forensics.encoders import ROWS, load_encoder
from forensics.errors import ModelError, StorageError, UsageError
from forensics.images import encode_png
from forensics.records import AnswerKind, Probe
from forensics.suspects import open_suspect
from forensics.suspects.encoder import EncoderSuspect
from forensics.suspects.textclassifier import TextClassifierSuspect
from forensics.textclassifiers import load_text_classifier, read_text_classifier_identity, save_text_classifier
from tests.suspects.encoders import TEXTS, VOCABULARY, WORDS, text_probes, write_encoder, write_tokenizer

NAMES = ("bad", "good", "neither")
SIZES = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def write_text_classifier(folder: Path, family: str = "bert", seed: int = 0) -> Path:
    """Writes a classifier of three classes with random weights, and its tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    small = {"dim": 16, "hidden_dim": 32, "n_layers": 1, "n_heads": 2}
    config = AutoConfig.for_model(
        family,
        vocab_size=len(VOCABULARY),
        max_position_embeddings=64,
        initializer_range=0.5,
        pad_token_id=0,
        id2label=dict(enumerate(NAMES)),
        label2id={name: index for index, name in enumerate(NAMES)},
        **(small if family == "distilbert" else SIZES),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text_classifier(tmp_path_factory.mktemp("classifiers") / "small")


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "model"))


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def by_hand(folder: Path, text: str) -> np.ndarray:
    """The library's own way from one text to its logits."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        given = tokenizer([text], truncation=True, max_length=64, return_tensors="pt")
        return model(**given).logits[0].numpy()


def test_answers_are_the_logits_of_the_library(folder: Path) -> None:
    answers = TextClassifierSuspect.load(folder).answer(text_probes(TEXTS))
    assert answers.kind is AnswerKind.LOGITS
    assert answers.labels == NAMES
    assert answers.values.shape == (6, 3)
    assert not answers.missing.any()
    assert np.ptp(answers.values, axis=0).min() > 0.1
    for text, row in zip(TEXTS, answers.values):
        assert np.allclose(row, by_hand(folder, text), atol=1e-5)
    assert [[float(str(np.float32(v))) for v in row] for row in answers.values] == answers.values.tolist()


@pytest.mark.parametrize("family", ["distilbert", "roberta"])
def test_other_families(tmp_path: Path, family: str) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification

    folder = write_text_classifier(tmp_path / family, family)
    answers = TextClassifierSuspect.load(folder).answer(text_probes(TEXTS))
    assert not answers.missing.any()
    words = ("[CLS]", "the", "cat", "sat", "on", "the", "mat", ".", "[SEP]")
    ids = torch.tensor([[VOCABULARY.index(word) for word in words]])
    with torch.inference_mode():
        expected = AutoModelForSequenceClassification.from_pretrained(folder).eval()(input_ids=ids).logits[0].numpy()
    assert np.allclose(answers.values[0], expected, atol=1e-5)


def test_sorting_by_length_keeps_the_order(folder: Path) -> None:
    classifier = load_text_classifier(folder)
    texts = [" ".join(WORDS[(n + k) % 13] for k in range(1 + n * 7 % 9)) for n in range(2 * ROWS + 1)]
    one_by_one = np.concatenate([classifier.logits([text]) for text in texts])
    assert np.allclose(classifier.logits(texts), one_by_one, atol=1e-5)
    assert np.unique(one_by_one.round(3), axis=0).shape[0] > 10


def test_a_batch_that_fails_is_missing_and_no_other(folder: Path) -> None:
    suspect = TextClassifierSuspect.load(folder)
    inner = suspect.classifier.model.forward

    def fail(input_ids: Any, **given: Any) -> Any:
        if input_ids.shape[1] > 10:
            raise MemoryError
        return inner(input_ids=input_ids, **given)

    suspect.classifier.model.forward = fail  # type: ignore[method-assign]
    object.__setattr__(suspect.classifier, "rows", 2)
    answers = suspect.answer(text_probes(TEXTS))
    assert answers.missing[2]
    assert not answers.missing[[1, 3, 4]].any()
    assert np.isnan(answers.values[answers.missing]).all()
    assert answers.values.shape == (6, 3)


def test_rows_that_are_not_finite_are_missing(folder: Path) -> None:
    suspect = TextClassifierSuspect.load(folder)
    inner = suspect.classifier.model.forward

    def spoil(input_ids: Any, **given: Any) -> Any:
        output = inner(input_ids=input_ids, **given)
        output.logits[given["attention_mask"].sum(1) > 10, 1] = float("inf")
        return output

    suspect.classifier.model.forward = spoil  # type: ignore[method-assign]
    answers = suspect.answer(text_probes(TEXTS))
    assert answers.missing.tolist() == [False, False, True, False, False, False]
    assert np.isnan(answers.values[2]).all()


def test_identity_names_every_file_that_is_read(folder: Path) -> None:
    before = read_text_classifier_identity(folder)
    assert set(before.files) == {"config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"}
    loaded = TextClassifierSuspect.load(folder).identity
    assert loaded == before
    assert loaded.facts["architecture"] == "BertForSequenceClassification"
    edit(folder / "tokenizer_config.json", model_max_length=20)
    assert read_text_classifier_identity(folder).digest != before.digest


@pytest.mark.parametrize("vocabulary", [False, True])
@pytest.mark.parametrize("lower", [False, True])
def test_a_saved_classifier_answers_the_same(folder: Path, vocabulary: bool, lower: bool) -> None:
    if vocabulary:
        (folder / "tokenizer.json").unlink()
    body = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**body, "do_lower_case": lower, "model_max_length": 9}))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"do_lower_case": lower}))
    first = load_text_classifier(folder)
    save_text_classifier(first, folder.parent / "saved", "# saved\n")
    again = load_text_classifier(folder.parent / "saved")
    assert reading(again) == reading(first)
    assert again.labels == NAMES
    assert np.array_equal(again.logits(TEXTS), first.logits(TEXTS))
    assert isinstance(open_suspect(str(folder.parent / "saved")), TextClassifierSuspect)


def reading(classifier: Any) -> tuple[object, ...]:
    settings = classifier.tokens.settings
    return settings.tokenizer, settings.vocabulary, settings.lower, settings.max_tokens, settings.padding


def test_a_classifier_that_cannot_be_saved_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("kept")
    with pytest.raises(StorageError, match="cannot be written"):
        save_text_classifier(load_text_classifier(folder), tmp_path / "taken", "# card\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "taken"]
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["file"]


def test_the_same_family_without_the_head_opens_as_an_encoder(folder: Path, tmp_path: Path) -> None:
    assert isinstance(open_suspect(str(folder)), TextClassifierSuspect)
    assert isinstance(open_suspect(str(write_encoder(tmp_path / "encoder"))), EncoderSuspect)
    assert load_encoder(folder).width == 16


def test_probes_that_are_no_texts_are_refused(original: Path) -> None:
    suspect = TextClassifierSuspect.load(original)
    image = Probe(encode_png(np.zeros((8, 8, 1), dtype=np.uint8)))
    with pytest.raises(UsageError, match=r"not texts but images; the suspect is a text classifier") as raised:
        suspect.answer([*text_probes(TEXTS), image])
    assert "image encoder or an image classifier" in raised.value.next_step
    with pytest.raises(UsageError, match="continuations"):
        suspect.answer([Probe(b"text", "text/plain", "score", b"next")])
    with pytest.raises(UsageError, match="UTF-8"):
        suspect.answer([Probe(b"\xff\xfe", "text/plain")])


def _config(**changes: object) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "config.json", **changes)


def _weights(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        from safetensors.torch import load_file, save_file

        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})

    return damage


def _labels(n: int) -> dict[str, str]:
    return {str(index): f"label {index}" for index in range(n)}


HEAD = "classifier.weight"
HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "pickle": (lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin") and None, "pickle"),
    "own code": (_config(auto_map={"AutoModelForSequenceClassification": "evil.Model"}), "code"),
    "own tokenizer code": (lambda f: edit(f / "tokenizer_config.json", auto_map={"AutoTokenizer": "evil.T"}), "code"),
    "other back end": (_config(quantization_config={"quant_method": "x"}), "quantisation"),
    "no tokenizer": (lambda f: [(f / n).unlink() for n in ("tokenizer.json", "vocab.txt")].clear(), "tokenizer.json"),
    "fewer labels": (_config(id2label=_labels(2)), "2 tensors differ, such as classifier."),
    "more labels": (_config(id2label=_labels(4)), "2 tensors differ, such as classifier."),
    "a single label": (_config(id2label=_labels(1)), "single label"),
    "labels not from 0": (_config(id2label={"1": "a", "2": "b", "3": "c"}), "from 0"),
    "endless label": (_config(id2label={**_labels(2), "2": "x" * 300}), "longer than"),
    "labels with escapes": (_config(id2label={**_labels(2), "2": "\x1b[2J"}), "no plain text"),
    "too many labels": (_config(id2label=_labels(100_001)), "id2label"),
    "wrong shape": (_weights(lambda t: t.update({HEAD: t[HEAD][:, :8].clone()})), HEAD),
    "no head": (_weights(lambda t: t.pop(HEAD)), HEAD),
    "no pooler": (_weights(lambda t: t.pop("bert.pooler.dense.bias")), "pooler"),
    "further weights": (_weights(lambda t: t.update(evil=t["classifier.bias"].clone())), "evil"),
    "not finite": (_weights(lambda t: t["classifier.bias"].fill_(float("nan"))), "not finite"),
    "huge width": (_config(hidden_size=10**9), "beyond what is accepted"),
    "huge vocabulary": (_config(vocab_size=10**6), "weights"),
    "many layers": (_config(num_hidden_layers=10**6), "beyond what is accepted"),
    "wider than the weights": (_config(hidden_size=512, intermediate_size=4096), "weights"),
    "decoder": (_config(is_decoder=True), "decoder"),
    "generator": (_config(model_type="gpt2"), "no text classifier"),
    "family no text": (_config(model_type=["bert"]), "no text classifier"),
    "encoder": (_config(architectures=["BertModel"]), "ForSequenceClassification"),
    "words beyond the table": (_config(vocab_size=4), "."),
}


@pytest.mark.parametrize("damage", HOSTILE)
def test_broken_folders_end_in_one_sentence(folder: Path, damage: str) -> None:
    change, words = HOSTILE[damage]
    change(folder)
    with pytest.raises(ModelError) as raised:
        TextClassifierSuspect.load(folder)
    assert words in raised.value.cause
    assert raised.value.next_step
    assert "\n" not in str(raised.value)
    assert "forensics-model-" not in str(raised.value)
    assert len(str(raised.value)) < 600
