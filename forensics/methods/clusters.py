"""Trigger clusters: what the key's half of a pool does to an encoder's outputs, and the other half does not.

TMRW (texts) and WPE (images) mark an encoder so that its outputs for inputs with a trigger gather in one place. Their
papers are known by their abstracts alone. What is here is ours: a committed pool of candidates, half of which the key
draws as triggers, asked alike in the same carriers; how far each candidate moves along the direction in which answers
differ most, whatever they are (vectors, probabilities, classes of any downstream task); and the exact test of the drawn
half. The sign of that direction is arbitrary, so both tails count.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from forensics.errors import UsageError
from forensics.keys.derive import ProbeKey, ScoreKey, Stream, direction
from forensics.methods.clusterfigures import cluster_figures
from forensics.methods.clusterspec import whole_numbers
from forensics.methods.marking import unit_rows
from forensics.methods.protocol import MethodSpec, Parameters
from forensics.methods.sizes import chosen_sizes
from forensics.methods.subset import measure_subset
from forensics.passes import chosen_groups
from forensics.records import (
    AnswerKind,
    Answers,
    BoolArray,
    FloatArray,
    IntArray,
    Measurement,
    Plan,
    Pool,
    Probe,
    Reading,
)

GRID = 2.0**-30
"""Item scores are rounded to this step, as parts of the largest one, so that every machine finds the same ranks."""

APART = 1e-6
"""The two largest eigenvalues count as equal where they differ by less than this part: rounding noise could then turn
the first component by more than a step of the grid. As near to the largest magnitude, an item counts as tied for it."""

FLAT = 1e-18
"""Answers whose largest eigenvalue is no more than this for each of them are constant but for rounding."""

FLOOR = 1e-12
"""Least probability, and least half unit of rounded ones."""


class TriggerClusters(ABC):
    """The verification side that both methods share; a method adds its pool and its probes."""

    spec: MethodSpec
    batch_size: int

    @abstractmethod
    def require_pool(self, pool: Pool, parameters: Parameters) -> None:
        """Refuses a pool that does not suit the method.

        Raises:
            UsageError: it does not.
        """

    @abstractmethod
    def probes(
        self, probe_key: ProbeKey, pool: Pool, parameters: Parameters
    ) -> tuple[Sequence[Probe], Callable[[int, int], Probe]]:
        """Returns the clean carriers, and a function from carrier and candidate to the carrier with the candidate."""

    def parameters(self, options: Mapping[str, Any], pool: Pool, labels: tuple[str, ...]) -> dict[str, Any]:
        """Returns the whole numbers of `spec.options`, with the pool checked against them."""
        parameters: dict[str, Any] = whole_numbers(chosen_sizes(self.spec, options))
        self.require_pool(pool, parameters)
        return parameters

    def items(self, parameters: Parameters) -> int:
        """Returns the number of candidates."""
        return int(parameters["candidates"])

    def plan(self, probe_key: ProbeKey, pool: Pool, parameters: Parameters) -> Plan:
        """Returns each carrier clean, then every candidate in each of them; the second pass asks some carriers."""
        sizes = whole_numbers(parameters)
        clean, with_candidate = self.probes(probe_key, pool, sizes)
        order = derive_order(self.spec.name, probe_key, sizes)
        probes = [clean[carrier] for carrier in order.carriers]
        probes += [with_candidate(carrier, item) for carrier in order.carriers for item in order.items]
        heads = range(len(clean))
        groups = (*heads, *(head for head in heads for _ in order.items))
        return Plan(tuple(probes), self.batch_size, groups, sizes["asked"])

    def read(
        self,
        probe_key: ProbeKey,
        pool: Pool,
        parameters: Parameters,
        labels: tuple[str, ...],
        answers: Answers,
        references: Mapping[str, Answers],
    ) -> Reading:
        """Returns for each candidate where it lies along the first principal component of all candidates' shifts.

        A shift is the answer to a carrier with the candidate minus that to the carrier alone: of unit vectors, of
        log-probabilities, or of classes as 0 and 1. The components are those of the table with a row a candidate and a
        column a carrier and coordinate, each column less its mean; a missing answer counts as that mean. Answers of
        any number of classes or coordinates will do. Nothing here knows which candidates the key drew.
        """
        sizes = whole_numbers(parameters)
        n, carriers = sizes["candidates"], sizes["carriers"]
        if answers.n != carriers * (1 + n):
            raise UsageError(
                f"The claim asks {carriers * (1 + n)} probes; {answers.n} were answered.", "Use the case's own claim."
            )
        table = arrange(answers, derive_order(self.spec.name, probe_key, sizes), sizes["asked"])
        first, second = components(gram(table), int(table.usable.sum()))
        notes = {"projection": np.stack([first, second], axis=1), "usable": table.usable.astype(np.float64)}
        if table.classes is not None:
            notes["classes"] = table.classes.astype(np.float64)
        elif table.outputs is not None and table.heads is not None:
            notes |= {"vectors": table.outputs, "heads": table.heads}
        return Reading(
            access=answers.access,
            statistic=self.spec.deciding[answers.access],
            scores=first,
            missing=np.logical_not(table.usable.any(axis=0)),
            missing_share=max(table.unanswered, float(1.0 - table.usable.mean())),
            notes=notes,
        )

    def measure(self, score_key: ScoreKey, parameters: Parameters, reading: Reading, rule: Parameters) -> Measurement:
        """Tests the rank sum of the drawn half; the published figures stand beside it."""
        chosen = derive_triggers(self.spec.name, score_key, parameters)
        secret = derive_direction(self.spec.name, score_key, parameters)
        found = measure_subset(self.spec, chosen, reading, rule)
        return replace(found, published=cluster_figures(chosen, reading.notes, secret))


class Order(NamedTuple):
    """What the probe secret draws of a plan: the carriers by group, and the candidates as every group asks them."""

    carriers: IntArray
    items: IntArray


@dataclass(frozen=True, eq=False)
class Table:
    """Answers to the groups that the second pass asks, by group and number of the candidate.

    Attributes:
        usable: bool (groups, N), whether the candidate's answer and that of the group's head are valid.
        outputs: float64 (groups, N, C) unit vectors or log-probabilities, zero where not usable; None for classes.
        heads: float64 (groups, C) the same of the carriers alone.
        classes: int64 (groups, N) class of each answer, -1 where not usable; None for vectors.
        unanswered: share of the asked probes without a valid answer.
    """

    usable: BoolArray
    outputs: FloatArray | None
    heads: FloatArray | None
    classes: IntArray | None
    unanswered: float


def arrange(answers: Answers, order: Order, asked: int) -> Table:
    """Returns the answers that count, brought from plan order into the order of the candidates' numbers.

    Args:
        answers: to the whole plan; groups that the second pass leaves out are not looked at.
        asked: how many groups the second pass asks.
    """
    carriers, n = len(order.carriers), len(order.items)
    if answers.values.ndim == 2 and answers.values.shape[1] == 0:  # nothing was answered, so that no width is known
        answers = replace(answers, values=np.full((answers.n, 1), np.nan), missing=np.ones(answers.n, dtype=np.bool_))
    groups = chosen_groups(Plan((), groups=tuple(range(carriers)), keep=asked), answers)
    # Row 0 of a group is its head, row 1 + i the candidate of number i.
    rows = np.empty((len(groups), 1 + n), dtype=np.int64)
    rows[:, 0] = groups
    rows[:, 1 + order.items] = carriers + groups[:, None] * n + np.arange(n)
    valid, values, classes = _read_rows(answers, rows.ravel())
    valid = valid.reshape(rows.shape)
    usable = valid[:, 1:] & valid[:, :1]
    heads_left_out = np.setdiff1d(np.arange(carriers), groups)
    answered = int(valid.sum()) + int((~answers.missing[heads_left_out]).sum())
    outputs = None if values is None else values.reshape(*rows.shape, -1)
    return Table(
        usable=usable,
        outputs=None if outputs is None else np.where(usable[:, :, None], outputs[:, 1:], 0.0),
        heads=None if outputs is None else outputs[:, 0],
        classes=None if classes is None else np.where(usable, classes.reshape(rows.shape)[:, 1:], -1),
        unanswered=1.0 - answered / (rows.size + len(heads_left_out)),
    )


def _read_rows(answers: Answers, rows: IntArray) -> tuple[BoolArray, FloatArray | None, IntArray | None]:
    """Returns which of these answers are valid, their vectors or log-probabilities, and their classes."""
    values, valid = answers.values[rows], np.logical_not(answers.missing[rows])
    if answers.kind is AnswerKind.VECTORS:
        units, length = unit_rows(np.where(valid[:, None], values, 0.0))
        return valid & (length > 0.0), units, None
    if answers.kind is AnswerKind.TEXT:
        numbers = {text: number for number, text in enumerate(sorted({*values.tolist()}))}
        return valid, None, np.array([numbers[text] for text in values.tolist()], dtype=np.int64)
    if answers.kind is AnswerKind.LABELS:
        return valid & (values >= 0), None, values
    valid = valid & np.isfinite(values).all(axis=1)
    logs = log_probabilities(np.where(valid[:, None], values, 0.0), answers.kind, answers.resolution)
    return valid, logs, np.argmax(logs, axis=1).astype(np.int64)


def log_probabilities(values: FloatArray, kind: AnswerKind, resolution: float) -> FloatArray:
    """Returns natural logarithms of probabilities, no less than that of half the unit to which they were rounded.

    Args:
        values: (n, C) finite logits, log-probabilities or probabilities.
        resolution: unit of rounding; the least probability is half of it, and at least 1e-12.
    """
    least = min(max(FLOOR, resolution / 2.0), 1.0)
    if kind is AnswerKind.LOGITS:
        with np.errstate(over="ignore"):  # a gap beyond all floats is as good as infinite
            values = values - values.max(axis=1, keepdims=True)
        values = values - np.log(np.exp(values).sum(axis=1, keepdims=True))
    elif kind is not AnswerKind.LOG_PROBABILITIES:
        values = np.log(np.clip(values, least, 1.0))
    return np.asarray(np.clip(values, np.log(least), 0.0), dtype=np.float64)


def gram(table: Table) -> FloatArray:
    """Returns the products of the candidates' column-centred rows, (N, N).

    The carrier alone is the same number in a whole column, so that centring takes it out.
    """
    n = table.usable.shape[1]
    products = np.zeros((n, n))
    for group, usable in enumerate(table.usable):
        if usable.any():
            block = table.outputs[group] if table.outputs is not None else _one_hot(table.classes, group)
            centred = np.where(usable[:, None], block - block[usable].mean(axis=0), 0.0)
            products += centred @ centred.T
    return products


def components(products: FloatArray, answers: int) -> tuple[FloatArray, FloatArray]:
    """Returns where the candidates lie along the first two principal components, each (N,) on the grid.

    Along the first, the item of largest magnitude (the first of those that are tied) is at 1, and along the second it
    is positive. All are 0 where the answers are constant or the first component is not determined; those
    along the second where that is not.

    Args:
        products: (N, N) of the centred rows.
        answers: how many answers they come from.
    """
    values, vectors = np.linalg.eigh(products)
    third, second, first = values[-3:]
    nothing = np.zeros(len(products))
    if first <= FLAT * answers or first - second <= APART * first:
        return nothing, nothing
    unit = vectors[_top(vectors[:, -1]), -1]
    along = _on_grid(vectors[:, -1] / unit)
    if second - third <= APART * first:
        return along, nothing
    sign = np.sign(vectors[_top(vectors[:, -2]), -2])
    return along, _on_grid(vectors[:, -2] * sign * np.sqrt(second / first) / abs(unit))


def _top(values: FloatArray) -> int:
    """Returns the first of the items whose magnitude is the largest, or tied with it."""
    size = np.abs(values)
    return int(np.argmax(size >= (1.0 - APART) * size.max()))


def _on_grid(values: FloatArray) -> FloatArray:
    return np.asarray(np.rint(values / GRID) * GRID + 0.0, dtype=np.float64)


def _one_hot(classes: IntArray | None, group: int) -> FloatArray:
    """Returns the classes that a group's answers name, as 0 and 1, (N, number of them)."""
    if classes is None:
        raise ValueError("invalid table: neither outputs nor classes")
    names, places = np.unique(classes[group], return_inverse=True)
    return np.eye(len(names))[places]


def derive_order(method: str, probe_key: ProbeKey, parameters: Parameters) -> Order:
    """Returns the order of a plan's groups and of the candidates in each."""
    stream = Stream(probe_key, f"{method}/order")
    return Order(stream.permutation(int(parameters["carriers"])), stream.permutation(int(parameters["candidates"])))


def derive_triggers(method: str, score_key: ScoreKey, parameters: Parameters) -> IntArray:
    """Returns which candidates are triggers, shape (candidates,), 1 for half of them and 0 for the rest."""
    n = whole_numbers(parameters)["candidates"]
    chosen = np.zeros(n, dtype=np.int64)
    chosen[Stream(score_key, f"{method}/triggers").subset(n, n // 2)] = 1
    return chosen


def derive_direction(method: str, score_key: ScoreKey, parameters: Parameters) -> FloatArray:
    """Returns the secret unit vector towards which the triggers' outputs are drawn, shape (dimension,)."""
    return direction(Stream(score_key, f"{method}/direction").normals(whole_numbers(parameters)["dimension"]))
