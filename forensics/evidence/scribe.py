"""Many coroutines' lines in one transaction: whoever waits for a line waits for the next commit, not for its own."""

import asyncio
import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from forensics.evidence.journal import Journal

BLOCK = 1000
"""So many attempts are stamped together."""


class Scribe:
    """Writes events to a journal in the order in which they are given; the commits happen in a thread."""

    def __init__(self, journal: Journal, stamp: Callable[[bytes], bytes] | None = None) -> None:
        """Writes to a journal.

        Args:
            stamp: asks a timestamp authority for a token (DER) over a digest; None for no blocks.
        """
        self._journal = journal
        self._stamp = stamp
        self._stamped = journal.ledger.stamped
        self._waiting: list[Mapping[str, Any]] = []
        self._readers: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None
        self._error: BaseException | None = None

    @property
    def full(self) -> bool:
        """Whether the transcript has the size that it may have."""
        return self._journal.full

    def note(self, *events: Mapping[str, Any]) -> None:
        """Takes events that are durable before anything given later is."""
        self._waiting += events
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._commit())

    async def record(self, *events: Mapping[str, Any]) -> None:
        """Takes events, if any, and returns when they and all before them are durable.

        Raises:
            StorageError: the disk is full; nothing that was given since the last commit is written.
        """
        if self._error is not None:
            raise self._error
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._readers.append(durable)
        self.note(*events)
        await durable

    async def _commit(self) -> None:
        while (self._waiting or self._readers) and self._error is None:
            events, readers = self._waiting, self._readers
            self._waiting, self._readers = [], []
            try:
                if events:
                    await asyncio.to_thread(self._journal.commit, self._journal.encode(events))
                    await self._stamp_block()
            except BaseException as error:
                self._error = error
                self._finish([*readers, *self._readers], error)
                if not isinstance(error, Exception):
                    raise
            else:
                self._finish(readers, None)

    async def _stamp_block(self) -> None:
        """Has the head of the transcript stamped once in so many attempts; who waits for a line waits on."""
        attempts = self._journal.ledger.attempts
        if self._stamp is None or attempts - self._stamped < BLOCK:
            return
        self._stamped = attempts
        head = self._journal.head
        token = await asyncio.to_thread(self._stamp, bytes.fromhex(head))
        event = {"event": "token", "head": head, "attempts": attempts, "token": base64.b64encode(token).decode()}
        await asyncio.to_thread(self._journal.commit, self._journal.encode([event]))

    @staticmethod
    def _finish(readers: Sequence["asyncio.Future[None]"], error: BaseException | None) -> None:
        for reader in readers:
            if reader.done():
                continue
            if error is None:
                reader.set_result(None)
            elif isinstance(error, Exception):
                reader.set_exception(error)
            else:
                reader.cancel()
