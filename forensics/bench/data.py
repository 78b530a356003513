"""Real data that ships inside packages."""

import numpy as np
from PIL import Image

from forensics.errors import MissingExtraError
from forensics.training.data import ImageData

SIDE = 32


def load_digits() -> ImageData:
    """Returns scikit-learn's 1,797 handwritten digits, enlarged from 8 x 8 to 32 x 32 grey pixels (bilinear)."""
    try:
        from sklearn.datasets import load_digits as load
    except ImportError as error:
        raise MissingExtraError(
            "The digits come with scikit-learn, which is not installed.", "Run: pip install 'model-forensics[models]'."
        ) from error
    found = load()
    small = np.clip(np.rint(found.images * (255.0 / 16.0)), 0, 255).astype(np.uint8)
    images = [
        np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BILINEAR))[:, :, None] for image in small
    ]
    return ImageData(images, found.target.astype(np.int64), tuple(str(digit) for digit in range(10)))
