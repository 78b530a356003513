"""What an acquisition would ask of a remote suspect, counted from its first requests without sending any."""

from dataclasses import dataclass

import numpy as np

from forensics.passes import Run, cut
from forensics.records import Plan
from forensics.suspects.remote.connection import Connection
from forensics.suspects.remote.suspect import RemoteSuspect


@dataclass(frozen=True)
class Estimate:
    """Requests and tokens of an undisturbed acquisition, the first batch's second time included.

    Attributes:
        exact: every batch takes one request; else there are more, as the answers will have it.
        tokens: upper limit of the counted requests.
    """

    requests: int
    exact: bool
    tokens: int

    def seconds(self, connection: Connection) -> float:
        """Returns the least time that the given rates allow; 0 without rates."""
        rate, tokens = connection.requests_per_minute, connection.tokens_per_minute
        by_requests = 60.0 * (self.requests - 1) / rate if rate else 0.0
        return max(by_requests, 60.0 * self.tokens / tokens if tokens else 0.0)


def estimate_questions(suspect: RemoteSuspect, plan: Plan) -> Estimate:
    """Counts the requests of a plan; where it has two passes, for the groups that need most of them.

    Raises:
        UsageError: the probes are of a kind that the protocol cannot carry.
    """
    size, heads = suspect.batch_size(plan), plan.heads
    first = _count(suspect, plan, (0, heads), size)
    again = _count(suspect, plan, (0, min(size, heads)), size)
    requests, tokens = first[0] + again[0], first[1] + again[1]
    if plan.groups:
        groups = np.zeros((heads, 2), dtype=np.int64)
        for run in cut(plan, [(heads, len(plan.probes))] if len(plan.probes) > heads else []):
            groups[plan.groups[run[0]]] += _count(suspect, plan, run, size)
        most = np.sort(groups, axis=0)[heads - plan.keep :].sum(axis=0)
        requests, tokens = requests + int(most[0]), tokens + int(most[1])
    exact = all(probe.operation == "answer" for probe in plan.probes)
    return Estimate(requests, exact, tokens)


def _count(suspect: RemoteSuspect, plan: Plan, run: Run, size: int) -> tuple[int, int]:
    """Counts the requests that a run of probes takes, and their tokens."""
    starts, tokens = range(run[0], run[1], size), 0
    for start in starts:
        conversation = suspect.adapter.converse(plan.probes[start : min(start + size, run[1])])
        tokens += next(conversation).units
        conversation.close()
    return len(starts), tokens
