import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from asn1crypto import tsp

from forensics.errors import AuthorityError, UsageError
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.keys.timestamp import HttpAuthority, timestamp_request, verify_token
from tests.keys.openssl import OpenSsl

DIGEST = hashlib.sha256(b"a claim").digest()
REPLY = "application/timestamp-reply"

Answer = Callable[[bytes], tuple[int, str, bytes]]


@contextmanager
def serving(answer: Answer, pause: float = 0.0, drip: float = 0.0) -> Iterator[str]:
    """A server on this machine that answers every POST; yields its address.

    Args:
        pause: seconds before the answer.
        drip: seconds between its bytes.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            time.sleep(pause)
            status, kind, reply = answer(body)
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(reply)))
            self.end_headers()
            try:
                for start in range(0, len(reply), 1 if drip else max(1, len(reply))):
                    self.wfile.write(reply[start : start + 1] if drip else reply)
                    time.sleep(drip)
            except OSError:
                self.close_connection = True

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/stamp"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def refused(url: str, timeout: float = 5.0) -> str:
    """What the authority's error says; it must be one that sends exit code 3 and a next step."""
    with pytest.raises(AuthorityError) as caught:
        HttpAuthority(url, timeout).stamp(DIGEST)
    assert caught.value.exit_code == 3
    assert caught.value.next_step
    return caught.value.cause


@pytest.mark.parametrize("name", ["tsa", "tsa-ec"])
def test_a_real_authority_stamps(openssl: OpenSsl, name: str) -> None:
    with serving(lambda body: (200, REPLY, openssl.reply(body, name))) as url:
        authority = HttpAuthority(url)
        assert authority.name == url
        first, second = authority.stamp(DIGEST), authority.stamp(DIGEST)
    token = verify_token(first, DIGEST)
    assert token.authority == f"CN={name},O=Test"
    assert first != second
    assert len(token.token.signed.chain) == 2


def test_stray_certificates_are_left_out(openssl: OpenSsl, demonstration: DemonstrationAuthority) -> None:
    def answer(body: bytes) -> tuple[int, str, bytes]:
        response = tsp.TimeStampResp.load(openssl.reply(body))
        certificates = response["time_stamp_token"]["content"]["certificates"]
        stray = tsp.TimeStampResp.load(demonstration.respond(body))["time_stamp_token"]["content"]["certificates"]
        certificates.append(stray[0].copy())
        return 200, REPLY, response.dump()

    with serving(answer) as url:
        der = HttpAuthority(url).stamp(DIGEST)
    assert [each.subject.rfc4514_string() for each in verify_token(der, DIGEST).token.signed.chain] == [
        "CN=tsa,O=Test",
        "CN=Root,O=Test",
    ]


def test_nobody_listens() -> None:
    with serving(lambda _: (200, REPLY, b"")) as url:
        pass
    assert "could not be reached" in refused(url)


@pytest.mark.parametrize("status", [301, 401, 404, 500, 503])
def test_http_errors(status: int) -> None:
    with serving(lambda _: (status, REPLY, b"")) as url:
        assert f"HTTP status {status}" in refused(url)


@pytest.mark.parametrize("rubbish", [b"", b"\x00" * 100, b"<html>hello</html>", b"0\x80", b"0\x03\x02\x01\x00"])
def test_rubbish(rubbish: bytes) -> None:
    with serving(lambda _: (200, REPLY, rubbish)) as url:
        assert "no timestamp reply" in refused(url)


def test_another_content_type() -> None:
    with serving(lambda _: (200, "text/html", b"<html>")) as url:
        assert "something else than a timestamp reply" in refused(url)


def test_a_slow_authority() -> None:
    with serving(lambda _: (200, REPLY, b""), pause=1.0) as url:
        started = time.monotonic()
        assert "did not answer within 0.2 seconds" in refused(url, timeout=0.2)
        assert time.monotonic() - started < 0.9


def test_an_answer_that_trickles() -> None:
    with serving(lambda _: (200, REPLY, b"\x00" * 40), drip=0.03) as url:
        assert "did not answer within 0.2 seconds" in refused(url, timeout=0.2)


def test_an_endless_answer() -> None:
    with serving(lambda _: (200, REPLY, b"\x00" * 10_000_000)) as url:
        assert "more than 262144 bytes" in refused(url)


def test_a_refusal_in_words() -> None:
    refusal = tsp.PKIStatusInfo({"status": "rejection", "status_string": ["no credit\x1b[31m left"]})
    with serving(lambda _: (200, REPLY, b"0" + bytes([len(refusal.dump())]) + refusal.dump())) as url:
        said = refused(url)
    assert "refused (rejection: no credit?[31m left)" in said


def test_an_answer_to_another_request(openssl: OpenSsl, demonstration: DemonstrationAuthority) -> None:
    old = demonstration.respond(timestamp_request(DIGEST, 99).dump())
    with serving(lambda _: (200, REPLY, old)) as url:
        assert "its nonce differs" in refused(url)
    other = timestamp_request(hashlib.sha256(b"another claim").digest(), 99).dump()
    with serving(lambda _: (200, REPLY, openssl.reply(other))) as url:
        assert "over other content" in refused(url)


def test_a_token_that_does_not_verify(demonstration: DemonstrationAuthority) -> None:
    def answer(body: bytes) -> tuple[int, str, bytes]:
        good = bytearray(demonstration.respond(body))
        good[-1] ^= 1
        return 200, REPLY, bytes(good)

    with serving(answer) as url:
        assert "does not verify (a signature value does not fit" in refused(url)


def test_credentials_are_used_and_never_shown() -> None:
    with serving(lambda _: (403, REPLY, b"")) as url:
        said = refused(url.replace("http://", "http://user:secret@") + "?token=secret")
    assert "secret" not in said
    assert "127.0.0.1" in said


@pytest.mark.parametrize(
    "url", ["", "tsa.example", "ftp://tsa.example", "http://", "https://host:port/", "http://[::1"]
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        HttpAuthority(url)
    assert caught.value.exit_code == 2
