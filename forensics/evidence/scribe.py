"""Many coroutines' lines in one transaction: whoever waits for a line waits for the next commit, not for its own."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from forensics.evidence.journal import Journal


class Scribe:
    """Writes events to a journal in the order in which they are given; the commits happen in a thread."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._waiting: list[Mapping[str, Any]] = []
        self._readers: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None
        self._error: BaseException | None = None

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
                    await asyncio.to_thread(self._write, events)
            except BaseException as error:
                self._error = error
                self._finish([*readers, *self._readers], error)
                if not isinstance(error, Exception):
                    raise
            else:
                self._finish(readers, None)

    def _write(self, events: Sequence[Mapping[str, Any]]) -> None:
        self._journal.write(events)

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
