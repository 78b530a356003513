"""A headless Chromium, driven over its debugging pipe: what a page loads, says on the console, and shows."""

import json
import os
import select
import shutil
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import F_DUPFD, fcntl
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
REASON = "Chromium is not installed: apt-get install -y --no-install-recommends chromium"

_PATIENCE = 60.0
_START = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"
)


class Browser:
    """One open page.

    Attributes:
        requested: every URL that the page asked for, in order.
        complaints: what the console and the browser's log said, errors of scripts and refused loads included.
    """

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing = reading, writing
        self._count, self._rest, self._session = 0, b"", ""
        self.requested: list[str] = []
        self.complaints: list[str] = []
        self._loaded = False
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self._ask(f"{domain}.enable")

    def open(self, page: Path) -> None:
        """Loads a file and waits until it and its fonts are there."""
        self._loaded = False
        self._ask("Page.navigate", url=page.as_uri())
        while not self._loaded:
            self._read()
        self.value("document.fonts.ready.then(() => true)")

    def value(self, expression: str) -> Any:
        """Returns the JSON value of a script's expression; promises are awaited."""
        found = self._ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def resize(self, width: int, height: int, *, scheme: str = "light") -> None:
        """Shows the page on a screen of a size, in a colour scheme."""
        self._ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self._ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self) -> bytes:
        """Returns what is seen, as PNG."""
        return b64decode(self._ask("Page.captureScreenshot")["data"])

    def _ask(self, method: str, **given: Any) -> dict[str, Any]:
        self._count += 1
        message: dict[str, Any] = {"id": self._count, "method": method, "params": given}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._writing, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def _read(self) -> dict[str, Any]:
        end = time.monotonic() + _PATIENCE
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._reading], [], [], max(end - time.monotonic(), 0.0))
            chunk = os.read(self._reading, 1 << 20) if ready else b""
            assert chunk, "Chromium does not answer"
            self._rest += chunk
        raw, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(raw)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, event: str, given: dict[str, Any]) -> None:
        if event == "Page.loadEventFired":
            self._loaded = True
        elif event == "Network.requestWillBeSent":
            self.requested.append(given["request"]["url"])
        elif event == "Log.entryAdded":
            self.complaints.append(given["entry"]["text"])
        elif event in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
            self.complaints.append(json.dumps(given)[:500])


@contextmanager
def start(profile: Path) -> Iterator[Browser]:
    """Starts Chromium with a profile of its own and ends it.

    Args:
        profile: an empty folder.
    """
    assert CHROMIUM, REASON
    ours, theirs = os.pipe(), os.pipe()
    given = [fcntl(end, F_DUPFD, 10) for end in (theirs[0], ours[1])]
    for end in (theirs[0], ours[1]):
        os.close(end)
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe"]
    command += [f"--user-data-dir={profile}", "--host-resolver-rules=MAP * ~NOTFOUND"]
    process = subprocess.Popen(
        [sys.executable, "-c", _START, *map(str, given), *command],
        pass_fds=given,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for end in given:
        os.close(end)
    try:
        yield Browser(ours[0], theirs[1])
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
        os.close(ours[0])
        os.close(theirs[1])
