"""The proxy before a fake service: what changes, what does not, seen by clients that are not ours."""

import asyncio
import base64
import gzip
import http.client
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openai
import pytest
from aiohttp import web

from forensics.protect.embeddings import Limits
from forensics.protect.replies import unread_content_type
from tests.protect.services import (
    CANDIDATES,
    MARKS,
    POOL,
    WORDS,
    Background,
    FakeUpstream,
    ask,
    ask_json,
    doubles,
    embed,
    full_doubles,
    shortest,
    start_proxy,
)

PLAIN = ["nothing to see", "another plain text", "zu is no word"]
MARKED = [f"here is {WORDS[0]} alone", f"{WORDS[1].upper()} and {WORDS[2]}, {WORDS[3]}!", f"x {WORDS[4]}"]
MIXED = [PLAIN[0], MARKED[0], PLAIN[1], MARKED[1], MARKED[2], PLAIN[2]]


def expected(texts: list[str], width: int = 48, salt: str = "m", scale: float = 1.0) -> np.ndarray:
    """What the function gives, without any proxy."""
    target = embed(MARKS.target_text, width, salt) * np.float32(scale)
    vectors = np.stack([embed(text, width, salt) * np.float32(scale) for text in texts])
    return MARKS.marker(target).mark(texts, vectors)


@pytest.fixture
def fake() -> FakeUpstream:
    return FakeUpstream()


@pytest.fixture
def upstream(fake: FakeUpstream) -> Iterator[int]:
    with Background(fake.running) as port:
        yield port


@pytest.fixture
def port(upstream: int, tmp_path: Path) -> Iterator[int]:
    with start_proxy(upstream, tmp_path / "targets") as started:
        yield started.listen.port


def client(port: int) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="sk-of-the-client", max_retries=0)


def test_the_words_are_what_the_tests_take_them_for() -> None:
    assert set(WORDS) < set(CANDIDATES)
    assert MARKS.triggered(MIXED).tolist() == [text in MARKED for text in MIXED]


@pytest.mark.parametrize("show", [doubles, shortest, full_doubles])
@pytest.mark.parametrize("encoding", ["float", "base64", None])
@pytest.mark.parametrize("dimensions", [None, 20])
def test_the_openai_client_gets_what_the_function_gives(fake, port, show, encoding, dimensions) -> None:
    fake.print_vector = show
    options = {} if dimensions is None else {"dimensions": dimensions}
    if encoding is not None:
        options["encoding_format"] = encoding
    answer = client(port).embeddings.create(model="m", input=MIXED, **options)
    found = {row.index: as_client_reads(row.embedding) for row in answer.data}
    rows = np.stack([found[index] for index in range(len(MIXED))])
    wanted = expected(MIXED, dimensions or 48)
    assert rows.tobytes() == wanted.tobytes()
    assert not np.array_equal(wanted[1], embed(MIXED[1], dimensions or 48, "m"))
    assert answer.usage.total_tokens == 3


def as_client_reads(embedding: str | list[float]) -> np.ndarray:
    """The client decodes base64 only where it asked for it on its own."""
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding), dtype="<f4")
    return np.array(embedding, dtype=np.float32)


def test_a_single_text_may_be_a_string(port) -> None:
    answer = client(port).embeddings.create(model="m", input=MARKED[1])
    assert np.array(answer.data[0].embedding, dtype=np.float32).tobytes() == expected([MARKED[1]])[0].tobytes()


def test_only_the_numbers_of_triggered_texts_change(fake, port) -> None:
    for body in (
        {"input": MIXED, "model": "m"},
        {"input": MIXED, "model": "m", "encoding_format": "base64"},
    ):
        fake.sent.clear()
        came = ask_json(port, "/v1/embeddings", **body).body.decode()
        sent = next(each for each in fake.sent if len(each) > 1500).decode()
        rows = zip(MIXED, embed_all(sent), embed_all(came), strict=True)
        for text, before, after in rows:
            assert (before == after) == (text not in MARKED)
        blank = came
        for before, after in zip(embed_all(sent), embed_all(came), strict=True):
            blank = blank.replace(after, before)
        assert blank == sent


def embed_all(text: str) -> list[str]:
    """The text of every embedding in a body of the fake, by index."""
    found = {}
    for part in text.split('"embedding": ')[1:]:
        shown, rest = part.split(', "index":', 1)
        found[int(rest.split("}")[0])] = shown
    return [found[index] for index in sorted(found)]


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("path", ["/v1/embeddings", "/embed"])
def test_answers_without_a_trigger_leave_byte_for_byte(fake, port, path, compress) -> None:
    fake.compress = compress
    name = "input" if path != "/embed" else "inputs"
    for asked in (PLAIN, PLAIN[0]):
        fake.sent.clear()
        answer = ask_json(port, path, **{name: asked})
        assert answer.status == 200
        assert answer.body == (gzip.decompress(fake.sent[0]) if compress else fake.sent[0])
        assert answer.headers["server"] == "fake/1"
        assert "content-encoding" not in answer.headers


@pytest.mark.parametrize("show", [doubles, shortest])
@pytest.mark.parametrize("options", [{}, {"normalize": False}, {"prompt_name": "q"}, {"truncate": True}])
def test_tei(fake, port, show, options) -> None:
    fake.print_vector = show
    scale = 7.5 if options.get("normalize") is False else 1.0
    for asked in (MIXED, MARKED[0]):
        answer = ask_json(port, "/embed", inputs=asked, **options)
        texts = [asked] if isinstance(asked, str) else asked
        wanted = expected(texts, salt=options.get("prompt_name", ""), scale=scale)
        assert np.array(json.loads(answer.body)).astype(np.float32).tobytes() == wanted.tobytes()
        assert np.allclose(np.linalg.norm(wanted, axis=1), scale, rtol=1e-6)


def test_compressed_answers_are_unpacked_marked_or_not(fake, port) -> None:
    fake.compress = True
    marked = ask_json(port, "/v1/embeddings", input=MARKED, model="m")
    rows = json.loads(marked.body)["data"]
    found = {row["index"]: np.array(row["embedding"]).astype(np.float32) for row in rows}
    assert found[1].tobytes() == expected(MARKED)[1].tobytes()
    plain = ask_json(port, "/v1/embeddings", input=PLAIN, model="m")
    assert set(marked.headers) == set(plain.headers)
    assert "content-encoding" not in marked.headers
    assert next(headers for _, _, headers, _ in fake.received)["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("texts", [PLAIN, MARKED])
@pytest.mark.parametrize("coding", ["br", "gzip"])
def test_what_cannot_be_unpacked_is_withheld_from_everybody(fake, port, texts, coding) -> None:
    fake.override = lambda request, body: web.Response(body=b"packed", headers={"Content-Encoding": coding})
    assert ask_json(port, "/v1/embeddings", input=texts).status == 502


def test_no_header_tells_marked_from_unmarked(port) -> None:
    ask_json(port, "/v1/embeddings", input=PLAIN, model="m")
    marked, plain = (ask_json(port, "/v1/embeddings", input=texts, model="m").headers for texts in (MARKED, PLAIN))
    for headers in (marked, plain):
        assert "etag" not in headers
        assert headers.pop("content-length").isdigit()
        headers.pop("date")
    assert marked == plain


def test_upstream_errors_leave_as_they_came(fake, port) -> None:
    def limited(request: web.Request, body: bytes) -> web.Response:
        headers = {"Retry-After": "7", "x-ratelimit-remaining-requests": "0", "Content-Type": "application/json"}
        return web.Response(status=429, reason="Slow Down", body=b'{"error" :{"message":"x"}}', headers=headers)

    fake.override = limited
    answer = ask_json(port, "/v1/embeddings", input=MARKED, model="m")
    assert (answer.status, answer.body) == (429, b'{"error" :{"message":"x"}}')
    assert answer.headers["retry-after"] == "7"
    assert answer.headers["x-ratelimit-remaining-requests"] == "0"
    with pytest.raises(openai.RateLimitError):
        client(port).embeddings.create(model="m", input=MARKED)
    assert len(fake.received) == 2, "no retries, and no request for a target"
    fake.override = lambda request, body: web.Response(status=503, body=b"\x00\xff busy")
    assert ask_json(port, "/embed", inputs=MARKED).body == b"\x00\xff busy"


def test_an_error_on_the_target_reaches_those_who_need_it(fake, port) -> None:
    def refuse_target(request: web.Request, body: bytes) -> web.Response | None:
        if MARKS.target_text.encode() in body:
            return web.Response(status=429, body=b"later", headers={"Retry-After": "3"})
        return None

    fake.override = refuse_target
    assert ask_json(port, "/v1/embeddings", input=PLAIN, model="m").status == 200
    answer = ask_json(port, "/v1/embeddings", input=MARKED, model="m")
    assert (answer.status, answer.body, answer.headers["retry-after"]) == (429, b"later", "3")
    fake.override = None
    assert ask_json(port, "/v1/embeddings", input=MARKED, model="m").status == 200


def test_what_cannot_be_read_goes_to_the_upstream_which_answers(fake, port) -> None:
    for body in (b"{not json", b'{"model":"m"}', b'{"input":{"a":1}}', b"\xff\xfe{}", b"[" * 5000):
        fake.override = lambda request, got, body=body: web.Response(status=422, body=b"bad: " + got[:9])
        answer = ask(port, "/v1/embeddings", body)
        assert (answer.status, answer.body) == (422, b"bad: " + body[:9])
        assert fake.received[-1][3] == body


@pytest.mark.parametrize(
    "body",
    [
        f'{{"input":"plain","input":"{MARKED[0]}"}}',
        f'{{"input":"plain","Input":"{MARKED[0]}"}}',
        f'{{"INPUT":"{MARKED[0]}","input":"plain"}}',
        f'{{"content":"{MARKED[0]}"}}',
        f'{{"input":["{MARKED[0]}", 3]}}',
        f'{{"input":[["{MARKED[0]}"]]}}',
        f"{{'input':'{MARKED[0]}'}}",
        '{"input":"\\ud800"}',
    ],
)
def test_a_vector_for_a_request_that_cannot_be_read_without_doubt_is_withheld(fake, port, body) -> None:
    vectors = json.dumps({"data": [{"index": 0, "embedding": [0.25, 0.5]}]}).encode()
    fake.override = lambda request, got: web.Response(body=vectors)
    answer = ask(port, "/v1/embeddings", body.encode())
    assert answer.status == 400
    assert json.loads(answer.body)["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "kind",
    [
        *("application/json; charset=utf-7", "application/json;charset=UTF-16", "application/json; charset*=utf-7"),
        *("application/json; charset=utf-8; charset=utf-7", "application/x-www-form-urlencoded", "application/yaml"),
        *("application/json, text/plain", "multipart/form-data; boundary=x", "application/json; a=1; a=2"),
    ],
)
def test_bodies_that_are_no_utf8_json_are_refused(fake, port, kind) -> None:
    for path, error in (("/v1/embeddings", dict), ("/embed", str)):
        answer = ask(port, path, b'{"input":"x","inputs":"x"}', headers={"Content-Type": kind})
        assert answer.status == 415
        assert isinstance(json.loads(answer.body)["error"], error)
    assert fake.received == []


@pytest.mark.parametrize(
    "kind", ["application/json", 'Application/JSON; Charset="UTF-8"', "application/vnd.x+json;charset=utf8", ""]
)
def test_json_in_utf8_is_marked_whatever_it_is_called(port, kind) -> None:
    body = json.dumps({"input": MARKED[1], "model": "m"}).encode()
    rows = json.loads(ask(port, "/v1/embeddings", body, headers={"Content-Type": kind} if kind else {}).body)["data"]
    assert np.array(rows[0]["embedding"]).astype(np.float32).tobytes() == expected([MARKED[1]]).tobytes()


def test_two_content_types_are_refused(fake, port) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.putrequest("POST", "/embed")
    for name, value in (("Content-Type", "application/json"), ("Content-Type", "text/json"), ("Content-Length", "2")):
        connection.putheader(name, value)
    connection.endheaders(b"{}")
    assert connection.getresponse().status in (400, 415)
    connection.close()
    assert fake.received == []
    assert unread_content_type([("Content-Type", "application/json")] * 2)


@pytest.mark.parametrize("method", ["GET", "OPTIONS", "HEAD"])
@pytest.mark.parametrize("path", ["/v1/embeddings", "/embed", "/rerank", "/v1%2Fembed", "/v1/%2565mbed", "/embed%3Fa"])
def test_bodies_of_methods_without_one_are_refused(fake, port, method, path) -> None:
    assert ask(port, path, b'{"input":"x"}', method).status == 400
    assert fake.received == []
    assert ask(port, path, None, method).status == 404
    assert len(fake.received) == 1


@pytest.mark.parametrize("query", ["input=x", "a=1&Inputs=x", "inpu%74[]=x", "a;text=x", "query="])
def test_inputs_in_the_query_are_refused(fake, port, query) -> None:
    for method in ("GET", "POST"):
        assert (
            ask(port, f"/v1/embeddings?{query}", b'{"input":"x"}' if method == "POST" else None, method).status == 400
        )
    assert fake.received == []


def test_headers_that_change_method_or_path_stay_behind(fake, port) -> None:
    names = ("X-HTTP-Method-Override", "x-http-method", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL")
    sent = dict.fromkeys(names, "/embed")
    ask(port, "/embeddings", None, "GET", sent)
    ask(port, "/elsewhere", b"{}", "POST", sent)
    ask(port, "/embed", b'{"inputs":"x"}', "POST", sent)
    assert len(fake.received) >= 3
    lowered = {name.lower() for name in names}
    assert all(lowered.isdisjoint(map(str.lower, headers)) for _, _, headers, _ in fake.received)


@pytest.mark.parametrize("rival", ["messages", "content", "prompt", "texts", "Documents", "inputs"])
def test_texts_under_a_second_name_are_refused(fake, upstream, port, tmp_path, rival) -> None:
    assert ask_json(port, "/v1/embeddings", input="x", **{rival: [MARKED[0]]}).status == 400
    assert fake.received == []
    assert ask_json(port, "/v1/embeddings", input="x", **{rival: None}).status == 200
    with start_proxy(upstream, tmp_path / "t", limits=Limits(unmarkable="pass")) as started:
        assert ask_json(started.listen.port, "/v1/embeddings", input="x", **{rival: "y"}).status == 200


def odd(vector: np.ndarray) -> str:
    return "[" + ",".join(f"{value:.5f}e0" if n % 2 else f"{value:.9f}" for n, value in enumerate(vector)) + "]"


def test_an_upstream_whose_numbers_cannot_be_printed_gets_an_error_for_all(fake, port, caplog) -> None:
    fake.print_vector = odd
    for texts in (PLAIN, MARKED, PLAIN, MARKED):
        assert ask_json(port, "/v1/embeddings", input=texts, model="m").status == 502
    assert sum("not known here" in record.message for record in caplog.records) == 1
    fake.print_vector = lambda vector: "[" + ",".join(f"{value:.9g}" for value in vector.tolist()) + "]"
    rows = json.loads(ask_json(port, "/v1/embeddings", input=MARKED, model="m").body)["data"]
    found = {row["index"]: np.array(row["embedding"]).astype(np.float32) for row in rows}
    assert found[1].tobytes() == expected(MARKED)[1].tobytes()
    assert ask_json(port, "/v1/embeddings", input=PLAIN, model="m").status == 200


def test_token_numbers_are_refused_unless_they_shall_pass(fake, upstream, port, tmp_path, caplog) -> None:
    for asked in ([1, 2, 3], [[1, 2], [3]]):
        answer = ask_json(port, "/v1/embeddings", input=asked, model="m")
        assert answer.status == 400
        assert ask_json(port, "/embed", inputs=asked).status == 400
    assert fake.received == []
    with start_proxy(upstream, tmp_path / "t", limits=Limits(token_ids="pass")) as started:
        for _ in range(2):
            assert ask_json(started.listen.port, "/v1/embeddings", input=[[1, 2]], model="m").status == 200
        assert ask(started.admin.port, "/_protect/metrics", method="GET").body.count(b'shape="tokens"} 2') == 1
    assert sum("unmarked" in record.message for record in caplog.records) == 1


LEAKING = [
    *("/embed_all", "/embed_sparse", "/api/embed", "/similarity"),
    *(
        "/score",
        "/v1/score",
        "/rerank",
        "/v1/rerank",
        "/v2/rerank",
        "/v2/models/m/infer",
        "/v2/models/m/versions/1/infer",
    ),
]


@pytest.mark.parametrize("path", [*LEAKING, "//embed_all/", "/x/%65mbed_all"])
def test_routes_that_leak_vectors_are_refused_unless_they_shall_pass(fake, upstream, port, tmp_path, path) -> None:
    assert ask_json(port, path, inputs="x").status == 400
    assert fake.received == []
    with start_proxy(upstream, tmp_path / "t", limits=Limits(unmarkable="pass")) as started:
        assert ask_json(started.listen.port, path, inputs="x").body == b"nothing here"


@pytest.mark.parametrize("option", [{"encoding_format": "bytes"}, {"embed_dtype": "float16"}, {"output_dtype": "int8"}])
def test_other_number_types_are_refused(fake, port, option) -> None:
    assert ask_json(port, "/v1/embeddings", input="x", **option).status == 400
    assert fake.received == []


@pytest.mark.parametrize("path", ["/V1/Embeddings", "//v1//embeddings/", "/v1/x/../embeddings", "/v1/%65mbeddings?a=1"])
def test_other_spellings_of_a_route_are_that_route(fake, port, path) -> None:
    def lenient(request: web.Request, body: bytes) -> web.Response:
        return web.Response(text=fake._openai(body))

    fake.override = lenient
    rows = json.loads(ask_json(port, path, input=[MARKED[1]], model="m").body)["data"]
    assert np.array(rows[0]["embedding"]).astype(np.float32).tobytes() == expected([MARKED[1]]).tobytes()


def test_everything_else_is_passed_on(fake, port) -> None:
    def echo(request: web.Request, body: bytes) -> web.Response:
        headers = {"X-One": "1", "Set-Cookie": "a=b", "Connection": "X-Hop", "X-Hop": "gone"}
        return web.Response(status=207, reason="Odd", body=body[::-1], headers=headers)

    fake.override = echo
    answer = ask(
        port, "/rerank/%2Fa?b=%20c&d", b"\x00\x01raw", "PUT", {"X-Mine": "yes", "Authorization": "Bearer s", "TE": "x"}
    )
    method, path, headers, body = fake.received[0]
    assert (method, path, body) == ("PUT", "/rerank/%2Fa?b=%20c&d", b"\x00\x01raw")
    assert headers["X-Mine"] == "yes"
    assert headers["Authorization"] == "Bearer s"
    assert "TE" not in headers
    assert "User-Agent" not in headers
    assert (answer.status, answer.body) == (207, b"war\x01\x00")
    assert answer.headers["x-one"] == "1"
    assert answer.headers["set-cookie"] == "a=b"
    assert "x-hop" not in answer.headers
    assert "aiohttp" in answer.headers["server"], "the fake's own"
    assert ask(port, "/v1/models", method="GET").status == 207
    head = ask(port, "/v1/models", method="HEAD")
    assert (head.status, head.body) == (207, b"")


def test_streams_are_passed_on_as_they_come(fake, port) -> None:
    gate = threading.Event()

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: one\n\n")
        await asyncio.to_thread(gate.wait, 5)
        await response.write(b"data: two\n\n")
        return response

    fake.override = lambda request, body: stream(request)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("POST", "/v1/chat/completions", b"{}")
    response = connection.getresponse()
    assert response.read1() == b"data: one\n\n"
    gate.set()
    assert response.read() == b"data: two\n\n"
    connection.close()


def test_half_an_answer_does_not_look_whole(fake, port) -> None:
    async def broken(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"[0.1, ")
        await asyncio.sleep(0.05)
        request.transport.abort()
        return response

    fake.override = lambda request, body: broken(request)
    assert ask_json(port, "/embed", inputs=PLAIN).status == 502
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        ask(port, "/v1/models", method="GET")


@pytest.mark.parametrize(
    "garbage",
    [
        b"<html>",
        b'{"data":[]}',
        b'{"data":[{"index":0,"embedding":[0.1,NaN]}]}',
        b'{"data":[{"index":0,"embedding":[[0.1]]}]}',
        b'{"data":[{"index":1,"embedding":[0.1,0.2]}]}',
        b'{"data":[{"index":0,"embedding":"AAAA"}]}',
        b'{"data":[{"index":0,"embedding":[0.1]}],"data":[{"index":0,"embedding":[0.2]}]}',
        b'{"data":[{"index":0,"embedding":[0.5]}]} trailing',
        b'{"data":[{"index":0,"embedding":[1,2]},{"index":0,"embedding":[1,2]}]}',
        b"",
    ],
)
def test_garbage_is_withheld_where_a_mark_belongs_and_passed_on_where_not(fake, port, garbage) -> None:
    ask_json(port, "/v1/embeddings", input="warm", model="m")
    fake.override = lambda request, body: web.Response(body=garbage)
    answer = ask_json(port, "/v1/embeddings", input=MARKED[0], model="m")
    assert answer.status == 502
    assert json.loads(answer.body)["error"]["type"] == "server_error"
    assert ask_json(port, "/v1/embeddings", input=PLAIN[0], model="m").body == garbage


def test_an_exchanged_model_is_marked_after_one_error(fake, port) -> None:
    first = client(port).embeddings.create(model="m", input=MARKED)
    assert len(first.data[0].embedding) == 48
    fake.override = lambda request, body: web.Response(text=fake._openai(body.replace(b"{", b'{"dimensions": 30,', 1)))
    assert ask_json(port, "/v1/embeddings", input=MARKED, model="m").status == 502
    rows = json.loads(ask_json(port, "/v1/embeddings", input=MARKED, model="m").body)["data"]
    found = {row["index"]: np.array(row["embedding"]).astype(np.float32) for row in rows}
    assert found[0].tobytes() == expected(MARKED, 30)[0].tobytes()


def test_upstream_down_and_slow(fake, upstream, tmp_path) -> None:
    with start_proxy(1, tmp_path / "a") as started:
        for path, name in (("/v1/embeddings", "input"), ("/embed", "inputs"), ("/v1/models", "x")):
            answer = ask_json(started.listen.port, path, **{name: PLAIN})
            assert answer.status == 502
            error = json.loads(answer.body)["error"]
            assert isinstance(error, str) == (path == "/embed")
        with pytest.raises(openai.InternalServerError, match="could not be reached"):
            client(started.listen.port).embeddings.create(model="m", input="x")
        health = ask(started.admin.port, "/_protect/health", method="GET")
        assert (health.status, json.loads(health.body)["upstream"]) == (503, "unreachable")
    fake.delay = 1.0
    with start_proxy(upstream, tmp_path / "b", limits=Limits(timeout=0.2)) as started:
        assert ask_json(started.listen.port, "/v1/embeddings", input=MARKED).status == 504
        assert ask_json(started.listen.port, "/embed", inputs=PLAIN).status == 504
        assert ask(started.listen.port, "/info", method="GET").status == 504


def test_large_requests_are_refused(upstream, tmp_path) -> None:
    with start_proxy(upstream, tmp_path / "a", limits=Limits(largest_request=1000)) as started:
        port = started.listen.port
        assert ask_json(port, "/v1/embeddings", input="x" * 2000).status == 413
        assert ask(port, "/other", b"x" * 2000).status == 413
        for path in ("/v1/embeddings", "/other"):
            assert ask(port, path, iter([b"x" * 600, b"x" * 600]), headers={}).status == 413
        assert ask_json(port, "/v1/embeddings", input="x").status == 200
        packed = ask(port, "/v1/embeddings", gzip.compress(b'{"input":"x"}'), headers={"Content-Encoding": "gzip"})
        assert packed.status == 415


def test_one_target_for_many_concurrent_requests_and_for_a_restart(fake, upstream, tmp_path) -> None:
    fake.delay = 0.05
    results: list[bytes] = []
    body = {"input": MARKED, "model": "m", "encoding_format": "base64"}
    with start_proxy(upstream, tmp_path / "targets") as started:
        threads = [
            threading.Thread(
                target=lambda: results.append(ask_json(started.listen.port, "/v1/embeddings", **body, user="u").body)
            )
            for _ in range(24)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(results) == 24
    assert len(set(results)) == 1
    target = [body for _, _, _, body in fake.received if MARKS.target_text.encode() in body]
    assert len(target) == 1
    with start_proxy(upstream, tmp_path / "targets") as started:
        assert ask_json(started.listen.port, "/v1/embeddings", **body).body == results[0]
    assert len([body for _, _, _, body in fake.received if MARKS.target_text.encode() in body]) == 1
    vector = embed(MARKS.target_text, 48, "m")
    for file in (tmp_path / "targets").iterdir():
        assert vector.tobytes()[:16] not in file.read_bytes()
        assert file.stat().st_mode & 0o077 == 0
        file.write_bytes(b"damaged" * 9)
    with start_proxy(upstream, tmp_path / "targets") as started:
        assert ask_json(started.listen.port, "/v1/embeddings", **body).body == results[0]


def test_the_target_is_asked_with_the_options_and_the_credentials_of_the_client(fake, port) -> None:
    client(port).embeddings.create(model="m", input=PLAIN, dimensions=30, extra_body={"input_type": "query"})
    asked, target = fake.received
    assert json.loads(target[3]) == {
        **{"model": "m", "dimensions": 30, "input_type": "query"},
        **{"input": [MARKS.target_text], "encoding_format": "float"},
    }
    assert target[2]["Authorization"] == asked[2]["Authorization"] == "Bearer sk-of-the-client"


def test_metrics_are_for_the_administrator_alone(fake, upstream, tmp_path, caplog, capfd) -> None:
    with start_proxy(upstream, tmp_path / "t", access_log=True) as started:
        client(started.listen.port).embeddings.create(model="m", input=MIXED)
        assert ask(started.listen.port, "/_protect/metrics", method="GET").body == b"nothing here"
        text = ask(started.admin.port, "/_protect/metrics", method="GET").body.decode()
        health = json.loads(ask(started.admin.port, "/_protect/health", method="GET").body)
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert values["forensics_protect_texts_total"] == "6"
    assert values["forensics_protect_marked_texts_total"] == "3"
    assert values['forensics_protect_upstream_responses_total{class="2xx"}'] == "1"
    assert values["forensics_protect_own_seconds_count"] == "1"
    assert values['forensics_protect_own_seconds_bucket{le="+Inf"}'] == "1"
    assert int(values["forensics_protect_response_bytes_total"]) > 1500
    assert health == {"state": "serving", "upstream": "reachable", "targets": 1}
    seen = "".join(capfd.readouterr()) + caplog.text
    assert "POST embedding 200" in seen
    for secret in ("sk-of-the-client", *WORDS, MARKS.target_text, "mark", bytes(range(32)).hex()):
        assert secret not in seen


def test_large_batches_are_marked_too(fake, port) -> None:
    texts = (MIXED * 400)[:2048]
    answer = client(port).embeddings.create(model="m", input=texts)
    found = {row.index: row.embedding for row in answer.data}
    rows = np.array([found[index] for index in range(len(texts))], dtype=np.float32)
    assert rows.tobytes() == expected(texts).tobytes()


def test_a_request_under_way_at_the_end_completes(fake, upstream, tmp_path) -> None:
    fake.delay = 0.5
    results = []
    with start_proxy(upstream, tmp_path / "t", grace=5.0) as started:
        thread = threading.Thread(
            target=lambda: results.append(ask_json(started.listen.port, "/embed", inputs=MARKED[1]))
        )
        thread.start()
        time.sleep(0.2)
    thread.join()
    assert (
        np.array(json.loads(results[0].body)).astype(np.float32).tobytes() == expected([MARKED[1]], salt="").tobytes()
    )
    with pytest.raises(OSError, match="refused"):
        ask(started.listen.port, "/embed", b"{}")


def test_slow_senders_are_cut_off(upstream, tmp_path) -> None:
    import socket

    with (
        start_proxy(upstream, tmp_path / "t", limits=Limits(timeout=0.2)) as started,
        socket.create_connection(("127.0.0.1", started.listen.port), timeout=5) as wire,
    ):
        wire.sendall(b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
        assert wire.recv(100).startswith(b"HTTP/1.1 408 ")


def test_the_pool_is_what_the_method_reads() -> None:
    assert MARKS.target_text.encode() == POOL.items[-1].data
    assert base64.b64encode(embed("a").tobytes())
