"""Described APIs: what a file may say, how probes get into a request, and what is refused before anything is sent."""

import json
from pathlib import Path
from typing import Any

import pytest

from forensics.errors import UsageError
from forensics.records import AnswerKind, Probe
from forensics.suspects.remote.adapter import BadAnswerError
from forensics.suspects.remote.generic import read_description
from tests.suspects.remote.cases import IMAGE
from tests.suspects.remote.drive import finish, text_probes

GOOD: dict[str, Any] = {
    "url": "https://api.example.com/base/",
    "model": "model-1",
    "path": "/go",
    "batch": 4,
    "request": {"model": "{{model}}", "input": [{"content": "{{text}}", "weight": 0.5}], "flags": [True, None, 1]},
    "headers": {"X-Version": "2"},
    "authorization": {"header": "X-Api-Key", "prefix": ""},
    "answer": {"rows": "items", "vector": "values"},
}


def described(folder: Path, **changes: Any) -> Path:
    """Writes the description with changes; None takes a member out."""
    body = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    path = folder / "api.json"
    path.write_text(json.dumps(body), encoding="utf-8")
    return path


def test_what_goes_out(tmp_path: Path) -> None:
    url, model, adapter = read_description(described(tmp_path))
    assert (url, model, adapter.limit, adapter.kind) == (
        "https://api.example.com/base",
        "model-1",
        4,
        AnswerKind.VECTORS,
    )
    texts = ['"}], "model": "other', "{{model}}", "a\nb", "🦊"]
    request = next(adapter.converse(text_probes(texts)))
    assert request.path == "/go"
    assert request.headers == {"X-Version": "2"}
    # Placeholders are replaced as values: a text cannot break out of its string, nor be a placeholder itself.
    assert json.loads(request.body) == {
        "model": "model-1",
        "input": [{"content": text, "weight": 0.5} for text in texts],
        "flags": [True, None, 1],
    }
    assert adapter.authorization("secret") == {"X-Api-Key": "secret"}
    assert set(adapter.options) == {"description"}
    assert adapter.options != read_description(described(tmp_path, path="/other"))[2].options


def test_images_go_out_as_base64(tmp_path: Path) -> None:
    path = described(tmp_path, batch=None, request={"image": "{{base64}}"}, answer={"vector": "values"})
    _, _, adapter = read_description(path)
    sent = json.loads(next(adapter.converse([IMAGE])).body)["image"]
    assert Probe(__import__("base64").b64decode(sent)).digest == IMAGE.digest
    with pytest.raises(UsageError):
        read_description(described(tmp_path))[2].converse([IMAGE])


def read(path: Path, body: Any, count: int = 2) -> Any:
    _, _, adapter = read_description(path)
    return finish(adapter.converse(text_probes(["t"] * count)), lambda *_: json.dumps(body).encode())


def test_what_comes_back(tmp_path: Path) -> None:
    vectors = read(described(tmp_path), {"items": [{"values": [1, 2]}, {"values": None}]})
    assert vectors.values.tolist()[0] == [1.0, 2.0]
    assert vectors.missing.tolist() == [False, True]
    ordered = described(tmp_path, answer={"rows": "items", "index": "at", "vector": "values"})
    rows = read(ordered, {"items": [{"at": 1, "values": [1]}, {"at": 0, "values": [2]}]})
    assert rows.values.tolist() == [[2.0], [1.0]]
    with pytest.raises(BadAnswerError, match=r"answer\.index"):
        read(ordered, {"items": [{"at": 1, "values": [1]}, {"at": 1, "values": [2]}]})
    shares = described(tmp_path, answer={"rows": "items", "scores": "values(@)", "labels": "keys(@)"})
    answers = read(shares, {"items": [{"b": 0.25, "a": 0.75}, {"a": 0.5, "b": 0.5}]})
    assert answers.labels == ("a", "b")
    assert answers.values.tolist() == [[0.75, 0.25], [0.5, 0.5]]
    named = described(tmp_path, kind="logits", names=["z", "y"], answer={"rows": "items", "vector": "@"})
    logits = read(named, {"items": [[1, 2], [3, 4]]})
    assert logits.labels == ("z", "y")
    assert logits.values.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    classes = described(tmp_path, names=["z", "y"], answer={"rows": "items", "label": "@"})
    found = read(classes, {"items": ["z", 1]})
    assert [found.labels[index] for index in found.values] == ["z", "y"]
    assert read(classes, {"items": ["z", "w"]}).missing.tolist() == [False, True]
    texts = described(tmp_path, answer={"rows": "items", "text": "@"})
    assert read(texts, {"items": ["one", 2]}).values.tolist() == ["one", ""]


def test_expressions_that_do_not_apply(tmp_path: Path) -> None:
    path = described(tmp_path, answer={"rows": "items", "vector": "sort(values)"})
    for items in ([{"values": 1}, {}], [1, 2], [None, None], [{"values": [1, "a"]}] * 2, [{"values": {}}] * 2):
        with pytest.raises(BadAnswerError):
            read(path, {"items": items})
    with pytest.raises(BadAnswerError):
        read(path, {"things": []})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"url": "ftp://example.com"}, "URI"),
        ({"url": "https://user:pw@example.com"}, "password"),
        ({"url": "https://example.com?key=1"}, "query"),
        ({"url": None}, "url"),
        ({"speed": 1}, "speed"),
        ({"batch": 0}, "batch"),
        ({"batch": "4"}, "batch"),
        ({"path": "go"}, "path"),
        ({"path": "/a b"}, "path"),
        ({"kind": "labels"}, "kind"),
        ({"headers": {"Authorization": "x"}}, "secret"),
        ({"headers": {"X-Api-Key": "x"}}, "secret"),
        ({"headers": {"Host": "x"}}, "header"),
        ({"headers": {"X-A": "a\r\nX-B: b"}}, "headers"),
        ({"authorization": {"header": "X Key"}}, "header"),
        ({"request": {"input": "no placeholder"}}, "needs either"),
        ({"request": {"input": ["{{text}}"], "image": ["{{base64}}"]}}, "needs either"),
        ({"request": {"input": ["say {{text}}"]}}, "whole string"),
        ({"request": {"{{text}}": ["{{text}}"]}}, "name in request"),
        ({"request": {"input": "{{text}}"}}, "batch needs"),
        ({"request": {"input": ["{{text}}", "more"]}}, "batch needs"),
        ({"model": None}, "no model"),
        ({"names": ["a", "a"]}, "twice"),
        ({"answer": {"rows": "items"}}, "exactly one"),
        ({"answer": {"rows": "items", "vector": "a", "text": "b"}}, "exactly one"),
        ({"answer": {"rows": "items", "scores": "a"}}, "belong together"),
        ({"answer": {"vector": "a"}}, "batch needs answer"),
        ({"answer": {"rows": "items", "vector": "a[["}}, "JMESPath"),
        ({"answer": {"rows": "items", "vector": "nothing(@)("}}, "JMESPath"),
    ],
)
def test_descriptions_that_are_refused(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        read_description(described(tmp_path, **changes))


def test_files_that_are_none(tmp_path: Path) -> None:
    for name, raw in (
        ("a.toml", b"url = "),
        ("a.json", b"{"),
        ("b.json", b'{"url": "https://a", "url": "https://b"}'),
        ("c.json", b"[]"),
        ("d.json", b'{"request": ' + b"[" * 100_000),
        ("e.toml", b"\xff"),
        ("f.toml", b"# " + b"a" * (1 << 20)),
        ("g.toml", b'url = "https://a"\nrequest = { a = 2026-01-01, b = "{{text}}" }\nanswer = { vector = "a" }'),
        ("h.toml", b'url = "https://a"\nrequest = { a = nan, b = "{{text}}" }\nanswer = { vector = "a" }'),
    ):
        (tmp_path / name).write_bytes(raw)
        with pytest.raises(UsageError, match="wrong"):
            read_description(tmp_path / name)
    with pytest.raises(UsageError, match="cannot be read"):
        read_description(tmp_path / "missing.toml")
