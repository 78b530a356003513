"""The prober against servers that misbehave in every way: each is bounded, recorded, and counts as missing."""

import asyncio
import base64
import gzip
import hashlib
import itertools
import json
import textwrap
import time
import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from forensics.errors import StorageError, Unreachable, UsageError
from forensics.evidence import storage
from forensics.evidence.chain import verify_chain
from forensics.evidence.journal import Journal
from forensics.evidence.scribe import Scribe
from forensics.records import AnswerKind, Probe
from forensics.suspects import Connection, open_suspect
from forensics.suspects.remote.exchange import LEAST_BYTES, PROBE_BYTES
from forensics.suspects.remote.limits import Pace, growing_pause, wished_pause
from forensics.suspects.remote.redaction import REDACTED, Redactor
from forensics.suspects.remote.transport import ERROR_BYTES
from forensics.suspects.remote.witness import Past
from tests.hostile import Asked, Stub, plain, response, serving, vector, vectors

QUICK = Connection(concurrency=4, attempts=3, timeout=5.0, pause=0.001)
SECRET = "sk-very-secret/0123456789"


def probes(count: int) -> list[Probe]:
    return [Probe(f"probe {index}".encode(), "text/plain") for index in range(count)]


class Run:
    """One acquisition of probes into a journal."""

    def __init__(self, folder: Path, stub: Stub, *, count: int = 12, size: int = 2, connection: Connection = QUICK):
        self.folder, self.count, self.size = folder / "CASE.partial", count, size
        self.suspect = open_suspect(f"tei+{stub.url}", connection)
        self.error: Exception | None = None
        self.entries: tuple[dict[str, Any], ...] = ()
        self.raw = b""
        self.facts: dict[str, str] = {}

    def go(self, *, resume: bool = False) -> "Run":
        with Journal.open(self.folder, plan_digest="a" * 64, suspect_digest="b" * 64, resume=resume) as journal:
            ledger = journal.ledger
            past = Past(
                ledger.attempts,
                ledger.tokens,
                ledger.form,
                tuple(journal.rows(0)) if 0 in ledger.batches else (),
                ledger.replies,
                tuple(ledger.models),
                ledger.constant,
            )
            run = self.suspect.converse(
                probes(self.count), ledger.remaining(self.count), self.size, Scribe(journal), past
            )
            try:
                asyncio.run(run)
            except (StorageError, Unreachable, UsageError) as error:
                self.error = error
            self.raw = journal.transcript()
            self.facts = ledger.facts()
        self.entries = verify_chain(self.raw)
        return self

    def events(self, name: str) -> list[dict[str, Any]]:
        return [entry for entry in self.entries if entry["event"] == name]

    @property
    def rows(self) -> dict[int, Any]:
        return {
            entry["first"] + place: row for entry in self.events("batch") for place, row in enumerate(entry["rows"])
        }

    @property
    def missing(self) -> list[int]:
        return sorted(place for place, row in self.rows.items() if row is None)

    @property
    def reasons(self) -> list[str]:
        return [entry["reason"] for entry in self.events("failure")]


def asks(asked: Asked, probe: int) -> bool:
    return f"probe {probe}" in asked.inputs


def test_every_probe_is_asked_once_and_recorded_before_and_after(tmp_path: Path) -> None:
    with serving() as stub:
        run = Run(tmp_path, stub).go()
    assert run.error is None
    assert run.rows == {index: [repr(value) for value in vector(f"probe {index}")] for index in range(12)}
    assert stub.asked[0].inputs[0] == "probe 0"
    assert len(stub.asked) == 7  # six batches, and the first once more
    assert len(run.events("sent")) == len(run.events("received")) == 7
    sent, received = run.events("sent")[0], run.events("received")[0]
    assert sent["url"] == f"{stub.url}/embed"
    assert sent["body"].encode() == stub.asked[0].body
    assert received["status"] == 200
    assert received["http"] == "HTTP/1.1"
    assert received["peer"] == stub.host
    assert run.events("constancy") == [run.entries[-1]]
    assert run.entries[-1]["differing"] == 0
    assert stub.asked[0].headers["accept-encoding"] == "identity"
    assert run.facts["attempts"] == "7"


def test_no_more_requests_are_under_way_than_allowed(tmp_path: Path) -> None:
    under_way, most = 0, 0

    async def slow(asked: Asked, writer: asyncio.StreamWriter) -> bytes:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.02)
        under_way -= 1
        return plain(asked)

    with serving(slow) as stub:
        Run(tmp_path, stub, count=24, connection=Connection(concurrency=3)).go()
    assert most == 3


BOMB = gzip.compress(b"[" + b"0," * (1 << 22) + b"0]")


def huge(asked: Asked) -> bytes:
    return response(b"[" + b"0.125," * 400_000 + b"0]")


def malformed(asked: Asked) -> bytes:
    return response(b"[[0.1, 0.2, 0.3, 0.4, 0.5")


def disguised(asked: Asked) -> bytes:
    return response({"error": "the model is overloaded", "error_type": "overloaded"})


def redirect(asked: Asked) -> bytes:
    return response(b"", 307, [("Location", "/embed")])


def bomb(asked: Asked) -> bytes:
    return response(BOMB, headers=[("Content-Encoding", "gzip")])


def brotli(asked: Asked) -> bytes:
    return response(b"\x0b\x02\x80[]\x03", headers=[("Content-Encoding", "br")])


def broken_gzip(asked: Asked) -> bytes:
    return response(gzip.compress(b"[[0.5]]")[:-6], headers=[("Content-Encoding", "gzip")])


def refused(asked: Asked) -> bytes:
    return response({"error": "no"}, 422)


def failing(asked: Asked) -> bytes:
    return response(b"Internal Server Error", 500)


def nonsense(asked: Asked) -> bytes:
    return b"this is no HTTP at all\r\n\r\n"


def deep(asked: Asked) -> bytes:
    return response(b"[" * 200_000)


def odd_count(asked: Asked) -> bytes:
    return response(vectors([*asked.inputs, "one more"]))


async def drip(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b"0")
        await writer.drain()
        await asyncio.sleep(0.05)


async def reset(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def cut_off(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n[[0.5,")
    await writer.drain()


HOSTILITIES = [
    (huge, 3, "larger than 1000000 bytes"),
    (malformed, 3, "no JSON"),
    (disguised, 3, "overloaded"),
    (redirect, 1, "redirects elsewhere"),
    (bomb, 3, "larger than 1000000 bytes when unpacked"),
    (brotli, 3, "compressed in a way that was not asked for"),
    (broken_gzip, 3, "compressed body is broken"),
    (refused, 1, "status 422"),
    (failing, 3, "status 500"),
    (nonsense, 3, "RemoteProtocolError"),
    (deep, 3, ""),
    (odd_count, 3, "3 items for 2 probes"),
    (drip, 3, "no answer within 0.4 seconds"),
    (reset, 3, "no complete answer"),
    (cut_off, 3, "no complete answer"),
]


@pytest.mark.parametrize(("hostile", "attempts", "reason"), HOSTILITIES, ids=[each[0].__name__ for each in HOSTILITIES])
def test_hostile_answers_are_bounded_recorded_and_missing(tmp_path: Path, hostile, attempts: int, reason: str) -> None:
    async def behave(asked: Asked, writer: asyncio.StreamWriter) -> bytes | None:
        if not asks(asked, 5):
            return plain(asked)
        found = hostile(asked, writer) if asyncio.iscoroutinefunction(hostile) else hostile(asked)
        return await found if asyncio.iscoroutine(found) else found

    connection = Connection(concurrency=2, attempts=3, timeout=0.4, pause=0.001, max_bytes=1_000_000)
    with serving(behave) as stub:
        started = time.monotonic()
        run = Run(tmp_path, stub, count=8, connection=connection).go()
    assert run.error is None
    assert run.missing == [4, 5]
    assert len(run.reasons) == attempts
    assert all(reason in each for each in run.reasons), run.reasons
    assert time.monotonic() - started < 4.0
    assert len(run.raw) < 2_000_000
    assert sum(asks(asked, 5) for asked in stub.asked) == attempts


def test_values_that_are_no_numbers_and_other_widths_are_missing(tmp_path: Path) -> None:
    def behave(asked: Asked) -> bytes:
        if asks(asked, 5):
            return response(json.dumps([[float("nan")] * 6, vector("x")]).encode())
        if asks(asked, 6):
            return response(vectors(asked.inputs, 4))
        if asks(asked, 8):
            return response([vector("x"), [1e400] * 6])
        return plain(asked)

    with serving(behave) as stub:
        run = Run(tmp_path, stub).go()
    assert run.error is None
    assert {6, 7, 9} <= set(run.missing) <= {4, 5, 6, 7, 8, 9}
    assert 5 in run.missing or 4 in run.missing
    assert any(entry["now"] == "4 columns instead of 6" for entry in run.events("change"))
    assert run.facts["changes of form"] == "1"


def test_a_model_that_changes_halfway_is_recorded(tmp_path: Path) -> None:
    def behave(asked: Asked) -> bytes:
        name = "first" if asked.number < 4 else "second"
        data = [{"index": i, "embedding": vector(text)} for i, text in enumerate(json.loads(asked.body)["input"])]
        return response({"data": data, "model": name})

    with serving(behave) as stub:
        run = Run(tmp_path, stub, connection=Connection(concurrency=1))
        run.suspect = open_suspect(f"openai+{stub.url}#m", QUICK)
        run.go()
    assert [entry["name"] for entry in run.events("model")] == ["first", "second"]
    assert run.facts["model stated"] == "first, second"


def test_a_suspect_that_is_not_constant_is_recorded(tmp_path: Path) -> None:
    def behave(asked: Asked) -> bytes:
        rows = vectors(asked.inputs)
        if asked.number > 3:
            rows[0][0] += 0.01
            rows[1][0] += 0.00001
        return response(rows)

    with serving(behave) as stub:
        run = Run(tmp_path, stub).go()
    assert run.events("constancy")[0]["differing"] == 1


def test_retry_after_is_obeyed_by_all(tmp_path: Path) -> None:
    times: list[float] = []

    def behave(asked: Asked) -> bytes:
        times.append(time.monotonic())
        if asked.number == 3:
            return response({"error": "slow down"}, 429, [("Retry-After", "1")])
        return plain(asked)

    with serving(behave) as stub:
        run = Run(tmp_path, stub, connection=Connection(concurrency=2, attempts=3)).go()
    assert run.error is None
    assert run.missing == []
    assert max(after - before for before, after in itertools.pairwise(times)) > 0.8
    assert [entry["status"] for entry in run.events("received")].count(429) == 1


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "100000"}, 120.0),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nonsense"}, None),
        ({"retry-after": "1e99"}, None),
        ({"retry-after": "+99999999999999999999 Jan 00:00:00 0001 +2359"}, None),
        ({"retry-after": format_datetime(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=30), usegmt=True)}, 30.0),
        ({"retry-after": format_datetime(datetime(2025, 1, 1, tzinfo=UTC), usegmt=True)}, 0.0),
        ({}, None),
    ],
)
def test_wished_pauses(headers: dict[str, str], wanted: float | None) -> None:
    assert wished_pause(headers, datetime(2026, 1, 1, tzinfo=UTC)) == wanted


def test_growing_pauses_double_and_are_the_same_each_time() -> None:
    pauses = [growing_pause(0.5, attempt, "4 2 0") for attempt in range(1, 9)]
    assert pauses == [growing_pause(0.5, attempt, "4 2 0") for attempt in range(1, 9)]
    assert all(0.375 * 2 ** min(n, 4) <= pause <= 0.5 * 2 ** min(n, 4) for n, pause in enumerate(pauses))
    assert len({growing_pause(0.5, 1, f"{first} 2 0") for first in range(20)}) > 10


def test_rates_spread_requests_over_time() -> None:
    async def timed(connection: Connection, units: int) -> float:
        pace = Pace(connection)
        started = time.monotonic()
        for _ in range(4):
            await pace.wait(units)
        return time.monotonic() - started

    assert 0.28 < asyncio.run(timed(Connection(requests_per_minute=600.0), 1)) < 0.8
    assert 0.28 < asyncio.run(timed(Connection(tokens_per_minute=60_000.0), 100)) < 0.8
    assert asyncio.run(timed(Connection(), 100)) < 0.05


def test_used_up_quota_stops_everything_and_the_rest_can_be_asked_later(tmp_path: Path) -> None:
    paid = False

    def behave(asked: Asked) -> bytes:
        if asked.number > 3 and not paid:
            return response({"error": {"code": "insufficient_quota", "message": "x"}}, 429)
        return plain(asked)

    with serving(behave) as stub:
        run = Run(tmp_path, stub, count=40).go()
        assert isinstance(run.error, Unreachable)
        assert "quota" in str(run.error)
        assert len(stub.asked) <= 4 + 2 * 4  # under way, and written down as the next
        assert run.missing == []
        paid, before = True, len(stub.asked)
        answered = set(run.rows)
        run.error = None
        run.go(resume=True)
        assert run.error is None
        assert run.missing == []
        asked_again = {text for asked in stub.asked[before:-1] for text in asked.inputs}
        assert not asked_again & {f"probe {index}" for index in answered}


@pytest.mark.parametrize(
    ("status", "words"), [(401, "API key"), (403, "refuses access"), (404, "no such route"), (500, "status 500")]
)
def test_a_first_request_that_is_refused_stops_in_a_sentence(tmp_path: Path, status: int, words: str) -> None:
    with serving(lambda asked: response({"error": "no"}, status)) as stub:
        run = Run(tmp_path, stub).go()
    assert isinstance(run.error, Unreachable)
    assert words in str(run.error)
    assert len(stub.asked) == (3 if status == 500 else 1)
    assert run.rows == {}


def test_nobody_there_is_said_in_a_sentence(tmp_path: Path) -> None:
    with serving() as stub:
        pass
    run = Run(tmp_path, stub).go()
    assert isinstance(run.error, Unreachable)
    assert "did not answer" in str(run.error)


def test_too_large_batches_are_halved(tmp_path: Path) -> None:
    def behave(asked: Asked) -> bytes:
        return response({"error": "too large"}, 413) if len(asked.inputs) > 3 else plain(asked)

    with serving(behave) as stub:
        run = Run(tmp_path, stub, count=20, size=8).go()
    assert run.error is None
    assert run.missing == []
    assert [len(asked.inputs) for asked in stub.asked][:3] == [8, 4, 2]
    assert max(len(asked.inputs) for asked in stub.asked[3:]) == 2  # the first batch teaches the rest
    assert sorted(run.rows) == list(range(20))


def test_a_batch_that_alone_is_too_large_is_halved_until_it_fits(tmp_path: Path) -> None:
    def behave(asked: Asked) -> bytes:
        return response({"error": "too large"}, 413) if asks(asked, 10) else plain(asked)

    with serving(behave) as stub:
        run = Run(tmp_path, stub, count=16, size=8).go()
    assert run.error is None
    assert run.missing == [10]


def test_a_suspect_that_falls_silent_stops_the_run_and_loses_nothing(tmp_path: Path) -> None:
    broken = True

    def behave(asked: Asked) -> bytes:
        return failing(asked) if broken and asked.number > 4 else plain(asked)

    with serving(behave) as stub:
        run = Run(tmp_path, stub, count=120).go()
        assert isinstance(run.error, Unreachable)
        assert "in a row" in str(run.error)
        assert run.missing == []
        broken, run.error = False, None
        run.go(resume=True)
        assert run.error is None
        assert run.missing == []
        assert sorted(run.rows) == list(range(120))


def test_caps_stop_in_good_order_and_count_what_went_before(tmp_path: Path) -> None:
    with serving() as stub:
        capped = Connection(concurrency=4, attempts=3, pause=0.001, max_requests=5)
        run = Run(tmp_path, stub, count=40, connection=capped).go()
        assert isinstance(run.error, UsageError)
        assert "cap of 5 requests" in str(run.error)
        assert len(stub.asked) == 5
        assert len(run.rows) == 10
        run.go(resume=True)
        assert len(stub.asked) == 5
        more = Run(tmp_path, stub, count=40, connection=Connection(max_tokens=200)).go(resume=True)
        assert "cap of 200 tokens" in str(more.error)
        assert sum(entry["units"] for entry in more.events("sent")) <= 200
        assert Run(tmp_path, stub, count=40).go(resume=True).missing == []


def test_the_key_reaches_the_suspect_and_no_record(tmp_path: Path) -> None:
    def behave(asked: Asked) -> bytes:
        echo = asked.headers["authorization"]
        headers = [("Set-Cookie", "session=abc"), ("X-Echo", echo), ("X-Request-Id", "r-1")]
        if asks(asked, 5):
            return response({"error": f"bad key {echo}", "again": SECRET}, 422, headers)
        if asks(asked, 7):
            return response({"error": f"the key {SECRET} is bad"}, 200, headers)
        return response(json.dumps(vectors(asked.inputs)).encode() + b" " * 3, 200, headers)

    connection = Connection(concurrency=2, attempts=2, pause=0.001, api_key=SECRET)
    with serving(behave) as stub:
        run = Run(tmp_path, stub, connection=connection).go()
        assert stub.asked[0].headers["authorization"] == f"Bearer {SECRET}"
        assert all("cookie" not in asked.headers for asked in stub.asked)
    assert run.missing == [4, 5, 6, 7]
    escaped = SECRET.replace("/", "\\/")
    for form in (SECRET, escaped, "session=abc"):
        assert form.encode() not in run.raw
    assert any(entry.get("redacted") for entry in run.events("received"))
    headers = dict(run.events("received")[0]["headers"])
    assert headers["set-cookie"] == REDACTED
    assert headers["x-request-id"] == "r-1"
    assert SECRET not in headers["x-echo"]
    assert SECRET not in repr(run.suspect.connection)
    assert SECRET not in repr(vars(run.suspect.identity))


def test_the_key_is_kept_out_of_errors(tmp_path: Path) -> None:
    with serving(lambda asked: response({"error": f"no, {SECRET}"}, 500)) as stub:
        run = Run(tmp_path, stub, connection=Connection(attempts=1, api_key=SECRET)).go()
    assert SECRET not in str(run.error)
    assert SECRET.encode() not in run.raw


@pytest.mark.parametrize("key", ["short", "with space inside", "line\nbreak-in-it", "Schlüssel-lang"])
def test_keys_that_are_none_are_refused_without_being_shown(key: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_suspect("tei+http://127.0.0.1:1", Connection(api_key=key)).answer(probes(1))
    assert key not in str(caught.value)


def test_a_redactor_knows_the_forms_of_a_secret() -> None:
    redactor = Redactor('quo"ted/key\\x')
    for form in (b'quo"ted/key\\x', b'quo\\"ted/key\\\\x', b"quo%22ted%2Fkey%5Cx", b"cXVvInRlZC9rZXlceA=="):
        assert redactor.clean(b"a " + form + b" b") == (b"a [redacted] b", True)
    assert redactor.clean(b"nothing") == (b"nothing", False)


KEY = "Zm9vYmFy+Qux/12=="
DUMP = base64.b64encode(f"POST /v1 HTTP/1.1\r\nAuthorization: Bearer {KEY}\r\n".encode()).decode()
DISGUISED_KEYS = [
    KEY.replace("=", "\\u003d"),
    KEY.replace("+", "\\u002B"),
    json.dumps(KEY.replace("/", "\\u002f")),
    KEY.replace("+", "%2b"),
    KEY.replace("+", "%2B").replace("/", "%2f"),
    KEY.replace("=", "&#x3D;"),
    "".join(f"&#{ord(letter)};" for letter in KEY),
    KEY.encode().hex().upper(),
    KEY.lower(),
    KEY.rstrip("="),
    KEY[:-4],
    KEY.encode("utf-16-le").decode(),
    DUMP,
    *(base64.b64encode(b"x" * before + KEY.encode() + b"!").decode() for before in range(3)),
    base64.urlsafe_b64encode(b"xx" + KEY.encode() + b"yyy").decode(),
    quote(DUMP),
    "\n".join(textwrap.wrap(DUMP, 20)),
]


@pytest.mark.parametrize("text", DISGUISED_KEYS)
def test_a_secret_in_disguise_is_taken_out_or_the_body_is_not_kept(text: str) -> None:
    clean, found = Redactor(KEY, [f"Bearer {KEY}"]).clean(f'{{"error": "{text}"}}'.encode())
    assert found
    assert clean == b"" or REDACTED.encode() in clean
    assert KEY[:9].lower().encode() not in clean.lower()


def test_what_holds_no_secret_stays_as_it_is() -> None:
    redactor = Redactor(KEY, [f"Bearer {KEY}"])
    for text in (
        '{"a": "50 % of \\u00e9 &amp; \\"x\\" Zm9v"}',
        "[0.1234, -5e-08]",
        base64.b64encode(b"other text " * 20),
    ):
        data = text.encode() if isinstance(text, str) else text
        assert redactor.clean(data) == (data, False)


def test_a_body_that_repeats_the_key_out_of_reach_is_no_answer_and_only_its_digest_is_kept(tmp_path: Path) -> None:
    disguise = SECRET.replace("-", "\\u002d")

    def behave(asked: Asked) -> bytes:
        raw = json.dumps(vectors(asked.inputs)).encode()
        return response(b'["' + disguise.encode() + b'"]' if asks(asked, 5) else raw)

    connection = Connection(concurrency=2, attempts=1, pause=0.001, api_key=SECRET)
    with serving(behave) as stub:
        run = Run(tmp_path, stub, connection=connection).go()
    assert run.missing == [4, 5]
    assert b"secret" not in run.raw
    kept = next(entry for entry in run.events("received") if entry.get("redacted"))
    whole = f'["{disguise}"]'.encode()
    assert (kept["body"], kept["cut"]) == ("", True)
    assert kept["whole"] == {"sha256": hashlib.sha256(whole).hexdigest(), "bytes": len(whole)}


@pytest.mark.parametrize("short", [0, 1, len(SECRET) - 1, len(SECRET)])
@pytest.mark.parametrize("before", [b"", SECRET.encode() * 9])
def test_a_key_across_the_end_of_what_is_kept_of_an_error_is_taken_out(
    tmp_path: Path, short: int, before: bytes
) -> None:
    start = before + b" " * (ERROR_BYTES - len(before) - short)
    with serving(lambda asked: response(start + SECRET.encode() + b" " * 100_000, 500)) as stub:
        run = Run(tmp_path, stub, connection=Connection(attempts=1, api_key=SECRET)).go()
    (kept,) = run.events("received")
    assert b"sk-" not in run.raw
    assert kept["cut"]
    assert len(kept["body"]) <= ERROR_BYTES


def test_a_key_at_the_end_of_all_that_was_read_of_an_error_is_not_kept(tmp_path: Path) -> None:
    reach = Redactor(SECRET, [f"Bearer {SECRET}"]).reach
    many = SECRET.encode() * 100  # what is taken out must not bring the end nearer
    body = many + b" " * (ERROR_BYTES + reach - len(many) - 9) + SECRET.encode() + b" " * 9
    with serving(lambda asked: response(body, 500)) as stub:
        run = Run(tmp_path, stub, connection=Connection(attempts=1, api_key=SECRET)).go()
    assert b"sk-" not in run.raw


def test_a_large_body_that_is_no_answer_is_kept_in_part(tmp_path: Path) -> None:
    body = json.dumps({"error": "no", "padding": " " * 200_000}).encode()
    with serving(lambda asked: response(body) if asks(asked, 5) else plain(asked)) as stub:
        run = Run(tmp_path, stub, connection=replace(QUICK, attempts=1)).go()
    assert run.missing == [4, 5]
    (kept,) = [entry for entry in run.events("received") if entry.get("cut")]
    assert kept["body"].encode() == body[:ERROR_BYTES]
    assert kept["whole"] == {"sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body)}


def test_an_answer_to_few_probes_may_be_smaller_than_one_to_many(tmp_path: Path) -> None:
    most = LEAST_BYTES + 2 * PROBE_BYTES

    def behave(asked: Asked) -> bytes:
        raw = json.dumps(vectors(asked.inputs)).encode()
        return response(raw + b" " * (most - len(raw) + asks(asked, 5)))

    with serving(behave) as stub:
        run = Run(tmp_path, stub, count=6, connection=replace(QUICK, attempts=1)).go()
    assert run.missing == [4, 5]
    assert run.reasons == [f"the body is larger than {most} bytes"]


def test_a_full_transcript_stops_in_good_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "FILE_LIMIT", 400_000)

    def behave(asked: Asked) -> bytes:
        return response(json.dumps(vectors(asked.inputs)).encode() + b" " * 50_000)

    with serving(behave) as stub:
        run = Run(tmp_path, stub, count=40, connection=replace(QUICK, concurrency=1)).go()
        asked = len(stub.asked)
        again = Run(tmp_path, stub, count=40, connection=replace(QUICK, concurrency=1)).go(resume=True)
        assert len(stub.asked) == asked
    for each in (run, again):
        assert isinstance(each.error, StorageError)
        assert "stopped in good order" in str(each.error)
    assert 200_000 < len(run.raw) < 400_000
    assert len(run.rows) >= 2 * (asked - 1)
    assert run.events("batch") == again.events("batch")


def test_unasked_compression_is_unpacked(tmp_path: Path) -> None:
    def behave(asked: Asked) -> bytes:
        raw = json.dumps(vectors(asked.inputs)).encode()
        if asked.number % 3 == 0:
            return response(gzip.compress(raw), headers=[("Content-Encoding", "gzip")])
        packer = zlib.compressobj(wbits=15 if asked.number % 3 == 1 else -15)
        return response(packer.compress(raw) + packer.flush(), headers=[("Content-Encoding", "deflate")])

    with serving(behave) as stub:
        run = Run(tmp_path, stub).go()
    assert run.missing == []


def test_plain_questions_give_answers_and_mark_what_is_missing() -> None:
    def behave(asked: Asked) -> bytes:
        return refused(asked) if asks(asked, 40) else plain(asked)

    with serving(behave) as stub:
        suspect = open_suspect(f"tei+{stub.url}", QUICK)
        answers = suspect.answer(probes(70))
        again = suspect.answer(probes(70)[:3])
    assert answers.kind == AnswerKind.VECTORS
    assert answers.values.shape == (70, 6)
    assert np.flatnonzero(answers.missing).tolist() == list(range(32, 64))
    assert np.array_equal(answers.values[:3], again.values)


def test_identity_depends_on_the_place_the_model_and_the_options_alone() -> None:
    names = [
        "openai+http://h/v1#m",
        "openai+http://h/v1#n",
        "openai+https://h/v1#m",
        "openai+http://h/v1?dimensions=8#m",
    ]
    digests = [open_suspect(name).identity.digest for name in names]
    assert len(set(digests)) == 4
    assert open_suspect("openai+http://h/v1/#m", Connection(api_key=SECRET)).identity.digest == digests[0]


@pytest.mark.parametrize(
    "name",
    [
        "openai+http://user:password@host/v1#m",
        "openai+http://host:99999/v1#m",
        "openai+http:///v1#m",
        "unheard+http://host",
        "openai+http://host/v1?dimensions=1&dimensions=2#m",
        "openai+http://host/v1?colour=blue#m",
        "openai+http://host/a b#m",
        "ftp+ftp://host",
        "https://host/v1",
    ],
)
def test_odd_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_suspect(name)
    assert "password" not in str(caught.value) or "or a password" in str(caught.value)


def test_proxies_of_the_environment_are_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with serving() as stub:
        assert Run(tmp_path, stub).go().missing == []
