"""The command `protect serve` as a process: start, record, signals."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forensics.cli.protect import serve
from forensics.errors import KeyFolderError, MissingExtraError, UsageError
from forensics.keys.asset import Asset
from forensics.keys.folder import KeyFolder
from forensics.protect.server import Address
from forensics.protect.service import open_marks, record
from forensics.protect.upstream import check_url, import_aiohttp
from forensics.registration import new_key
from tests.protect.services import PARAMETERS, POOL, Background, FakeUpstream, ask, ask_json, embed

PASSPHRASE = "of the tests"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("serve") / "key"
    new_key(
        path,
        owner="Tests",
        method="espew",
        options=PARAMETERS,
        pool=[POOL],
        references={},
        passphrase=PASSPHRASE,
        authorities=[],
        binding="self-dated",
    )
    return path


class Served:
    """The command in a process of its own."""

    def __init__(self, key: Path, port: int, *options: str) -> None:
        command = [sys.executable, "-m", "forensics", "protect", "serve", str(key), "--json", "--listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(
            [*command, "--upstream", f"http://127.0.0.1:{port}", "--service", "ours", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "FORENSICS_PASSPHRASE": PASSPHRASE},
        )

    def __enter__(self) -> "Served":
        lines = []
        while not lines or lines[-1] != "}\n":
            line = self.process.stdout.readline()
            assert line, self.process.stderr.read()
            lines.append(line)
        self.started: dict[str, Any] = json.loads("".join(lines))
        self.port = int(self.started["listen"].rsplit(":", 1)[1])
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=10)

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Sends a signal and returns the exit code and standard error."""
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=10)
        return self.process.returncode, errors


@pytest.fixture
def fake() -> FakeUpstream:
    return FakeUpstream()


@pytest.fixture
def upstream(fake: FakeUpstream) -> Iterator[int]:
    with Background(fake.running) as port:
        yield port


def test_a_request_under_way_at_sigterm_completes_and_the_exit_code_is_zero(fake, upstream, key) -> None:
    fake.delay = 0.6
    marks = open_marks(key, PASSPHRASE, 0)
    word = next(word for word in (item.data.decode() for item in POOL.items[:40]) if marks.triggered([word])[0])
    answers = []
    with Served(key, upstream) as served:
        thread = threading.Thread(target=lambda: answers.append(ask_json(served.port, "/embed", inputs=[word])))
        thread.start()
        time.sleep(0.3)
        assert served.end() == (0, "")
        thread.join()
    target = embed(marks.target_text)
    wanted = marks.marker(target).mark([word], embed(word)[None])
    assert np.array(json.loads(answers[0].body)).astype(np.float32).tobytes() == wanted.tobytes()
    assert Asset.parse(KeyFolder.open(key).asset).digest == served.started["asset"]
    assert len(list((key / "targets").glob("*.target"))) == 1


def test_a_second_signal_ends_at_once(fake, upstream, key) -> None:
    fake.delay = 5.0
    with Served(key, upstream, "--admin", "127.0.0.1:0") as served:
        body = json.dumps({"inputs": "x"}).encode()
        thread = threading.Thread(target=lambda: _ignore(served.port, body), daemon=True)
        thread.start()
        time.sleep(0.3)
        assert served.started["admin"].startswith("127.0.0.1:")
        served.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert served.process.poll() is None
        started = time.monotonic()
        code, errors = served.end(signal.SIGINT)
        assert time.monotonic() - started < 3.0
        assert code == 130
        assert "Traceback" not in errors


def test_the_grace_is_an_end(fake, upstream, key) -> None:
    fake.delay = 8.0
    with Served(key, upstream, "--grace", "0.3") as served:
        body = json.dumps({"inputs": "x"}).encode()
        threading.Thread(target=lambda: _ignore(served.port, body), daemon=True).start()
        time.sleep(0.3)
        started = time.monotonic()
        code, _ = served.end()
        assert code == 0
        assert time.monotonic() - started < 4.0


def _ignore(port: int, body: bytes) -> None:
    """Asks for an answer that will not come."""
    try:
        ask(port, "/embed", body)
    except OSError:
        return


def test_a_port_that_is_taken_is_named(upstream, key) -> None:
    options = ["--upstream", "http://127.0.0.1:1", "--service", "ours", "--listen", f"127.0.0.1:{upstream}"]
    found = subprocess.run(
        [sys.executable, "-m", "forensics", "protect", "serve", str(key), *options],
        capture_output=True,
        text=True,
        env={**os.environ, "FORENSICS_PASSPHRASE": PASSPHRASE},
        check=False,
    )
    assert found.returncode == 2
    assert "cannot be listened at" in found.stderr
    assert "Traceback" not in found.stderr


def test_one_service_a_key(key) -> None:
    digest = record(key, "ours", None)
    assert record(key, "ours", None) == digest
    with pytest.raises(KeyFolderError):
        record(key, "another", None)


def test_a_key_of_another_method_marks_no_service(key, tmp_path, monkeypatch) -> None:
    opened = KeyFolder.open(key)
    changed = opened.claim.model_copy(update={"method": "ofsw"})
    monkeypatch.setattr(KeyFolder, "open", classmethod(lambda cls, path: cls(path, changed, (), ())))
    with pytest.raises(UsageError, match="ofsw"):
        open_marks(key, PASSPHRASE, 0)


def test_without_the_extra_the_command_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(MissingExtraError, match=r"model-forensics\[serve\]"):
        import_aiohttp()
    with pytest.raises(MissingExtraError):
        serve.main(["key", "--upstream", "http://127.0.0.1:1"], standalone_mode=False)


@pytest.mark.parametrize(
    "url", ["ftp://x", "http://", "localhost:80", "http://u:p@x", "http://x?a=1", "http://x:99999"]
)
def test_bad_upstreams_are_refused(url: str) -> None:
    with pytest.raises(UsageError):
        check_url(url)


def test_addresses() -> None:
    assert str(Address.parse("[::1]:0")) == "[::1]:0"
    assert check_url("https://x.example/v1/") == "https://x.example/v1"
    for text in ("8080", ":8080", "x:", "x:99999", "x:-1"):
        with pytest.raises(UsageError):
            Address.parse(text)
    assert Address.parse("0.0.0.0:1").host == "0.0.0.0"
    with pytest.raises(UsageError, match="open to others"):
        Address.parse("0.0.0.0:1", loopback=True)
