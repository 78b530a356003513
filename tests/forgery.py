"""Cases told otherwise by somebody who brings everything that follows up to date, the custody log included."""

from collections.abc import Mapping

from forensics.bench.tamper_cases import relogged
from forensics.canonical import now
from forensics.evidence.case import compose_case
from forensics.evidence.custody import CUSTODY
from forensics.evidence.schema import Evidence


def retold(evidence: Evidence, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Returns the payload of a case as if it had come about with this evidence: no entry tells of a change."""
    payload = compose_case(evidence, files, actor="forger", action="open", moment=now())
    return {**payload, CUSTODY: relogged({**payload, CUSTODY: files[CUSTODY]})}
