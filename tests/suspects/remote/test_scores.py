"""Log-probabilities of continuations: echoed, vLLM's, by a walk, and of single chat tokens."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from forensics.records import AnswerKind, Answers, Probe
from forensics.suspects import Connection, open_suspect
from forensics.suspects.remote.adapter import BadAnswerError
from forensics.suspects.remote.registry import find_factory
from forensics.suspects.remote.tokens import longest_step, read_echo, read_prompt
from tests.suspects.remote.drive import drive, finish, score_probe
from tests.suspects.remote.fakes import Fake, log_probability, pieces, serving

PROMPT, CONTINUATION = 'Say "hello"\nto a', ' fox 🦊 and\n"its" den'
PROBE = score_probe(PROMPT, CONTINUATION)


def expected(prompt: str = PROMPT, continuation: str = CONTINUATION) -> float:
    """What the made-up language model gives the continuation."""
    total, text = 0.0, prompt
    for token in pieces(continuation):
        total, text = total + log_probability(text, token), text + token
    return total


@pytest.fixture
def fake() -> Iterator[Fake]:
    with serving(Fake(expected=[PROMPT + CONTINUATION])) as running:
        yield running


def ask(fake: Fake, probe: Probe, scheme: str = "openai-completions", **options: str) -> Answers:
    return drive(find_factory(scheme)(fake.url, "m", options), f"{fake.url}/v1", [probe])


@pytest.mark.parametrize("style", ["echo", "plain", "content", "refuse"])
@pytest.mark.parametrize("score", ["auto", "echo", "prompt_logprobs", "walk"])
def test_all_ways_lead_to_one_score(style: str, score: str, fake: Fake) -> None:
    fake.style = style
    answers = ask(fake, PROBE, score=score)
    assert answers.kind is AnswerKind.LOG_PROBABILITIES
    assert answers.values.shape == (1, 1)
    assert answers.values[0, 0] == pytest.approx(expected(), abs=1e-5)


def test_requests_are_as_few_as_can_be(fake: Fake) -> None:
    steps = len(pieces(CONTINUATION))
    for style, score, count in (
        ("echo", "auto", 2),
        ("echo", "echo", 1),
        ("echo", "prompt_logprobs", 1),
        ("echo", "walk", steps),
        ("plain", "auto", steps),
        ("content", "auto", steps),
        ("content", "echo", steps + 1),
        ("refuse", "auto", steps + 1),
        ("content", "first", 1),
    ):
        fake.style = style
        fake.bodies.clear()
        ask(fake, PROBE, score=score)
        assert len(fake.bodies) == count, (style, score)
    assert all(body["temperature"] == 0 and body["top_p"] == 1 and body["max_tokens"] == 1 for _, body in fake.bodies)


def test_a_continuation_outside_the_list_is_missing(fake: Fake) -> None:
    fake.style = "content"
    assert ask(fake, score_probe(PROMPT, " zebra")).missing.tolist() == [True]
    assert ask(fake, score_probe(PROMPT, "")).missing.tolist() == [True]
    assert ask(fake, score_probe(PROMPT, CONTINUATION + " tail")).missing.tolist() == [True]


@pytest.mark.parametrize("style", ["plain", "content"])
def test_the_first_token_alone_has_a_floor(style: str, fake: Fake) -> None:
    fake.style = style
    first = pieces(CONTINUATION)[0]
    listed = ask(fake, PROBE, score="first", top="3").values[0, 0]
    assert listed == pytest.approx(log_probability(PROMPT, first), abs=1e-5)
    fake.bodies.clear()
    outside = ask(fake, score_probe(PROMPT, " zebra"), score="first", top="3")
    assert not outside.missing.any()
    assert outside.values[0, 0] <= listed
    assert len(fake.bodies) == 1


def test_the_floor_is_the_least_likely_token_that_is_listed() -> None:
    tops = {" fox": -0.5, " cat": -2.25, " dog": -1.0}
    body = {"tokens": [" fox"], "token_logprobs": [-0.5], "top_logprobs": [tops]}
    adapter = find_factory("openai-completions")("http://h", "m", {"score": "first"})
    found = finish(adapter.converse([score_probe("a", " zebra")]), lambda path, sent, kind: choice(logprobs=body))
    assert found.values.tolist() == [[-2.25]]


def test_a_token_across_the_border_leads_to_a_walk(fake: Fake) -> None:
    fake.expected.append("the foxes")
    fake.bodies.clear()
    answers = ask(fake, score_probe("the fo", "xes"), score="echo")
    assert len(fake.bodies) == 2
    assert answers.values[0, 0] == pytest.approx(log_probability("the fo", "xes"), abs=1e-5)


def test_chat_scores_by_bytes(fake: Fake) -> None:
    fake.expected.append(PROMPT + " fox")
    answers = ask(fake, score_probe(PROMPT, " fox"), "openai-chat")
    assert answers.values[0, 0] == pytest.approx(log_probability(PROMPT, " fox"), abs=1e-5)
    half = Probe(PROMPT.encode(), "text/plain", "score", b"\xf0\x9f")
    assert ask(fake, half, "openai-chat").values.tolist() == [[-2.5]]
    for outside in (" far", " zebra", "\ufffd"):
        assert ask(fake, score_probe(PROMPT, outside), "openai-chat").missing.tolist() == [True]


@pytest.mark.parametrize("scheme", ["openai-completions", "openai-chat"])
@pytest.mark.parametrize(
    "logprobs", [None, {}, {"content": []}, {"content": None}, {"tokens": [], "token_logprobs": []}]
)
def test_dropped_log_probabilities_are_no_answer(scheme: str, logprobs: Any) -> None:
    body = {"choices": [{"text": " fox", "message": {"content": " fox"}, "logprobs": logprobs}]}
    adapter = find_factory(scheme)("http://h", "m", {})
    with pytest.raises(BadAnswerError):
        finish(adapter.converse([PROBE]), lambda path, sent, kind: json.dumps(body).encode())


def choice(**members: Any) -> bytes:
    return json.dumps({"choices": [{"text": "x", **members}]}).encode()


def test_longest_token_that_ends_a_character() -> None:
    rest = "🦊 den".encode()
    step = {b"": -0.1, rest[:2]: -0.2, rest[:4]: -0.3, rest[:4] + b" d": -0.4, b" den": -0.5}
    assert longest_step(step, rest) == (rest[:4] + b" d", -0.4)
    assert longest_step({rest[:2]: -0.2}, rest) is None
    assert longest_step({rest: -0.2}, rest) == (rest, -0.2)


def test_echo_with_a_mark_of_the_beginning_and_with_bytes() -> None:
    tokens, values = ["<s>", "a", "bytes:\\xf0\\x9f", "bytes:\\xa6\\x8a", " b"], [None, -1.0, -2.0, -4.0, -8.0]
    echo = read_echo(choice(logprobs={"tokens": tokens, "token_logprobs": values}), "a🦊 b")
    assert echo.shown
    assert echo.score(1) == -14.0
    assert echo.score(2) is None
    assert echo.score(5) == -8.0
    other = read_echo(choice(logprobs={"tokens": tokens[1:], "token_logprobs": values[1:]}), "another text")
    assert not other.shown
    assert other.step == {b"a": -1.0}


def test_a_generated_token_is_no_echo() -> None:
    alone = read_echo(choice(logprobs={"tokens": ["a"], "token_logprobs": [-1.0]}), "a")
    assert not alone.shown
    assert alone.step == {b"a": -1.0}
    assert read_echo(choice(logprobs={"tokens": ["a"], "token_logprobs": [None]}), "a").shown


def test_echo_without_a_value_has_no_score() -> None:
    echo = read_echo(choice(logprobs={"tokens": ["a", "b"], "token_logprobs": [None, None]}), "ab")
    assert echo.shown
    assert echo.score(1) is None


def test_prompt_logprobs_that_do_not_make_the_text() -> None:
    good = [None, {"7": {"logprob": -1.5, "decoded_token": " b"}}]
    assert read_prompt(choice(prompt_logprobs=good), "a b").score(1) == -1.5
    for entries in (None, {}, [None, {}], [None, None], [None, {"7": {"logprob": -1.5, "decoded_token": "c"}}]):
        shown = read_prompt(choice(prompt_logprobs=entries), "a b")
        assert shown.score(1) is None
    two = {"7": {"logprob": -1.5, "decoded_token": " b"}, "8": {"logprob": -2.5, "decoded_token": " c"}}
    assert not read_prompt(choice(prompt_logprobs=[None, two]), "a b").shown


@pytest.mark.parametrize("scheme", ["openai-completions", "openai-chat"])
def test_first_continuations_outside_the_list(scheme: str, fake: Fake) -> None:
    fake.expected = [PROMPT + " fox"]
    suspect = open_suspect(f"{scheme}+{fake.url}/v1#m", Connection(attempts=1))
    probes = [score_probe(PROMPT, " zebra"), score_probe(PROMPT, " fox")]
    answers = suspect.answer(probes)
    assert answers.missing.tolist() == [True, False] if scheme == "openai-chat" else not answers.missing.any()
    fake.style = "content"
    for _ in range(2):
        assert suspect.answer(probes).missing.tolist() == [True, False]
    alone = open_suspect(f"{scheme}+{fake.url}/v1#m", Connection(attempts=1)).answer(probes[:1])
    assert alone.values.shape == (1, 1)
    assert alone.missing.all()
