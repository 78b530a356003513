"""Fetching revocation lists: only where certificates say, only the public network, bounded."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography import x509

from forensics.errors import AuthorityError
from forensics.evidence import fetching
from forensics.evidence.fetching import fetch_lists
from tests.evidence.pki import Ca


@dataclass
class Publisher:
    """A web server on this machine; `body` and `status` by path."""

    server: ThreadingHTTPServer
    pages: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server.server_port}{path}"


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            publisher.asked.append(self.path)
            if self.path == "/slow":
                time.sleep(1)
            status, body = publisher.pages.get(self.path, (404, b""))
            self.send_response(status)
            if status == 302:
                self.send_header("Location", body.decode())
                body = b""
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    publisher = Publisher(server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield publisher
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def ca() -> Ca:
    return Ca()


def published(ca: Ca, *urls: str) -> x509.Certificate:
    names = [x509.UniformResourceIdentifier(url) for url in urls]
    point = x509.DistributionPoint(names, None, None, None)
    return ca.issue(more=[(x509.CRLDistributionPoints([point]), False)]).certificate


def anywhere(host: str, port: int) -> bool:
    return True


def test_lists_are_fetched_once_from_the_first_address(ca: Ca, publisher: Publisher) -> None:
    found = ca.crl()
    publisher.pages["/root.crl"] = (200, found.der)
    one = published(ca, "ldap://x/y", publisher.url("/root.crl"), publisher.url("/second.crl"))
    two = published(ca, publisher.url("/root.crl"))
    lists = fetch_lists([one, two, ca.certificate], allowed=anywhere)
    assert [each.der for each in lists] == [found.der]
    assert lists[0].source == publisher.url("/root.crl")
    assert publisher.asked == ["/root.crl"]


@pytest.mark.parametrize(
    ("status", "body", "match"),
    [
        (404, b"", "status 404"),
        (302, b"http://127.0.0.1:9/", "status 302"),
        (200, b"rubbish", "holds no revocation list"),
        (200, b"x" * 2000, "more than 1000 bytes"),
    ],
)
def test_answers_that_are_no_lists_are_refused(
    ca: Ca, publisher: Publisher, monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, match: str
) -> None:
    monkeypatch.setattr(fetching, "LARGEST", 1000)
    publisher.pages["/root.crl"] = (status, body)
    with pytest.raises(AuthorityError, match=match) as caught:
        fetch_lists([published(ca, publisher.url("/root.crl"))], allowed=anywhere)
    assert "--crl" in caught.value.next_step
    assert publisher.asked == ["/root.crl"]


def test_slow_answers_are_given_up(ca: Ca, publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "SECONDS", 0.2)
    with pytest.raises(AuthorityError, match=r"did not answer within 0\.2 seconds"):
        fetch_lists([published(ca, publisher.url("/slow"))], allowed=anywhere)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "10.0.0.8",
        "192.168.1.1",
        "169.254.169.254",
        "[fd00::1]",
        "0.0.0.0",
        "2130706433",
    ],
)
def test_private_networks_are_left_alone(ca: Ca, publisher: Publisher, host: str) -> None:
    url = f"http://{host}:{publisher.server.server_port}/root.crl"
    with pytest.raises(AuthorityError, match="no public address"):
        fetch_lists([published(ca, url)])
    assert publisher.asked == []


def test_addresses_with_a_password_or_without_a_host_are_refused(ca: Ca) -> None:
    for url in ("http://user:secret@lists.example/x", "http:///x", "http://[::1", "http://x:99999999/"):
        with pytest.raises(AuthorityError):
            fetch_lists([published(ca, url)], allowed=anywhere)


def test_other_protocols_are_never_followed(ca: Ca) -> None:
    assert fetch_lists([published(ca, "file:///etc/passwd", "ldap://x/y", "ftp://x/y")], allowed=anywhere) == []


def test_number_of_addresses_is_bounded(ca: Ca) -> None:
    many = [published(ca, f"http://lists.example/{index}") for index in range(9)]
    with pytest.raises(AuthorityError, match="more than 8"):
        fetch_lists(many, allowed=anywhere)


def test_nobody_answers(ca: Ca) -> None:
    with pytest.raises(AuthorityError, match="could not be reached"):
        fetch_lists([published(ca, "http://127.0.0.1:9/root.crl")], allowed=anywhere)
