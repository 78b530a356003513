"""Text encoders, opened as if their author were hostile: Transformers folders, ONNX files, or both at once.

Everything is loaded from the private copy whose bytes were hashed, and nothing of the model's is executed. Where a
folder holds both forms they must give the same vectors; the faster one is used, and the identity says which.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from forensics.checkpoints import (
    BAD_CONFIG,
    library,
    load_weights,
    one_sentence,
    private_folder,
    quiet,
    read_config,
    save_folder,
)
from forensics.encoderfiles import MAX_TOKENIZER, TOKENIZER, VOCABULARY, TextSettings, TokenReader, take_settings
from forensics.errors import ModelError
from forensics.modelfiles import (
    CONFIG,
    INDEX,
    RETRY,
    WEIGHTS,
    ModelFolder,
    model_facts,
    open_model_folder,
    take_config,
)
from forensics.onnxfiles import GraphFacts, Runner, open_graph, take_graph
from forensics.plaintext import printable
from forensics.records import Identity

if TYPE_CHECKING:
    import torch

FAMILIES = frozenset(
    {"albert", "bert", "camembert", "convbert", "deberta", "deberta-v2", "distilbert", "electra", "ernie"}
    | {"modernbert", "mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl"}
)
"""Model types whose first output is one vector a token; all are part of the Transformers library itself."""

CLASSIFIER = "ForSequenceClassification"
"""How the architectures of these families end whose answers are classes; see `textclassifiers`."""

GRAPHS = ("onnx/model.onnx", "model.onnx")
ROWS, EQUAL = 32, 1e-4
# What a base encoder does not use: poolers and the heads of what it was trained for.
_UNUSED = (
    *("pooler.", "cls.", "lm_head.", "classifier.", "pre_classifier.", "vocab_", "qa_outputs.", "predictions."),
    *("embeddings.position_ids", "discriminator_predictions.", "head.", "decoder."),
)
# What other libraries read of an encoder's folder besides; it is copied when a changed encoder is saved.
_BESIDE = (
    *("special_tokens_map.json", "added_tokens.json", "config_sentence_transformers.json", VOCABULARY),
    *("merges.txt", "vocab.json", "sentencepiece.bpe.model", "spiece.model", "spm.model"),
)
SENTENCES = (
    "This is an example sentence.",
    "The ferry leaves the harbour at seven in the morning and comes back at night.",
    "Rain.",
    "Why do so many people choose to keep bees on the roofs of large cities?",
    "A short note on how to store flour, sugar and salt in a damp kitchen.",
    "He sold the old piano, bought two bicycles and never played again.",
    "42",
    "Prices rose by three per cent in spring; by autumn they had fallen to where they were a year before.",
)
"""What a model is asked when it is loaded, and by which two forms of a model are compared."""


@dataclass(frozen=True, eq=False)
class Encoder:
    """A loaded text encoder.

    Attributes:
        tokens: the folder's own tokenizer.
        settings: tokenizer, longest text, pooling.
        run: token numbers and mask, int64 (n, tokens), to float32 (n, tokens, d), or (n, d) if `pooled`.
        pooled: whether `run` pools itself.
        rows: how many texts of like length are run together.
        width: d.
        identity: the manifest of the files that were read.
        model: the `transformers` encoder, float32, in evaluation mode; None where onnxruntime runs it.
    """

    tokens: TokenReader
    settings: TextSettings
    run: Runner
    pooled: bool
    rows: int
    width: int
    identity: Identity
    model: "torch.nn.Module | None" = None

    def embed(self, texts: Sequence[str], *, sort: bool = True) -> NDArray[np.float32]:
        """Returns the texts' vectors, float32 (n, d), in their order; NaN where the model failed.

        Args:
            texts: any number; those of like length are run together, so that little is padded.
            sort: False keeps their order in the batches, which is slower.
        """
        try:
            found = self.tokens.read(texts)
        except ModelError:
            return np.full((len(texts), self.width), np.nan, dtype=np.float32)
        lengths = np.array([len(ids) for ids in found], dtype=np.int64)
        order = np.argsort(lengths, kind="stable") if sort else np.arange(len(found))
        result = np.full((len(texts), self.width), np.nan, dtype=np.float32)
        for start in range(0, len(order), self.rows):
            batch = order[start : start + self.rows]
            try:
                result[batch] = self._vectors([found[index] for index in batch])
            except Exception:  # noqa: BLE001, S112 - whatever a hostile model does with a text, it has not answered it
                continue
        return result

    def _vectors(self, rows: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        ids, mask = self.tokens.pad(rows)
        values = self.run(ids, mask)
        expected = (len(rows), self.width) if self.pooled else (*ids.shape, self.width)
        if values.shape != expected:
            raise ModelError(f"The model answers with a table of {values.shape}.", RETRY)
        pooling = self.settings.pooling
        return pooling.finish(values) if self.pooled else pooling.pool(values, mask)


def read_encoder_identity(folder: Path, name: str | None = None) -> Identity:
    """Returns the manifest of an encoder's folder: SHA-256 and size of every file that would be read.

    Raises:
        ModelError: not such a folder, or a file breaks a rule.
    """
    with open_model_folder(folder) as opened:
        return _take_folder(opened, name)[3]


def load_encoder(folder: Path, name: str | None = None, *, threads: int = 1) -> Encoder:
    """Loads a text encoder from a Transformers folder under the rules of this module.

    Args:
        name: how the identity is called; the folder by default.
        threads: how many onnxruntime may use, where the folder holds an ONNX model as well.

    Raises:
        ModelError: the folder breaks a rule, or its ONNX model gives other vectors.
        MissingExtraError: torch, transformers, or onnxruntime where it is needed, is not installed.
        StorageError: no room for the temporary copy.
    """
    with private_folder() as place:
        with open_model_folder(folder, place) as opened:
            config, settings, graph, identity, weights = _take_folder(opened, name)
        model = _load_torch(place, config, weights)
        encoder = _checked(settings, _torch_runner(model), False, ROWS, identity, model)
        if graph is None:
            return _named(encoder, {"runs on": "torch"})
        other = _checked(settings, open_graph(place, graph, threads), graph.rank == 2, _rows(graph), identity)
        return _choose(encoder, other, folder, graph)


def save_encoder(encoder_model: "torch.nn.Module", source_folder: Path, out: Path, card: str) -> None:
    """Writes a changed encoder as a folder like its source's; it appears whole or not at all.

    Configuration, tokenizer and pooling are the source's, byte for byte; the weights are new safetensors. An ONNX
    form of the source is left out, since it holds the old weights.

    Args:
        encoder_model: the `transformers` encoder, such as a trained `Encoder.model`.
        source_folder: the folder it was loaded from.
        out: must not exist.
        card: Markdown for its README.md.

    Raises:
        ModelError: the source is no encoder's folder, or the encoder is not of its configuration.
        StorageError: the disk is full or the place cannot be written.
    """

    def take_beside(fresh: Path) -> None:
        for written in fresh.iterdir():
            if written.suffix != ".safetensors" and written.name != INDEX:
                written.unlink()
        with open_model_folder(source_folder, fresh) as opened:
            config = take_config(opened)
            _require_family(config)
            take_settings(opened, config)
            for name in _BESIDE:
                if name in opened.names and name not in opened.files:
                    opened.take(name, MAX_TOKENIZER)
        # What was written must be what is read again: the right weights, and a text encoder by its configuration.
        names = config.get("architectures")
        if isinstance(names, list) and any(str(each).endswith(CLASSIFIER) for each in names):
            raise ModelError(
                f"The config.json of {source_folder} names a classifier, and what is saved is none.",
                "Remove its architectures in a copy of the folder and start from that.",
            )
        _load_torch(fresh, config, [path.name for path in fresh.glob("*.safetensors")])

    save_folder(out, card, encoder_model, take_beside)


def load_onnx(path: Path, name: str | None = None, *, threads: int = 1) -> Encoder:
    """Loads a text encoder from an ONNX file whose tokenizer lies beside it or in the folder above.

    Args:
        name: how the identity is called; the path by default.
        threads: how many the runtime may use for one operator.

    Raises:
        ModelError: file, graph or tokenizer breaks a rule.
        MissingExtraError: onnx or onnxruntime is not installed.
        StorageError: no room for the temporary copy.
    """
    with private_folder() as place:
        graph, settings, identity = _take_onnx(path, name, place)
        run = open_graph(place, graph, threads)
        encoder = _checked(settings, run, graph.rank == 2, _rows(graph), identity)
        return _named(encoder, {"runs on": "onnxruntime"})


def read_onnx_identity(path: Path, name: str | None = None) -> Identity:
    """Returns the manifest of an ONNX encoder: SHA-256 and size of every file that would be read.

    Raises:
        ModelError: not such a file, or it breaks a rule.
    """
    return _take_onnx(path, name, None)[2]


def _take_folder(
    opened: ModelFolder, name: str | None
) -> tuple[dict[str, Any], TextSettings, GraphFacts | None, Identity, list[str]]:
    config = take_config(opened)
    _require_family(config)
    if not opened.names & {WEIGHTS, INDEX} and any(opened.has(path) for path in GRAPHS):
        path = next(path for path in GRAPHS if opened.has(path))
        raise ModelError(f"{opened.folder} holds an ONNX model alone.", f"Name the file: {opened.folder / path}.")
    settings = take_settings(opened, config)
    weights = opened.take_weights()
    path = next((path for path in GRAPHS if opened.has(path)), "")
    graph = take_graph(opened, path) if path else None
    facts = {**model_facts(config, opened, weights), **settings.facts}
    return config, settings, graph, opened.identity("folder", name, facts), weights


def _require_family(config: dict[str, Any]) -> None:
    family = config.get("model_type")
    if family not in tuple(FAMILIES):
        shown = printable(str(family), 60)
        raise ModelError(
            f"'{shown}' is no text encoder that is supported.", f"Supported: {', '.join(sorted(FAMILIES))}."
        )


def _take_onnx(path: Path, name: str | None, into: Path | None) -> tuple[GraphFacts, TextSettings, Identity]:
    place = path.absolute()
    if place.is_dir():
        raise ModelError(
            f"{path} is a folder, not an ONNX file.",
            "Name the .onnx file in it, or give a Transformers folder a name that does not end in .onnx.",
        )
    above = not any((place.parent / each).exists() for each in (TOKENIZER, VOCABULARY))
    root, inner = (place.parent.parent, f"{place.parent.name}/{place.name}") if above else (place.parent, place.name)
    with open_model_folder(root, into) as opened:
        config = opened.take_json(CONFIG) if CONFIG in opened.names else None
        graph = take_graph(opened, inner)
        settings = take_settings(opened, config)
        facts = {
            **model_facts(config or {}, opened, []),
            "weights": f"{graph.size} bytes",
            "output": printable(graph.output, 120),
            **settings.facts,
            "texts at a time": str(_rows(graph)) + (", since it quantises by the batch" if graph.dynamic else ""),
        }
        return graph, settings, opened.identity("onnx", name or str(path), facts)


def _rows(graph: GraphFacts) -> int:
    return 1 if graph.dynamic else ROWS


def _load_torch(place: Path, config: dict[str, Any], weights: Sequence[str]) -> "torch.nn.Module":
    auto = library().AutoModel
    with one_sentence(BAD_CONFIG), quiet():
        settings = read_config(place, config, auto, "text encoder")
        if settings.model_type != config["model_type"]:
            raise ModelError(f"config.json describes no '{printable(str(config['model_type']), 60)}' model.", RETRY)
        if getattr(settings, "is_decoder", False) or getattr(settings, "add_cross_attention", False):
            raise ModelError("config.json describes a decoder, no text encoder.", RETRY)
    return load_weights(place, weights, settings, auto, _UNUSED)


def _torch_runner(model: "torch.nn.Module") -> Runner:
    import torch

    def run(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        with torch.inference_mode():
            hidden = model(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)).last_hidden_state
        result: NDArray[np.float32] = hidden.float().numpy()
        return result

    return run


def _checked(
    settings: TextSettings,
    run: Runner,
    pooled: bool,
    rows: int,
    identity: Identity,
    model: "torch.nn.Module | None" = None,
) -> Encoder:
    """Asks the model one sentence: it must answer, and with numbers."""
    tokens = TokenReader(settings)
    ids, mask = tokens.pad(tokens.read(SENTENCES[:1]))
    with one_sentence("The model cannot answer a plain sentence"):
        values = run(ids, mask)
        if values.ndim != (2 if pooled else 3) or values.shape[0] != 1 or values.shape[-1] < 1:
            raise ModelError(f"The model answers a sentence with a table of {values.shape}.", RETRY)
        if not pooled and values.shape[1] != ids.shape[1]:
            raise ModelError(f"The model gives {values.shape[1]} vectors for {ids.shape[1]} tokens.", RETRY)
    encoder = Encoder(tokens, settings, run, pooled, rows, values.shape[-1], identity, model)
    if not np.isfinite(encoder.embed(SENTENCES[:1])).all():
        raise ModelError("The model answers a plain sentence with values that are not finite.", RETRY)
    return encoder


def _choose(first: Encoder, second: Encoder, folder: Path, graph: GraphFacts) -> Encoder:
    """Returns the faster of two forms of a model, if they give the same vectors."""
    values, other = first.embed(SENTENCES), second.embed(SENTENCES)
    same = values.shape == other.shape and bool(np.isfinite(values).all() and np.isfinite(other).all())
    difference = float(np.abs(values - other).max()) if same else np.inf
    if not difference <= EQUAL:
        how = f"differ by {difference:.2g}" if same else "have not the same form"
        raise ModelError(
            f"The vectors of {WEIGHTS} and {graph.path} {how}; {EQUAL:g} is accepted.",
            f"Name {folder / graph.path} to examine that model, or remove it from a copy of the folder.",
        )
    seconds = [_clock(first), _clock(second)]
    chosen, runtime = (second, "onnxruntime") if seconds[1] < seconds[0] else (first, "torch")
    facts = {
        "runs on": f"{runtime}, the faster of two",
        "torch": f"{1000 * seconds[0]:.0f} ms for {len(SENTENCES)} sentences",
        "onnxruntime": f"{1000 * seconds[1]:.0f} ms for {len(SENTENCES)} sentences ({graph.path})",
        "largest difference": f"{difference:.1e}",
    }
    return _named(replace(chosen, model=first.model), facts)


def _clock(encoder: Encoder) -> float:
    times = []
    for _ in range(3):
        started = time.perf_counter()
        encoder.embed(SENTENCES)
        times.append(time.perf_counter() - started)
    return min(times)


def _named(encoder: Encoder, facts: dict[str, str]) -> Encoder:
    identity = encoder.identity
    return replace(encoder, identity=replace(identity, facts={**identity.facts, **facts}))
