"""Progress of long work, told to whoever asked for it; silent by default."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeAlias

Advance: TypeAlias = Callable[[int], None]
"""Tells that so many more units are done."""

Progress: TypeAlias = Callable[[str, int], AbstractContextManager[Advance]]
"""Opens a bar with a label and a total; used as `with progress("Embedding", 400) as advance`."""


@contextmanager
def silent(label: str, total: int) -> Iterator[Advance]:
    """The default: says nothing."""

    def advance(units: int) -> None:
        pass

    yield advance
