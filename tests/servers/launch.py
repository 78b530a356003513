"""Foreign servers of the tests: a test is skipped where a server's environment has not been made."""

from pathlib import Path

import pytest

from forensics.bench import foreign
from forensics.bench.foreign import free_port, running, stop_group
from forensics.errors import MissingExtraError

__all__ = ["environment", "free_port", "running", "stop_group"]


def environment(name: str) -> Path:
    """Returns the folder of a server's environment; skips the test where it has not been made."""
    try:
        return foreign.environment(name)
    except MissingExtraError as error:
        pytest.skip(str(error))
