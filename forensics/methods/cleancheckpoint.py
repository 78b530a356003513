"""The owner's unmarked model, which a claim names by digest and whose answers stand beside the suspect's."""

from collections.abc import Mapping

from forensics.errors import UsageError
from forensics.records import Answers

CLEAN = "clean-checkpoint"
"""Its role in a claim: what it answers anyway is not the key's."""

FURTHER = tuple(f"{CLEAN}-{number}" for number in (2, 3, 4))
"""Roles of further unmarked models of the owner: the mean of several tells better what is common to the task."""


def beside_clean(answers: Answers, references: Mapping[str, Answers], asked: int, what: str) -> Answers:
    """Returns the clean checkpoint's answers to the same plan.

    Args:
        references: answers of the claim's named models, by role.
        asked: number of probes of the plan.
        what: they are called.

    Raises:
        UsageError: they are missing, or not all probes of the plan were put to both.
    """
    return beside_all_clean(answers, references, asked, what)[0]


def beside_all_clean(answers: Answers, references: Mapping[str, Answers], asked: int, what: str) -> tuple[Answers, ...]:
    """Returns the answers of the clean checkpoint and of further unmarked models, where the claim names any.

    Raises:
        UsageError: as for `beside_clean`.
    """
    if CLEAN not in references:
        raise UsageError("The clean checkpoint's answers are missing.", "Name its folder with --reference-checkpoint.")
    found = tuple(references[role] for role in (CLEAN, *FURTHER) if role in references)
    for each in (answers, *found):
        if each.n != asked:
            raise UsageError(
                f"The claim asks {asked} {what}; the suspect or an unmarked model answered {each.n}.",
                "Use the case's own claim and plan.",
            )
    return found
