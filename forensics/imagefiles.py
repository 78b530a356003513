"""What lies beside the weights of an image model: how it sees an image; data only, never code."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from forensics.errors import ModelError
from forensics.modelfiles import PREPROCESSOR, RETRY, refuse_code
from forensics.plaintext import printable

if TYPE_CHECKING:
    import torch

MAX_SIDE, MAX_PIXELS, MAX_BATCH_VALUES = 1024, 1 << 25, 1 << 28
# Processors that resize, crop, rescale and normalise one image and do nothing else; all have a Pillow back end.
PROCESSORS = frozenset(
    f"{family}ImageProcessor"
    for family in (
        *("ViT", "DeiT", "Beit", "Bit", "CLIP", "Siglip", "ConvNext", "EfficientNet", "Levit", "PoolFormer", "Pvt"),
        *("MobileNetV1", "MobileNetV2", "MobileViT", "Segformer"),
    )
)
_SWITCHES = frozenset(
    {"do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_pad", "do_convert_rgb", "do_reduce_labels"}
    | {"do_flip_channel_order", "reduce_labels", "include_top", "rescale_offset", "default_to_square"}
)
_SIZES, _SIZE_KEYS = ("size", "crop_size", "pad_size"), {"height", "width", "shortest_edge", "longest_edge"}
_IGNORED = frozenset(
    {"image_processor_type", "feature_extractor_type", "processor_class", "data_format", "input_data_format"}
    | {"return_tensors", "device", "disable_grouping", "_valid_processor_keys", "transformers_version"}
)


@dataclass(frozen=True, eq=False)
class ImageModel:
    """A loaded model that takes images.

    Attributes:
        model: of the `transformers` library, float32, in evaluation mode.
        processor: the folder's own image processor (Pillow back end).
        channels: 1 or 3, what the model takes.
    """

    model: "torch.nn.Module"
    processor: Any
    channels: int

    def pixels(self, images: Sequence[NDArray[np.uint8]]) -> "torch.Tensor":
        """Applies the folder's own preprocessing to uint8 (height, width, channels) images.

        Returns:
            float32 (n, channels, height, width).

        Raises:
            ModelError: the preprocessing would blow an image up beyond 2^25 pixels.
        """
        longest = max([side for name in _SIZES for side in _sides(getattr(self.processor, name, None))], default=1)
        enlarged = longest / (getattr(self.processor, "crop_pct", None) or 1)
        for height, width in {image.shape[:2] for image in images}:
            if enlarged**2 * max(height, width) > MAX_PIXELS * min(height, width):
                raise ModelError(f"The model's preprocessing makes too much of an image of {width} x {height} pixels.")
        layout = "channels_last"
        result: torch.Tensor = self.processor(
            images=list(images), return_tensors="pt", input_data_format=layout, do_convert_rgb=False
        )["pixel_values"]
        return result

    def batch(self, images: Sequence[NDArray[np.uint8]]) -> "torch.Tensor":
        """Applies the preprocessing to one image after the other, so that what it makes of a batch stays bounded.

        Returns:
            float32 (n, channels, height, width), as `pixels`.

        Raises:
            ModelError: it makes more than 2^28 values of the images.
        """
        import torch

        parts: list[torch.Tensor] = []
        total = 0
        for image in images:
            parts.append(self.pixels([image]))
            total += parts[-1].numel()
            if total > MAX_BATCH_VALUES:
                raise ModelError(f"The model's preprocessing makes more than {MAX_BATCH_VALUES} values of a batch.")
        return torch.cat(parts)


def count_channels(config: Any) -> int:
    """Returns how many channels the model of a configuration takes.

    Raises:
        ModelError: neither 1 nor 3.
    """
    channels = getattr(config, "num_channels", 3)
    if type(channels) is not int or channels not in (1, 3):
        raise ModelError(f"The model takes '{printable(str(channels), 40)}' channels; 1 or 3 are supported.", RETRY)
    return channels


def make_processor(body: Mapping[str, Any] | None) -> Any:
    """Builds the library's image processor of preprocessor_config.json.

    Args:
        body: the file as it was read; None if there is none.

    Raises:
        ModelError: there is none, or it asks for a kind, a key or a size that is not accepted.
    """
    if body is None:
        raise ModelError("preprocessor_config.json is missing, so how the model sees an image is unknown.", RETRY)
    import transformers

    refuse_code(body, PREPROCESSOR)
    kind = body.get("image_processor_type") or body.get("feature_extractor_type")
    family = str(kind).removesuffix("Pil").removesuffix("Fast").replace("FeatureExtractor", "ImageProcessor")
    if family not in PROCESSORS:
        raise ModelError(f"The image processor '{printable(str(kind), 80)}' is not among those supported.", RETRY)
    fields = {key: value for key, value in body.items() if value is not None and key not in _IGNORED}
    for key, value in fields.items():
        if not _acceptable(key, value):
            raise ModelError(
                f"preprocessor_config.json: '{printable(key, 60)}' is unknown or beyond what is accepted "
                f"(sizes: {MAX_SIDE} pixels).",
                RETRY,
            )
    return getattr(transformers, f"{family}Pil").from_dict(fields)


def _acceptable(key: str, value: Any) -> bool:
    if key in _SWITCHES:
        return isinstance(value, bool)
    if key in _SIZES:
        known = not isinstance(value, dict) or (bool(value) and value.keys() <= _SIZE_KEYS)
        sides = value.values() if isinstance(value, dict) else [value]
        return known and all(side is None or (type(side) is int and 0 < side <= MAX_SIDE) for side in sides)
    if key in ("image_mean", "image_std"):
        low = 1e-6 if key == "image_std" else -1e6
        return isinstance(value, list) and len(value) in (1, 3) and all(_within(item, low, 1e6) for item in value)
    if key == "resample":
        return type(value) is int and 0 <= value <= 5
    if key == "rescale_factor":
        return _within(value, 1e-9, 1)
    return key == "crop_pct" and _within(value, 0.05, 1)


def _within(value: Any, low: float, high: float) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and low <= value <= high


def _sides(size: Any) -> list[int]:
    if isinstance(size, int):
        return [size]
    return [side for key in _SIZE_KEYS if isinstance(side := getattr(size, key, None), int)]


@contextmanager
def channels_last(model: Any) -> Iterator[None]:
    """Keeps weights of convolutions, inside a `with` block, in the order in which a processor trains them fastest."""
    import torch

    model.to(memory_format=torch.channels_last)
    try:
        yield
    finally:
        model.to(memory_format=torch.contiguous_format)
