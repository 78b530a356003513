"""What the two trigger-cluster methods state before a key exists: their specification, and the sizes of a claim."""

import math
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from forensics.errors import UsageError
from forensics.methods.protocol import MethodSpec, Option, Parameters
from forensics.methods.sizes import checked_sizes
from forensics.records import Pool

FEWEST_BITS = 24
"""A key whose triggers could be guessed in fewer than 2**24 attempts is refused."""

MOST = {"candidates": 256, "carriers": 256, "asked": 256, "dimension": 65536}
"""Beyond 132 candidates a perfect separation falls below the least p-value that is ever printed, 2**-128."""

Pools: TypeAlias = Literal["phrases", "patterns"]
Words: TypeAlias = tuple[str, str, str]
"""What a candidate, several of them, and carriers are called."""

LEAST = {"candidates": 8, "carriers": 2, "asked": 1, "dimension": 2}


def cluster_spec(
    name: str, title: str, citation: str, modality: str, pool: Pools, words: Words, width: int
) -> MethodSpec:
    """Returns the specification of one of the methods, which differ in what their candidates and carriers are called.

    Args:
        width: usual length of an encoder's vectors.
    """
    one, many, carriers = words
    return MethodSpec(
        name=name,
        version="1",
        title=title,
        citation=f"{citation}, known by its abstract; reconstructed; key and test our own",
        modality=modality,
        deciding={
            "features": "two-sided rank sum on PC1 of vector shifts",
            "scores": "two-sided rank sum on PC1 of log-probability shifts",
            "labels": "two-sided rank sum on PC1 of class shifts",
        },
        test="subset",
        null=f"the answers do not depend on which half of the candidate {many} are triggers, given the probes: every "
        "half is equally likely; two-sided, since the sign of a principal component is arbitrary",
        ties="equal scores share their mid-rank; scores are rounded to a step of 2**-30 of the largest first",
        missing="a missing answer counts as the mean of its column, a carrier without an answer of its own is left "
        f"out, and a {one} without any valid answer gets the pool's mid-rank",
        assumptions=(
            f"the trigger {many} were drawn uniformly from the pool, after the pool was fixed",
            "nobody who could shape the suspect's answers knew the scoring secret",
            "which carriers the second pass asks depends on the answers to the unmarked carriers alone",
        ),
        minimum_effect="0.75",
        effect_name="AUC in either direction",
        chance="0.5",
        pool=pool,
        options=(
            Option("candidates", 96, f"{many} of a share's pool, of which the key draws half as triggers"),
            Option("carriers", 32, f"{carriers} that are asked without a {one} first"),
            Option("asked", 16, f"of these, how many are asked with every {one}"),
            Option("dimension", width, "length of the encoder's vectors"),
        ),
    )


def whole_numbers(parameters: Mapping[str, Any]) -> dict[str, int]:
    """Returns a claim's four numbers, checked.

    Raises:
        UsageError: one is no whole number, out of range, or leaves too few ways to draw the triggers.
    """
    sizes = checked_sizes(parameters, LEAST, MOST)
    n = sizes["candidates"]
    if n % 2:
        raise UsageError(f"{n} candidates cannot be halved.", "Choose an even number.")
    if math.comb(n, n // 2) < 1 << FEWEST_BITS:
        raise UsageError(f"There are only {math.comb(n, n // 2)} ways to draw half of {n}.", "Use 34 or more.")
    if sizes["asked"] > sizes["carriers"]:
        raise UsageError(
            f"{sizes['asked']} of {sizes['carriers']} carriers cannot be asked.", "Ask fewer, or give more carriers."
        )
    return sizes


def require_count(pool: Pool, parameters: Parameters, candidates: str) -> None:
    """Refuses a pool that holds another number of items than the parameters name.

    Args:
        candidates: what they are called.
    """
    count, carriers = int(parameters["candidates"]), int(parameters["carriers"])
    if len(pool.items) != count + carriers:
        raise UsageError(
            f"The pool has {len(pool.items)} items; {count} {candidates} and {carriers} carriers make "
            f"{count + carriers}.",
            "Give as many of each as the options say.",
        )
