"""Which adapter speaks which protocol; an adapter's file is imported when it is asked for."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TypeAlias

from forensics.errors import UsageError
from forensics.suspects.remote.adapter import Adapter

Factory: TypeAlias = Callable[[str, str | None, Mapping[str, str]], Adapter]
"""Makes an adapter of a base URL, a model name and options; raises UsageError for what it does not know."""

ADAPTERS: Mapping[str, str] = {
    "openai": "openai:make_embeddings",
    "openai-completions": "completions:make_completions",
    "openai-chat": "chat:make_chat",
    "tei": "tei:make_embeddings",
    "tei-predict": "tei:make_classifier",
    "ollama": "ollama:make_embeddings",
    "cohere": "cohere:make_embeddings",
    "voyage": "voyage:make_embeddings",
    "hf": "huggingface:make_inference",
    "oip": "oip:make_inference",
    "vllm-classify": "vllm:make_classifier",
    "vllm-pooling": "vllm:make_pooling",
}
"""Scheme -> module of this package and its factory."""


def find_factory(scheme: str) -> Factory:
    """Returns the factory of a scheme's adapter.

    Raises:
        UsageError: there is none.
    """
    if scheme not in ADAPTERS:
        known = ", ".join(sorted(ADAPTERS))
        raise UsageError(f"There is no protocol '{scheme[:40]}'.", f"Choose one of: {known}.")
    module, name = ADAPTERS[scheme].split(":")
    factory: Factory = getattr(import_module(f"forensics.suspects.remote.{module}"), name)
    return factory
