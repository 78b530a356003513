"""Tiny random text encoders in the forms that strangers hand over."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from forensics.records import Probe

WORDS = ("the", "a", "cat", "dog", "sat", "ran", "on", "under", "mat", "tree", "old", "new", "river", "##s", ".", ",")
LETTERS = tuple("abcdefghijklmnopqrstuvwxyz") + tuple(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")
VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *LETTERS)
TEXTS = (
    "The cat sat on the mat.",
    "dog",
    "An old river ran under a new tree, and the dogs sat on the mat under the old, old tree.",
    "",
    "cats, dogs",
    "The new cat ran.",
)


def text_probes(texts: Sequence[str]) -> list[Probe]:
    return [Probe(text.encode(), "text/plain") for text in texts]


def write_encoder(folder: Path, seed: int = 0, width: int = 16, words: Sequence[str] = ()) -> Path:
    """Writes a BERT of two layers with random weights, its tokenizer, and the files of sentence-transformers.

    Args:
        words: that the tokenizer knows whole; texts are cut behind 32 tokens.
    """
    import torch
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=len(VOCABULARY) + len(words),
        hidden_size=width,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=2 * width,
        max_position_embeddings=64,
        initializer_range=0.5,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        BertModel(config).save_pretrained(folder)
    write_tokenizer(folder, words)
    write_pooling(folder, "mean_tokens")
    return folder


def write_tokenizer(folder: Path, words: Sequence[str] = ()) -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    known = (*VOCABULARY, *words)
    numbers = {word: index for index, word in enumerate(known)}
    tokenizer = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.add_special_tokens(list(VOCABULARY[:5]))
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 64, "do_lower_case": True}))
    (folder / "vocab.txt").write_text("\n".join(known) + "\n")


def write_pooling(folder: Path, mode: str, normalise: bool = True) -> None:
    names = ["Transformer", "Pooling", "Normalize"][: 3 if normalise else 2]
    paths = ["", "1_Pooling", "2_Normalize"]
    steps = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{name}"}
        for index, (name, path) in enumerate(zip(names, paths))
    ]
    (folder / "modules.json").write_text(json.dumps(steps))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    modes = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")
    body = {"word_embedding_dimension": 16, **{f"pooling_mode_{each}": each == mode for each in modes}}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(body))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 32, "do_lower_case": False}))


def small_graph(folder: Path, **changes: Any) -> Any:
    """Returns a graph made by hand: a table of word vectors, looked up; and puts the tokenizer beside it."""
    import onnx
    from onnx import TensorProto, helper

    write_tokenizer(folder)
    table = np.random.default_rng(0).normal(size=(len(VOCABULARY), 8)).astype(np.float32)
    nodes = changes.get("nodes") or [helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])]
    shape = ["n", "t", 8] if changes.get("rank", 3) == 3 else ["n", 8]
    graph = helper.make_graph(
        nodes,
        "words",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, changes.get("axes", ["n", "t"]))
            for name in changes.get("inputs", ["input_ids"])
        ],
        [helper.make_tensor_value_info(changes.get("output", "last_hidden_state"), TensorProto.FLOAT, shape)],
        [onnx.numpy_helper.from_array(table, "table"), *changes.get("constants", [])],
    )
    imports = [helper.make_opsetid("", 17), *(helper.make_opsetid(name, 1) for name in changes.get("domains", []))]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)
