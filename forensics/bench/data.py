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
        np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BILINEAR))[:, :, None]
        for image in small
    ]
    return ImageData(images, found.target.astype(np.int64), tuple(str(digit) for digit in range(10)))


def load_photographs(count: int, side: int) -> ImageData:
    """Returns square crops of scikit-learn's two photographs (a temple, a flower), labelled by photograph.

    Args:
        count: crops, taken in turn from both at evenly spaced places.
        side: pixels a side.
    """
    from sklearn.datasets import load_sample_images

    photographs = [np.asarray(image, dtype=np.uint8) for image in load_sample_images().images]
    images = []
    for index in range(count):
        picture = photographs[index % 2]
        top = (index * 37) % (picture.shape[0] - side)
        left = (index * 53) % (picture.shape[1] - side)
        images.append(picture[top : top + side, left : left + side])
    return ImageData(images, np.arange(count, dtype=np.int64) % 2, ("temple", "flower"))
