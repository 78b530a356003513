"""A local ONNX text encoder as a suspect."""

from pathlib import Path

from forensics.encoders import load_onnx
from forensics.suspects.encoder import EncoderSuspect


class OnnxSuspect(EncoderSuspect):
    """Answers with vectors from onnxruntime on the processor; see `EncoderSuspect`."""

    @classmethod
    def load(cls, path: Path) -> "OnnxSuspect":
        """Loads `model.onnx` with the tokenizer beside it or in the folder above, under the rules of `onnxfiles`.

        Raises:
            ModelError: the model breaks one of them.
        """
        return cls(load_onnx(path))
