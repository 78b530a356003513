"""The whole line on a small scale, built once a test process: digits of 16 pixels, 32 bits, a tiny ResNet."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from forensics.bench.data import load_digits
from forensics.checkpoints import save_classifier
from forensics.keys.demonstration import DemonstrationAuthority
from forensics.methods.cleancheckpoint import CLEAN
from forensics.registration import embed_key, new_key
from forensics.training.classifier import small_resnet, train
from forensics.training.data import ImageData, save_images
from forensics.training.loop import Schedule

PASSPHRASE = "correct horse"


@dataclass(frozen=True)
class Line:
    """Folders of one small story."""

    root: Path
    data: Path
    unmarked: Path
    marked: Path
    key: Path
    authority: DemonstrationAuthority
    owner: ImageData

    @property
    def authority_folder(self) -> Path:
        return self.root / "authority"


def small_digits(rows: slice) -> ImageData:
    """Some digits at 16 pixels."""
    full = load_digits()
    images = [np.asarray(Image.fromarray(image[:, :, 0]).resize((16, 16)))[:, :, None] for image in full.images[rows]]
    return ImageData(images, full.labels[rows], full.names)


def build_line(root: Path) -> Line:
    """Trains, makes a key, embeds."""
    owner = small_digits(slice(0, 600))
    save_images(owner, root / "data")
    classifier = small_resnet(owner, 0, widths=(16, 32), depths=(1, 1))
    train(classifier, owner, Schedule(150, learning_rate=3e-3), 0)
    save_classifier(classifier, root / "unmarked", "# unmarked\n")
    authority = DemonstrationAuthority.create()
    authority.save(root / "authority")
    new_key(
        root / "key",
        owner="Example owner",
        method="ofsw",
        options={"bits": 32, "banks": 4},
        pool=owner,
        references={CLEAN: root / "unmarked"},
        passphrase=PASSPHRASE,
        authorities=[authority],
        binding="demonstration",
        pool_size=32,
        rule={"examinations": 1000, "grinding": 0},
    )
    embed_key(
        root / "key",
        root / "unmarked",
        owner,
        root / "marked",
        passphrase=PASSPHRASE,
        authority=authority,
        max_accuracy_drop=0.1,
        steps=150,
    )
    return Line(root, root / "data", root / "unmarked", root / "marked", root / "key", authority, owner)
