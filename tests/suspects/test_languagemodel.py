"""Language models in Transformers folders: what they answer, and the broken and hostile ones."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forensics.errors import ModelError, UsageError
from forensics.languagemodels import (
    FAMILIES,
    load_language_model,
    read_language_model_identity,
    save_language_model,
)
from forensics.records import AnswerKind, Probe
from forensics.suspects import open_suspect
from forensics.suspects.languagemodel import LanguageModelSuspect
from tests.languagemodels import documents, write_language_model
from tests.suspects.encoders import text_probes, write_encoder

TEXTS = [" ".join(text.split()[: 5 + 3 * (row % 3)]) for row, text in enumerate(documents(7, 9))]
NEXT = [" ".join(text.split()[20 : 21 + row % 2]) for row, text in enumerate(documents(7, 9))]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_language_model(tmp_path_factory.mktemp("language") / "small")


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "model"))


def probes(texts: list[str] = TEXTS, following: list[str] = NEXT) -> list[Probe]:
    pairs = zip(texts, following, strict=True)
    return [Probe(text.encode(), "text/plain", "score", f" {rest}".encode()) for text, rest in pairs]


def by_hand(folder: Path, text: str, rest: str) -> float:
    """The library's own way: the sum over the continuation's tokens."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    start = len(tokenizer(text)["input_ids"])
    ids = tokenizer(f"{text} {rest}", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        table = model(input_ids=ids).logits[0].log_softmax(dim=1)
    return sum(float(table[place - 1, ids[0, place]]) for place in range(start, ids.shape[1]))


def test_answers_are_the_log_probabilities_of_the_library(folder: Path) -> None:
    answers = open_suspect(str(folder)).answer(probes())
    assert answers.kind is AnswerKind.LOG_PROBABILITIES
    assert answers.values.shape == (7, 1)
    assert answers.labels == ()
    assert not answers.missing.any()
    for text, rest, (value,) in zip(TEXTS, NEXT, answers.values):
        assert value == pytest.approx(by_hand(folder, text, rest), abs=1e-4)
        assert float(str(np.float32(value))) == value


def test_batches_keep_the_order(folder: Path) -> None:
    loaded = load_language_model(folder)
    together = loaded.log_probabilities(TEXTS, [f" {rest}" for rest in NEXT])
    alone = [loaded.log_probabilities([text], [f" {rest}"])[0] for text, rest in zip(TEXTS, NEXT)]
    assert np.allclose(together, alone, atol=1e-5)
    assert len(np.unique(np.round(together, 4))) == 7


def test_a_token_across_both_parts_or_too_long_a_text_is_missing(folder: Path) -> None:
    whole = documents(3, 4)
    first = whole[0].split()[0]
    texts = [first[:3], f"{whole[0]} {whole[1]} {whole[2]}", "", TEXTS[0], TEXTS[0]]
    following = [first[3:], " zqaba", " zqaba", "", " zqaba"]
    given = [Probe(text.encode(), "text/plain", "score", rest.encode()) for text, rest in zip(texts, following)]
    answers = LanguageModelSuspect.load(folder).answer(given)
    assert answers.missing.tolist() == [True, True, True, True, False]


def test_a_batch_that_fails_is_missing_and_no_other(folder: Path) -> None:
    suspect = LanguageModelSuspect.load(folder)
    inner = suspect.language_model.model.forward

    def fail(input_ids: Any, **given: Any) -> Any:
        if input_ids.shape[1] > 10:
            raise MemoryError
        return inner(input_ids=input_ids, **given)

    suspect.language_model.model.forward = fail  # type: ignore[method-assign]
    answers = suspect.answer(probes())
    assert answers.missing.any()
    assert not answers.missing.all()
    assert np.isnan(answers.values[answers.missing]).all()


def test_a_saved_model_answers_the_same(folder: Path) -> None:
    loaded = load_language_model(folder)
    save_language_model(loaded, folder.parent / "saved", "# saved\n")
    again = load_language_model(folder.parent / "saved")
    following = [f" {rest}" for rest in NEXT]
    assert np.array_equal(again.log_probabilities(TEXTS, following), loaded.log_probabilities(TEXTS, following))
    assert again.identity.files["tokenizer.json"] == loaded.identity.files["tokenizer.json"]


def test_word_vectors_are_those_of_whole_tokens(folder: Path) -> None:
    loaded = load_language_model(folder)
    word = documents(1, 1)[0].split()[0]
    rows = loaded.word_vectors([word, word[:3], "never seen"])
    table = loaded.model.get_input_embeddings().weight.detach().numpy()
    assert (np.abs(table - rows[0]).max(axis=1) == 0).sum() == 1
    assert np.isnan(rows[2]).all()
    assert rows.shape == (3, 64)


def test_identity_names_every_file_that_is_read(folder: Path) -> None:
    before = read_language_model_identity(folder)
    assert set(before.files) == {"config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"}
    assert LanguageModelSuspect.load(folder).identity == before
    assert before.facts["architecture"] == "GPT2LMHeadModel"
    assert before.facts["longest text"] == "64 tokens"
    body = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**body, "model_max_length": 32}))
    assert read_language_model_identity(folder).digest != before.digest


def test_probes_that_ask_for_something_else_are_refused(original: Path, tmp_path: Path) -> None:
    suspect = LanguageModelSuspect.load(original)
    with pytest.raises(UsageError, match="the suspect is a language model"):
        suspect.answer([*probes(), *text_probes(["text"])])
    with pytest.raises(UsageError, match="the suspect is a language model"):
        suspect.answer([Probe(b"", "image/png", "score", b" x")])
    with pytest.raises(UsageError, match="UTF-8"):
        suspect.answer([Probe(b"\xff", "text/plain", "score", b" x")])
    with pytest.raises(UsageError, match="continuations") as raised:
        open_suspect(str(write_encoder(tmp_path / "encoder"))).answer(probes())
    assert raised.value.next_step == "Name a language model as the suspect."


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_can_give_the_last_logits_alone(family: str) -> None:
    import inspect

    from transformers import AutoConfig, AutoModelForCausalLM

    model = AutoModelForCausalLM._model_mapping[type(AutoConfig.for_model(family))]
    assert "logits_to_keep" in inspect.signature(model.forward).parameters


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def _config(**changes: object) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "config.json", **changes)


def _weights(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        from safetensors.torch import load_file, save_file

        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})

    return damage


BLOCK = "transformer.h.1.mlp.c_fc.weight"
HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "pickle": (lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin") and None, "pickle"),
    "own code": (_config(auto_map={"AutoModelForCausalLM": "evil.Model"}), "code"),
    "own tokenizer code": (lambda f: edit(f / "tokenizer_config.json", auto_map={"AutoTokenizer": "evil.T"}), "code"),
    "other back end": (_config(quantization_config={"quant_method": "x"}), "quantisation"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "tokenizer.json"),
    "tokenizer of nonsense": (lambda f: (f / "tokenizer.json").write_text('{"model": 3}') and None, "tokenizer"),
    "a block missing": (_weights(lambda t: t.pop(BLOCK)), BLOCK),
    "a block of another shape": (_weights(lambda t: t.update({BLOCK: t[BLOCK][:, :8].clone()})), BLOCK),
    "further weights": (_weights(lambda t: t.update(evil=t[BLOCK].clone())), "evil"),
    "a head of its own": (_config(tie_word_embeddings=False), "lm_head.weight"),
    "not finite": (_weights(lambda t: t["transformer.ln_f.bias"].fill_(float("nan"))), "no finite"),
    "huge width": (_config(n_embd=10**9), "beyond what is accepted"),
    "many layers": (_config(n_layer=10**6), "beyond what is accepted"),
    "larger vocabulary": (_config(vocab_size=10**6), "."),
    "words beyond the table": (_config(vocab_size=300), "."),
    "family not known": (_config(model_type="rwkv"), "no language model"),
    "no head": (_config(architectures=["GPT2Model"]), "ForCausalLM"),
    "no architecture": (_config(architectures=None), "ForCausalLM"),
    "list for a family": (_config(model_type=["gpt2"]), "no language model"),
}


@pytest.mark.parametrize("damage", HOSTILE)
def test_broken_folders_end_in_one_sentence(folder: Path, damage: str) -> None:
    change, words = HOSTILE[damage]
    change(folder)
    with pytest.raises(ModelError) as raised:
        LanguageModelSuspect.load(folder)
    assert words in raised.value.cause
    assert raised.value.next_step
    assert "\n" not in str(raised.value)
    assert "forensics-model-" not in str(raised.value)
    assert len(str(raised.value)) < 600
