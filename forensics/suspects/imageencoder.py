"""A local Transformers image encoder as a suspect."""

from collections.abc import Sequence
from pathlib import Path

from forensics.imageencoders import ImageEncoder, load_image_encoder
from forensics.records import AnswerKind, Answers, Probe
from forensics.suspects.media import numbers, take_images


class ImageEncoderSuspect:
    """Answers with vectors, computed in float32 and recorded as shortest decimals."""

    def __init__(self, encoder: ImageEncoder) -> None:
        self.encoder = encoder
        self.identity = encoder.identity

    @classmethod
    def load(cls, folder: Path) -> "ImageEncoderSuspect":
        """Loads the folder under the rules of `imageencoders`.

        Raises:
            ModelError: the folder breaks one of them.
        """
        return cls(load_image_encoder(folder))

    def answer(self, probes: Sequence[Probe]) -> Answers:
        """Returns vectors (n, d); rows that are not finite are missing, and all of a batch the model fails on.

        Raises:
            UsageError: the probes are no images, or ask for scores.
        """
        images = take_images(probes, self.encoder.channels, "an image encoder")
        return numbers(AnswerKind.VECTORS, self.encoder.embed(images))
