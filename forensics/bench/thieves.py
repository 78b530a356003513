"""Two thieves who train a model on the vectors that a service returned; their code shares nothing with the owner's.

Both start from a public encoder of another training (paraphrase-MiniLM-L3, three layers). One keeps it frozen and
trains a small network on its features, the other fine-tunes all of it. Neither knows a key.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.bench.corpus import package
from forensics.bench.vectors import (
    PARAPHRASE,
    Vectors,
    cached_rows,
    sorted_batches,
    tokenizer,
    tokens,
    unit,
    word_vectors,
)

Embed = Callable[[Sequence[str]], Vectors]
"""A model as its users see it: texts to unit vectors (n, d)."""

WIDTH, LAYERS, HEADS, INNER = 384, 3, 12, 1536
_PREFIX = "model.0.auto_model."
_PARTS = (
    *("attention.self.query", "attention.self.key", "attention.self.value"),
    *("attention.output.dense", "intermediate.dense", "output.dense"),
)


@dataclass(frozen=True)
class HeadSettings:
    """Training of a network on frozen features.

    Attributes:
        hidden: width of its one hidden layer.
        epochs: passes over the queries.
    """

    hidden: int = 512
    epochs: int = 5
    batch: int = 256
    learning_rate: float = 5e-4


@dataclass(frozen=True)
class TransformerSettings:
    """Fine-tuning of the whole encoder.

    Attributes:
        epochs: passes over the queries.
        word_rate: learning rate of the word vectors, of which a batch touches few.
    """

    epochs: int = 1
    batch: int = 32
    learning_rate: float = 2e-4
    word_rate: float = 2e-3


def train_head(
    features: NDArray[np.float32], vectors: NDArray[Any], seed: int, settings: HeadSettings = HeadSettings()
) -> Callable[[NDArray[np.float32]], Vectors]:
    """Trains a network from frozen features to returned vectors (mean squared distance on the sphere).

    Args:
        features: (n, f) of the queries.
        vectors: (n, d) returned for them.

    Returns:
        a function from features (m, f) to unit vectors (m, d).
    """
    import torch
    from torch.nn.functional import normalize

    generator = torch.Generator().manual_seed(seed)
    centre, scale = features.mean(axis=0), features.std(axis=0) + 1e-6

    def prepared(rows: NDArray[np.float32]) -> torch.Tensor:
        return torch.from_numpy(np.asarray((rows - centre) / scale, dtype=np.float32))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        hidden = torch.nn.Sequential(
            torch.nn.Linear(features.shape[1], settings.hidden),
            torch.nn.GELU(),
            torch.nn.Linear(settings.hidden, vectors.shape[1], bias=False),
        )
        straight = torch.nn.Linear(features.shape[1], vectors.shape[1])
    # The straight part starts at the best linear map, the curved one at nothing.
    weights, offset = _least_squares(prepared(features).numpy(), unit(vectors))
    with torch.no_grad():
        straight.weight.copy_(torch.from_numpy(weights.T))
        straight.bias.copy_(torch.from_numpy(offset))
        torch.nn.init.zeros_(hidden[2].weight)  # type: ignore[arg-type]
    both = torch.nn.ModuleList([hidden, straight])

    def network(rows: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(hidden(rows) + straight(rows))

    given, wanted = prepared(features), torch.from_numpy(unit(vectors))
    optimiser = torch.optim.AdamW(both.parameters(), lr=settings.learning_rate, weight_decay=1e-4)
    steps = settings.epochs * -(-len(given) // settings.batch)
    rate = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps))
    for _ in range(settings.epochs):
        for rows in torch.randperm(len(given), generator=generator).split(settings.batch):
            loss = (normalize(network(given[rows]), dim=1) - wanted[rows]).square().sum(dim=1).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            rate.step()

    def student(rows: NDArray[np.float32]) -> Vectors:
        with torch.inference_mode():
            return unit(network(prepared(rows)).numpy())

    return student


def train_transformer(
    texts: Sequence[str],
    features: NDArray[np.float32],
    vectors: NDArray[Any],
    seed: int,
    settings: TransformerSettings = TransformerSettings(),
) -> Embed:
    """Fine-tunes the public encoder end to end until it returns the service's vectors (cosine loss).

    Args:
        texts: n queries.
        features: (n, f) `frozen_features` of them, whose last 384 columns are the encoder's own vectors.
        vectors: (n, d) returned for them.
    """
    import torch

    order = np.random.default_rng([seed, 31])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _student(public_encoder(), vectors.shape[1])
    # The map on top starts at the best linear one, so that the few epochs go into the encoder.
    weights, offset = _least_squares(
        frozen_features(texts, keep=len(texts) > settings.batch)[:, -WIDTH:], unit(vectors)
    )
    network.start(torch.from_numpy(weights.T.copy()), torch.from_numpy(offset))
    words = network.bert.embeddings.word_embeddings
    words.sparse = True  # a batch touches few of the 30,000 word vectors
    others = [value for value in network.parameters() if value is not words.weight]
    optimisers = (
        (torch.optim.SparseAdam([words.weight], lr=settings.word_rate), settings.word_rate),
        (torch.optim.AdamW(others, lr=settings.learning_rate, weight_decay=0.01), settings.learning_rate),
    )
    encoded = [(entry.ids, sum(entry.attention_mask)) for entry in tokenizer().encode_batch(list(texts))]
    lengths = np.array([length for _, length in encoded])
    wanted, step = torch.from_numpy(unit(vectors)), 0
    steps = settings.epochs * -(-len(texts) // settings.batch)
    for _ in range(settings.epochs):
        # Texts of like length share a batch; which ones is drawn anew each time.
        sorted_rows = np.argsort(lengths + order.random(len(lengths)), kind="stable")
        batches = [sorted_rows[at : at + settings.batch] for at in range(0, len(sorted_rows), settings.batch)]
        for at in order.permutation(len(batches)):
            rows = batches[at]
            ids = torch.tensor([encoded[row][0][: lengths[rows].max()] for row in rows])
            mask = torch.from_numpy((np.arange(ids.shape[1]) < lengths[rows][:, None]).astype(np.int64))
            loss = 1.0 - (network(ids, mask) * wanted[rows]).sum(dim=1).mean()
            for optimiser, rate in optimisers:
                optimiser.param_groups[0]["lr"] = rate * _rate(step, steps)
                optimiser.zero_grad()
            loss.backward()
            for optimiser, _ in optimisers:
                optimiser.step()  # type: ignore[no-untyped-call]
            step += 1
    network.eval()

    def embed(chunk: list[str]) -> Vectors:
        ids, mask = (torch.from_numpy(part) for part in tokens(chunk))
        with torch.inference_mode():
            return unit(network(ids, mask).numpy())

    return lambda asked: sorted_batches(embed, asked)


def frozen_features(texts: Sequence[str], depth: int = LAYERS, *, keep: bool = False) -> NDArray[np.float32]:
    """Returns the public encoder's mean token vectors before and after its first `depth` layers, side by side.

    Args:
        keep: cache them, for texts that are asked again.

    Returns:
        (n, (1 + depth) x 384) float32.
    """
    return cached_rows(f"features-{depth}", texts, lambda: sorted_batches(_features(depth), texts), keep=keep)


def word_features(texts: Sequence[str]) -> NDArray[np.float32]:
    """Returns the mean of the public encoder's word vectors, without any layer: (n, 384) float32, and quick."""
    return word_vectors(texts, _word_table()).astype(np.float32)


@cache
def _word_table() -> NDArray[np.float64]:
    weight = public_encoder().embeddings.word_embeddings.weight
    return np.asarray(weight.detach().numpy(), dtype=np.float64)


@cache
def _features(depth: int) -> Callable[[list[str]], Vectors]:
    import torch

    model = public_encoder().eval()
    model.encoder.layer = model.encoder.layer[:depth]

    def embed(chunk: list[str]) -> Vectors:
        ids, mask = (torch.from_numpy(part) for part in tokens(chunk))
        with torch.inference_mode():
            states = model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
            weights = mask[:, :, None].float()
            pooled = [(state * weights).sum(dim=1) / weights.sum(dim=1) for state in states]
        return np.asarray(torch.cat(pooled, dim=1).numpy(), dtype=np.float32)

    return embed


def public_encoder() -> Any:
    """Returns paraphrase-MiniLM-L3 as a torch model of Transformers, its weights taken from the ONNX file.

    The export names all parameters but the matrices, which it stores transposed in the order of their use.
    """
    import onnx
    import torch
    from onnx import numpy_helper
    from transformers import BertConfig, BertModel

    graph = onnx.load(str(package("paraphrase-minilm") / PARAPHRASE)).graph
    arrays = {entry.name: np.array(numpy_helper.to_array(entry)) for entry in graph.initializer}
    found = {name.removeprefix(_PREFIX): array for name, array in arrays.items() if name.startswith(_PREFIX)}
    matrices = sorted((name for name in arrays if "MatMul_" in name), key=lambda name: int(name.rsplit("_", 1)[1]))
    for at, name in enumerate(matrices):
        part = f"encoder.layer.{at // len(_PARTS)}.{_PARTS[at % len(_PARTS)]}.weight"
        found[part] = np.ascontiguousarray(arrays[name].T)
    config = BertConfig(
        vocab_size=len(found["embeddings.word_embeddings.weight"]),
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=INNER,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    model = BertModel(config, add_pooling_layer=False)
    model.load_state_dict({name: torch.from_numpy(array) for name, array in found.items()})
    return model


def _student(bert: Any, width: int) -> Any:
    """Makes the encoder with a linear map on its mean token vector."""
    import torch
    from torch.nn.functional import normalize

    class Student(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bert = bert
            self.head = torch.nn.Linear(WIDTH, width)

        def start(self, weights: torch.Tensor, offset: torch.Tensor) -> None:
            with torch.no_grad():
                self.head.weight.copy_(weights)
                self.head.bias.copy_(offset)

        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            states = self.bert(input_ids=ids, attention_mask=mask).last_hidden_state
            weights = mask[:, :, None].to(states.dtype)
            return normalize(self.head((states * weights).sum(dim=1) / weights.sum(dim=1)), dim=1)

    return Student()


def _least_squares(
    rows: NDArray[np.float32], wanted: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns weights (f, d) and offset (d,) of a ridge regression."""
    centre, mean = rows.mean(axis=0).astype(np.float64), wanted.mean(axis=0).astype(np.float64)
    wide = rows.astype(np.float64) - centre
    gram = wide.T @ wide
    gram[np.diag_indices_from(gram)] += 30.0 * np.trace(gram) / (len(gram) * len(wide))
    weights = np.linalg.solve(gram, wide.T @ (wanted - mean))
    return weights.astype(np.float32), (mean - centre @ weights).astype(np.float32)


def _rate(step: int, steps: int) -> float:
    """Share of the learning rate: up over the first twentieth, then down in a straight line."""
    return min(1.0, (step + 1) / max(1.0, 0.05 * steps)) * max(0.02, 1.0 - step / max(1, steps))
