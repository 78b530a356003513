"""A recorded case as a suspect: it answers what its parent answered, and says so."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from forensics.canonical import parse_json
from forensics.codec import decode_answers, decode_identity
from forensics.errors import CaseError
from forensics.records import Answers, Identity, Probe


class ReplaySuspect:
    """Answers from the record of another case; the identity is that case's, with `replay` as its kind."""

    def __init__(self, identity: Identity, digests: Sequence[str], answers: Answers) -> None:
        facts = {**identity.facts, "replayed from": identity.kind}
        self.identity = Identity("replay", identity.name, identity.digest, facts, identity.files)
        self._position = {digest: index for index, digest in enumerate(digests)}
        self._answers = answers

    @classmethod
    def load(cls, case: Path) -> "ReplaySuspect":
        """Reads a case folder's evidence.

        Raises:
            CaseError: there is no readable evidence.
        """
        path = case / "data" / "evidence.json"
        try:
            body = parse_json(path.read_bytes())
            return cls(decode_identity(body["suspect"]), body["plan"]["probes"], decode_answers(body["answers"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CaseError(f"{case} is no case that can be replayed.", "Name a case folder: replay:CASE.") from error

    def answer(self, probes: Sequence[Probe]) -> Answers:
        """Returns the recorded answers; a probe that was not asked then is missing."""
        recorded = self._answers
        rows = np.array([self._position.get(probe.digest, -1) for probe in probes], dtype=np.int64)
        unknown = rows < 0
        values, missing = recorded.values[rows].copy(), recorded.missing[rows] | unknown
        values[missing] = {"i": -1, "O": ""}.get(values.dtype.kind, np.nan)
        return Answers(recorded.kind, values, missing, recorded.labels, recorded.resolution)
