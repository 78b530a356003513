"""Real encoders of the services bench: the service's, and the one a thief starts from. Vectors are cached."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.bench.corpus import package
from forensics.bench.results import cache_folder

Vectors = NDArray[np.float32]

BATCH = 32
LONGEST = 64
"""Tokens; the bench's sentences have at most about 40."""

PARAPHRASE = "paraphrase-MiniLM-L3-v2.onnx"


def vectors(name: str, texts: Sequence[str], *, keep: bool = True) -> Vectors:
    """Returns the unit vectors of texts, from the cache where these very texts were embedded before.

    Args:
        name: `minilm` (all-MiniLM-L6-v2), `minilm-int8` (the same, quantised) or `paraphrase-minilm` (three layers).
        keep: cache them, for texts that are asked again.

    Returns:
        (n, 384) float32.
    """
    return cached_rows(name, texts, lambda: sorted_batches(encoder(name), texts), keep=keep)


def cached_rows(name: str, texts: Sequence[str], build: Callable[[], Vectors], *, keep: bool = True) -> Vectors:
    """Returns the rows that belong to these very texts, from the cache or built and kept there."""
    digest = hashlib.sha256("\0".join((name, *texts)).encode()).hexdigest()[:24]
    path = cache_folder() / "vectors-1" / f"{name}-{digest}.npy"
    if path.exists():
        return np.asarray(np.load(path), dtype=np.float32)
    found = build()
    if keep:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.new.npy")
        np.save(fresh, found)
        fresh.replace(path)
    return found


def sorted_batches(embed: Callable[[list[str]], Vectors], texts: Sequence[str]) -> Vectors:
    """Embeds texts in batches of like length, which pads little, and returns the rows in the order of the texts."""
    order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
    rows: Vectors | None = None
    for chosen in _chunks(order):
        made = embed([texts[at] for at in chosen])
        rows = np.empty((len(texts), made.shape[1]), dtype=np.float32) if rows is None else rows
        rows[chosen] = made
    return np.empty((0, 0), dtype=np.float32) if rows is None else rows


@cache
def encoder(name: str) -> Callable[[list[str]], Vectors]:
    """Returns an encoder: texts to unit vectors (mean of the token vectors, as these models were trained)."""
    return _torch_encoder(name) if name == "minilm" else _onnx_encoder(name)


@cache
def tokenizer() -> Any:
    """Returns MiniLM's tokenizer (`tokenizers`), which the other encoders here share, padding as it goes."""
    from tokenizers import Tokenizer

    made = Tokenizer.from_file(str(package("minilm") / "tokenizer.json"))
    made.enable_truncation(LONGEST)
    made.enable_padding()
    return made


def tokens(texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns token numbers and attention mask, (n, longest) each."""
    made = tokenizer().encode_batch(list(texts))
    return np.array([one.ids for one in made]), np.array([one.attention_mask for one in made])


def word_vectors(texts: Sequence[str], table: NDArray[Any] | None = None) -> NDArray[np.float64]:
    """Returns the mean of input word vectors over each text's tokens, without any layer: (n, 384).

    Args:
        table: (30522, 384) word vectors; MiniLM's where none is given.
    """
    rows = _word_table() if table is None else table
    return np.stack([rows[entry.ids[1:-1]].mean(axis=0) for entry in _plain_tokenizer().encode_batch(list(texts))])


def unit(rows: NDArray[Any]) -> Vectors:
    """Returns rows scaled to length 1 (rows of zeros stay)."""
    wide = np.asarray(rows, dtype=np.float64)
    length = np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)
    return np.asarray(wide / length, dtype=np.float32)


@cache
def _word_table() -> NDArray[np.float64]:
    from safetensors.numpy import load_file

    return load_file(package("minilm") / "model.safetensors")["embeddings.word_embeddings.weight"].astype(np.float64)


@cache
def _plain_tokenizer() -> Any:
    from tokenizers import Tokenizer

    made = Tokenizer.from_file(str(package("minilm") / "tokenizer.json"))
    made.enable_truncation(LONGEST)
    made.no_padding()
    return made


def _torch_encoder(name: str) -> Callable[[list[str]], Vectors]:
    import torch
    from transformers import AutoModel

    model = AutoModel.from_pretrained(package(name), local_files_only=True).eval()

    def embed(texts: list[str]) -> Vectors:
        ids, mask = (torch.from_numpy(part) for part in tokens(texts))
        with torch.inference_mode():
            hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
        return _pooled(hidden.numpy(), mask.numpy())

    return embed


def _onnx_encoder(name: str) -> Callable[[list[str]], Vectors]:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    path = next(package(name).glob("*.onnx"))
    session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    wanted = {entry.name for entry in session.get_inputs()}
    # Some exports name the token vectors by number: they are the one output with three axes.
    output = next(entry.name for entry in session.get_outputs() if len(entry.shape) == 3)

    def embed(texts: list[str]) -> Vectors:
        ids, mask = tokens(texts)
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        (hidden,) = session.run([output], {key: value for key, value in given.items() if key in wanted})
        return _pooled(hidden, mask)

    return embed


def _pooled(hidden: NDArray[Any], mask: NDArray[np.int64]) -> Vectors:
    weights = mask[:, :, None].astype(np.float64)
    return unit((hidden * weights).sum(axis=1) / weights.sum(axis=1))


def _chunks(order: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(order), BATCH):
        yield order[start : start + BATCH]
