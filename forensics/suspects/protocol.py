"""What a suspect offers: an identity and answers to probes. It never sees a key."""

from collections.abc import Sequence
from typing import Protocol

from forensics.records import Answers, Identity, Probe


class Suspect(Protocol):
    """A model under examination."""

    identity: Identity

    def answer(self, probes: Sequence[Probe]) -> Answers:
        """Answers one batch of probes, in order; what failed is marked missing.

        Raises:
            Unreachable: the suspect cannot be asked at all.
        """
        ...
