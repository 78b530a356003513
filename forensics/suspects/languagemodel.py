"""A local language model as a suspect: how likely it takes a continuation to be."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from forensics.languagemodels import LanguageModel, load_language_model
from forensics.records import AnswerKind, Answers, Probe
from forensics.suspects.media import numbers, take_continuations


class LanguageModelSuspect:
    """Answers with log-probabilities of continuations, computed in float32 and recorded as shortest decimals."""

    def __init__(self, loaded: LanguageModel) -> None:
        self.language_model = loaded
        self.identity = loaded.identity

    @classmethod
    def load(cls, folder: Path) -> "LanguageModelSuspect":
        """Loads the folder under the rules of `languagemodels`.

        Raises:
            ModelError: the folder breaks one of them.
        """
        return cls(load_language_model(folder))

    def answer(self, probes: Sequence[Probe]) -> Answers:
        """Returns log-probabilities (n, 1), summed over each continuation's tokens.

        Missing are those that the model fails on, and those where a token lies across prompt and continuation.

        Raises:
            UsageError: the probes ask for something else than the scores of continuations.
        """
        prompts, continuations = take_continuations(probes, "a language model")
        rows = self.language_model.log_probabilities(prompts, continuations)[:, None]
        return numbers(AnswerKind.LOG_PROBABILITIES, rows.astype(np.float32))
