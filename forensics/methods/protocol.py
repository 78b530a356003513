"""What a watermark must offer to be planned, read and measured: one file a method, numpy only."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Literal, Protocol, runtime_checkable

from forensics.errors import UsageError
from forensics.keys.claim import counts_both_tails
from forensics.keys.derive import ProbeKey, ScoreKey
from forensics.records import Answers, Measurement, Plan, Pool, Published, Reading

Parameters = Mapping[str, Any]
"""A method's parameters as the claim holds them: strings, integers, lists; no floats."""


@dataclass(frozen=True)
class Option:
    """A method's own option of `key new`.

    Attributes:
        name: as on the command line, without dashes.
        default: shown in the help; its type is the option's type.
    """

    name: str
    default: int | str
    help: str


@dataclass(frozen=True)
class MethodSpec:
    """What can be said of a method before any key exists.

    Attributes:
        modality: `image`, `text` or `embedding`.
        deciding: access level -> name of the one statistic that decides at that level.
        null: the null hypothesis in words.
        assumptions: what must hold for the p-value to be exact, in words.
        minimum_effect: default of the claim's minimum effect, as a decimal string.
        chance: what the effect is under the null, as a decimal string.
        references: roles of the models that the claim must name by digest.
        optional_references: roles of models that it may name.
        pool: what a share's pool is made of.
        most_items: how many items a key can draw at the most, where that is limited; 0 where it is not.
        may_fall_short: whether a key may draw too little for its own rule; its verdict is then INCONCLUSIVE.
    """

    name: str
    version: str
    title: str
    citation: str
    modality: str
    deciding: Mapping[str, str]
    test: str
    null: str
    ties: str
    missing: str
    assumptions: tuple[str, ...]
    minimum_effect: str
    effect_name: str
    chance: str
    references: tuple[str, ...] = ()
    optional_references: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    pool: Literal["labelled images", "labelled texts", "words", "phrases", "patterns", "passages"] = "labelled images"
    most_items: int = 0
    may_fall_short: bool = False

    @property
    def two_sided(self) -> bool:
        """Whether the tests count both tails."""
        return counts_both_tails(self.deciding)


class Method(Protocol):
    """A watermark's verification side. Embedding lives in `training/<name>.py`."""

    spec: MethodSpec

    def parameters(self, options: Mapping[str, Any], pool: Pool, labels: tuple[str, ...]) -> dict[str, Any]:
        """Returns the claim's parameters for chosen options; canonical values only (no floats).

        Raises:
            UsageError: the options, the pool or the labels do not suit the method.
        """
        ...

    def items(self, parameters: Parameters) -> int:
        """Returns n, the number of units that the scoring secret draws."""
        ...

    def plan(self, probe_key: ProbeKey, pool: Pool, parameters: Parameters) -> Plan:
        """Returns the probes; a function of the probe secret and the pool alone."""
        ...

    def read(
        self,
        probe_key: ProbeKey,
        pool: Pool,
        parameters: Parameters,
        labels: tuple[str, ...],
        answers: Answers,
        references: Mapping[str, Answers],
    ) -> Reading:
        """Returns arm-blind item scores.

        Args:
            labels: the claim's label list.
            answers: the suspect's answers to the plan.
            references: answers of the claim's named models to the same plan, by role.

        Raises:
            UsageError: the answers cannot belong to this claim (such as another number of classes).
        """
        ...

    def measure(self, score_key: ScoreKey, parameters: Parameters, reading: Reading, rule: Parameters) -> Measurement:
        """Returns the exact test of a reading against what the scoring secret drew.

        Args:
            rule: the claim's decision rule (alpha, minimum_effect as decimal strings).
        """
        ...


@runtime_checkable
class PublishedProbing(Protocol):
    """What a method may offer besides: its paper's own statistics, where they need probes of their own.

    Those probes may depend on the scoring secret. They are asked only on request, and only of a suspect whose answers
    to the deciding plan are complete; nothing that decides looks at them.
    """

    def published_plan(self, score_key: ScoreKey, pool: Pool, parameters: Parameters) -> Plan:
        """Returns the probes; a function of the scoring secret and the pool.

        Raises:
            UsageError: the paper's statistics cannot be had with these parameters.
        """
        ...

    def published(
        self, score_key: ScoreKey, pool: Pool, parameters: Parameters, answers: Answers
    ) -> tuple[Published, ...]:
        """Returns the statistics of the answers to `published_plan`, each with what is wrong with it.

        Args:
            pool: of the share; its items may have lost their bytes.

        Raises:
            UsageError: the answers cannot belong to that plan.
        """
        ...


def load_method(name: str) -> Method:
    """Returns the method of that name, ours or an installed plug-in's.

    Raises:
        UsageError: there is none.
    """
    for entry in entry_points(group="forensics.methods", name=name):
        method: Method = entry.load()
        return method
    known = ", ".join(sorted(method_names()))
    raise UsageError(f"There is no method '{name}'.", f"Choose one of: {known}.")


def method_names() -> tuple[str, ...]:
    """Returns the names of all installed methods, sorted."""
    return tuple(sorted({entry.name for entry in entry_points(group="forensics.methods")}))
