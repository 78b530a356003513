"""Every local suspect refuses probes of the other medium, and says which suspects take them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from forensics.checkpoints import save_classifier
from forensics.errors import UsageError
from forensics.images import encode_png
from forensics.records import Probe
from forensics.suspects import open_suspect
from forensics.training.classifier import small_resnet
from forensics.training.data import ImageData
from tests.suspects.encoders import write_encoder
from tests.suspects.test_imageencoder import write_image_encoder
from tests.suspects.test_textclassifier import write_text_classifier

PIXELS = np.zeros((16, 16, 3), dtype=np.uint8)
TEXT, IMAGE = Probe(b"text", "text/plain"), Probe(encode_png(PIXELS))


def write_classifier(folder: Path) -> None:
    data = ImageData([PIXELS, PIXELS], np.arange(2), ("a", "b"))
    save_classifier(small_resnet(data, 0, widths=(4, 4), depths=(1, 1)), folder, "# small\n")


KINDS: dict[str, tuple[Callable[[Path], object], Probe, Probe]] = {
    "a text encoder": (write_encoder, TEXT, IMAGE),
    "a text classifier": (write_text_classifier, TEXT, IMAGE),
    "an image encoder": (write_image_encoder, IMAGE, TEXT),
    "an image classifier": (write_classifier, IMAGE, TEXT),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_other_medium_is_refused_with_the_kinds_that_take_it(tmp_path: Path, kind: str) -> None:
    write, right, wrong = KINDS[kind]
    write(tmp_path / "model")
    suspect = open_suspect(str(tmp_path / "model"))
    assert not suspect.answer([right]).missing.any()
    with pytest.raises(UsageError, match=f"; the suspect is {kind}.") as raised:
        suspect.answer([right, wrong])
    takers = "text encoder or a text classifier" if wrong is TEXT else "image encoder or an image classifier"
    assert takers in raised.value.next_step
    with pytest.raises(UsageError, match="continuations"):
        suspect.answer([Probe(right.data, right.media_type, "score", b"next")])
