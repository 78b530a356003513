"""How fast and how often a suspect is asked: pace, caps and pauses; none of it random, none of it of a key."""

import asyncio
import hashlib
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from forensics.suspects.remote.connection import Connection

LONGEST_PAUSE = 120.0
"""Most seconds that a suspect's own wish (`Retry-After`) makes us wait."""


class Pace:
    """Spreads requests evenly over time, by their number and by their tokens."""

    def __init__(self, connection: Connection) -> None:
        rate, tokens = connection.requests_per_minute, connection.tokens_per_minute
        self._request = 60.0 / rate if rate else 0.0
        self._token = 60.0 / tokens if tokens else 0.0
        self._next = 0.0

    async def wait(self, units: int) -> None:
        """Waits until a request of so many tokens may be sent."""
        while (pause := self._next - time.monotonic()) > 0.0:
            await asyncio.sleep(pause)
        self._next = max(self._next, time.monotonic()) + max(self._request, units * self._token)

    def hold(self, seconds: float) -> None:
        """Holds everything back for a while, as the suspect asked."""
        self._next = max(self._next, time.monotonic() + seconds)


class Caps:
    """The most attempts and tokens in all, those of interrupted runs included."""

    def __init__(self, connection: Connection, attempts: int, tokens: int) -> None:
        self._connection = connection
        self.attempts = attempts
        self.tokens = tokens

    def reserve(self, units: int) -> str | None:
        """Counts an attempt before it is made; returns which cap forbids it, in words, and then counts nothing."""
        most, budget = self._connection.max_requests, self._connection.max_tokens
        if most is not None and self.attempts + 1 > most:
            return f"the cap of {most} requests is reached"
        if budget is not None and self.tokens + units > budget:
            return f"the cap of {budget} tokens would be exceeded"
        self.attempts += 1
        self.tokens += units
        return None


def wished_pause(headers: Mapping[str, str], moment: datetime | None = None) -> float | None:
    """Returns how many seconds a suspect asks to wait, at most 120; None where it does not say or says nonsense.

    Args:
        headers: names in lower case; `retry-after-ms`, else `retry-after` in seconds or as a date.
        moment: the time now.
    """
    exact, rough = headers.get("retry-after-ms"), headers.get("retry-after")
    seconds = _number(exact)
    if seconds is not None:
        return _bounded(seconds / 1000.0)
    if rough is None:
        return None
    seconds = _number(rough)
    if seconds is not None:
        return _bounded(seconds)
    try:
        wanted = parsedate_to_datetime(rough)
        if wanted.tzinfo is None:
            wanted = wanted.replace(tzinfo=UTC)
        return _bounded((wanted - (moment or datetime.now(UTC))).total_seconds())
    except (ValueError, OverflowError):
        return None


def growing_pause(base: float, attempt: int, name: str) -> float:
    """Returns the seconds before the next attempt: doubled each time, and up to a quarter less, by a hash of `name`.

    Args:
        base: seconds after the first attempt.
        attempt: which attempt has failed, from 1.
        name: what is asked, so that requests that failed together do not come back together.
    """
    spread = hashlib.sha256(f"{name} {attempt}".encode()).digest()[0] / 1024.0
    return base * float(2 ** min(attempt - 1, 4)) * (1.0 - spread)


def _number(text: str | None) -> float | None:
    if text is None or not text.strip().replace(".", "", 1).isdecimal() or len(text) > 20 or not text.isascii():
        return None
    return float(text)


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), LONGEST_PAUSE)
