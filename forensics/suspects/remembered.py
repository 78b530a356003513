"""A model that is asked each batch once: for those that a claim names, when one process examines many suspects."""

from collections.abc import Sequence

from forensics.records import Answers, Probe
from forensics.suspects.protocol import Suspect


class RememberedSuspect:
    """Gives the answers that the model gave to the same batch before, in this process; they are kept nowhere else."""

    def __init__(self, model: Suspect) -> None:
        self.identity = model.identity
        self._model = model
        self._answers: dict[tuple[str, ...], Answers] = {}

    def answer(self, probes: Sequence[Probe]) -> Answers:
        """Answers one batch; see `Suspect.answer`."""
        batch = tuple(probe.digest for probe in probes)
        if batch not in self._answers:
            self._answers[batch] = self._model.answer(probes)
        return self._answers[batch]
