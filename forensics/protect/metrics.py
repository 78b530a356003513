"""Counters of the proxy in the Prometheus text format; they stay on the administrator's listener."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

OWN = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5)
UPSTREAM = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

_HELP = {
    "requests": "Requests by kind of route.",
    "responses": "Responses by status, as they left.",
    "upstream_responses": "Responses of the upstream by class of status; none where it could not be reached.",
    "texts": "Texts in requests for embeddings.",
    "marked_texts": "Texts whose vector was marked.",
    "unmatched_requests": "Requests for embeddings without readable texts, by shape.",
    "target_requests": "Embeddings of the target text that were asked for.",
    "request_bytes": "Bytes of request bodies.",
    "response_bytes": "Bytes of response bodies.",
}


class Histogram:
    """A cumulative histogram of seconds."""

    def __init__(self, edges: Sequence[float]) -> None:
        self.edges = tuple(edges)
        self.counts = [0] * (len(self.edges) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Counts one value."""
        self.counts[bisect_left(self.edges, seconds)] += 1
        self.total += seconds


class Metrics:
    """What the proxy counts."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self.own = Histogram(OWN)
        self.upstream = Histogram(UPSTREAM)

    def count(self, name: str, label: str = "", by: int = 1) -> None:
        """Adds to a counter; `label` is `name="value"` or empty."""
        self._counts[name, label] += by

    def value(self, name: str, label: str = "") -> int:
        """Returns a counter."""
        return self._counts[name, label]

    def render(self) -> str:
        """Returns all of it as text."""
        lines: list[str] = []
        for name, meaning in _HELP.items():
            full = f"forensics_protect_{name}_total"
            lines += [f"# HELP {full} {meaning}", f"# TYPE {full} counter"]
            found = sorted((label, n) for (counter, label), n in self._counts.items() if counter == name)
            lines += [f"{full}{{{label}}} {n}" if label else f"{full} {n}" for label, n in found or [("", 0)]]
        lines += _render("own_seconds", "Time a request for embeddings spent in the proxy.", self.own)
        lines += _render("upstream_seconds", "Time a request for embeddings waited for the upstream.", self.upstream)
        return "\n".join(lines) + "\n"


def _render(name: str, meaning: str, histogram: Histogram) -> list[str]:
    full = f"forensics_protect_{name}"
    lines = [f"# HELP {full} {meaning}", f"# TYPE {full} histogram"]
    running = 0
    for edge, count in zip((*map(str, histogram.edges), "+Inf"), histogram.counts, strict=True):
        running += count
        lines.append(f'{full}_bucket{{le="{edge}"}} {running}')
    return [*lines, f"{full}_sum {histogram.total:.6f}", f"{full}_count {running}"]
