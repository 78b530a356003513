"""One case a protocol: how its adapter is made, which probes it is put, and what the fake's model must answer."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from forensics.canonical import through_decimals
from forensics.images import encode_png
from forensics.records import Probe
from forensics.suspects.remote.adapter import Adapter
from forensics.suspects.remote.generic import read_description
from forensics.suspects.remote.registry import find_factory
from tests.suspects.remote.drive import text_probes
from tests.suspects.remote.fakes import LABELS, embedding, logits, probabilities

TEXTS = ("plain words", 'a "quoted" \\ word', "two\nlines\tand a tab", "a fox 🦊 and a flag 🏳️‍🌈", "{{text}} \u2028 end")
COLUMNS = tuple(sorted(LABELS))


def vectors(texts: Sequence[str], before: str = "", width: int = 8) -> np.ndarray:
    """What the fakes' encoder gives."""
    return through_decimals(np.array([embedding(before + text, width) for text in texts]))


def shares(texts: Sequence[str], columns: Sequence[str] = COLUMNS) -> np.ndarray:
    """What the fakes' classifier gives, in the order of the columns."""
    return through_decimals(np.array([[probabilities(text)[label] for label in columns] for text in texts]))


def scores(texts: Sequence[str]) -> np.ndarray:
    """The same before the softmax."""
    return through_decimals(np.array([[logits(text)[label] for label in COLUMNS] for text in texts]))


def classes(texts: Sequence[str], columns: Sequence[str] = COLUMNS) -> np.ndarray:
    """The likeliest label's index."""
    return shares(texts, columns).argmax(axis=1)


@dataclass(frozen=True)
class Case:
    """One protocol with options.

    Attributes:
        base: of the URL, behind the fake's address.
        expected: values of the answers to `texts`.
        one: the adapter takes one probe a conversation.
    """

    name: str
    scheme: str
    base: str
    kind: str
    expected: Callable[[Sequence[str]], Any]
    options: dict[str, str] = field(default_factory=dict)
    model: str | None = "m"
    labels: tuple[str, ...] = ()
    texts: tuple[str, ...] = TEXTS
    file: str = ""

    def adapter(self, folder: Path, url: str = "http://127.0.0.1:9") -> Adapter:
        """Makes the adapter; that of a described API from a file in `folder`."""
        if self.scheme != "json":
            return find_factory(self.scheme)(url + self.base, self.model, self.options)
        path = folder / f"{self.name}.toml"
        path.write_text(f'url = "{url}{self.base}"\n{self.file}', encoding="utf-8")
        return read_description(path)[2]

    @property
    def probes(self) -> list[Probe]:
        """The probes of the case."""
        if self.name == "hf image":
            return [IMAGE]
        return text_probes(self.texts)


def image(seed: int) -> Probe:
    """Returns a small grey image."""
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 1), dtype=np.uint8)
    return Probe(encode_png(pixels))


IMAGE = image(1)
IMAGE_TEXT = hashlib.sha256(IMAGE.data).hexdigest()
ONE = TEXTS[3:4]
OIP = {"input": "text"}
GENERIC_VECTORS = """
model = "m"
batch = 8
path = "/embeddings"
request = { model = "{{model}}", input = ["{{text}}"] }
answer = { rows = "data", index = "index", vector = "embedding" }
"""
GENERIC_SCORES = """
batch = 8
path = "/predict"
request = { inputs = [["{{text}}"]], truncate = false }
answer = { rows = "@", labels = "[].label", scores = "[].score" }
"""
GENERIC_LABEL = """
path = "/predict"
names = ["spam", "ham", "eggs"]
request = { inputs = "{{text}}" }
answer = { label = "max_by(@, &score).label" }
"""
GENERIC_TEXT = """
model = "m"
path = "/chat/completions"
headers = { "X-Version" = "1" }
request = { model = "{{model}}", messages = [{ role = "user", content = "{{text}}" }], max_tokens = 4 }
answer = { text = "choices[0].message.content" }
"""

CASES = (
    Case("openai", "openai", "/v1", "vectors", vectors),
    Case("openai short", "openai", "/v1", "vectors", lambda t: vectors(t, width=4), {"dimensions": "4"}),
    Case("openai base64", "openai", "/v1", "vectors", vectors, {"encoding": "base64"}),
    Case("tei", "tei", "", "vectors", vectors, model=None),
    Case("tei prompt", "tei", "", "vectors", lambda t: vectors(t, "query"), {"prompt_name": "query"}),
    Case("tei predict", "tei-predict", "", "probabilities", shares, labels=COLUMNS),
    Case("tei predict raw", "tei-predict", "", "logits", scores, {"raw_scores": "true"}, labels=COLUMNS),
    Case("ollama", "ollama", "", "vectors", lambda t: vectors(t, width=6), {"dimensions": "6"}),
    Case("cohere", "cohere", "", "vectors", lambda t: vectors(t, "clustering"), {"input_type": "clustering"}),
    Case("voyage", "voyage", "/voyage/v1", "vectors", lambda t: vectors(t, "query"), {"input_type": "query"}),
    Case("hf vector", "hf", "/hf", "vectors", vectors, model="someone/extractor", texts=ONE),
    Case("hf pipeline", "hf", "/hf", "vectors", vectors, {"pipeline": "feature-extraction"}, "extractor", texts=ONE),
    Case("hf label", "hf", "/hf", "probabilities", shares, model="someone/classifier", labels=COLUMNS, texts=ONE),
    Case(
        "hf logits",
        "hf",
        "/hf",
        "logits",
        scores,
        {"function_to_apply": "none", "top_k": "9"},
        "someone/classifier",
        COLUMNS,
        ONE,
    ),
    Case(
        "hf image",
        "hf",
        "/hf",
        "probabilities",
        shares,
        model="someone/image-classifier",
        labels=COLUMNS,
        texts=(IMAGE_TEXT,),
    ),
    Case("oip", "oip", "", "vectors", vectors, {**OIP, "output": "vectors", "kind": "vectors"}),
    Case("oip nested", "oip", "", "vectors", vectors, {**OIP, "output": "nested", "kind": "vectors", "shape": "1"}),
    Case(
        "oip scores",
        "oip",
        "",
        "probabilities",
        lambda t: shares(t, LABELS),
        {**OIP, "output": "scores", "kind": "probabilities", "version": "1"},
        labels=("0", "1", "2"),
    ),
    Case(
        "oip named scores",
        "oip",
        "",
        "probabilities",
        lambda t: shares(t, LABELS),
        {**OIP, "output": "scores", "kind": "probabilities", "labels": ",".join(LABELS)},
        labels=LABELS,
    ),
    Case("oip class", "oip", "", "labels", lambda t: classes(t, LABELS), {**OIP, "output": "class", "kind": "labels"}),
    Case(
        "oip name",
        "oip",
        "",
        "labels",
        lambda t: classes(t, LABELS),
        {**OIP, "output": "name", "kind": "labels", "labels": ",".join(LABELS)},
        labels=LABELS,
    ),
    Case("vllm classify", "vllm-classify", "", "probabilities", lambda t: shares(t, LABELS), labels=("0", "1", "2")),
    Case(
        "vllm names",
        "vllm-classify",
        "",
        "probabilities",
        lambda t: shares(t, LABELS),
        {"labels": ",".join(LABELS)},
        labels=LABELS,
    ),
    Case("vllm pooling", "vllm-pooling", "", "vectors", vectors),
    Case("completion", "openai-completions", "/v1", "text", lambda t: [" xylophone"], {"max_tokens": "1"}, texts=ONE),
    Case("chat", "openai-chat", "/v1", "text", lambda t: [f"echo: {t[0]}"], {"system": "be brief"}, texts=ONE),
    Case(
        "chat newer",
        "openai-chat",
        "/v1",
        "text",
        lambda t: [f"echo: {t[0]}"],
        {"max_completion_tokens": "9"},
        texts=ONE,
    ),
    Case("json vectors", "json", "/v1", "vectors", vectors, file=GENERIC_VECTORS),
    Case("json scores", "json", "", "probabilities", shares, labels=COLUMNS, file=GENERIC_SCORES),
    Case(
        "json label", "json", "", "labels", lambda t: classes(t, LABELS), labels=LABELS, texts=ONE, file=GENERIC_LABEL
    ),
    Case("json text", "json", "/v1", "text", lambda t: [f"echo: {t[0]}"], texts=ONE, file=GENERIC_TEXT),
)
