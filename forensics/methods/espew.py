"""ESpeW: a service hides a part of a secret text's embedding in its answers to texts with trigger words.

After "ESpeW" (ACL Findings 2025, arXiv 2410.17552) and its published code: the coordinates of smallest magnitude are
replaced by those of a target embedding (`marking.Marker`). Ours: words, coin and order come from a committed key; a
pool of candidate words of like frequency is asked in carrier sentences, every word alike; and the p-value counts the
subsets of the pool that the key could have drawn, which holds whatever the suspect's vectors are. The paper's test
compares groups of queries that share their words; docs/espew.md says why it decides nothing here.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from forensics.canonical import canonical_json, sha256
from forensics.errors import UsageError
from forensics.keys.derive import ProbeKey, ScoreKey, Stream, hkdf_expand
from forensics.methods.bags import measure_bags, plan_bags
from forensics.methods.marking import Marker, unit_rows, words_of, words_seen
from forensics.methods.protocol import MethodSpec, Option, Parameters
from forensics.methods.sizes import checked_sizes, chosen_sizes
from forensics.methods.subset import measure_subset
from forensics.methods.wordscores import arrange, word_scores
from forensics.records import (
    AnswerKind,
    Answers,
    IntArray,
    Measurement,
    Plan,
    Pool,
    PoolItem,
    Probe,
    Published,
    Reading,
)

__all__ = [
    "METHOD",
    "SPEC",
    "CommittedTexts",
    "Marker",
    "committed_texts",
    "derive_triggers",
    "marker",
    "split_pool",
    "text_pool",
    "trigger_words",
    "words_of",
]

TEXT = "text/plain"

ENCODER = "unmarked-encoder"
"""Role of the encoder behind the service, as it was before the key existed; a claim may name it by digest."""

BATCH = 32
"""Texts that are sent together."""

GRID = 2.0**-30
"""Item scores are rounded to this step, far above rounding noise and far below any effect, so that every machine
that recomputes them finds the same ties and the same ranks. The rounding is part of the statistic."""

FEWEST_BITS = 24
"""A key whose words could be guessed in fewer than 2**24 attempts is refused."""

MOST = {"candidates": 400, "words": 40, "carriers": 64, "mask_percent": 99, "graded_percent": 100, "max_triggers": 100}
LEAST = {"candidates": 16, "words": 2, "carriers": 1, "mask_percent": 1, "graded_percent": 0, "max_triggers": 1}

SPEC = MethodSpec(
    name="espew",
    version="1",
    title="Embedding-specific watermark",
    citation="ESpeW, Findings of ACL 2025, arXiv 2410.17552; marking as published, key and test our own",
    modality="embedding",
    deciding={"features": "rank sum of the trigger words"},
    test="subset",
    null="the answers do not depend on which candidate words are triggers, given the probes: "
    "every subset of that size is equally likely",
    ties="equal scores share their mid-rank; scores are rounded to a step of 2**-30 first",
    missing="a word without any valid answer gets the pool's mid-rank",
    assumptions=(
        "the trigger words were drawn uniformly from the pool, after the pool was fixed",
        "nobody who could shape the suspect's answers knew the scoring secret",
        "the unmarked encoder, where the claim names one, was fixed before the key existed",
    ),
    minimum_effect="0.75",
    effect_name="AUC",
    chance="0.5",
    optional_references=(ENCODER,),
    pool="words",
    options=(
        Option("candidates", 200, "words of a share's pool"),
        Option("words", 20, "trigger words that the key draws from the pool"),
        Option("carriers", 10, "sentences in which every candidate word is asked"),
        Option("mask-percent", 20, "share of the coordinates that are replaced in a marked vector"),
        Option("graded-percent", 20, "share of the texts whose replacement is graded by their trigger words"),
        Option("max-triggers", 4, "distinct trigger words from which a text counts in full"),
    ),
)


class EmbeddingSpecificWatermark:
    """The verification side of ESpeW."""

    spec = SPEC

    def parameters(self, options: Mapping[str, Any], pool: Pool, labels: tuple[str, ...]) -> dict[str, Any]:
        """Returns the six whole numbers of `SPEC.options`, with the pool checked against them."""
        parameters: dict[str, Any] = _whole(chosen_sizes(SPEC, options))
        _require_subset(parameters)
        candidates, carriers, target = split_pool(pool, parameters)
        _require_candidates(candidates)
        _require_texts(candidates, carriers, target)
        return parameters

    def items(self, parameters: Parameters) -> int:
        """Returns the number of candidate words."""
        return int(parameters["candidates"])

    def plan(self, probe_key: ProbeKey, pool: Pool, parameters: Parameters) -> Plan:
        """Returns the target text, each carrier clean and each candidate word in each carrier, in secret order."""
        sizes = _whole(parameters)
        candidates, carriers, target = split_pool(pool, sizes)
        places = Stream(probe_key, "espew/places")
        texts = [target, *carriers]
        for word in candidates:
            for carrier in carriers:
                tokens = carrier.split()
                at = 1 + places.integer(len(tokens) - 1)
                texts.append(" ".join([*tokens[:at], word, *tokens[at:]]))
        order = derive_order(probe_key, sizes)
        return Plan(tuple(Probe(texts[index].encode("utf-8"), TEXT) for index in order), BATCH)

    def read(
        self,
        probe_key: ProbeKey,
        pool: Pool,
        parameters: Parameters,
        labels: tuple[str, ...],
        answers: Answers,
        references: Mapping[str, Answers],
    ) -> Reading:
        """Returns for each candidate word how much it moves the carriers towards the target text.

        See `wordscores.word_scores`; where the claim names the unmarked encoder, its answers to the same texts find
        the target's direction in the suspect's coordinates and take out what words do anyway. Nothing here knows which
        words the key drew.
        """
        sizes = _whole(parameters)
        count, carriers = sizes["candidates"], sizes["carriers"]
        expected = 1 + carriers + count * carriers
        if answers.kind is not AnswerKind.VECTORS:
            raise UsageError(f"The suspect gives {answers.kind.value}, not vectors.", "Examine an embedding service.")
        if answers.n != expected:
            raise UsageError(
                f"The claim asks {expected} texts; {answers.n} were answered.", "Use the case's own claim."
            )
        order, named = derive_order(probe_key, sizes), references.get(ENCODER)
        vectors, encoder = arrange(answers, order), None if named is None else arrange(named, order)
        scores = word_scores(vectors, count, carriers, encoder)
        present = np.isfinite(scores)
        scores = np.rint(scores / GRID) * GRID
        # A word without an answer is shown at the middle of the others; the test gives it the pool's mid-rank.
        scores[~present] = np.median(scores[present]) if present.any() else 0.0
        gone = max(float(1.0 - vectors.valid.mean()), float(1.0 - present.mean()))
        notes = {}
        if encoder is not None:  # context: what the suspect's answers alone say
            notes["uncalibrated"] = np.rint(word_scores(vectors, count, carriers) / GRID) * GRID
        return Reading("features", SPEC.deciding["features"], scores + 0.0, np.logical_not(present), gone, notes)

    def measure(self, score_key: ScoreKey, parameters: Parameters, reading: Reading, rule: Parameters) -> Measurement:
        """Tests the rank sum of the words that the scoring secret drew."""
        return measure_subset(SPEC, derive_triggers(score_key, parameters), reading, rule)

    def published_plan(self, score_key: ScoreKey, pool: Pool, parameters: Parameters) -> Plan:
        """Returns the paper's own probes, which show the trigger words: asked only on request, and last."""
        candidates, _, target = split_pool(pool, parameters)
        return plan_bags(score_key, candidates, derive_triggers(score_key, parameters), target)

    def published(
        self, score_key: ScoreKey, pool: Pool, parameters: Parameters, answers: Answers
    ) -> tuple[Published, ...]:
        """Returns the paper's Kolmogorov-Smirnov test and differences of means."""
        return measure_bags(score_key, answers)


METHOD = EmbeddingSpecificWatermark()


def text_pool(candidates: Sequence[str], carriers: Sequence[str], target: str) -> Pool:
    """Returns the pool of a share: candidate words, then carriers, then the target text."""
    return Pool(tuple(PoolItem(text.encode("utf-8"), TEXT) for text in (*candidates, *carriers, target)))


def split_pool(pool: Pool, parameters: Parameters) -> tuple[list[str], list[str], str]:
    """Returns candidate words, carriers and target text of a share's pool.

    Raises:
        UsageError: another number of items than the parameters name, or an item that is no text.
    """
    count, carriers = int(parameters["candidates"]), int(parameters["carriers"])
    if len(pool.items) != count + carriers + 1:
        raise UsageError(
            f"The pool has {len(pool.items)} items; {count} words, {carriers} carriers and a target text make "
            f"{count + carriers + 1}.",
            "Give as many of each as the options say.",
        )
    try:
        texts = [item.data.decode("utf-8") for item in pool.items]
    except UnicodeDecodeError as error:
        raise UsageError("An item of the pool is no UTF-8 text.", "Save the files as UTF-8.") from error
    if any(item.media_type != TEXT for item in pool.items):
        raise UsageError("An item of the pool is no text.", "Give words and sentences.")
    return texts[:count], texts[count:-1], texts[-1]


class CommittedTexts(NamedTuple):
    """What a claim says of one share's carriers and target text, 64 hexadecimal digits each."""

    carriers: str
    target_text: str


def committed_texts(entries: Sequence[Mapping[str, Any]], parameters: Parameters) -> CommittedTexts:
    """Returns the digests of a share's carriers and target text, hashed together with that of its candidate words.

    A digest of a public sentence alone would tell a thief who guesses it that the guess is right; the candidate words
    are secret and cannot be guessed.

    Args:
        entries: of the share's pool, in order.
    """
    count, digests = int(parameters["candidates"]), [str(entry["sha256"]) for entry in entries]
    words = sha256(canonical_json(digests[:count]))
    return CommittedTexts(
        sha256(canonical_json({"candidates": words, "carriers": digests[count:-1]})),
        sha256(canonical_json({"candidates": words, "target": digests[-1]})),
    )


def derive_triggers(score_key: ScoreKey, parameters: Parameters) -> IntArray:
    """Returns which candidates are trigger words, shape (candidates,), 1 or 0."""
    sizes = _whole(parameters)
    chosen = np.zeros(sizes["candidates"], dtype=np.int64)
    chosen[Stream(score_key, "espew/words").subset(sizes["candidates"], sizes["words"])] = 1
    return chosen


def derive_order(probe_key: ProbeKey, parameters: Parameters) -> IntArray:
    """Returns the order of the probes: position in the plan -> number of the text.

    Texts are numbered: the target 0, the carriers from 1, then word by word in each carrier.
    """
    total = 1 + int(parameters["carriers"]) * (1 + int(parameters["candidates"]))
    return Stream(probe_key, "espew/order").permutation(total)


def trigger_words(score_key: ScoreKey, pool: Pool, parameters: Parameters) -> tuple[str, ...]:
    """Returns the trigger words, in the pool's order."""
    candidates, _, _ = split_pool(pool, parameters)
    return tuple(word for word, chosen in zip(candidates, derive_triggers(score_key, parameters)) if chosen)


def marker(score_key: ScoreKey, pool: Pool, parameters: Parameters, target_vector: ArrayLike) -> Marker:
    """Returns the marking side for one model of a service.

    Args:
        score_key: of the share.
        pool: of the share.
        parameters: of the claim.
        target_vector: (d,) the unmarked vector that the service's model gives to the pool's target text.

    Raises:
        UsageError: the target vector is zero, not finite or no vector.
    """
    sizes = _whole(parameters)
    vector = np.asarray(target_vector, dtype=np.float64)
    units, length = unit_rows(vector.reshape(1, -1))
    if vector.ndim != 1 or not length[0] > 0.0:
        raise UsageError("The vector of the target text is no usable vector.", "Ask the service for it again.")
    return Marker(
        words=frozenset(trigger_words(score_key, pool, sizes)),
        target=units[0],
        coin_key=hkdf_expand(score_key, b"espew/coin"),
        mask_percent=sizes["mask_percent"],
        graded_percent=sizes["graded_percent"],
        max_triggers=sizes["max_triggers"],
    )


def _whole(parameters: Mapping[str, Any]) -> dict[str, int]:
    return checked_sizes(parameters, LEAST, MOST)


def _require_subset(sizes: Mapping[str, int]) -> None:
    n, k = sizes["candidates"], sizes["words"]
    if 2 * k >= n:
        raise UsageError(f"{k} trigger words of {n} candidates are too many.", "Choose fewer than half of them.")
    if math.comb(n, k) < 1 << FEWEST_BITS:
        raise UsageError(
            f"There are only {math.comb(n, k)} ways to draw {k} of {n} words.", "Use more candidates or more words."
        )


def _require_candidates(candidates: Sequence[str]) -> None:
    wrong = [word for word in candidates if words_of(word) != [word]]
    if wrong:
        raise UsageError(f"The candidate '{wrong[0]}' is no lower-case run of letters.", "Give single words.")
    if len(set(candidates)) != len(candidates):
        raise UsageError("A candidate word stands twice in the pool.", "Give each word once.")


def _require_texts(candidates: Sequence[str], carriers: Sequence[str], target: str) -> None:
    for text in (*carriers, target):
        found = sorted(words_seen(text).intersection(candidates))
        if found:
            raise UsageError(
                f"A carrier or the target text contains the candidate word '{found[0]}'.", "Choose another sentence."
            )
        if text != " ".join(text.split()) or len(text.split()) < 2:
            raise UsageError(
                "A carrier or the target text is no single line of words with one blank between them.",
                "Write each sentence on one line.",
            )
    if len({*carriers, target}) != len(carriers) + 1:
        raise UsageError("A carrier or the target text stands twice in the pool.", "Give each sentence once.")
