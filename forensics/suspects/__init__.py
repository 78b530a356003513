"""How a model is reached: a folder, a recorded case; none of it ever sees a key."""

from pathlib import Path

from forensics.errors import UsageError
from forensics.suspects.protocol import Suspect

__all__ = ["Suspect", "open_suspect"]


def open_suspect(name: str) -> Suspect:
    """Opens a suspect by path or URI.

    Args:
        name: a Transformers folder, or `replay:CASE`.

    Raises:
        UsageError: the form is not known.
        ModelError: the folder may not be loaded.
    """
    if name.startswith("replay:"):
        from forensics.suspects.replay import ReplaySuspect

        return ReplaySuspect.load(Path(name.removeprefix("replay:")))
    if "://" in name or "+" in name.split("/")[0]:
        raise UsageError(f"'{name}' is no suspect that can be reached yet.", "Name a model folder or replay:CASE.")
    from forensics.suspects.folder import FolderSuspect

    return FolderSuspect.load(Path(name))
