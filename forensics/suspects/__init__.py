"""How a model is reached: a folder, an ONNX file, an API, a recorded case; none of it ever sees a key."""

from pathlib import Path

from forensics.errors import ModelError, UsageError
from forensics.suspects.protocol import Suspect
from forensics.suspects.remote.connection import Connection

__all__ = ["Connection", "Suspect", "open_suspect"]

_DEFAULT = Connection()


def open_suspect(name: str, connection: Connection = _DEFAULT) -> Suspect:
    """Opens a suspect by path or URI.

    Args:
        name: a Transformers folder (image classifier or text encoder), an ONNX file, `PROTOCOL+URL#model`,
            `json:FILE`, or `replay:CASE`.
        connection: how a remote suspect is asked; of no meaning for others.

    Raises:
        UsageError: the form is not known.
        ModelError: the folder or file may not be loaded.
    """
    from forensics.suspects.remote.uri import is_remote

    if name.startswith("replay:"):
        from forensics.suspects.replay import ReplaySuspect

        return ReplaySuspect.load(Path(name.removeprefix("replay:")))
    if is_remote(name):
        from forensics.suspects.remote.suspect import RemoteSuspect

        return RemoteSuspect.open(name, connection)
    if name.lower().startswith(("http://", "https://")):
        from forensics.suspects.remote.registry import ADAPTERS

        raise UsageError(
            "The address of a suspect does not say which protocol is spoken there.",
            f"Put the protocol before the address, such as openai+{name.split(':')[0].lower()}://...; "
            f"protocols: {', '.join(sorted(ADAPTERS))}.",
        )
    if "://" in name or "+" in name.split("/")[0]:
        raise UsageError(
            "That is no suspect that can be reached.",
            "Name a model folder, an ONNX file, PROTOCOL+URL#model, json:FILE or replay:CASE.",
        )
    if name.endswith(".onnx"):
        from forensics.suspects.onnx import OnnxSuspect

        return OnnxSuspect.load(Path(name))
    if _classifies_images(Path(name)):
        from forensics.suspects.folder import FolderSuspect

        return FolderSuspect.load(Path(name))
    from forensics.suspects.encoder import EncoderSuspect

    return EncoderSuspect.load(Path(name))


def _classifies_images(folder: Path) -> bool:
    """Whether a folder's configuration names an image classifier; one that cannot be read is left to its loader."""
    from forensics.encoders import FAMILIES
    from forensics.modelfiles import open_model_folder, take_config

    try:
        with open_model_folder(folder) as opened:
            config = take_config(opened)
    except ModelError:
        return True
    names = config.get("architectures")
    if config.get("model_type") in tuple(FAMILIES):
        return False
    if not isinstance(names, list) or not names or not all(isinstance(each, str) for each in names):
        return True
    return any(each.endswith("ForImageClassification") for each in names)
