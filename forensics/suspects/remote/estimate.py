"""What an acquisition would ask of a remote suspect, counted from its first requests without sending any."""

from dataclasses import dataclass

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
    """Counts the requests of a plan.

    Raises:
        UsageError: the probes are of a kind that the protocol cannot carry.
    """
    size = suspect.batch_size(plan)
    starts = [*range(0, len(plan.probes), size), 0]
    units: list[int] = []
    for start in starts:
        conversation = suspect.adapter.converse(plan.probes[start : start + size])
        units.append(next(conversation).units)
        conversation.close()
    exact = all(probe.operation == "answer" for probe in plan.probes)
    return Estimate(len(starts), exact, sum(units))
