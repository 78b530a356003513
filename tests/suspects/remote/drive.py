"""A bare loop that drives a conversation over urllib: an adapter needs no more than this."""

import urllib.error
import urllib.request
from collections.abc import Sequence

from forensics.records import Answers, Probe
from forensics.suspects.remote.adapter import Adapter, BadAnswerError, Conversation


def finish(conversation: Conversation, post: "Post") -> Answers:
    """Drives a conversation to its end; a refusal is thrown into it."""
    try:
        request = next(conversation)
        while True:
            try:
                value = request.read(post(request.path, request.body, request.content_type))
            except BadAnswerError as error:
                request = conversation.throw(error)
            else:
                request = conversation.send(value)
    except StopIteration as end:
        return end.value


class Post:
    """Posts to a base URL; statuses above 399 are refusals."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self.url, self.headers = url, headers

    def __call__(self, path: str, body: bytes, kind: str) -> bytes:
        request = urllib.request.Request(self.url + path, body, {"Content-Type": kind, **self.headers})
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise BadAnswerError(f"status {error.code}: {error.read()[:200]!r}") from error


def drive(adapter: Adapter, url: str, probes: Sequence[Probe], key: str | None = None) -> Answers:
    """Asks all probes in one conversation."""
    return finish(adapter.converse(probes), Post(url, dict(adapter.authorization(key)) if key else {}))


def text_probes(texts: Sequence[str]) -> list[Probe]:
    """Returns probes that want an answer."""
    return [Probe(text.encode(), "text/plain") for text in texts]


def score_probe(prompt: str, continuation: str) -> Probe:
    """Returns a probe that wants a continuation's log-probability."""
    return Probe(prompt.encode(), "text/plain", "score", continuation.encode())
