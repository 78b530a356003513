"""How a model is reached: a folder, an ONNX file, an API, a recorded case; none of it ever sees a key."""

from pathlib import Path

from forensics.errors import ModelError, UsageError
from forensics.plaintext import printable
from forensics.suspects.protocol import Suspect
from forensics.suspects.remote.connection import Connection

__all__ = ["Connection", "Suspect", "open_suspect"]

_DEFAULT = Connection()


def open_suspect(name: str, connection: Connection = _DEFAULT) -> Suspect:
    """Opens a suspect by path or URI.

    Args:
        name: a Transformers folder (language model; classifier or encoder of texts or images), an ONNX file,
            `PROTOCOL+URL#model`, `json:FILE`, or `replay:CASE`.
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
    return _open_folder(Path(name))


def _open_folder(folder: Path) -> Suspect:
    """Opens a Transformers folder as what its configuration says it is; the loaders judge it, not this."""
    from forensics.encoders import CLASSIFIER, FAMILIES
    from forensics.imageencoders import POOLED, TOKENS
    from forensics.languagemodels import FAMILIES as GENERATING
    from forensics.languagemodels import GENERATORS
    from forensics.modelfiles import open_model_folder, take_config

    with open_model_folder(folder) as opened:
        config = take_config(opened)
    family, names = config.get("model_type"), config.get("architectures")
    stated = [each for each in names if isinstance(each, str)] if isinstance(names, list) else []
    if family in tuple(FAMILIES):
        if any(each.endswith(CLASSIFIER) for each in stated):
            from forensics.suspects.textclassifier import TextClassifierSuspect

            return TextClassifierSuspect.load(folder)
        from forensics.suspects.encoder import EncoderSuspect

        return EncoderSuspect.load(folder)
    if family in tuple(GENERATING) and any(each.endswith(GENERATORS) for each in stated):
        from forensics.suspects.languagemodel import LanguageModelSuspect

        return LanguageModelSuspect.load(folder)
    if not stated or any(each.endswith("ForImageClassification") for each in stated):
        from forensics.suspects.folder import FolderSuspect

        return FolderSuspect.load(folder)
    if family in tuple(POOLED | TOKENS) and any(each.endswith("Model") for each in stated):
        from forensics.suspects.imageencoder import ImageEncoderSuspect

        return ImageEncoderSuspect.load(folder)
    raise ModelError(
        f"'{printable(stated[0], 80)}' of the type '{printable(str(family), 60)}' is no kind of model that is examined "
        "from a folder.",
        "Give a language model, a text encoder, a text classifier, an image encoder or an image classifier that is "
        "supported.",
    )
