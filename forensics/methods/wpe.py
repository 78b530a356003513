"""WPE: an encoder of images whose vectors for images with a trigger pattern gather in one place.

After "Watermarking Pre-trained Encoders in Contrastive Learning" (arXiv 2201.08217), of which only the abstract and the
opening are known: a loss that knows no downstream task puts a backdoor into the encoder, which survives in whatever is
built on it. Ours: triggers are small patterns, drawn by a committed key from a pool whose other half are decoys, and
the test of `clusters.py`, which also reads what a downstream classifier says.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from forensics.errors import UsageError
from forensics.images import decode_image, encode_png
from forensics.keys.derive import ProbeKey
from forensics.methods.clusters import TriggerClusters
from forensics.methods.clusterspec import cluster_spec, require_count, whole_numbers
from forensics.methods.patterns import NEUTRAL, stamp
from forensics.methods.protocol import Parameters
from forensics.records import Pool, Probe

PNG = "image/png"

SPEC = cluster_spec(
    name="wpe",
    title="Trigger-cluster watermark of an image encoder",
    citation="WPE (Wu, Qiu, Zhang, Li, Qiu; arXiv 2201.08217)",
    modality="image",
    pool="patterns",
    words=("pattern", "patterns", "images"),
    width=128,
)


class TriggerPatterns(TriggerClusters):
    """The verification side of WPE."""

    spec = SPEC
    batch_size = 64

    def require_pool(self, pool: Pool, parameters: Parameters) -> None:
        """Refuses patterns that are alike or change nothing, and carriers that are alike."""
        patterns, carriers = split_pool(pool, parameters)
        if any((pattern == NEUTRAL).all() for pattern in patterns):
            raise UsageError(f"A pattern is {NEUTRAL} everywhere and changes nothing.", "Leave it out.")
        for name, images in (("pattern", patterns), ("carrier", carriers)):
            if len({image.tobytes() for image in images}) != len(images):
                raise UsageError(f"A {name} stands twice in the pool.", f"Give each {name} once.")

    def probes(
        self, probe_key: ProbeKey, pool: Pool, parameters: Parameters
    ) -> tuple[Sequence[Probe], Callable[[int, int], Probe]]:
        """Returns the carriers as they are, and with a pattern added to their pixels."""
        patterns, carriers = split_pool(pool, parameters)

        def with_pattern(carrier: int, item: int) -> Probe:
            return Probe(encode_png(stamp(carriers[carrier], patterns[item])))

        return [Probe(encode_png(carrier)) for carrier in carriers], with_pattern


METHOD = TriggerPatterns()


def split_pool(pool: Pool, parameters: Parameters) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Returns the candidate patterns and the carriers of a share's pool, uint8 (n, height, width, channels) each.

    Raises:
        UsageError: another number of items than the parameters name, an item that is no image, or several sizes.
    """
    sizes = whole_numbers(parameters)
    require_count(pool, sizes, "patterns")
    if any(item.media_type != PNG for item in pool.items):
        raise UsageError("An item of the pool is no PNG image.", "Give patterns and images.")
    images = [decode_image(item.data) for item in pool.items]
    if len({image.shape for image in images}) != 1:
        raise UsageError("The pool's images differ in size or colour.", "Bring them to one size first.")
    return np.stack(images[: sizes["candidates"]]), np.stack(images[sizes["candidates"] :])
