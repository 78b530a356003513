"""How a remote suspect is reached: limits, caps, and the API key, which is never written anywhere."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Connection:
    """Choices of the examiner; none of them depends on a key.

    Attributes:
        concurrency: most requests under way at a time.
        requests_per_minute: None for no limit of ours.
        tokens_per_minute: likewise.
        attempts: most attempts a request, the first one included.
        timeout: seconds that one attempt may take in all.
        pause: seconds before the second attempt; doubled before each further one, up to 16 times as much.
        max_requests: most attempts in all, failed ones included; None for no cap.
        max_tokens: most tokens in all, by the upper limit that each request states; None for no cap.
        max_bytes: most bytes that one answer may have, before and after decompression; less for few probes.
        api_key: secret; sent to the suspect's own host only.
        authority: certificates (PEM) to trust instead of the system's.
    """

    concurrency: int = 8
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    attempts: int = 5
    timeout: float = 60.0
    pause: float = 0.5
    max_requests: int | None = None
    max_tokens: int | None = None
    max_bytes: int = 16 * 1024 * 1024
    api_key: str | None = field(default=None, repr=False)
    authority: Path | None = None
