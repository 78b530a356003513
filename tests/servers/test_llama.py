"""llama.cpp with SmolLM2: scores by the walk, one-token scores by chat, texts, embeddings."""

import json
import urllib.request
from typing import Any

import numpy as np
import pytest

from forensics.records import AnswerKind
from tests.servers.ask import ask, score_probe, text_probes

CAPITAL = "The capital of France is"
# Natural log-probabilities of the next token by Transformers, float32, of the weights dequantised from the same file.
TRANSFORMERS = {" Paris": -0.2581, " the": -2.7407, " London": -4.3843}
TOLERANCE = 0.1
"""Between two engines on one model, in nat: quantised against dequantised arithmetic."""


def generated(url: str, prompt: str) -> tuple[str, float]:
    """Returns the likeliest next token and its log-probability, by a request of llama.cpp's own route."""
    first = post(f"{url}/completion", {"prompt": prompt, "n_predict": 1, "n_probs": 1, "temperature": 0})
    return first["completion_probabilities"][0]["token"], first["completion_probabilities"][0]["logprob"]


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """Posts JSON and returns the answer's."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        result: dict[str, Any] = json.load(answer)
    return result


def test_scores_agree_with_transformers(llama: str) -> None:
    answers = ask(f"openai-completions+{llama}/v1?top=20#any", [score_probe(CAPITAL, token) for token in TRANSFORMERS])
    assert answers.kind is AnswerKind.LOG_PROBABILITIES
    assert answers.values.shape == (3, 1)
    assert not answers.missing.any()
    assert answers.values[:, 0] == pytest.approx(list(TRANSFORMERS.values()), abs=TOLERANCE)


def test_chat_scores_single_tokens(llama: str) -> None:
    body = {"model": "any", "messages": [{"role": "user", "content": CAPITAL}], "max_tokens": 1, "temperature": 0}
    content = post(f"{llama}/v1/chat/completions", {**body, "logprobs": True, "top_logprobs": 3})["choices"][0]
    wanted = {
        bytes(each["bytes"]).decode(): each["logprob"] for each in content["logprobs"]["content"][0]["top_logprobs"]
    }
    probes = [score_probe(CAPITAL, continuation) for continuation in [" xylophone", *wanted]]
    answers = ask(f"openai-chat+{llama}/v1#any", probes)
    assert answers.kind is AnswerKind.LOG_PROBABILITIES
    assert answers.missing.tolist() == [True, False, False, False]
    assert answers.values[1:, 0] == pytest.approx(list(wanted.values()), abs=1e-3)


def test_walk_over_several_tokens_is_the_sum_of_its_steps(llama: str) -> None:
    text, total = CAPITAL, 0.0
    for _ in range(6):
        token, log_probability = generated(llama, text)
        text, total = text + token, total + log_probability
    continuation = text.removeprefix(CAPITAL)
    for score in ("auto", "walk", "echo"):
        answers = ask(f"openai-completions+{llama}/v1?score={score}#any", [score_probe(CAPITAL, continuation)])
        assert not answers.missing.any(), score
        assert answers.values[0, 0] == pytest.approx(total, abs=1e-3), score


def test_continuation_outside_the_top_is_missing(llama: str) -> None:
    name = f"openai-completions+{llama}/v1?top=2#any"
    answers = ask(
        name, [score_probe(CAPITAL, " Paris"), score_probe(CAPITAL, " xylophone"), score_probe(CAPITAL, "🦊")]
    )
    assert answers.missing.tolist() == [False, True, True]


def test_texts_are_repeatable(llama: str) -> None:
    for route in ("openai-completions", "openai-chat"):
        name = f"{route}+{llama}/v1?max_tokens=4#any"
        first, again = (ask(name, text_probes(["The cat sat on", '🦊 "quoted"'])) for _ in range(2))
        assert first.kind is AnswerKind.TEXT
        assert not first.missing.any()
        assert all(first.values)
        assert first.values.tolist() == again.values.tolist()


def test_embeddings(llama_embeddings: str) -> None:
    name = f"openai+{llama_embeddings}/v1#any"
    answers = ask(name, text_probes())
    assert answers.kind is AnswerKind.VECTORS
    assert answers.values.shape == (4, 576)
    assert not answers.missing.any()
    packed = ask(f"openai+{llama_embeddings}/v1?encoding=base64&batch=1#any", text_probes())
    assert np.allclose(np.linalg.norm(answers.values, axis=1), 1.0, atol=1e-5)
    assert np.einsum("ij,ij->i", packed.values, answers.values).min() > 0.9999
