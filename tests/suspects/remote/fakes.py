"""Fake servers, one route a protocol, over made-up models; requests are judged by `wires`, and kept for tests."""

import base64
import hashlib
import json
import math
import re
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydantic import BaseModel, ValidationError

from tests.suspects.remote import wires

LABELS = ("spam", "ham", "eggs")
WIDTH = 8
Reply = tuple[int, Any]


class RefusedError(Exception):
    """The fake answers with a status of its own."""


def embedding(text: str, width: int = WIDTH) -> list[float]:
    """Returns float32 values that depend on every byte of a text."""
    digest = hashlib.sha512(text.encode()).digest()
    values = [(digest[2 * index] * 256 + digest[2 * index + 1]) / 65536 - 0.5 for index in range(width)]
    return list(struct.unpack(f"<{width}f", struct.pack(f"<{width}f", *values)))


def logits(text: str) -> dict[str, float]:
    """Returns one score a label."""
    return dict(zip(LABELS, embedding(text, len(LABELS)), strict=True))


def probabilities(text: str) -> dict[str, float]:
    """Returns the softmax of `logits`."""
    powers = {label: math.exp(value) for label, value in logits(text).items()}
    return {label: power / sum(powers.values()) for label, power in powers.items()}


def pieces(text: str) -> list[str]:
    """Splits a text into the tokens of the made-up language model: words with the blank before them, or characters."""
    return re.findall(r" ?[a-zA-Z]+|.", text, re.DOTALL)


def log_probability(before: str, token: str) -> float:
    """Returns what the made-up language model gives a token after a text."""
    return -(1 + int.from_bytes(hashlib.sha256(f"{before}|{token}".encode()).digest()[:2], "big")) / 8192


@dataclass
class Fake:
    """A running fake.

    Attributes:
        expected: continuations that the language model knows; what it offers next is taken from them.
        style: how completions show log-probabilities: `echo`, `plain` (no echo), `content` (chat-like) or `refuse`.
        key: demanded as a bearer where it is not empty.
        bodies: of all requests.
    """

    url: str = ""
    expected: list[str] = field(default_factory=list)
    style: str = "echo"
    key: str = ""
    bodies: list[tuple[str, Any]] = field(default_factory=list)
    image_labels: tuple[str, ...] = LABELS

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> Reply:
        """Answers one request."""
        if self.key and headers.get("authorization") != f"Bearer {self.key}":
            return 401, {"detail": "Unauthorized"}
        for pattern, wire, route in ROUTES:
            if re.fullmatch(pattern, path):
                if wire is None:
                    return route(self, body, headers.get("content-type"))
                try:
                    asked = wire.model_validate_json(body)
                except ValidationError as error:
                    return 422, {"error": error.errors()[0]["msg"], "error_type": "validation"}
                self.bodies.append((path, json.loads(body)))
                try:
                    return 200, route(self, asked)
                except RefusedError as error:
                    return 400, {"error": {"message": str(error), "type": "invalid_request_error"}}
        return 404, {"detail": "Not Found"}

    def next_tokens(self, text: str, count: int) -> list[tuple[str, float]]:
        """Returns what may follow a text: the expected continuations' tokens first, then others."""
        found = [" xylophone", " quince", ""]
        for whole in self.expected:
            if whole.startswith(text) and whole != text:
                found.insert(0, pieces(whole[len(text) :])[0])
                # A token that is half of the first one's: the walk has to prefer the longer.
                found.insert(1, found[0][: (len(found[0]) + 1) // 2])
        chosen = list(dict.fromkeys(found))[:count]
        return [(token, log_probability(text, token)) for token in chosen]


def _texts(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _packed(row: list[float], form: str | None) -> Any:
    return base64.b64encode(struct.pack(f"<{len(row)}f", *row)).decode() if form == "base64" else row


def openai_embeddings(fake: Fake, asked: wires.OpenAiEmbeddings) -> Any:
    rows = [
        {
            "object": "embedding",
            "index": index,
            "embedding": _packed(embedding(text, asked.dimensions or WIDTH), asked.encoding_format),
        }
        for index, text in enumerate(_texts(asked.input))
    ]
    usage = {"prompt_tokens": 5, "total_tokens": 5}
    # The order is no promise of the protocol.
    return {"object": "list", "data": rows[::-1], "model": asked.model, "usage": usage}


def openai_completions(fake: Fake, asked: wires.OpenAiCompletions) -> Any:
    logprobs: dict[str, Any] | None = None
    token, value = fake.next_tokens(asked.prompt, 5)[0]
    choice: dict[str, Any] = {"index": 0, "text": token * asked.max_tokens, "finish_reason": "length"}
    if asked.logprobs is not None:
        if fake.style == "refuse" and asked.echo:
            raise RefusedError("Setting 'echo' and 'logprobs' at the same time is not supported for this model.")
        tops = fake.next_tokens(asked.prompt, asked.logprobs)
        if fake.style == "content":
            top = [{"token": each, "bytes": list(each.encode()), "logprob": value} for each, value in tops]
            logprobs = {"content": [{**top[0], "top_logprobs": top}]}
        else:
            shown = pieces(asked.prompt) if asked.echo and fake.style == "echo" else []
            offsets = [len("".join(shown[:index])) for index in range(len(shown) + 1)]
            values = [log_probability("".join(shown[:index]), each) for index, each in enumerate(shown)]
            logprobs = {
                "tokens": [*shown, token],
                "token_logprobs": [None, *values[1:], value] if shown else [value],
                "top_logprobs": [None if index == 0 and shown else dict(tops) for index in range(len(shown) + 1)],
                "text_offset": offsets,
            }
            choice["text"] = asked.prompt + choice["text"] if shown else choice["text"]
    choice["logprobs"] = logprobs
    if asked.prompt_logprobs is not None:
        shown = pieces(asked.prompt)
        choice["prompt_logprobs"] = [
            {str(index): {"logprob": log_probability("".join(shown[:index]), each), "rank": 1, "decoded_token": each}}
            if index
            else None
            for index, each in enumerate(shown)
        ]
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    head = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": asked.model}
    return {**head, "choices": [choice], "usage": usage}


def openai_chat(fake: Fake, asked: wires.OpenAiChat) -> Any:
    prompt = asked.messages[-1].content
    tops = fake.next_tokens(prompt, asked.top_logprobs or 1)
    content = [{"token": token, "bytes": list(token.encode()), "logprob": value} for token, value in tops]
    # Half an emoji: its text is a replacement character, only its bytes say what it is.
    content.append({"token": "\ufffd", "bytes": [240, 159], "logprob": -2.5})
    content.append({"token": " far", "bytes": None, "logprob": -9999.0})
    head = {"id": "chat-1", "object": "chat.completion", "created": 1, "model": asked.model}
    return {
        **head,
        "choices": [
            {
                "index": 0,
                "finish_reason": "length",
                "message": {"role": "assistant", "content": f"echo: {prompt}"},
                "logprobs": {"content": [{**content[0], "top_logprobs": content}]} if asked.logprobs else None,
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
    }


def tei_embed(fake: Fake, asked: wires.TeiEmbed) -> Any:
    return [embedding((asked.prompt_name or "") + text) for text in _texts(asked.inputs)]


def tei_predict(fake: Fake, asked: wires.TeiPredict) -> Any:
    if isinstance(asked.inputs, str):
        return _scored(asked.inputs, asked.raw_scores)
    return [_scored("|".join(each), asked.raw_scores) for each in asked.inputs]


def _scored(text: str, raw: bool = False) -> list[dict[str, Any]]:
    scores = logits(text) if raw else probabilities(text)
    return [{"label": label, "score": value} for label, value in sorted(scores.items(), key=lambda pair: -pair[1])]


def ollama(fake: Fake, asked: wires.Ollama) -> Any:
    rows = [embedding(text, asked.dimensions or WIDTH) for text in _texts(asked.input)]
    return {"model": asked.model, "embeddings": rows, "total_duration": 1, "load_duration": 1, "prompt_eval_count": 2}


def cohere(fake: Fake, asked: wires.Cohere) -> Any:
    rows = [embedding(asked.input_type + text, asked.output_dimension or WIDTH) for text in asked.texts]
    meta = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 4}}
    return {"id": "1", "embeddings": {"float": rows}, "texts": asked.texts, "meta": meta}


def voyage(fake: Fake, asked: wires.Voyage) -> Any:
    rows = [embedding((asked.input_type or "") + text, asked.output_dimension or WIDTH) for text in _texts(asked.input)]
    data = [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)]
    return {"object": "list", "data": data, "model": asked.model, "usage": {"total_tokens": 4}}


def hf_extractor(fake: Fake, asked: wires.HuggingFace) -> Any:
    return embedding(asked.inputs)


def hf_classifier(fake: Fake, asked: wires.HuggingFace) -> Any:
    scored = _scored(asked.inputs, asked.parameters.get("function_to_apply") == "none")
    return [scored[: asked.parameters.get("top_k", 5)]]


def hf_image(fake: Fake, body: bytes, kind: str | None) -> Reply:
    if kind != "image/png" or not body.startswith(b"\x89PNG"):
        return 400, {"error": "no image"}
    return 200, _scored(hashlib.sha256(body).hexdigest())


def infer(fake: Fake, asked: wires.Infer) -> Any:
    (tensor,) = asked.inputs
    size = math.prod(tensor.shape[1:])
    flat = _flattened(tensor.data)
    if len(flat) != size * tensor.shape[0]:
        raise RefusedError(f"shape {tensor.shape} does not fit {len(flat)} values")
    if tensor.datatype == "BYTES" and not all(isinstance(each, str) for each in flat):
        raise RefusedError("BYTES must be strings")
    rows = [flat[index * size : (index + 1) * size] for index in range(tensor.shape[0])]
    texts = [row[0] if tensor.datatype == "BYTES" else json.dumps([float(each) for each in row]) for row in rows]
    columns: dict[str, tuple[str, list[int], list[Any]]] = {
        "vectors": ("FP32", [len(rows), WIDTH], [value for text in texts for value in embedding(text)]),
        "nested": ("FP32", [len(rows), WIDTH], [embedding(text) for text in texts]),
        "scores": ("FP64", [len(rows), 3], [value for text in texts for value in probabilities(text).values()]),
        "class": ("INT64", [len(rows), 1], [_best(text) for text in texts]),
        "name": ("BYTES", [len(rows)], [LABELS[_best(text)] for text in texts]),
    }
    wanted = [each.name for each in asked.outputs] or list(columns)
    named = zip(wanted, (columns[name] for name in wanted), strict=True)
    outputs = [{"name": name, "datatype": kind, "shape": shape, "data": data} for name, (kind, shape, data) in named]
    return {"model_name": "m", "model_version": "1", **({"id": asked.id} if asked.id else {}), "outputs": outputs}


def _best(text: str) -> int:
    values = list(probabilities(text).values())
    return values.index(max(values))


def _flattened(data: list[Any]) -> list[Any]:
    return [leaf for each in data for leaf in (_flattened(each) if isinstance(each, list) else [each])]


def vllm_classify(fake: Fake, asked: wires.VllmInput) -> Any:
    rows = [list(probabilities(text).values()) for text in _texts(asked.input)]
    data = [
        {"index": index, "label": LABELS[row.index(max(row))], "probs": row, "num_classes": len(row)}
        for index, row in enumerate(rows)
    ]
    return {"id": "classify-1", "object": "list", "created": 1, "model": asked.model, "data": data[::-1]}


def vllm_pooling(fake: Fake, asked: wires.VllmInput) -> Any:
    data = [
        {"index": index, "object": "pooling", "data": embedding(text)} for index, text in enumerate(_texts(asked.input))
    ]
    return {"id": "pool-1", "object": "list", "created": 1, "model": asked.model, "data": data}


Route = Callable[..., Any]
ROUTES: list[tuple[str, type[BaseModel] | None, Route]] = [
    (r"/v1/embeddings", wires.OpenAiEmbeddings, openai_embeddings),
    (r"/v1/completions", wires.OpenAiCompletions, openai_completions),
    (r"/v1/chat/completions", wires.OpenAiChat, openai_chat),
    (r"/embed", wires.TeiEmbed, tei_embed),
    (r"/predict", wires.TeiPredict, tei_predict),
    (r"/api/embed", wires.Ollama, ollama),
    (r"/v2/embed", wires.Cohere, cohere),
    (r"/voyage/v1/embeddings", wires.Voyage, voyage),
    (r"/hf/models/extractor/pipeline/feature-extraction", wires.HuggingFace, hf_extractor),
    (r"/hf/models/someone/extractor", wires.HuggingFace, hf_extractor),
    (r"/hf/models/someone/classifier", wires.HuggingFace, hf_classifier),
    (r"/hf/models/someone/image-classifier", None, hf_image),
    (r"/v2/models/m(/versions/1)?/infer", wires.Infer, infer),
    (r"/classify", wires.VllmInput, vllm_classify),
    (r"/pooling", wires.VllmInput, vllm_pooling),
]


@contextmanager
def serving(fake: Fake) -> Iterator[Fake]:
    """Serves a fake on loopback until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, answer = fake.answer(self.path, headers, body)
            raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: Any) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
