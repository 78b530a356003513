"""OFSW in language models: a multi-bit mark read through orthogonal filters of natural passages.

After the language-model part of "orthogonal feature space watermarking" (Electronics 2025, 14(19), 3888): kernels of
one dimension along a sequence of word vectors. There the filtered vectors are put into the model, which only its holder
can do. Ours: every filtered vector is snapped to a word of a table that was committed with the pool, so that a view is
a text that any service takes, and what is scored is the log-probability of the passage's own continuation after that
text. Kernels, regression, calibrated read-out and test are those of `ofsw`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.errors import UsageError
from forensics.keys.derive import ProbeKey, ScoreKey, Stream
from forensics.methods.bits import measure_bits
from forensics.methods.cleancheckpoint import CLEAN, beside_clean
from forensics.methods.ofsw import (
    KERNEL_SCALE,
    MOST_BANKS,
    MOST_BITS,
    calibrated,
    derive_kernels,
    derive_payload,
    weights,
)
from forensics.methods.protocol import MethodSpec, Option, Parameters
from forensics.methods.sizes import checked_sizes, chosen_sizes
from forensics.methods.wordtable import WordTable, read_table
from forensics.records import (
    AnswerKind,
    Answers,
    FloatArray,
    IntArray,
    Measurement,
    Plan,
    Pool,
    PoolItem,
    Probe,
    Reading,
)

_LEAST = {"bits": 4, "banks": 1, "length": 1}
_MOST = {"bits": MOST_BITS, "banks": MOST_BANKS, "length": 256}

SPEC = MethodSpec(
    name="ofsw-text",
    version="1",
    title="Orthogonal feature space watermark in language models",
    citation="OFSW, Electronics 2025, 14(19), 3888; reconstructed, with views that are texts and a calibrated read-out",
    modality="text",
    deciding={"scores": "matched-bits"},
    test="bits",
    null="the answers do not depend on the payload bits given the probes: matches follow Binomial(k, 1/2)",
    ties="a score nearer to zero than 1e-9 is a miss",
    missing="a missing view counts as the mean of its bank; a bit without any view is a miss",
    assumptions=(
        "the payload bits were drawn uniformly, after the clean checkpoint and the pool were fixed",
        "nobody who could shape the suspect's answers knew the scoring secret",
    ),
    minimum_effect="0.65",
    effect_name="share of payload bits that match",
    chance="0.5",
    references=(CLEAN,),
    options=(
        Option("bits", 64, "payload length k; 128 or more for court"),
        Option("banks", 8, "trigger passages, each with its own k orthogonal kernels"),
        Option("length", 16, "words of a view"),
    ),
    pool="passages",
)


@dataclass(frozen=True)
class Passage:
    """A trigger.

    Attributes:
        text: natural text; the first words of it that are in the table are filtered.
        continuation: the words that follow it, whose log-probability is scored.
    """

    text: str
    continuation: str

    def item(self) -> PoolItem:
        """Returns the passage as an item of a pool: two lines."""
        return PoolItem(f"{self.text}\n{self.continuation}".encode(), "text/plain")


class OrthogonalText:
    """The verification side of OFSW in language models."""

    spec = SPEC

    def parameters(self, options: Mapping[str, Any], pool: Pool, labels: tuple[str, ...]) -> dict[str, Any]:
        """Returns bits, banks and the length of a view; the pool must hold enough passages of that length."""
        sizes = checked_sizes(chosen_sizes(SPEC, options), _LEAST, _MOST)
        if labels:
            raise UsageError("A language model has no class labels.", "Make the key without a label list.")
        table, passages = read_pool(pool)
        if len(passages) < sizes["banks"]:
            raise UsageError(
                f"The pool has {len(passages)} passages, fewer than {sizes['banks']} banks.", "Give a larger pool."
            )
        for passage in passages:
            _sequence(passage.text, table, sizes)
        return sizes

    def items(self, parameters: Parameters) -> int:
        """Returns k."""
        return int(parameters["bits"])

    def plan(self, probe_key: ProbeKey, pool: Pool, parameters: Parameters) -> Plan:
        """Returns banks x k filtered views, bank by bank, each with its passage's continuation to be scored."""
        table, passages = read_pool(pool)
        kernels = derive_kernels(probe_key, parameters)
        probes: list[Probe] = []
        for bank, number in enumerate(derive_passages(probe_key, pool, parameters)):
            continuation = f" {passages[number].continuation}".encode()
            for view in filtered_texts(passages[number].text, table, kernels[bank], parameters):
                probes.append(Probe(view.encode(), "text/plain", "score", continuation))
        return Plan(tuple(probes))

    def read(
        self,
        probe_key: ProbeKey,
        pool: Pool,
        parameters: Parameters,
        labels: tuple[str, ...],
        answers: Answers,
        references: Mapping[str, Answers],
    ) -> Reading:
        """Returns the k calibrated weights of the log-probabilities; see `ofsw`."""
        clean = beside_clean(answers, references, int(parameters["banks"]) * int(parameters["bits"]), "views")
        kernels = derive_kernels(probe_key, parameters)
        raw, missing = weights(kernels, evaluation(answers, len(kernels)))
        natural, unread = weights(kernels, evaluation(clean, len(kernels)))
        return Reading(
            access="scores",
            statistic=SPEC.deciding["scores"],
            scores=calibrated(raw, natural),
            missing=np.full(len(raw), missing >= 1.0, dtype=np.bool_),
            missing_share=max(missing, unread),
            notes={"raw": raw, "natural": natural},
        )

    def measure(self, score_key: ScoreKey, parameters: Parameters, reading: Reading, rule: Parameters) -> Measurement:
        """Tests the weights' signs against the payload."""
        return measure_bits(SPEC, derive_payload(score_key, parameters), reading, rule)


METHOD = OrthogonalText()


def read_pool(pool: Pool) -> tuple[WordTable, tuple[Passage, ...]]:
    """Returns the table and the passages of a pool.

    Raises:
        UsageError: the pool holds no such items.
    """
    try:
        head, *rest = pool.items
        passages = tuple(Passage(*item.data.decode("utf-8").split("\n")) for item in rest)
    except (ValueError, TypeError) as error:
        raise UsageError("The pool holds no word table and passages.", "Make it from a corpus.") from error
    return read_table(head.data), passages


def derive_passages(probe_key: ProbeKey, pool: Pool, parameters: Parameters) -> IntArray:
    """Returns the numbers of the trigger passages, shape (banks,), distinct."""
    return Stream(probe_key, "ofsw-text/passages").permutation(len(pool.items) - 1)[: int(parameters["banks"])]


def filtered_texts(text: str, table: WordTable, kernels: FloatArray, parameters: Parameters) -> list[str]:
    """Filters a passage's word vectors with k kernels and snaps every result to a word.

    The convolution goes round the passage's first words: y_t = sum over j of K_j x_(t + j). Each y_t becomes the word
    with the largest inner product, the first of equals. All sums are integers below 2**53, so that every platform and
    any order of summation gives the same words.

    Args:
        kernels: (k, k) orthonormal rows.

    Returns:
        k texts of `length` words.

    Raises:
        UsageError: the passage is too short.
    """
    sequence, k = _sequence(text, table, parameters), len(kernels)
    length = len(sequence)
    whole = np.rint(kernels * KERNEL_SCALE)
    places = (np.arange(length)[:, None] + np.arange(k)[None, :]) % length
    filtered = np.einsum("kj,tjd->ktd", whole, sequence[places], optimize=True)
    nearest: NDArray[np.intp] = np.argmax(filtered @ table.vectors.T, axis=2)
    return [" ".join(table.words[row] for row in view) for view in nearest]


def evaluation(answers: Answers, banks: int) -> FloatArray:
    """The evaluation vector Y (paper, eq. 8): the log-probability of the passage's continuation after each view.

    Returns:
        (banks, views) with NaN where the answer is missing.

    Raises:
        UsageError: the answers are no log-probabilities, one a view.
    """
    whole_table = answers.values.ndim == 2 and answers.values.shape[1] <= 1
    if answers.kind is not AnswerKind.LOG_PROBABILITIES or not whole_table:
        raise UsageError(
            "The suspect gives no log-probabilities of continuations.",
            "Examine a language model whose service shows log-probabilities, or its folder.",
        )
    scores = np.full(answers.n, np.nan)
    if answers.values.shape[1]:
        scores[~answers.missing] = answers.values[~answers.missing, 0]
    scores[~np.isfinite(scores)] = np.nan
    return scores.reshape(banks, -1)


def _sequence(text: str, table: WordTable, parameters: Parameters) -> FloatArray:
    """Returns the vectors (length, d) of the first words of a passage that are in the table."""
    length = checked_sizes(parameters, _LEAST, _MOST)["length"]
    rows = table.rows(text)[:length]
    if len(rows) < length:
        raise UsageError(
            f"A passage of the pool has {len(rows)} words of the table, fewer than {length}.",
            "Make the pool for that length, or choose a smaller one.",
        )
    return np.asarray(table.vectors[rows], dtype=np.float64)
