"""ONNX encoders, opened as if their author were hostile: the graph is parsed and judged before a runtime sees it.

Refused are operators of other domains than ONNX itself and Microsoft's quantised ones, functions and subgraphs of the
model's own, external data anywhere but beside the model, and shapes that would fill the memory. What a graph computes
while it runs is not bounded beyond that.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.checkpoints import one_sentence
from forensics.errors import MissingExtraError, ModelError
from forensics.modelfiles import MAX_WEIGHTS, ModelFolder
from forensics.plaintext import printable

RETRY = "Give an ONNX text encoder with its tokenizer.json beside it or in the folder above."
MAX_GRAPH, MAX_NODES, MAX_SPREAD, MAX_EXTERNAL = (1 << 31) - 1, 100_000, 1 << 28, 1000
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUTS = ("sentence_embedding", "last_hidden_state", "token_embeddings")
_DOMAINS = frozenset({"", "ai.onnx", "com.microsoft"})
_REFUSED = frozenset({"Loop", "If", "Scan", "SequenceMap", "EPContext"})
_SPREADING = {"ConstantOfShape": 0, "Expand": 1, "Tile": 1, "Reshape": 1}
_DYNAMIC = frozenset({"DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"})
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,190}")

Runner = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]]


@dataclass(frozen=True)
class GraphFacts:
    """What was found in a graph.

    Attributes:
        path: of the graph inside the folder, such as `onnx/model.onnx`.
        inputs: names, among `INPUTS`.
        output: the output that is read.
        rank: 3 for token vectors (n, tokens, d), 2 for pooled ones (n, d).
        dynamic: whether it quantises what it computes by the batch, so that texts must be asked one by one.
        size: bytes of graph and external data.
    """

    path: str
    inputs: tuple[str, ...]
    output: str
    rank: int
    dynamic: bool
    size: int


def take_graph(opened: ModelFolder, path: str) -> GraphFacts:
    """Takes an ONNX file and its external data, and judges the graph; nothing is run or allocated for it.

    Args:
        path: relative to the folder, such as `model.onnx` or `onnx/model.onnx`.

    Raises:
        ModelError: the graph breaks a rule of this module; the sentence says which.
        MissingExtraError: onnx is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError(
            "ONNX models need onnx and onnxruntime, which are not installed.",
            "Run: pip install 'model-forensics[models]'.",
        ) from error
    raw = opened.take(path, MAX_GRAPH, keep=True)
    with one_sentence(f"{path} is no ONNX model", RETRY):
        model = onnx.load_model_from_string(raw)
        if not model.graph.node:
            raise ModelError(f"{path} is no ONNX model: it has no operators.", RETRY)
        dynamic = _judge_operators(model, path)
        stored = _judge_constants(model, path)
        here, room = path.rpartition("/")[0], MAX_WEIGHTS
        for name in stored:
            place = f"{here}/{name}" if here else name
            opened.take(place, room)
            room -= opened.files[place][1]
        _judge_ranges(model, opened, here, path)
        inputs = _judge_inputs(model, path)
        output, rank = _choose_output(model, path)
    size = len(raw) + MAX_WEIGHTS - room
    return GraphFacts(path, inputs, output, rank, dynamic, size)


def open_graph(place: Path, graph: GraphFacts, threads: int = 1) -> Runner:
    """Opens a judged graph from its private copy in onnxruntime, on the processor.

    Args:
        place: the private copy of the folder.
        graph: from `take_graph`.
        threads: how many the runtime may use for one operator.

    Returns:
        a function of token numbers and mask, int64 (n, tokens), that gives the chosen output, float32.

    Raises:
        ModelError: the runtime refuses the graph.
        MissingExtraError: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError(
            "ONNX models need onnxruntime, which is not installed.", "Run: pip install 'model-forensics[models]'."
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4
    with one_sentence(f"{graph.path} cannot be run", RETRY, str(place)):
        session = onnxruntime.InferenceSession(
            str(place / graph.path), sess_options=options, providers=["CPUExecutionProvider"]
        )

    def run(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        fed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        (values,) = session.run([graph.output], {name: fed[name] for name in graph.inputs})
        return np.asarray(values, dtype=np.float32)

    return run


def _judge_operators(model: Any, path: str) -> bool:
    """Refuses operators that are not plain arithmetic; tells whether some depend on the whole batch."""
    if len(model.graph.node) > MAX_NODES:
        raise ModelError(f"{path} has {len(model.graph.node)} operators; {MAX_NODES} are the most.", RETRY)
    if model.functions:
        raise ModelError(f"{path} defines functions of its own, which are not supported.", "Inline them, then retry.")
    for node in model.graph.node:
        if node.domain not in _DOMAINS:
            shown = printable(f"{node.domain}.{node.op_type}", 80)
            raise ModelError(f"{path} uses the custom operator '{shown}', which is never run.", RETRY)
        graphs = any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute)
        if node.op_type in _REFUSED or node.op_type.startswith("Random") or graphs:
            shown = printable(node.op_type, 80)
            raise ModelError(f"{path} uses the operator '{shown}', which no plain text encoder needs.", RETRY)
    return any(node.op_type in _DYNAMIC for node in model.graph.node)


def _tensors(model: Any) -> Iterator[Any]:
    yield from model.graph.initializer
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _judge_constants(model: Any, path: str) -> list[str]:
    """Compares the declared shapes of constants with the bytes they have; returns the external files named."""
    if model.graph.sparse_initializer or any(
        attribute.HasField("sparse_tensor") or attribute.sparse_tensors
        for node in model.graph.node
        for attribute in node.attribute
    ):
        raise ModelError(f"{path} holds sparse tensors, which are not supported.", RETRY)
    named: list[str] = []
    for tensor in _tensors(model):
        if len(tensor.dims) > 16 or any(side < 0 for side in tensor.dims):
            raise ModelError(f"{path}: a constant has an impossible shape.", RETRY)
        if tensor.data_location == 1:
            name = _external(tensor, path).get("location", "")
            if not _PLAIN.fullmatch(name):
                shown = printable(name, 80)
                raise ModelError(
                    f"{path} keeps data in '{shown}'; only plain names of files beside it are accepted.", RETRY
                )
            if name not in named:
                named.append(name)
        else:
            held = len(tensor.raw_data) or sum(
                len(getattr(tensor, field))
                for field in ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")
            )
            # Four-bit types hold two values a byte; everything else at least one byte or one item a value.
            if math.prod(tensor.dims) > 2 * held:
                raise ModelError(
                    f"{path}: a constant of {math.prod(tensor.dims)} values is declared, {held} bytes are there.", RETRY
                )
    if len(named) > MAX_EXTERNAL:
        raise ModelError(f"{path} names {len(named)} files of data; {MAX_EXTERNAL} are the most.", RETRY)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    constants |= {
        node.output[0]: attribute.t
        for node in model.graph.node
        if node.op_type == "Constant" and node.output
        for attribute in node.attribute
        if attribute.name == "value"
    }
    for node in model.graph.node:
        position = _SPREADING.get(node.op_type)
        if position is not None and position < len(node.input) and node.input[position] in constants:
            _judge_spread(constants[node.input[position]], node.op_type, path)
    return named


def _judge_spread(tensor: Any, operator: str, path: str) -> None:
    import onnx

    if tensor.data_location == 1 or math.prod(tensor.dims) > 64:
        raise ModelError(f"{path}: the operator '{operator}' has a shape that cannot be judged.", RETRY)
    asked = math.prod(max(int(side), 1) for side in onnx.numpy_helper.to_array(tensor).ravel())
    if asked > MAX_SPREAD:
        raise ModelError(f"{path}: the operator '{operator}' asks for {asked} values, beyond what is accepted.", RETRY)


def _external(tensor: Any, path: str) -> dict[str, str]:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    if len(entries) != len(tensor.external_data) or entries.keys() - {"location", "offset", "length", "checksum"}:
        raise ModelError(f"{path}: the place of a constant's data is malformed.", RETRY)
    return entries


def _judge_ranges(model: Any, opened: ModelFolder, here: str, path: str) -> None:
    """Refuses constants whose external bytes are not in their file, or are fewer than their shape needs."""
    for tensor in _tensors(model):
        if tensor.data_location != 1:
            continue
        entries = _external(tensor, path)
        size = opened.files[f"{here}/{entries['location']}" if here else entries["location"]][1]
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", str(size - offset)))
        if offset < 0 or length < 0 or offset + length > size or math.prod(tensor.dims) > 2 * length:
            raise ModelError(f"{path}: a constant's data are not in the file that is named.", RETRY)


def _judge_inputs(model: Any, path: str) -> tuple[str, ...]:
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in stored]
    names = tuple(value.name for value in inputs)
    if "input_ids" not in names or set(names) - set(INPUTS):
        shown = printable(", ".join(names), 80)
        raise ModelError(f"{path} takes '{shown}'; a text encoder takes {', '.join(INPUTS)}.", RETRY)
    for value in inputs:
        kind, rank = value.type.tensor_type.elem_type, len(value.type.tensor_type.shape.dim)
        if kind != 7 or rank != 2 or any(side.dim_value > 0 for side in value.type.tensor_type.shape.dim):
            raise ModelError(f"{path}: the input '{value.name}' is no table of int64 of any size.", RETRY)
    return names


def _choose_output(model: Any, path: str) -> tuple[str, int]:
    """Returns the output that holds vectors: by its name, else the first with three axes, else with two."""
    found = {
        value.name: len(value.type.tensor_type.shape.dim)
        for value in model.graph.output
        if value.type.tensor_type.elem_type in (1, 10) and value.type.tensor_type.HasField("shape")
    }
    for name in OUTPUTS:
        if found.get(name) in (2, 3):
            return name, found[name]
    for rank in (3, 2):
        for name, axes in found.items():
            if axes == rank:
                return name, rank
    raise ModelError(f"{path} has no output of vectors (n, tokens, d) or (n, d).", RETRY)
