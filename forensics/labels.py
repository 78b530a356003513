"""Which of a suspect's classes is which of the claim's."""

from collections.abc import Sequence

import numpy as np

from forensics.records import IntArray


def match_labels(theirs: Sequence[str], ours: Sequence[str]) -> IntArray | None:
    """Returns for each of the claim's labels the place of the suspect's, (n,), or None where names do not tell.

    Names tell where they are the claim's, or the numbers of its labels (`0` or `LABEL_0`), in whatever order.
    """
    numbers = [str(number) for number in range(len(ours))]
    for names in (list(ours), numbers, [f"LABEL_{number}" for number in numbers]):
        if sorted(theirs) == sorted(names) and len(set(names)) == len(names):
            return np.array([list(theirs).index(name) for name in names], dtype=np.int64)
    return None
