"""A changed text encoder, written as a folder like the one it came from."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forensics.encoders import load_encoder, save_encoder
from forensics.errors import ModelError, StorageError
from forensics.suspects import open_suspect
from forensics.suspects.encoder import EncoderSuspect
from tests.suspects.encoders import TEXTS, text_probes, write_encoder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = write_encoder(tmp_path / "source")
    (folder / "special_tokens_map.json").write_text('{"pad_token": "[PAD]"}')
    (folder / "config_sentence_transformers.json").write_text('{"prompts": {}}')
    (folder / "evil.py").write_text("raise SystemExit")
    (folder / "onnx").mkdir()
    return folder


def changed(source: Path) -> Any:
    import torch

    encoder = load_encoder(source)
    assert encoder.model is not None
    with torch.no_grad():
        for weights in encoder.model.parameters():
            weights.mul_(1.25)
    return encoder


def test_what_is_saved_is_loaded_again(source: Path, tmp_path: Path) -> None:
    before, encoder = load_encoder(source).embed(TEXTS), changed(source)
    save_encoder(encoder.model, source, tmp_path / "out", "# marked\n")
    again = load_encoder(tmp_path / "out")
    assert np.array_equal(again.embed(TEXTS), encoder.embed(TEXTS))
    assert np.abs(again.embed(TEXTS) - before).max() > 0.01
    suspect = open_suspect(str(tmp_path / "out"))
    assert isinstance(suspect, EncoderSuspect)
    assert np.allclose(suspect.answer(text_probes(TEXTS)).values, encoder.embed(TEXTS), atol=1e-7)


def test_everything_but_the_weights_is_the_source_s_byte_for_byte(source: Path, tmp_path: Path) -> None:
    save_encoder(changed(source).model, source, tmp_path / "out", "# marked\n")
    written = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    kept = {
        *("config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"),
        *("modules.json", "1_Pooling/config.json", "sentence_bert_config.json", "config_sentence_transformers.json"),
    }
    assert written == {*kept, "model.safetensors", "README.md"}
    for name in kept:
        assert (tmp_path / "out" / name).read_bytes() == (source / name).read_bytes()
    assert (tmp_path / "out" / "model.safetensors").read_bytes() != (source / "model.safetensors").read_bytes()
    assert (tmp_path / "out" / "README.md").read_text() == "# marked\n"


def _edit(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_what_cannot_be_saved_leaves_nothing(source: Path, tmp_path: Path) -> None:
    model = changed(source).model
    other = load_encoder(write_encoder(tmp_path / "wider", width=24)).model
    assert other is not None
    with pytest.raises(ModelError, match="do not fit"):
        save_encoder(other, source, tmp_path / "out", "")
    with pytest.raises(ModelError, match="no folder"):
        save_encoder(model, tmp_path / "nowhere", tmp_path / "out", "")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        save_encoder(model, source, tmp_path / "file" / "out", "")
    _edit(source, architectures=["BertForSequenceClassification"])
    with pytest.raises(ModelError, match="names a classifier"):
        save_encoder(model, source, tmp_path / "out", "")
    _edit(source, architectures=["BertModel"])
    (source / "vocab.txt").unlink()
    (source / "vocab.txt").symlink_to("/etc/hostname")
    with pytest.raises(ModelError, match="link"):
        save_encoder(model, source, tmp_path / "out", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "source", "wider"]
