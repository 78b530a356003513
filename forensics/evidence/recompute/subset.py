"""The exact test of a drawn subset, for `recompute.py`."""

# ruff: noqa: D103 - what a function does stands beside its name, to keep the script short

import math
from fractions import Fraction


def subset_tail(ranks: list[int], drawn: list[int]) -> Fraction:  # share of all subsets with at least this rank sum
    n, k, steps = len(ranks), len(drawn), [max(ranks) - rank for rank in ranks]
    least, slot = sum(steps[word] for word in drawn), math.comb(n, k).bit_length()
    counts, mask = [1] + [0] * k, (1 << slot * (least + 1)) - 1  # counts[j]: subsets of j by sum, a slot of digits each
    for step in (each for each in steps if each <= least):
        counts = [counts[0]] + [(counts[j] + (counts[j - 1] << slot * step)) & mask for j in range(1, k + 1)]
    ways = sum(counts[k] >> slot * total & (1 << slot) - 1 for total in range(least + 1))
    return Fraction(ways, math.comb(n, k))
