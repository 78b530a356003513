"""The law of a rank sum when every subset is equally likely: exact, in whole numbers, for drawing alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate

_WORK = 1 << 31
"""Most bytes that counting may touch (about a second); a larger case is not drawn."""


@dataclass(frozen=True)
class RankLaw:
    """How many subsets have each sum of doubled ranks.

    Attributes:
        least: the smallest sum.
        unit: distance of neighbouring sums.
        counts: number of subsets with the sums `least`, `least + unit`, and so on.
        chosen: size of a subset.
    """

    least: int
    unit: int
    counts: tuple[int, ...]
    chosen: int

    @property
    def total(self) -> int:
        """The number of all subsets."""
        return sum(self.counts)

    def average(self, place: int) -> Fraction:
        """Returns the average rank (not doubled) at a place of `counts`."""
        return Fraction(self.least + place * self.unit, 2 * self.chosen)

    def place(self, doubled_sum: Fraction) -> int:
        """Returns the first place whose sum is at least a sum of doubled ranks."""
        steps = math.ceil((doubled_sum - self.least) / self.unit)
        return min(max(steps, 0), len(self.counts) - 1)

    def tails(self) -> list[Fraction]:
        """Returns, for each place, the probability of its sum or a larger one."""
        summed, total = list(accumulate(reversed(self.counts)))[::-1], self.total
        return [Fraction(part, total) for part in summed]

    def both_tails(self) -> list[Fraction]:
        """Returns, for each place, the probability of a sum at least as far from the mean, on either side."""
        total = self.total
        mean = Fraction(sum(place * count for place, count in enumerate(self.counts)), total)
        apart = [abs(place - mean) for place in range(len(self.counts))]
        tails, outside, reached = [Fraction(0)] * len(apart), 0, Fraction(-1)
        waiting: list[int] = []
        for place in sorted(range(len(apart)), key=apart.__getitem__, reverse=True):
            if apart[place] != reached:
                for each in waiting:
                    tails[each] = Fraction(outside, total)
                waiting, reached = [], apart[place]
            outside += self.counts[place]
            waiting.append(place)
        for each in waiting:
            tails[each] = Fraction(outside, total)
        return tails


def doubled_ranks(scores: Sequence[float]) -> list[int]:
    """Returns doubled mid-ranks: 2, 4, ..., 2n from the lowest score to the highest, the same for ties."""
    order = sorted(scores)
    first: dict[float, int] = {}
    last: dict[float, int] = {}
    for place, score in enumerate(order, 1):
        first.setdefault(score, place)
        last[score] = place
    return [first[score] + last[score] for score in scores]


def rank_law(ranks: Sequence[int], chosen: int) -> RankLaw | None:
    """Counts the subsets of a size by their sum; None where that takes too long to draw a figure.

    Args:
        ranks: (n,) doubled ranks.
        chosen: size of a subset, 1 to n - 1.
    """
    n = len(ranks)
    if not 0 < chosen < n:
        return None
    floor = min(ranks)
    steps = [rank - floor for rank in ranks]
    unit = math.gcd(*steps) or 1
    steps = [step // unit for step in steps]
    low, high = sum(sorted(steps)[:chosen]), sum(sorted(steps)[-chosen:])
    slot = math.comb(n, chosen).bit_length() // 8 + 1
    if slot * (high + 1) * chosen * n > _WORK:
        return None
    # Each row is one whole number with a slot of bytes a sum: shifting adds to every sum, adding merges two rows.
    rows = [1] + [0] * chosen
    for done, step in enumerate(sorted(steps), 1):
        for size in range(min(done, chosen), 0, -1):
            rows[size] += rows[size - 1] << (8 * slot * step)
    raw = rows[chosen].to_bytes(slot * (high + 1), "little")
    counts = [int.from_bytes(raw[at : at + slot], "little") for at in range(0, len(raw), slot)]
    return RankLaw(least=floor * chosen + low * unit, unit=unit, counts=tuple(counts[low:]), chosen=chosen)
