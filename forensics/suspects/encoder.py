"""A local text encoder as a suspect: a Transformers folder, with or without an ONNX form of the same model."""

from collections.abc import Sequence
from pathlib import Path

from forensics.encoders import Encoder, load_encoder
from forensics.records import AnswerKind, Answers, Probe
from forensics.suspects.media import numbers, take_texts


class EncoderSuspect:
    """Answers with vectors, computed in float32 and recorded as shortest decimals."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.identity = encoder.identity

    @classmethod
    def load(cls, folder: Path) -> "EncoderSuspect":
        """Loads the folder under the rules of `encoders`.

        Raises:
            ModelError: the folder breaks one of them.
        """
        return cls(load_encoder(folder))

    def answer(self, probes: Sequence[Probe]) -> Answers:
        """Returns vectors (n, d); rows that are not finite are missing, and all of a batch the model fails on.

        Texts of like length are run together; the more probes a call has, the less is padded.

        Raises:
            UsageError: the probes are no texts, or ask for scores.
        """
        return numbers(AnswerKind.VECTORS, self.encoder.embed(take_texts(probes, "a text encoder")))
